package worker_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"perdure/activities"
	"perdure/internal/egress"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/internal/webhook"
	"perdure/workflows"
)

// noWebhooks is for workers that tell nobody.
func noWebhooks() *webhook.Sender {
	return must(webhook.New(webhook.Options{Logger: slog.New(slog.DiscardHandler)}))
}

// told is an event as an endpoint got it.
type told struct {
	Type string `json:"type"`
	Data struct {
		ID string `json:"id"`
	} `json:"data"`

	header http.Header
	run    enumspb.WorkflowExecutionStatus // of the response, at that moment
}

// hearing gives the worker the endpoints "ops", and "failures" for events of one type. Each event is answered with the next of the
// statuses, then with 200.
func (f *fixture) hearing(t *testing.T, c client.Client, statuses ...int) <-chan told {
	t.Helper()
	events := make(chan told, 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := told{header: r.Header}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil {
			t.Error(err)
		}
		described, err := c.DescribeWorkflowExecution(context.WithoutCancel(r.Context()), e.Data.ID, "")
		if err != nil {
			t.Error(err)
		}
		e.run = described.GetWorkflowExecutionInfo().GetStatus()
		if len(statuses) > 0 {
			defer w.WriteHeader(statuses[0])
			statuses = statuses[1:]
		}
		events <- e
	}))
	t.Cleanup(s.Close)
	secrets := []secret.String{secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	sender := must(webhook.New(webhook.Options{
		Endpoints: []webhook.Endpoint{
			{Name: "ops", URL: s.URL, Secrets: secrets},
			{Name: "failures", URL: s.URL, Secrets: secrets, Events: []string{webhook.Failed}},
		},
		Network: egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}},
		Logger:  f.options.Logger,
	}))
	t.Cleanup(sender.Close)
	f.steps.Webhooks = sender
	return events
}

// deliver starts the workflow that tells an endpoint of a response that claims to be completed.
func (f *fixture) deliver(t *testing.T, c client.Client, endpoint, responseID string) client.WorkflowRun {
	t.Helper()
	return must(c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "webhook/" + endpoint + "/" + responseID, TaskQueue: f.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
	}, workflows.WebhookName, activities.DeliverWebhookInput{
		Endpoint: endpoint, ResponseID: responseID, Type: webhook.Completed, CreatedAt: time.Now(),
	}))
}

func next(t *testing.T, events <-chan told) told {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return told{}
	}
}

// Nobody hears of the end of a run before it can be retrieved.
func TestWebhookFollowsTheEndOfTheRun(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := closed(t, modeltest.New(modeltest.Text("answer").Hold(release)))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	events := f.hearing(t, c)
	f.run(t, c)
	run := f.start(t, c)
	if _, err := m.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ops, failures := f.deliver(t, c, "ops", run.GetID()), f.deliver(t, c, "failures", run.GetID())
	awaitAttempt(t, c, ops)
	close(release)
	e := next(t, events)
	if e.run != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED || e.Type != webhook.Completed || e.Data.ID != run.GetID() {
		t.Errorf("the endpoint heard %+v", e)
	}
	for _, w := range []client.WorkflowRun{ops, failures} {
		if err := w.Get(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	if len(events) != 0 {
		t.Errorf("an endpoint heard of what it does not want: %+v", <-events)
	}
}

// awaitAttempt waits until the delivery is under way.
func awaitAttempt(t *testing.T, c client.Client, run client.WorkflowRun) {
	t.Helper()
	deadline := time.After(patience)
	for {
		described := must(c.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID()))
		pending := described.GetPendingActivities()
		if len(pending) == 1 && pending[0].GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("the delivery does not begin")
		}
	}
}

// A run that was stopped from outside after it had asked for an event did not end as it said.
func TestWebhookTellsTheTruth(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("never").Hold(nil)))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	events := f.hearing(t, c)
	f.run(t, c)
	run := f.start(t, c)
	if _, err := m.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.TerminateWorkflow(t.Context(), run.GetID(), run.GetRunID(), "for a test"); err != nil {
		t.Fatal(err)
	}
	f.deliver(t, c, "failures", run.GetID())
	if e := next(t, events); e.Type != webhook.Failed {
		t.Errorf("the endpoint heard %+v", e)
	}
}

func TestRunTellsItsWebhooks(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	events := f.hearing(t, c)
	f.run(t, c)
	run := f.start(t, c, func(in *workflows.ResponseInput) { in.Webhooks = []string{"ops", "failures"} })
	if e := next(t, events); e.Type != webhook.Completed || e.Data.ID != run.GetID() || e.run != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		t.Errorf("the endpoint heard %+v", e)
	}
	for _, endpoint := range []string{"ops", "failures"} {
		if err := c.GetWorkflow(t.Context(), "webhook/"+endpoint+"/"+run.GetID(), "").Get(t.Context(), nil); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if len(events) != 0 {
		t.Errorf("another event: %+v", <-events)
	}
}

func TestWebhookIsRepeated(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	events := f.hearing(t, c, http.StatusServiceUnavailable)
	f.run(t, c)
	run := f.start(t, c)
	if err := run.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	delivery := f.deliver(t, c, "ops", run.GetID())
	first, second := next(t, events), next(t, events)
	if first.header.Get("webhook-id") != second.header.Get("webhook-id") || first.header.Get("webhook-timestamp") == second.header.Get("webhook-timestamp") {
		t.Errorf("two attempts have the headers\n%v\n%v", first.header, second.header)
	}
	if err := delivery.Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestWebhookIsGivenUp(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	events := f.hearing(t, c, http.StatusGone)
	f.run(t, c)
	run := f.start(t, c)
	if err := run.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	err := f.deliver(t, c, "ops", run.GetID()).Get(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), `webhook endpoint "ops" answered HTTP 410`) {
		t.Errorf("error %v", err)
	}
	next(t, events)
	// A response that was deleted is no longer anybody's affair.
	if err := f.deliver(t, c, "ops", responses.ResponsePrefix+uuid.NewString()).Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if len(events) != 0 {
		t.Errorf("the endpoint heard %+v", <-events)
	}
}
