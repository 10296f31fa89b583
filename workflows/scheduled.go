package workflows

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
)

// ScheduledName is the name under which [Scheduled] is registered. It never changes.
const ScheduledName = "Scheduled"

// ScheduledInput is what a schedule starts: a response or a batch.
type ScheduledInput struct {
	ScheduleID string                 `json:"schedule_id"`
	Request    *contract.Request      `json:"request,omitempty"`
	Batch      *contract.BatchRequest `json:"batch,omitempty"`
	// Record is what the API knows of the schedule, for the API alone. It is here since Temporal changes this with the schedule, and a
	// schedule's memo never.
	Record contract.JSON `json:"record,omitempty"`
	// RunTimeout bounds the run of a response, TaskTimeout its workflow tasks, and Priority is its place among others.
	RunTimeout  time.Duration     `json:"run_timeout"`
	TaskTimeout time.Duration     `json:"task_timeout"`
	Priority    temporal.Priority `json:"priority"`
}

// ScheduledResult is what a run of a schedule came to.
type ScheduledResult struct {
	ResponseID string `json:"response_id,omitempty"`
	BatchID    string `json:"batch_id,omitempty"`
	Status     string `json:"status"`
}

// ScheduledResponseID is the ID of the response that an execution of [Scheduled] starts. It never changes.
func ScheduledResponseID(workflowID, runID string) string {
	return contract.DeriveResponseID(workflowID + "/" + runID)
}

// ScheduledBatchID is the same for a batch.
func ScheduledBatchID(workflowID, runID string) string {
	return contract.DeriveBatchID(workflowID + "/" + runID)
}

// Scheduled starts the response, or the batch, that a schedule is for, and lasts as long as that does. It is there for two reasons: Temporal puts the time
// into the ID of what a schedule starts, so that it could be neither, and the policy for runs that would overlap counts what the
// schedule has started itself. Who cancels it, as that policy may, cancels the response or the batch.
func Scheduled(ctx workflow.Context, in ScheduledInput) (ScheduledResult, error) {
	info := workflow.GetInfo(ctx)
	id, run := info.WorkflowExecution.ID, info.OriginalRunID // which stays the same when an operator resets the workflow
	var result ScheduledResult
	var child, name string
	var argument any
	if in.Batch != nil {
		result.BatchID = ScheduledBatchID(id, run)
		child, name, argument = result.BatchID, BatchName, contract.BatchInput{Request: *in.Batch}
		in.RunTimeout = 0 // it has a window of its own
	} else {
		result.ResponseID = ScheduledResponseID(id, run)
		child, name, argument = result.ResponseID, ResponseName, contract.ResponseInput{Request: *in.Request}
	}
	workflow.SetCurrentDetails(ctx, "**"+child+"**\n\nof "+in.ScheduleID)
	var out struct {
		Status string `json:"status"`
	}
	err := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, scheduledOptions(in, child)), name, argument).Get(ctx, &out)
	result.Status = out.Status
	return result, err
}

// scheduledOptions: a schedule that is told to terminate its run ends the response, too, which says so to those who wait for it.
func scheduledOptions(in ScheduledInput, id string) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               id,
		WorkflowExecutionTimeout: in.RunTimeout,
		WorkflowTaskTimeout:      in.TaskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WaitForCancellation:      true,
		Priority:                 in.Priority,
		StaticSummary:            "of " + in.ScheduleID,
	}
}
