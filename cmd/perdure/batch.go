package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

func newBatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "batch",
		Aliases: []string{"batches"},
		Short:   "Send thousands of requests, and see to them",
		Long: `Send thousands of requests as a batch, and see to batches. The requests are a file in the format of OpenAI's Batch API: one JSON object on
a line, with a custom_id by which its result is found, and the body of a request to /v1/responses:

  {"custom_id": "first", "method": "POST", "url": "/v1/responses", "body": {"input": "Hello"}}`,
		Example: "  perdure batch run requests.jsonl -o results.jsonl\n  perdure batch list\n  perdure batch watch batch_…\n  perdure batch retry batch_…",
	}
	group(cmd, newBatchRun(), newBatchList(), newBatchGet(), newBatchWatch(),
		batchAction("cancel", "End batches; results that are there stay"),
		batchAction("pause", "Begin no further request of batches"),
		batchAction("resume", "Go on with batches that were paused"),
		newBatchRetry(), newBatchDownload())
	bindAPIs(cmd)
	return cmd
}

// completeBatches offers the latest batches.
var completeBatches = completed(func(ctx context.Context, c *apiclient.Client) []string {
	var ids []string
	for b, err := range apiclient.Listed[apiclient.Batch](ctx, c, batchesPath, nil, maxCompletions) {
		if err != nil {
			break
		}
		ids = append(ids, cobra.CompletionWithDesc(b.ID, fmt.Sprintf("%s, %s of %s, %s", batchState(b), grouped(b.Done()), grouped(b.Counts.Total), ago(b.CreatedAt))))
	}
	return ids
})

const batchesPath = "/v1/batches"

func batchState(b apiclient.Batch) string {
	if b.Paused && !b.Ended() {
		return "paused"
	}
	return b.Status
}

func newBatchList() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List batches, the latest first",
		Example:           "  perdure batch list --limit 5",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
	}
	limit := cmd.Flags().Int("limit", 20, "largest `NUMBER` of them; 0 is all")
	cmd.RunE = withAPI(func(s *session, _ []string) error {
		return listObjects(s, batchesPath, nil, *limit, "ID\tSTATUS\tDONE\tFAILED\tTOTAL\tCREATED", func(b apiclient.Batch) string {
			return strings.Join([]string{
				b.ID, batchState(b), grouped(b.Done()), grouped(b.Counts.Failed), grouped(b.Counts.Total), ago(b.CreatedAt),
			}, "\t")
		})
	})
	return cmd
}

func newBatchGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show a batch as it is now",
		Example:           "  perdure batch get batch_… --json | jq .request_counts",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeBatches),
		RunE: withAPI(func(s *session, args []string) error {
			b, err := s.Batch(s.ctx(), args[0])
			if err != nil {
				return err
			}
			return s.showBatch(b)
		}),
	}
}

// showBatch prints a batch.
func (s *session) showBatch(b apiclient.Batch) error {
	if s.json {
		return s.printJSON(b.Raw)
	}
	table := newTable(s.out, b.ID+"\t"+batchState(b))
	rows := [][2]string{
		{"requests", fmt.Sprintf("%s of %s done, %s of them failed", grouped(b.Done()), grouped(b.Counts.Total), grouped(b.Counts.Failed))},
		{"created", ago(b.CreatedAt)},
		{"input file", b.InputFileID},
		{"output file", valueOf(b.OutputFileID)},
		{"error file", valueOf(b.ErrorFileID)},
		{"retry of", valueOf(b.RetryOf)},
	}
	if p := b.Progress; p != nil && !b.Ended() {
		rows = append(rows, [2]string{"now", fmt.Sprintf("%s under way, at most %s", grouped(p.Running), grouped(p.Window))})
	}
	if u := b.Usage; u != nil {
		rows = append(rows, [2]string{"tokens", fmt.Sprintf("%s in, %s out", grouped(u.InputTokens), grouped(u.OutputTokens))})
	}
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(table, "  %s\t%s\n", row[0], terminal.Line(row[1], 0))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, problem := range batchProblems(b) {
		fmt.Fprintf(s.out, "  %s\n", problem)
	}
	return nil
}

func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// batchProblems are what is wrong with the input of a batch.
func batchProblems(b apiclient.Batch) (problems []string) {
	if b.Errors == nil {
		return nil
	}
	for _, e := range b.Errors.Data {
		place := ""
		if e.Line != nil {
			place = fmt.Sprintf("line %d: ", *e.Line)
		}
		problems = append(problems, place+terminal.Line(joinNonEmpty(": ", valueOf(e.Param), e.Message), 500))
	}
	return problems
}

// batchAction is a command that does one thing to batches.
func batchAction(name, short string) *cobra.Command {
	return onEach(&cobra.Command{
		Use:     name + " ID…",
		Short:   short,
		Example: "  perdure batch " + name + " batch_…",
	}, completeBatches, func(s *session, id string) (json.RawMessage, string, error) {
		b, err := s.ChangeBatch(s.ctx(), id, name)
		return b.Raw, fmt.Sprintf("%s is %s.", b.ID, batchState(b)), err
	})
}

func newBatchRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "retry ID",
		Short:             "Send the failed requests of a batch again, as a new batch",
		Example:           "  perdure batch retry batch_… && perdure batch list --limit 1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeBatches),
	}
	window := cmd.Flags().String("window", "", "completion `WINDOW`, such as 24h (default: that of the batch)")
	concurrency := cmd.Flags().Int("concurrency", 0, "largest `NUMBER` of requests under way (default: that of the batch)")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body := map[string]any{}
		if *window != "" {
			body["completion_window"] = *window
		}
		if *concurrency > 0 {
			body["concurrency"] = *concurrency
		}
		b, err := s.RetryBatch(s.ctx(), args[0], body, newRequestKey())
		if err != nil {
			return err
		}
		if s.json {
			return s.printJSON(b.Raw)
		}
		_, err = fmt.Fprintln(s.out, b.ID)
		return err
	})
	return cmd
}

func newBatchWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Watch a batch until it has ended",
		Long: `Watch a batch until it has ended. Ctrl-C leaves the batch alone. With --json each change is printed as the object of the API. The exit code
is that of "perdure batch run".`,
		Example:           "  perdure batch watch batch_…",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeBatches),
		Annotations:       map[string]string{patienceAnnotation: batchPatience},
	}
	cmd.RunE = withAPI(func(s *session, args []string) error {
		v := newBatchView(s)
		defer v.close()
		s.pausing = v.pausing
		for {
			b, err := s.Batch(s.ctx(), args[0])
			if err != nil {
				return err
			}
			v.changed(b)
			if b.Ended() {
				v.close()
				return s.batchEnding(b, "perdure batch download "+b.ID)
			}
			timer := time.NewTimer(time.Second)
			select {
			case <-s.ctx().Done():
				timer.Stop()
				return s.ctx().Err()
			case <-timer.C:
			}
		}
	})
	return cmd
}

// batchPatience is how long a server may be away from a command that follows a batch.
const batchPatience = "12h"

func newBatchDownload() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "download ID",
		Short: "Download the results of a batch that are there",
		Long: `Download the results of a batch that are there, in the order of the requests. Those of requests that failed are in a file of their own.
While the batch runs it has a part of the results.`,
		Example:           "  perdure batch download batch_… > results.jsonl\n  perdure batch download batch_… -o results.jsonl\n  perdure batch download batch_… --failed",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeBatches),
	}
	output := bindOutput(cmd)
	failed := cmd.Flags().Bool("failed", false, "download the requests that failed, and why")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		b, err := s.Batch(s.ctx(), args[0])
		if err != nil {
			return err
		}
		id := b.OutputFileID
		if *failed {
			id = b.ErrorFileID
		}
		if id == nil {
			s.note("There are none.")
			return nil
		}
		return s.download(*output, *id)
	})
	return cmd
}
