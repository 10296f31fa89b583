package activities

import (
	"context"
	"errors"

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

// Delete removes a workflow with its history, ending it if it is under way, and the events of a response. Its error says that it is
// not gone yet, and has the type [ErrTypeDeletion].
func (a *Activities) Delete(ctx context.Context, in DeleteInput) error {
	if responses.IsResponseID(in.WorkflowID) {
		if err := a.Events.Delete(ctx, in.WorkflowID); err != nil {
			return temporal.NewApplicationError("the events could not be removed: "+err.Error(), ErrTypeDeletion)
		}
	}
	temporalClient := activity.GetClient(ctx)
	_, err := temporalClient.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: activity.GetInfo(ctx).Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: in.WorkflowID},
	})
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone):
		return nil
	case err != nil:
		return temporal.NewApplicationError("the workflow could not be removed: "+err.Error(), ErrTypeDeletion)
	default:
		return temporal.NewApplicationError("Temporal has yet to remove the workflow", ErrTypeDeletion)
	}
}
