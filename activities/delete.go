package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/responses"
)

// DeleteInput names what is to be removed: a response or a conversation.
type DeleteInput struct {
	WorkflowID string `json:"workflow_id"`
}

// Delete removes a workflow with its histories, ending it if it is under way, and then the values that it owned and the events of a
// response. Its error says that it is not gone yet, and has the type [ErrTypeDeletion].
func (a *Activities) Delete(ctx context.Context, in DeleteInput) error {
	if responses.IsResponseID(in.WorkflowID) {
		if err := a.Events.Delete(ctx, in.WorkflowID); err != nil {
			return deletionError("the events could not be removed", err)
		}
	}
	executions, err := executionsOf(ctx, in.WorkflowID)
	if err != nil {
		return deletionError("the workflow could not be found", err)
	}
	left := 0
	// The current one is the last to go, since it leads to the others.
	for _, runID := range slices.Backward(executions) {
		was, err := deleteExecution(ctx, in.WorkflowID, runID)
		if err != nil {
			return deletionError("the workflow could not be removed", err)
		}
		if was {
			left++
		}
	}
	if left > 0 {
		return temporal.NewApplicationError("Temporal has yet to remove the workflow", ErrTypeDeletion)
	}
	// Nothing reads them any more. What a step that was cut off still writes is left to the sweep.
	if err := a.Blobs.Remove(ctx, in.WorkflowID); err != nil {
		return deletionError("the values could not be removed", err)
	}
	return nil
}

func deletionError(what string, err error) error {
	return temporal.NewApplicationError(what+": "+err.Error(), ErrTypeDeletion)
}

// executionsOf returns the run IDs of a workflow, the current one first. Some may be gone already.
func executionsOf(ctx context.Context, workflowID string) ([]string, error) {
	executions, err := chain(ctx, workflowID)
	if err != nil {
		return nil, err
	}
	// Nothing leads from an execution that an operator's reset has made to the one that it was made of. Visibility knows them both,
	// if late: a deletion looks more than once.
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = '%s'", workflowID)}
	for {
		page, err := activity.GetClient(ctx).ListWorkflow(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, e := range page.GetExecutions() {
			if runID := e.GetExecution().GetRunId(); !slices.Contains(executions, runID) {
				executions = append(executions, runID)
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return executions, nil
		}
	}
}

// chain returns the run IDs of a workflow that went on as a new execution, the current one first. They are no more than a run has turns.
// A workflow that is not there has none.
func chain(ctx context.Context, workflowID string) ([]string, error) {
	c := activity.GetClient(ctx)
	current, err := c.DescribeWorkflowExecution(ctx, workflowID, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var executions []string
	for runID := current.GetWorkflowExecutionInfo().GetExecution().GetRunId(); runID != ""; {
		started, err := c.GetWorkflowHistory(ctx, workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
		if errors.As(err, &gone) {
			break // as are those before it
		}
		if err != nil {
			return nil, err
		}
		executions = append(executions, runID)
		runID = started.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	}
	return executions, nil
}

// deleteExecution reports whether there was one.
func deleteExecution(ctx context.Context, workflowID, runID string) (bool, error) {
	_, err := activity.GetClient(ctx).WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace:         activity.GetInfo(ctx).Namespace,
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: runID},
	})
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return false, nil
	}
	return err == nil, err
}
