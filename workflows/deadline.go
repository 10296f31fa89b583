package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"perdure/internal/responses"
)

// When the time for the whole run is over, Temporal ends it without a word: its output would be lost with it, and nobody would be told. So
// a run ends itself a little before. It sets no timer for that, which every run would have to pay for: it waits for nothing but its steps,
// and none of them is given longer.

// maxSpare is how long before Temporal does a run ends itself at the most: long enough for workers to be restarted meanwhile, and for
// what is left to do, which takes seconds. A run that has little time ends when nine tenths of it are over.
const maxSpare = 5 * time.Minute

// deadline is when the run ends itself: zero if its time is not limited, or if that cannot be known, as of a run that an execution of an
// earlier release began.
func deadline(info *workflow.Info, carried *Carried) time.Time {
	wasReset := info.OriginalRunID != "" && info.OriginalRunID != info.WorkflowExecution.RunID // by an operator; its time began again then
	switch limit := info.WorkflowExecutionTimeout; {
	case limit <= 0, wasReset:
		return time.Time{}
	case carried != nil: // the limit is one of all executions together
		return carried.Deadline
	default:
		return info.WorkflowStartTime.Add(limit - min(limit/10, maxSpare))
	}
}

// inTime is [workflow.WithActivityOptions] for a step that ends when the time of the run is over.
func (r *run) inTime(ctx workflow.Context, options workflow.ActivityOptions) workflow.Context {
	if !r.deadline.IsZero() {
		options.ScheduleToCloseTimeout = max(r.deadline.Sub(workflow.Now(ctx)), time.Millisecond)
	}
	return workflow.WithActivityOptions(ctx, options)
}

// timeIsOver reports whether the run must begin nothing more. The version is asked for only then, so that other runs need no marker.
func (r *run) timeIsOver(ctx workflow.Context) bool {
	return !r.deadline.IsZero() && !workflow.Now(ctx).Before(r.deadline) &&
		workflow.GetVersion(ctx, "runs end before their time is over", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// outOfTime is how a run fails whose time is over.
func outOfTime() error {
	return &failure{
		kind: ErrTypeFailed, message: "the run took too long and was stopped", shown: &Refusal{Type: responses.ErrGatewayTimeout},
	}
}
