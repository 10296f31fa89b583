package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/batch"
)

// BatchAcceptName is the name of the first step of a batch that others than the API have started. It never changes.
const BatchAcceptName = "batch_accept"

// BatchAcceptInput is a request that a batch began with.
type BatchAcceptInput struct {
	BatchID string                `json:"batch_id"`
	Request contract.BatchRequest `json:"request"`
	Created time.Time             `json:"created"`
}

// acceptBatch has a request made into the input of its batch, which the database has from then on. The batch's ID is the workflow's.
func acceptBatch(ctx workflow.Context, request contract.BatchRequest) (BatchInput, error) {
	// Who cancels the workflow meanwhile cancels a batch that there is.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, "**accepting the request**")
	info := workflow.GetInfo(ctx)
	var in BatchInput
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, acceptOptions()), BatchAcceptName, BatchAcceptInput{
		BatchID: info.WorkflowExecution.ID, Request: request, Created: info.WorkflowStartTime,
	}).Get(ctx, &in)
	if err != nil {
		return in, notAccepted(err)
	}
	return in, workflow.UpsertTypedSearchAttributes(ctx, Organization.ValueSet(in.Organization), User.ValueSet(in.User), Key.ValueSet(in.Key),
		BatchID.ValueSet(in.BatchID), Status.ValueSet(string(batch.InProgress)), Created.ValueSet(in.Created))
}
