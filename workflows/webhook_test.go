package workflows

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/webhook"
)

// deliveries plays the activity that delivers events.
type deliveries struct {
	mu  sync.Mutex
	got []activities.DeliverWebhookInput
	err func(attempt int) error
}

func (d *deliveries) deliver(_ context.Context, in activities.DeliverWebhookInput) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, in)
	if d.err == nil {
		return nil
	}
	return d.err(len(d.got))
}

func (d *deliveries) environment() *testsuite.TestWorkflowEnvironment {
	env := newEnvironment()
	env.RegisterWorkflowWithOptions(Webhook, workflow.RegisterOptions{Name: WebhookName})
	env.RegisterActivityWithOptions(d.deliver, activity.RegisterOptions{Name: activities.DeliverWebhookName})
	return env
}

func TestWebhookIsTriedForADay(t *testing.T) {
	t.Parallel()
	down := func(int) error { return temporal.NewApplicationError("it is down", activities.ErrTypeWebhook) }
	for name, test := range map[string]struct {
		err         func(attempt int) error
		least, most int // attempts
		lasts       time.Duration
		fails       bool
	}{
		"delivered": {err: nil, least: 1, most: 1},
		"third attempt": {err: func(attempt int) error {
			if attempt < 3 {
				return down(attempt)
			}
			return nil
		}, least: 3, most: 3, lasts: 15 * time.Second},
		"final": {err: func(int) error {
			return temporal.NewNonRetryableApplicationError("it is gone", activities.ErrTypeWebhook, nil)
		}, least: 1, most: 1, fails: true},
		// The test environment makes ten attempts of what has no bound.
		"down": {err: down, least: 10, most: 10, lasts: 40 * time.Minute, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deliveries{err: test.err}
			env := d.environment()
			began := env.Now()
			env.ExecuteWorkflow(Webhook, activities.DeliverWebhookInput{Endpoint: "ops", ResponseID: "resp_1", Type: webhook.Failed})
			err := env.GetWorkflowError()
			if (err != nil) != test.fails || len(d.got) < test.least || len(d.got) > test.most {
				t.Errorf("%d attempts, error %v", len(d.got), err)
			}
			if took := env.Now().Sub(began); took < test.lasts || took > 25*time.Hour {
				t.Errorf("it took %v", took)
			}
			if app := (*temporal.ApplicationError)(nil); err != nil && (!errors.As(err, &app) || app.Type() != activities.ErrTypeWebhook) {
				t.Errorf("the error is not that of the last attempt: %v", err)
			}
		})
	}
}

func TestStartWebhooks(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		responses.ResponseCompleted: "response.completed", responses.ResponseIncomplete: "response.incomplete",
		responses.ResponseFailed: "response.failed", responses.ResponseCancelled: "response.cancelled",
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			d := &deliveries{}
			env := d.environment()
			var ended time.Time
			env.ExecuteWorkflow(func(ctx workflow.Context) error {
				ended = workflow.Now(ctx)
				startWebhooks(ctx, []string{"ops", "billing"}, "resp_1", status)
				startWebhooks(ctx, []string{"ops"}, "resp_1", status) // what has started already is fine, and not sent twice
				return workflow.Sleep(ctx, time.Minute)               // the test environment ends with its workflow
			})
			if err := env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			got := map[string]activities.DeliverWebhookInput{}
			for _, in := range d.got {
				got[in.Endpoint] = in
			}
			event := activities.DeliverWebhookInput{ResponseID: "resp_1", Type: want, CreatedAt: ended}
			ops, billing := event, event
			ops.Endpoint, billing.Endpoint = "ops", "billing"
			if diff := cmp.Diff(map[string]activities.DeliverWebhookInput{"ops": ops, "billing": billing}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(d.got) != 2 {
				t.Errorf("%d events were sent, want 2", len(d.got))
			}
		})
	}
}

func TestWebhooksThatCannotStartDoNotFailTheRun(t *testing.T) {
	t.Parallel()
	env := newEnvironment()
	env.RegisterWorkflowWithOptions(Webhook, workflow.RegisterOptions{Name: WebhookName})
	env.OnWorkflow(WebhookName, anyArgument, anyArgument).Return(testsuite.ErrMockStartChildWorkflowFailed)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		startWebhooks(ctx, []string{"ops"}, "resp_1", responses.ResponseCompleted)
		startWebhooks(ctx, []string{"ops"}, "resp_1", responses.ResponseInProgress)
		return nil
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}
