package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
	"perdure/internal/terminal"
)

func newResponses() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "responses",
		Aliases: []string{"response"},
		Short:   "List, show, watch, cancel and delete responses",
		Example: "  perdure responses list --status in_progress\n  perdure responses watch resp_…\n  perdure responses cancel resp_…",
	}
	group(cmd, newResponsesList(), newResponsesGet(), newResponsesWatch(), newResponsesCancel(), newResponsesDelete())
	bindAPIs(cmd)
	return cmd
}

var runStatuses = []string{
	responses.ResponseQueued, responses.ResponseInProgress, responses.ResponseCompleted, responses.ResponseIncomplete,
	responses.ResponseFailed, responses.ResponseCancelled,
}

func newResponsesList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List responses: those under way first, then the others, the latest first",
		Example: "  perdure responses list --status failed --created-after 24h\n" +
			"  perdure responses list --json --limit 0 | jq -r .id",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
	}
	f := cmd.Flags()
	filters := map[string]*string{
		"status":       f.String("status", "", "only those with this `STATUS`: "+strings.Join(runStatuses, ", ")),
		"model":        f.String("model", "", "only those of this `MODEL`"),
		"user":         f.String("user", "", "only those of this `USER`"),
		"batch":        f.String("batch", "", "only those of this batch (`ID`)"),
		"server_label": f.String("server-label", "", "only those with an MCP server of this `LABEL`"),
	}
	times := map[string]*string{
		"created_after":  f.String("created-after", "", "only those made since `TIME`: 2026-01-31, 2026-01-31T12:00:00Z, or 24h for 24 hours ago"),
		"created_before": f.String("created-before", "", "only those made before `TIME`"),
	}
	limit := f.Int("limit", 20, "largest `NUMBER` of them; 0 is all")
	registerWords(cmd, "status", runStatuses...)
	register(cmd, "model", completeModels)
	register(cmd, "batch", completeBatches)
	cmd.RunE = withAPI(func(s *session, _ []string) error {
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		for name, value := range times {
			if *value == "" {
				continue
			}
			at, err := parseTime(*value, time.Now())
			if err != nil {
				return usageError("--%s %w", strings.ReplaceAll(name, "_", "-"), err)
			}
			query.Set(name, strconv.FormatInt(at.Unix(), 10))
		}
		return listObjects(s, "/v1/responses", query, *limit, "ID\tSTATUS\tMODEL\tCREATED\tBACKGROUND", func(r apiclient.Response) string {
			return strings.Join([]string{r.ID, r.Status, r.Model, ago(r.CreatedAt), yesNo(r.Background)}, "\t")
		})
	})
	return cmd
}

// listObjects prints a list, as a table for people and one object on a line for programs.
func listObjects[T any](s *session, path string, query url.Values, limit int, head string, row func(T) string) error {
	if limit < 0 {
		return usageError("--limit must not be negative")
	}
	if s.json {
		for object, err := range s.List(s.ctx(), path, query, limit) {
			if err == nil {
				err = s.printJSON(object)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	table := newTable(s.out, head)
	for object, err := range apiclient.Listed[T](s.ctx(), s.Client, path, query, limit) {
		if err != nil {
			return errors.Join(table.Flush(), err)
		}
		// One object is one row, whatever it is called.
		fmt.Fprintln(table, strings.ReplaceAll(terminal.Clean(row(object)), "\n", " "))
	}
	return table.Flush()
}

func newTable(w io.Writer, head string) *tabwriter.Writer {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	return table
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// parseTime reads a date, a time, or how long ago something was.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if at, err := parseMoment(text); err == nil {
		return at, nil
	}
	return time.Time{}, errors.New("must be a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or a duration such as 24h for 24 hours ago")
}

func newResponsesGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a response as it is now",
		Long: `Show a response as it is now: what the model said on standard output, the rest on standard error. With --json it is the object of
the API. The exit code is 0 whatever the run has come to.`,
		Example:           "  perdure responses get resp_…\n  perdure responses get resp_… --json | jq .usage",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeResponses(nil)),
		RunE: withAPI(func(s *session, args []string) error {
			r, err := s.Response(s.ctx(), args[0])
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(r.Raw)
			}
			return s.show(r)
		}),
	}
}

// show writes a response as it would have been seen while it was made, but for the order.
func (s *session) show(r apiclient.Response) error {
	v := newRunView(s, false)
	for _, item := range r.Output {
		switch {
		case item.Type == string(responses.TypeMCPCall):
			v.called(item, -1)
		case item.Type != string(responses.TypeMessage):
			if err := v.done(item); err != nil {
				return err
			}
		}
	}
	if err := v.end(r); err != nil {
		return err
	}
	duration := time.Duration(-1)
	if r.CompletedAt != nil && r.Ended() {
		duration = time.Duration(*r.CompletedAt-r.CreatedAt) * time.Second
	}
	v.outcome(r, duration)
	if err := ending(r); err != nil && r.Ended() {
		s.note("%v", err)
	}
	return nil
}

func newResponsesWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Watch a response from its beginning to its end",
		Long: `Watch a response from its beginning, or from after an event, to its end. Ctrl-C leaves the run alone. The exit code is that of "perdure
run". When the events are not kept any more, what the run has come to is shown.`,
		Example:           "  perdure responses watch resp_…\n  perdure responses watch resp_… --after 41 --events",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeResponses(nil)),
	}
	after := cmd.Flags().Int("after", -1, "`NUMBER` of the last event that is known already")
	events := cmd.Flags().Bool("events", false, "print every event as it comes, one JSON value on a line")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "print the answer only")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		v := newRunView(s, *quiet)
		v.silent, v.resumed = v.silent || *events, *after >= 0
		r, err := s.follow(s.Follow(args[0], max(*after, -1)), v, *events)
		if err != nil {
			return err
		}
		if v.resumed {
			v.skip(r)
		}
		if err := v.end(r); err != nil {
			return err
		}
		v.summary(r)
		if s.json && !*events {
			if err := s.printJSON(r.Raw); err != nil {
				return err
			}
		}
		return ending(r)
	})
	return cmd
}

func newResponsesCancel() *cobra.Command {
	return onEach(&cobra.Command{
		Use:   "cancel ID…",
		Short: "End runs",
		Long:  "End runs. What they have come to until then stays. Of a run that is over already it is shown how it has ended.",
		Example: "  perdure responses cancel resp_…\n" +
			"  perdure responses list --status in_progress --limit 0 --json | jq -r .id | xargs perdure responses cancel",
	}, completeResponses(url.Values{"status": {responses.ResponseInProgress}}), func(s *session, id string) (json.RawMessage, string, error) {
		r, err := s.CancelResponse(s.ctx(), id)
		return r.Raw, fmt.Sprintf("%s is %s.", r.ID, r.Status), err
	})
}

func newResponsesDelete() *cobra.Command {
	return deleteEach(&cobra.Command{
		Use:     "delete ID…",
		Short:   "Delete responses, with all that is kept of their runs",
		Long:    "Delete responses, with all that is kept of their runs. A run under way is ended.",
		Example: "  perdure responses delete resp_…",
	}, completeResponses(nil), "/v1/responses")
}
