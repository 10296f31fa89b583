package starter

import (
	"cmp"
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"
)

func byActivityID(a, b *workflowpb.PendingActivityInfo) int {
	return cmp.Compare(a.GetActivityId(), b.GetActivityId())
}

// underWay takes in what Temporal knows of steps that are not over, which histories do not tell.
func (f *fold) underWay(now *workflowservice.DescribeWorkflowExecutionResponse) {
	for _, a := range now.GetPendingActivities() {
		at, ok := f.byID[a.GetActivityId()]
		if !ok || !f.steps[at].End.IsZero() {
			continue
		}
		s := &f.steps[at]
		s.Attempts = a.GetAttempt()
		if started := a.GetLastStartedTime(); started != nil {
			s.AttemptStart = started.AsTime()
		}
		if f.keeps(at) {
			s.raw.earlier = a.GetLastFailure()
		}
		switch {
		case a.GetPaused():
			s.State = StepPaused
		case a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED, a.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
			s.State = StepRunning
		case a.GetAttempt() > 1:
			s.State = StepRetrying
			s.NextAttempt = a.GetScheduledTime().AsTime()
			if next := a.GetNextAttemptScheduleTime(); next != nil {
				s.NextAttempt = next.AsTime()
			}
		default:
			s.State = StepWaiting
		}
	}
}

// stuckAfter is how long a run may wait for a worker before that is worth telling.
const stuckAfter = 10 * time.Second

// stuck says why the run itself does not go on.
func (f *fold) stuck(now *workflowservice.DescribeWorkflowExecutionResponse) string {
	task := now.GetPendingWorkflowTask()
	switch {
	case task == nil:
		return ""
	case task.GetAttempt() > 2:
		return "workers cannot go on with this run and try again and again; the worker's log has the reason"
	case task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED && time.Since(task.GetScheduledTime().AsTime()) > stuckAfter:
		return "no worker has taken this run yet; is one running, and does it read the same task queue?"
	default:
		return ""
	}
}

// maxAskedWebhooks bounds how many endpoints of a run are asked for.
const maxAskedWebhooks = 16

// askWebhooks finds out whether endpoints have been told, which they are by workflows of their own.
func (s *Starter) askWebhooks(ctx context.Context, steps []Step) {
	var all errgroup.Group
	asked := 0
	for i := range steps {
		step := &steps[i]
		if step.Kind != StepWebhook || step.State != StepDone || asked == maxAskedWebhooks {
			continue
		}
		asked++
		all.Go(func() error {
			now, err := s.Temporal.DescribeWorkflowExecution(ctx, step.raw.child, "")
			if err != nil {
				return nil // that it was started is known
			}
			step.told(now)
			return nil
		})
	}
	_ = all.Wait() // there is none
}

// told takes over how a webhook stands.
func (s *Step) told(now *workflowservice.DescribeWorkflowExecutionResponse) {
	info := now.GetWorkflowExecutionInfo()
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		s.State, s.End = StepDone, info.GetCloseTime().AsTime()
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		s.State, s.End = StepRunning, time.Time{}
		for _, a := range now.GetPendingActivities() {
			if s.Attempts = a.GetAttempt(); s.Attempts > 1 && a.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED {
				s.State, s.NextAttempt = StepRetrying, a.GetNextAttemptScheduleTime().AsTime()
				s.LastFailure = "the endpoint did not take the event"
			}
		}
	default:
		s.State, s.End, s.Error = StepFailed, info.GetCloseTime().AsTime(), "the endpoint did not take the event, and is not tried any more"
	}
}
