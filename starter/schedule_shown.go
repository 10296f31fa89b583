package starter

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"perdure/internal/identity"
	"perdure/workflows"
)

// shownSchedule is a schedule as clients see it. Times are in seconds since 1970.
type shownSchedule struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	CreatedAt      int64             `json:"created_at"`
	User           string            `json:"user"`
	Name           string            `json:"name"`
	Cron           []string          `json:"cron"`
	TimeZone       string            `json:"time_zone"`
	Interval       *int64            `json:"interval"`
	Offset         *int64            `json:"offset"`
	StartsAt       *int64            `json:"starts_at"`
	EndsAt         *int64            `json:"ends_at"`
	Jitter         *int64            `json:"jitter"`
	Overlap        string            `json:"overlap"`
	CatchupWindow  int64             `json:"catchup_window"`
	PauseOnFailure bool              `json:"pause_on_failure"`
	Paused         bool              `json:"paused"`
	Note           string            `json:"note"`
	Metadata       map[string]string `json:"metadata"`
	// NextRuns are the next times, the soonest first, and RecentRuns the last runs, the latest first.
	NextRuns   []int64    `json:"next_runs"`
	RecentRuns []shownRun `json:"recent_runs"`
	// The rest is not in lists.
	Running []string        `json:"running,omitempty"` // IDs of responses, or of batches
	Runs    *shownRuns      `json:"runs,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
	Batch   json.RawMessage `json:"batch,omitempty"`
}

// shownRun is a run of a schedule.
type shownRun struct {
	ScheduledAt int64  `json:"scheduled_at"`
	StartedAt   int64  `json:"started_at"`
	ResponseID  string `json:"response_id,omitempty"`
	BatchID     string `json:"batch_id,omitempty"`
}

// shownRuns count what became of the times of a schedule.
type shownRuns struct {
	Started int `json:"started"`
	// Skipped are those whose time came while one before was under way, and Missed those that would have been later than catchup_window.
	Skipped int `json:"skipped"`
	Missed  int `json:"missed"`
}

func showRecord(id string, r scheduleRecord) shownSchedule {
	shown := shownSchedule{
		ID: id, Object: "schedule", CreatedAt: r.CreatedAt, User: r.User, Name: r.Name, Cron: r.Cron, TimeZone: r.TimeZone,
		Interval: numberOrNull(r.Interval), Offset: numberOrNull(r.Offset), StartsAt: numberOrNull(r.StartsAt), EndsAt: numberOrNull(r.EndsAt),
		Jitter: numberOrNull(r.Jitter), Overlap: r.Overlap, CatchupWindow: r.CatchupWindow, PauseOnFailure: r.PauseOnFailure, Metadata: r.Metadata,
	}
	if shown.Cron == nil {
		shown.Cron = []string{}
	}
	if shown.Metadata == nil {
		shown.Metadata = map[string]string{}
	}
	if shown.TimeZone == "" {
		shown.TimeZone = "UTC"
	}
	return shown
}

func numberOrNull(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func showListed(one *client.ScheduleListEntry, r scheduleRecord) shownSchedule {
	shown := showRecord(one.ID, r)
	shown.Paused, shown.Note = one.Paused, one.Note
	shown.NextRuns, shown.RecentRuns = unixTimes(one.NextActionTimes), r.showRuns(one.RecentActions)
	return shown
}

// describedAtOnce is how many schedules Temporal is asked for at the same time for a list.
const describedAtOnce = 8

// showAll shows schedules as lists do. Of those that were changed since they were made, only the schedule itself knows what it is now.
func (s *Starter) showAll(ctx context.Context, who identity.Principal, all []*client.ScheduleListEntry) ([]shownSchedule, error) {
	shown := make([]*shownSchedule, len(all))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(describedAtOnce)
	for i, one := range all {
		if !memoOutdated(one.SearchAttributes) {
			record, err := memoRecord(s.Payloads, one.Memo)
			if err != nil {
				s.Logger.WarnContext(ctx, "a listed schedule cannot be read", "schedule", one.ID, "error", err)
			}
			listed := showListed(one, record)
			shown[i] = &listed
			continue
		}
		group.Go(func() error {
			found, err := s.schedule(asking, who, one.ID)
			if gone := wireError(err); gone != nil && gone.Status == http.StatusNotFound {
				return nil // it was deleted meanwhile
			}
			if err == nil {
				described := showDescribed(found)
				shown[i] = &described
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	there := make([]shownSchedule, 0, len(all))
	for _, one := range shown {
		if one != nil {
			there = append(there, *one)
		}
	}
	return there, nil
}

func unixTimes(times []time.Time) []int64 {
	out := make([]int64, len(times))
	for i, t := range times {
		out[i] = t.Unix()
	}
	return out
}

// showRuns turns around what Temporal has in the order of time.
func (r scheduleRecord) showRuns(actions []client.ScheduleActionResult) []shownRun {
	out := []shownRun{}
	for i := len(actions) - 1; i >= 0; i-- {
		started := actions[i].StartWorkflowResult
		if started == nil {
			continue
		}
		run := shownRun{ScheduledAt: actions[i].ScheduleTime.Unix(), StartedAt: actions[i].ActualTime.Unix()}
		if r.OfBatches {
			run.BatchID = r.started(*started)
		} else {
			run.ResponseID = r.started(*started)
		}
		out = append(out, run)
	}
	return out
}

// started is the ID of what a run of the schedule has started.
func (r scheduleRecord) started(by client.ScheduleWorkflowExecution) string {
	if r.OfBatches {
		return workflows.ScheduledBatchID(by.WorkflowID, by.FirstExecutionRunID)
	}
	return workflows.ScheduledResponseID(by.WorkflowID, by.FirstExecutionRunID)
}

func (s *Starter) answerSchedule(w http.ResponseWriter, r *http.Request, found *foundSchedule) error {
	shown := showDescribed(found)
	d := found.description
	shown.Runs = &shownRuns{Started: d.Info.NumActions, Skipped: d.Info.NumActionsSkippedOverlap, Missed: d.Info.NumActionsMissedCatchupWindow}
	for _, running := range d.Info.RunningWorkflows {
		shown.Running = append(shown.Running, found.record.started(running))
	}
	if found.input.Request != nil {
		shown.Request = found.input.Request.Body
	}
	if found.input.Batch != nil {
		shown.Batch = found.input.Batch.Body
	}
	return s.writeValue(w, r, shown)
}

// showDescribed is what lists have of a schedule, of one that Temporal was asked for.
func showDescribed(found *foundSchedule) shownSchedule {
	d := found.description
	shown := showRecord(found.id, found.record)
	shown.Paused, shown.Note = d.Schedule.State.Paused, d.Schedule.State.Note
	shown.NextRuns, shown.RecentRuns = unixTimes(d.Info.NextActionTimes), found.record.showRuns(d.Info.RecentActions)
	return shown
}
