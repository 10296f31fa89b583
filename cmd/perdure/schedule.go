package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

const schedulesPath = "/v1/schedules"

func schedulePath(id string) string { return schedulesPath + "/" + url.PathEscape(id) }

func newSchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schedule",
		Aliases: []string{"schedules"},
		Short:   "Make responses and batches start by themselves, again and again",
		Long: `Make responses and batches start by themselves, again and again. Temporal keeps the schedules and starts what they are for; this
command is not needed for it.`,
		Example: "  perdure schedule create \"Summarize yesterday's tickets\" --cron \"0 7 * * 1-5\" --time-zone Europe/Berlin --connector tickets\n" +
			"  perdure schedule list\n  perdure schedule pause sched_… --note holidays",
	}
	group(cmd, newScheduleCreate(), newScheduleList(), newScheduleGet(), newScheduleUpdate(),
		scheduleAction("pause", "Start nothing until the schedules are resumed", "is paused"),
		scheduleAction("resume", "Let paused schedules go on; what was missed meanwhile is not made up for", "goes on"),
		scheduleAction("trigger", "Start a run now, unless one is under way and the schedule says to skip it then", "was told to start a run"),
		newScheduleDelete())
	bindAPIs(cmd)
	return cmd
}

// schedule is a schedule as the API shows it.
type schedule struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	User       string            `json:"user"`
	Cron       []string          `json:"cron"`
	TimeZone   string            `json:"time_zone"`
	Interval   *int64            `json:"interval"`
	Offset     *int64            `json:"offset"`
	Overlap    string            `json:"overlap"`
	EndsAt     *int64            `json:"ends_at"`
	Paused     bool              `json:"paused"`
	Note       string            `json:"note"`
	NextRuns   []int64           `json:"next_runs"`
	RecentRuns []scheduleRun     `json:"recent_runs"`
	Running    []string          `json:"running"`
	Runs       *scheduleRuns     `json:"runs"`
	Metadata   map[string]string `json:"metadata"`
}

type scheduleRun struct {
	ScheduledAt int64  `json:"scheduled_at"`
	StartedAt   int64  `json:"started_at"`
	ResponseID  string `json:"response_id"`
	BatchID     string `json:"batch_id"`
}

func (r scheduleRun) id() string { return r.ResponseID + r.BatchID }

type scheduleRuns struct {
	Started int `json:"started"`
	Skipped int `json:"skipped"`
	Missed  int `json:"missed"`
}

// when says in words when a schedule runs.
func (s schedule) when() string {
	times := append([]string{}, s.Cron...)
	if len(times) > 0 && s.TimeZone != "" {
		times[len(times)-1] += " " + s.TimeZone
	}
	if s.Interval != nil {
		every := "every " + (time.Duration(*s.Interval) * time.Second).String()
		if s.Offset != nil {
			every += " and " + (time.Duration(*s.Offset) * time.Second).String()
		}
		times = append(times, every)
	}
	return strings.Join(times, ", ")
}

// next says when the next run is.
func (s schedule) next() string {
	switch {
	case s.Paused:
		return "paused"
	case len(s.NextRuns) == 0:
		return "never"
	default:
		return "in " + took(max(0, time.Until(time.Unix(s.NextRuns[0], 0))))
	}
}

func newScheduleList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the schedules of the organization",
		Example:           "  perdure schedule list\n  perdure schedule list --json | jq -r 'select(.paused) | .id'",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
		RunE: withAPI(func(s *session, _ []string) error {
			return listObjects(s, schedulesPath, nil, 0, "ID\tNAME\tWHEN\tNEXT\tLAST\tUSER", func(one schedule) string {
				last := "-"
				if len(one.RecentRuns) > 0 {
					last = ago(one.RecentRuns[0].StartedAt)
				}
				return strings.Join([]string{one.ID, terminal.Line(orDash(one.Name), 0), one.when(), one.next(), last, one.User}, "\t")
			})
		}),
	}
}

func newScheduleGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show a schedule with its next runs and its last ones",
		Example:           "  perdure schedule get sched_…\n  perdure schedule get sched_… --json | jq .request",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeSchedules),
		RunE: withAPI(func(s *session, args []string) error {
			answer, err := s.Do(s.ctx(), apiclient.Request{Method: http.MethodGet, Path: schedulePath(args[0])})
			if err != nil {
				return err
			}
			return s.showSchedule(answer)
		}),
	}
}

// showSchedule writes a schedule: for programs as the API has it.
func (s *session) showSchedule(answer json.RawMessage) error {
	if s.json {
		return s.printJSON(answer)
	}
	var one schedule
	if err := json.Unmarshal(answer, &one); err != nil {
		return fmt.Errorf("the server answered something else than a schedule: %w", err)
	}
	table := newTable(s.out, one.ID)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, terminal.Line(value, 0))
		}
	}
	row("name", one.Name)
	row("made by", one.User)
	row("runs", one.when())
	row("next", one.next())
	row("note", one.Note)
	row("if one is under way", one.Overlap)
	if one.EndsAt != nil {
		row("ends", time.Unix(*one.EndsAt, 0).Format(time.RFC3339))
	}
	if one.Runs != nil {
		row("so far", fmt.Sprintf("%s started, %d skipped, %d missed", count(one.Runs.Started, "run"), one.Runs.Skipped, one.Runs.Missed))
	}
	for _, id := range one.Running {
		row("under way", id)
	}
	for _, run := range one.RecentRuns {
		row(ago(run.StartedAt), run.id())
	}
	return table.Flush()
}

// scheduleAction is a command that does one thing to schedules.
func scheduleAction(name, short, did string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " ID…",
		Short:   short,
		Long:    short + ". For whoever made the schedule, and admins.",
		Example: "  perdure schedule " + name + " sched_…",
	}
	note := ""
	if name != "trigger" {
		cmd.Flags().StringVar(&note, "note", "", "`TEXT` to leave with the schedule")
		register(cmd, "note", noFiles)
	}
	return onEach(cmd, completeSchedules, func(s *session, id string) (json.RawMessage, string, error) {
		// A trigger that is sent twice would start two runs.
		answer, err := s.Do(s.ctx(), apiclient.Request{
			Method: http.MethodPost, Path: schedulePath(id) + "/" + name, Body: map[string]string{"note": note}, Repeatable: name != "trigger",
		})
		return answer, id + " " + did + ".", err
	})
}

func newScheduleDelete() *cobra.Command {
	return deleteEach(&cobra.Command{
		Use:     "delete ID…",
		Short:   "End schedules; what they have started goes on",
		Long:    "End schedules. What they have started goes on and stays. For whoever made the schedule, and admins.",
		Example: "  perdure schedule delete sched_…",
	}, completeSchedules, schedulesPath)
}

// completeSchedules offers the schedules.
var completeSchedules = completed(func(ctx context.Context, c *apiclient.Client) []string {
	var ids []string
	for one, err := range apiclient.Listed[schedule](ctx, c, schedulesPath, nil, maxCompletions) {
		if err != nil {
			break
		}
		ids = append(ids, cobra.CompletionWithDesc(one.ID, terminal.Line(orDash(one.Name)+", "+one.when(), 0)))
	}
	return ids
})
