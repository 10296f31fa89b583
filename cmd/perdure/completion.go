package main

import (
	"context"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

const (
	// completeWithin bounds how long somebody who has pressed Tab waits.
	completeWithin = 2 * time.Second
	// maxCompletions is how many of the latest are offered.
	maxCompletions = 50
)

type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completed offers what a server has. Whatever goes wrong is no time for an error: nothing is offered then.
func completed(list func(ctx context.Context, c *apiclient.Client) []string) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := loadConfig(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		o, err := clientOptions(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, err := apiclient.New(o)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		return list(ctx, client), cobra.ShellCompDirectiveNoFileComp
	}
}

// once is a completer for the first argument only.
func once(complete completer) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, toComplete)
	}
}

// completeResponses offers the latest responses, narrowed by a query.
func completeResponses(query url.Values) completer {
	return completed(func(ctx context.Context, c *apiclient.Client) []string {
		var ids []string
		for r, err := range apiclient.Listed[apiclient.Response](ctx, c, "/v1/responses", query, maxCompletions) {
			if err != nil {
				break
			}
			ids = append(ids, cobra.CompletionWithDesc(r.ID, terminal.Line(r.Status+" "+r.Model+", "+ago(r.CreatedAt), 0)))
		}
		return ids
	})
}

// completeModels offers the models.
var completeModels = completed(func(ctx context.Context, c *apiclient.Client) []string {
	var ids []string
	for m, err := range models(ctx, c) {
		if err != nil {
			break
		}
		ids = append(ids, m.ID)
	}
	return ids
})

// register offers values for a flag. It fails only for a flag that does not exist.
func register(cmd *cobra.Command, flag string, complete completer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err)
	}
}

// registerWords offers fixed values for a flag.
func registerWords(cmd *cobra.Command, flag string, words ...string) {
	register(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// noFiles is for arguments that are no files and cannot be known.
func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
