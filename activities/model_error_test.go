package activities_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/modeltest"
)

func TestModelErrors(t *testing.T) {
	t.Parallel()
	status := func(code int, header http.Header, kind, errorCode, message string) modeltest.Reply {
		return modeltest.Status(code, header, `{"error":{"type":"`+kind+`","code":"`+errorCode+`","message":"`+message+`"}}`)
	}
	tests := []struct {
		name  string
		reply modeltest.Reply
		want  failure // the message is looked for in the error's
	}{
		{"bad request", status(400, nil, "invalid_request_error", "", "no such field"), failure{Final: true, Message: "no such field"}},
		{"unauthorized", status(401, nil, "", "", "bad key "+modelKey), failure{Final: true, Message: "HTTP 401: bad key [redacted]"}},
		{"forbidden", status(403, nil, "", "", "no"), failure{Final: true, Message: "HTTP 403"}},
		{"unknown model", status(404, nil, "", "", "no"), failure{Final: true, Message: "HTTP 404"}},
		{"redirect", modeltest.Status(307, http.Header{"Location": {"/elsewhere"}}, ""), failure{Final: true, Message: "HTTP 307"}},
		{"too long", status(400, nil, "", "context_length_exceeded", "no"), failure{Final: true, Message: "HTTP 400"}},
		{"too long, as a server error", status(500, nil, "", "context_length_exceeded", "no"), failure{Final: true, Message: "HTTP 500"}},
		{"conflict", status(409, nil, "", "", "no"), failure{Message: "HTTP 409"}},
		{"rate limited", modeltest.RateLimited(7), failure{Delay: 7 * time.Second, Message: "HTTP 429"}},
		{"rate limited for an hour", modeltest.RateLimited(3600), failure{Delay: 5 * time.Minute, Message: "HTTP 429"}},
		{
			"rate limited for good", status(429, http.Header{"X-Should-Retry": {"false"}}, "", "", "quota"),
			failure{Final: true, Message: "quota"},
		},
		{"server error", status(500, nil, "", "", "oops"), failure{Message: "oops"}},
		{"overloaded", status(529, http.Header{"Retry-After-Ms": {"1500"}}, "", "", "no"), failure{Delay: 1500 * time.Millisecond, Message: "529"}},
		{"cut off", modeltest.Truncated(2), failure{Message: "its answer broke off"}},
		{"not Chat Completions", modeltest.Raw("data: hello\n\n"), failure{Message: "not one of the Chat Completions API"}},
		{"nothing", modeltest.Empty(), failure{Message: "the model gave an empty answer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(tt.reply))
			f := setup(t, m.URL())
			_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, f.turnInput(activities.Settings{}))
			got := failureOf(t, err)
			if throttled := strings.HasPrefix(tt.name, "rate limited"); (activities.Throttled(err) == 1) != throttled {
				t.Errorf("throttled %d times", activities.Throttled(err))
			}
			if !strings.HasPrefix(got.Message, `model provider "p": `) || !strings.Contains(got.Message, tt.want.Message) {
				t.Errorf("message %q, want %q in it", got.Message, tt.want.Message)
			}
			tt.want.Type, tt.want.Message = activities.ErrTypeModel, got.Message
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestModelThatCannotBeReached(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, f.turnInput(activities.Settings{}))
	got := failureOf(t, err)
	if got.Type != activities.ErrTypeModel || got.Final || strings.Contains(got.Message, "127.0.0.1") {
		t.Errorf("got %+v", got)
	}

	in := f.turnInput(activities.Settings{})
	in.Model = "gone/m" // another worker may know it
	_, err = execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
	if got := failureOf(t, err); got.Type != activities.ErrTypeModel || got.Final || !strings.Contains(got.Message, `"gone"`) {
		t.Errorf("got %+v", got)
	}
}

func TestModelTimeoutIsTold(t *testing.T) {
	t.Parallel()
	// The time may be over before the model is asked.
	m := closed(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("late").Hold(nil) }))
	f := setup(t, m.URL(), func(o *activities.Options) { o.ModelTimeout = 100 * time.Millisecond })
	_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, f.turnInput(activities.Settings{}))
	want := failure{Type: activities.ErrTypeModel, Message: `the model "p/m" did not answer within 100ms`}
	if diff := cmp.Diff(want, failureOf(t, err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestModelTurnIsHandedBackWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("an answer that begins").HoldAfter(1, nil)))
	f := setup(t, m.URL())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	in := f.turnInput(activities.Settings{})
	go func() {
		_, err := execute[activities.ModelTurnResult](f.envUnder(ctx), activities.ModelTurnName, in)
		done <- err
	}()
	if _, err := m.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v, want the cancellation", err)
	}
}

// A model that keeps saying nothing has answered: with more attempts left, the third is the last.
func TestEmptyAnswersEnd(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Empty(), modeltest.Empty(), modeltest.Empty()))
	f := setup(t, m.URL())
	in := f.turnInput(activities.Settings{})
	_, err := onServer[activities.ModelTurnResult](f, func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(ctx, activities.ModelTurnName, in)
	})
	if got := failureOf(t, err); !got.Final || got.Type != activities.ErrTypeModel {
		t.Errorf("got %+v", got)
	}
}
