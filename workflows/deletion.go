package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
)

// DeletionName is the name under which [Deletion] is registered. It never changes.
const DeletionName = "Deletion"

// DeletionTimeout is how long a deletion is tried.
const DeletionTimeout = 24 * time.Hour

// DeletionID is the workflow ID of the deletion of another workflow. That it exists hides the other: Temporal itself takes up to a
// minute until a closed workflow is gone.
func DeletionID(workflowID string) string { return "deletion/" + workflowID }

// Deletion removes a workflow, and the events of the response that it is, if it is one.
func Deletion(ctx workflow.Context, in activities.DeleteInput) error {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, deletionOptions(in)), activities.DeleteName, in).Get(ctx, nil)
}

// deletionOptions: each attempt asks for what is left to be done and fails while something is. What is slow is Temporal's queue, which
// is not made faster by asking.
func deletionOptions(in activities.DeleteInput) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             "delete " + in.WorkflowID,
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}
