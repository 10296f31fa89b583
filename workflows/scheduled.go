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

// ScheduledInput is what a schedule starts.
type ScheduledInput struct {
	ScheduleID string           `json:"schedule_id"`
	Request    contract.Request `json:"request"`
	// RunTimeout bounds the run, TaskTimeout its workflow tasks, and Priority is its place among others.
	RunTimeout  time.Duration     `json:"run_timeout"`
	TaskTimeout time.Duration     `json:"task_timeout"`
	Priority    temporal.Priority `json:"priority"`
}

// ScheduledResult is what a run of a schedule came to.
type ScheduledResult struct {
	ResponseID string `json:"response_id"`
	Status     string `json:"status"`
}

// ScheduledResponseID is the ID of the response that an execution of [Scheduled] starts. It never changes.
func ScheduledResponseID(workflowID, runID string) string {
	return contract.DeriveResponseID(workflowID + "/" + runID)
}

// Scheduled starts the response that a schedule is for, and lasts as long as that does. It is there for two reasons: Temporal puts the time
// into the ID of what a schedule starts, so that it could be no response, and the policy for runs that would overlap counts what the
// schedule has started itself. Who cancels it, as that policy may, cancels the response.
func Scheduled(ctx workflow.Context, in ScheduledInput) (ScheduledResult, error) {
	info := workflow.GetInfo(ctx)
	result := ScheduledResult{ResponseID: ScheduledResponseID(info.WorkflowExecution.ID, info.WorkflowExecution.RunID)}
	workflow.SetCurrentDetails(ctx, "**"+result.ResponseID+"**\n\nof "+in.ScheduleID)
	var out contract.Outcome
	err := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, scheduledOptions(in, result.ResponseID)), ResponseName,
		contract.ResponseInput{Request: in.Request}).Get(ctx, &out)
	result.Status = out.Status
	return result, err
}

// scheduledOptions: a schedule that is told to terminate its run ends the response, too, which says so to those who wait for it.
func scheduledOptions(in ScheduledInput, responseID string) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               responseID,
		WorkflowExecutionTimeout: in.RunTimeout,
		WorkflowTaskTimeout:      in.TaskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WaitForCancellation:      true,
		Priority:                 in.Priority,
		StaticSummary:            "of " + in.ScheduleID,
	}
}
