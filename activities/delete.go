package activities

import (
	"context"
	"errors"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
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

// Delete removes a workflow with its history, ending it if it is under way, and then the values that it owned and the events of a
// response. Its error says that it is not gone yet, and has the type [ErrTypeDeletion].
func (a *Activities) Delete(ctx context.Context, in DeleteInput) error {
	if responses.IsResponseID(in.WorkflowID) {
		if err := a.Events.Delete(ctx, in.WorkflowID); err != nil {
			return temporal.NewApplicationError("the events could not be removed: "+err.Error(), ErrTypeDeletion)
		}
	}
	executions, err := executionsOf(ctx, in.WorkflowID)
	if err != nil {
		return temporal.NewApplicationError("the runs of the workflow could not be listed: "+err.Error(), ErrTypeDeletion)
	}
	// The latest may not be listed yet.
	executions = append(executions, &commonpb.WorkflowExecution{WorkflowId: in.WorkflowID})
	left := 0
	for _, e := range executions {
		_, err := activity.GetClient(ctx).WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: activity.GetInfo(ctx).Namespace, WorkflowExecution: e,
		})
		var gone *serviceerror.NotFound
		switch {
		case errors.As(err, &gone):
		case err != nil:
			return temporal.NewApplicationError("the workflow could not be removed: "+err.Error(), ErrTypeDeletion)
		default:
			left++
		}
	}
	if left > 0 {
		return temporal.NewApplicationError("Temporal has yet to remove the workflow", ErrTypeDeletion)
	}
	// Nothing reads them any more. What a step that was cut off still writes is left to the sweep.
	if err := a.Blobs.Remove(ctx, in.WorkflowID); err != nil {
		return temporal.NewApplicationError("the values could not be removed: "+err.Error(), ErrTypeDeletion)
	}
	return nil
}

// executionsOf lists the runs of a workflow that visibility knows of: one that continued as new has several, each with a history.
func executionsOf(ctx context.Context, workflowID string) ([]*commonpb.WorkflowExecution, error) {
	var executions []*commonpb.WorkflowExecution
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: activity.GetInfo(ctx).Namespace, Query: "WorkflowId = " + quoted(workflowID),
	}
	for {
		page, err := activity.GetClient(ctx).WorkflowService().ListWorkflowExecutions(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, e := range page.GetExecutions() {
			executions = append(executions, e.GetExecution())
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return executions, nil
		}
	}
}

// quoted is a string in a query of visibility.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
