package starter

import (
	"encoding/json"
	"net/http"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"

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
	d := found.description
	shown := showRecord(found.id, found.record)
	shown.Paused, shown.Note = d.Schedule.State.Paused, d.Schedule.State.Note
	shown.NextRuns, shown.RecentRuns = unixTimes(d.Info.NextActionTimes), found.record.showRuns(d.Info.RecentActions)
	shown.Runs = &shownRuns{Started: d.Info.NumActions, Skipped: d.Info.NumActionsSkippedOverlap, Missed: d.Info.NumActionsMissedCatchupWindow}
	for _, running := range d.Info.RunningWorkflows {
		shown.Running = append(shown.Running, found.record.started(running))
	}
	if action, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction); ok && len(action.Args) == 1 {
		var in workflows.ScheduledInput
		if argument, ok := action.Args[0].(*commonpb.Payload); ok {
			if err := s.Payloads.FromPayload(argument, &in); err != nil {
				s.Logger.WarnContext(r.Context(), "the request of a schedule cannot be read", "schedule", found.id, "error", err)
			}
		}
		if in.Request != nil {
			shown.Request = in.Request.Body
		}
		if in.Batch != nil {
			shown.Batch = in.Batch.Body
		}
	}
	return s.writeValue(w, r, shown)
}
