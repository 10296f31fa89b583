package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/webhook"
)

// ErrTypeWebhook: an endpoint was not told of an event.
const ErrTypeWebhook = "webhook"

// closeWait is how long an attempt waits for a run that is about to end. With the sender's own limit it fits into the time of an
// attempt.
const closeWait = 10 * time.Second

// DeliverWebhookInput is an event for one endpoint. It says nothing of what is in the response.
type DeliverWebhookInput struct {
	Endpoint   string `json:"endpoint"`
	ResponseID string `json:"response_id"`
	// Type is how the run was about to end when it asked for the event; see [webhook.Types].
	Type      string    `json:"type"`
	CreatedAt time.Time `json:"created_at"`
}

// DeliverWebhook tells an endpoint that a response has ended, once it has: whoever hears of it may retrieve the response at once.
// An endpoint that does not want such events is not told, nor is anyone of a response that was deleted meanwhile. Its errors have the
// type [ErrTypeWebhook].
func (a *Activities) DeliverWebhook(ctx context.Context, in DeliverWebhookInput) error {
	status, err := awaitClosed(ctx, in.ResponseID)
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone):
		a.Logger.InfoContext(ctx, "no webhook for a response that was deleted", "endpoint", in.Endpoint, "response", in.ResponseID)
		return nil
	case activityCancelled(ctx):
		return ctx.Err()
	case err != nil:
		return temporal.NewApplicationError(fmt.Sprintf("the end of the run cannot be seen: %v", err), ErrTypeWebhook)
	case status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return temporal.NewApplicationError("the run has not ended yet", ErrTypeWebhook)
	}
	event := webhook.Event{Type: endedAs(status, in.Type), ResponseID: in.ResponseID, CreatedAt: in.CreatedAt}
	if !a.Webhooks.Wants(in.Endpoint, event.Type) {
		return nil
	}
	return webhookError(ctx, a.Webhooks.Send(ctx, in.Endpoint, event))
}

// awaitClosed returns the status of a run, after waiting for a moment if it is still running.
func awaitClosed(ctx context.Context, responseID string) (enumspb.WorkflowExecutionStatus, error) {
	c := activity.GetClient(ctx)
	status, err := statusOf(ctx, c, responseID)
	if err != nil || status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return status, err
	}
	waiting, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	_ = c.GetWorkflow(waiting, responseID, "").Get(waiting, nil) // whether it has ended, and how, is asked below
	return statusOf(ctx, c, responseID)
}

func statusOf(ctx context.Context, c client.Client, responseID string) (enumspb.WorkflowExecutionStatus, error) {
	described, err := c.DescribeWorkflowExecution(ctx, responseID, "")
	return described.GetWorkflowExecutionInfo().GetStatus(), err
}

// endedAs returns the event that is true of a run with this status. A run that was stopped from outside just after it had asked for
// an event did not end as it said.
func endedAs(status enumspb.WorkflowExecutionStatus, announced string) string {
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return announced
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return webhook.Cancelled
	default:
		return webhook.Failed
	}
}

func webhookError(ctx context.Context, err error) error {
	var fault *webhook.Error
	if err == nil || !errors.As(err, &fault) {
		return err
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !fault.Temporary}
	// An endpoint can ask for more time than the policy gives it, not for less: it would be asked every second for a day.
	if fault.RetryAfter > nextInterval(activity.GetInfo(ctx)) {
		options.NextRetryDelay = fault.RetryAfter
	}
	return temporal.NewApplicationErrorWithOptions(fault.Error(), ErrTypeWebhook, options)
}

// nextInterval is how long the activity's retry policy waits after this attempt.
func nextInterval(info activity.Info) time.Duration {
	if info.RetryPolicy == nil {
		return 0
	}
	d := info.RetryPolicy.InitialInterval
	for range info.Attempt - 1 {
		if d >= info.RetryPolicy.MaximumInterval {
			break
		}
		d = time.Duration(float64(d) * info.RetryPolicy.BackoffCoefficient)
	}
	return min(d, info.RetryPolicy.MaximumInterval)
}
