package workflows

import (
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/webhook"
)

// WebhookName is the name under which [Webhook] is registered. It never changes.
const WebhookName = "Webhook"

// webhookPatience is how long an endpoint that is down is tried.
const webhookPatience = 24 * time.Hour

// Webhook tells one endpoint that a response has ended. It is a workflow of its own, so that the run need not stay open for an
// endpoint that is down. Its ID makes the event one per response and endpoint.
func Webhook(ctx workflow.Context, in activities.DeliverWebhookInput) error {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, deliverOptions(in)), activities.DeliverWebhookName, in).Get(ctx, nil)
}

func webhookID(endpoint, responseID string) string { return "webhook/" + endpoint + "/" + responseID }

// deliverOptions: an event may be repeated, since it has the same ID each time. An endpoint that is being deployed is back within
// seconds, one that is broken within hours, and nobody is helped by asking it more than once an hour meanwhile. Without heartbeats:
// an attempt is over within half a minute, also one whose worker died.
func deliverOptions(in activities.DeliverWebhookInput) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:                in.Type + " to " + in.Endpoint,
		StartToCloseTimeout:    30 * time.Second,
		ScheduleToCloseTimeout: webhookPatience, // so that the workflow fails with the last attempt's error
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: time.Hour},
	}
}

// childOptions: the child outlives the run, which is about to end.
func childOptions(in activities.DeliverWebhookInput) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               webhookID(in.Endpoint, in.ResponseID),
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:        enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowExecutionTimeout: webhookPatience + time.Hour, // for a day in which no worker was there
		StaticSummary:            in.Type + " to " + in.Endpoint,
	}
}

// startWebhooks has the endpoints told how the run ended. It returns when the workflows that tell them have started; they go on
// without the run. What goes wrong is logged: an endpoint cannot fail a run.
func startWebhooks(ctx workflow.Context, names []string, responseID, status string) {
	eventType, ok := eventTypes[status]
	if !ok {
		workflow.GetLogger(ctx).Error("No webhook for a run that has not ended", "status", status)
		return
	}
	started := make([]workflow.Future, len(names))
	for i, name := range names {
		in := activities.DeliverWebhookInput{Endpoint: name, ResponseID: responseID, Type: eventType, CreatedAt: workflow.Now(ctx)}
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, childOptions(in)), WebhookName, in)
		started[i] = child.GetChildWorkflowExecution()
	}
	for i, future := range started {
		if err := future.Get(ctx, nil); err != nil && !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
			workflow.GetLogger(ctx).Error("Webhook could not be started", "endpoint", names[i], "error", err)
		}
	}
}

// eventTypes has the event for each status with which a run ends.
var eventTypes = map[string]string{
	responses.ResponseCompleted:  webhook.Completed,
	responses.ResponseFailed:     webhook.Failed,
	responses.ResponseIncomplete: webhook.Incomplete,
	responses.ResponseCancelled:  webhook.Cancelled,
}
