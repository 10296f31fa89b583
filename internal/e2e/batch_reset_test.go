package e2e

import (
	"testing"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// TestBatchIsReset: an operator may reset the workflow of a batch. It begins anew what it knows nothing of any more, and each line has run
// once and is in the files once all the same.
func TestBatchIsReset(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "batches:\n  concurrency: 3\n")
	ctx := b.ctx(t)
	made := createBatch(ctx, t, b.url, b.upload(t, "one", "fail", "three", "wait", "five", "wait", "seven"), "")
	batchUntil(ctx, t, b.url, made.ID, "at three lines", func(o batchObject) bool {
		return o.RequestCounts.Completed+o.RequestCounts.Failed >= 3 && o.Progress.Running > 0
	})
	_, err := b.temporal.WorkflowService().ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: made.ID}, Reason: "by the test",
		WorkflowTaskFinishEventId: b.firstTask(t, made.ID), RequestId: uuid.NewString(),
		ResetReapplyType: enumspb.RESET_REAPPLY_TYPE_NONE, //nolint:staticcheck // what replaces it lists what is left out
	})
	if err != nil {
		t.Fatal(err)
	}
	close(b.gate)
	done := batchUntil(ctx, t, b.url, made.ID, "completed", ended)
	if c := done.RequestCounts; done.Status != "completed" || c.Completed != 6 || c.Failed != 1 {
		t.Errorf("it ends as %+v", done)
	}
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID),
		"c0 answer to one", "c2 answer to three", "c3 waited", "c4 answer to five", "c5 waited", "c6 answer to seven")
	wantLines(t, "the error file", batchLines(ctx, t, b.url, done.ErrorFileID), "c1 502")
	if n := len(b.model.Requests()); n != 7 {
		t.Errorf("the model was asked %d times for 7 lines", n)
	}
}

// firstTask is the event with which the first workflow task of a run was completed.
func (b *batchStack) firstTask(t *testing.T, id string) int64 {
	t.Helper()
	events := b.temporal.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return e.GetEventId()
		}
	}
	t.Fatal("the run has completed no workflow task")
	return 0
}
