package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/batchrun"
)

func newBatchRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Send a file of requests, and bring the results while they come",
		Long: `Send a file of requests as a batch, and bring the results while they come: in the order of the requests, into a file that grows and always
has whole lines. Requests that failed are in a file of their own, and are told of as they come.

The batch is on the server: Ctrl-C, a lost connection or the end of this machine do not stop it. Started again with the same arguments, the
command goes on with the same batch and sends no request twice. What it needs for that is beside the output, in a file whose name ends in
` + batchrun.StateSuffix + `: keep it. To end the batch, use "perdure batch cancel".

The exit code is 0 if all requests have succeeded, 1 after an error, 2 if the command line makes no sense, 3 if the batch failed as a whole,
as it does when its input is wrong, 4 if requests failed or ran out of time, 5 if the batch was cancelled, and 130 if you interrupted the command.`,
		Example: `  perdure batch run requests.jsonl -o results.jsonl
  perdure batch run requests.jsonl -o results.jsonl --errors failed.jsonl --window 12h --concurrency 20
  perdure batch run requests.jsonl -o results.jsonl --detach`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{patienceAnnotation: batchPatience},
	}
	var o batchrun.Options
	f := cmd.Flags()
	f.StringVarP(&o.Output, "output", "o", "", "`FILE` for the results (default: FILE.output.jsonl beside the requests)")
	f.StringVar(&o.Errors, "errors", "", "`FILE` for the requests that failed (default: that of the results with .errors.jsonl)")
	f.StringVar(&o.Window, "window", "24h", "completion `WINDOW`, after which what has not begun is given up")
	f.IntVar(&o.Concurrency, "concurrency", 0, "largest `NUMBER` of requests under way (default: the server's)")
	f.StringToStringVar(&o.Metadata, "metadata", nil, "`KEY=VALUE` to keep with the batch; may be repeated")
	f.BoolVar(&o.Restart, "restart", false, "forget what was begun, with its results, and send all requests anew")
	f.BoolVarP(&o.Detach, "detach", "d", false, "print the batch's ID and do not wait; start again without it to bring the results")
	for _, flag := range []string{"window", "concurrency", "metadata"} {
		register(cmd, flag, noFiles)
	}
	cmd.RunE = withAPI(func(s *session, args []string) error { return runBatch(s, o, args[0]) })
	return cmd
}

func runBatch(s *session, o batchrun.Options, input string) error {
	o.Input = input
	if o.Output == "" {
		o.Output = strings.TrimSuffix(input, ".jsonl") + ".output.jsonl"
	}
	if o.Errors == "" {
		o.Errors = strings.TrimSuffix(o.Output, ".jsonl") + ".errors.jsonl"
	}
	v := newBatchView(s)
	defer v.close()
	o.Uploading, o.Changed, o.Failure, o.Note = v.uploading, v.changed, v.failure, v.note
	s.pausing = v.pausing
	b, err := batchrun.Run(s.ctx(), s.Client, o)
	v.close()
	switch {
	case err != nil && errors.Is(err, context.Canceled) && b.ID != "":
		s.note("The batch %s goes on. Start the same command again to bring the rest of the results; \"perdure batch cancel %s\" ends it.", b.ID, b.ID)
		return err
	case err != nil && errors.Is(err, context.Canceled):
		s.note("Start the same command again to go on.")
		return err
	case errors.Is(err, batchrun.ErrThreeFiles):
		return &exit{exitUsage, err}
	case err != nil:
		return err
	case o.Detach && !b.Ended():
		if s.json {
			return s.printJSON(b.Raw)
		}
		_, err = fmt.Fprintln(s.out, b.ID)
		return err
	}
	return s.batchEnding(b, "in "+o.Errors)
}

// batchEnding says what a batch has come to. failures is where the requests that failed are to be found.
func (s *session) batchEnding(b apiclient.Batch, failures string) error {
	if s.json && b.Raw != nil {
		if err := s.printJSON(b.Raw); err != nil {
			return err
		}
	}
	succeeded := fmt.Sprintf("%s of %s succeeded", count(b.Counts.Completed, "request"), grouped(b.Counts.Total))
	switch b.Status {
	case apiclient.BatchCancelled:
		return &exit{exitCancelled, fmt.Errorf("the batch %s was cancelled: %s", b.ID, succeeded)}
	case apiclient.BatchFailed:
		problems := batchProblems(b)
		const most = 20
		if n := len(problems) - most; n > 0 {
			problems = append(problems[:most], fmt.Sprintf("and %s more", grouped(n)))
		}
		when := "before a request was sent"
		if !b.NothingRan() {
			when = "on its way, when " + succeeded + ", and those without a result may have been sent"
		}
		return &exit{exitFailed, fmt.Errorf("the batch %s failed %s: %s", b.ID, when, strings.Join(problems, "\n  "))}
	case apiclient.BatchExpired:
		return &exit{exitIncomplete, fmt.Errorf("the time of the batch %s is over: %s; send the rest with: perdure batch retry %s", b.ID, succeeded, b.ID)}
	}
	if b.Counts.Failed > 0 {
		return &exit{exitIncomplete, fmt.Errorf("%s of the batch %s failed (%s): send them again with: perdure batch retry %s",
			count(b.Counts.Failed, "request"), b.ID, failures, b.ID)}
	}
	return nil
}
