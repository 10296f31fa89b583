package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
)

type modelEntry struct {
	ID string `json:"id"`
}

// models are those that a server offers. The list is not paged.
func models(ctx context.Context, c *apiclient.Client) iter.Seq2[modelEntry, error] {
	return func(yield func(modelEntry, error) bool) {
		var list struct{ Data []modelEntry }
		if err := c.Call(ctx, apiclient.Request{Method: "GET", Path: "/v1/models"}, &list); err != nil {
			yield(modelEntry{}, err)
			return
		}
		for _, m := range list.Data {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func newModels() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "models",
		Short:             "List the models that runs can name",
		Long:              "List the models that runs can name. A provider that takes any name of a model is not in the list.",
		Example:           "  perdure models\n  perdure run --model \"$(perdure models | head -n 1)\" \"Hello\"",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
		RunE: withAPI(func(s *session, _ []string) error {
			for m, err := range models(s.ctx(), s.Client) {
				if err == nil && s.json {
					err = s.printJSON(m)
				} else if err == nil {
					_, err = fmt.Fprintln(s.out, m.ID)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	bindAPI(cmd)
	return cmd
}
