package worker_test

import (
	"context"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// TestRunOfALaterReleaseWaits: after a rollback, a run that has handed over what this release does not know is left as it is.
func TestRunOfALaterReleaseWaits(t *testing.T) {
	t.Parallel()
	f := setup(t, closed(t, modeltest.New()).URL())
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	run := f.start(t, c, func(in *workflows.ResponseInput) {
		in.Carried = &workflows.Carried{Version: 1 << 20, Conversation: in.Input, Turn: 1}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !taskFailed(ctx, t, c, run.GetID()) {
		<-time.After(20 * time.Millisecond)
	}
	d, err := c.DescribeWorkflowExecution(ctx, run.GetID(), "")
	if err != nil {
		t.Fatal(err)
	}
	if status := d.GetWorkflowExecutionInfo().GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("the run is %v", status)
	}
	if err := c.TerminateWorkflow(ctx, run.GetID(), "", "the test is over"); err != nil {
		t.Error(err)
	}
}

// taskFailed reports whether a worker has failed a workflow task of a run.
func taskFailed(ctx context.Context, t *testing.T, c client.Client, id string) bool {
	t.Helper()
	for events := c.GetWorkflowHistory(ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			t.Fatalf("no workflow task has failed: %v", err)
		}
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED {
			return true
		}
	}
	return false
}
