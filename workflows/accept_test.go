package workflows

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"perdure/activities"
	"perdure/contract"
	"perdure/internal/responses"
)

const requestedID = "resp_requested"

func requested() ResponseInput {
	return ResponseInput{Request: &contract.Request{
		Organization: "acme", User: "ann", Key: "nightly", Body: contract.JSON(`{}`), Batch: "batch_1", CustomID: "line-7",
	}}
}

// accepting is the environment of a run that began with a request, whose first step is step.
func (s *script) accepting(step func(AcceptInput) (Accepted, error)) *testsuite.TestWorkflowEnvironment {
	env := s.environment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: requestedID})
	env.RegisterActivityWithOptions(func(_ context.Context, in AcceptInput) (Accepted, error) { return step(in) },
		activity.RegisterOptions{Name: AcceptName})
	return env
}

// accepts is the step for a request that becomes what the API would start with an input.
func accepts(in ResponseInput) func(AcceptInput) (Accepted, error) {
	return func(asked AcceptInput) (Accepted, error) {
		in.ResponseID, in.Organization, in.Background = asked.ResponseID, asked.Request.Organization, true
		in.Batch, in.CustomID, in.Return = asked.Request.Batch, asked.Request.CustomID, asked.Request.Return
		return Accepted{Input: in, Response: value("begun"), Stored: true}, nil
	}
}

func TestRequestBecomesARun(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1"), says("answer")}}
	asked := 0
	env := s.accepting(func(in AcceptInput) (Accepted, error) {
		if asked++; asked == 1 {
			return Accepted{}, errors.New("the database is away")
		}
		if in.ResponseID != requestedID || in.Request.CustomID != "line-7" || in.Created.IsZero() {
			t.Errorf("asked to accept %+v", in)
		}
		return accepts(input("a"))(in)
	})
	var memo, attributes int
	env.OnUpsertMemo(matched(func(m map[string]any) bool { _, ok := m[MemoResponse]; memo++; return ok })).Return(nil)
	env.OnUpsertTypedSearchAttributes(matched(func(a temporal.SearchAttributes) bool {
		if organization, ok := a.GetKeyword(Organization); ok {
			attributes++
			user, _ := a.GetKeyword(User)
			key, _ := a.GetKeyword(Key)
			batch, _ := a.GetKeyword(BatchID)
			status, _ := a.GetKeyword(Status)
			stored, _ := a.GetBool(Stored)
			created, _ := a.GetTime(Created)
			servers, _ := a.GetKeywordList(Servers)
			got := []any{organization, user, key, batch, status, stored, created.IsZero(), strings.Join(servers, ",")}
			want := []any{"acme", "ann", "nightly", "batch_1", responses.ResponseInProgress, true, false, "a"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("search attributes (-want +got):\n%s", diff)
			}
		}
		return true
	})).Return(nil)
	out, err := s.runIn(env, requested())
	if err != nil || out.Status != responses.ResponseCompleted || asked != 2 {
		t.Fatalf("outcome %+v after %d attempts, error %v", out, asked, err)
	}
	if memo == 0 || attributes == 0 {
		t.Errorf("%d memos and %d times search attributes were set", memo, attributes)
	}
	if got := s.asked[0].ResponseID; got != requestedID {
		t.Errorf("the response is %s, want the workflow's ID", got)
	}
	if diff := cmp.Diff([]string{"prompt", "tools of a", "result of a.1", "answer"}, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
}

// failedOutcome is [contract.OutcomeOf] for the errors of the test environment, which are not encoded.
func failedOutcome(err error) (out Outcome, ok bool) {
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app):
		return out, app.Details(&out) == nil
	case errors.As(err, &cancelled):
		return out, cancelled.Details(&out) == nil
	default:
		return out, false
	}
}

func TestRefusedRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal Refusal
		kind    string
		want    responses.RunError
	}{
		"invalid": {
			Refusal{Status: 400, Type: responses.ErrInvalidRequest, Param: "tools[0].server_label"},
			ErrTypeInvalid,
			responses.RunError{Code: "invalid_request", Type: "invalid_request", Param: "tools[0].server_label", Message: "no"},
		},
		"forbidden": {
			Refusal{Status: 403, Type: responses.ErrForbidden, Param: "tools[0].connector_id"},
			ErrTypeInvalid,
			responses.RunError{Code: "forbidden", Type: "forbidden", Param: "tools[0].connector_id", Message: "no"},
		},
		"not authorized": {
			Refusal{Status: 424, Type: responses.ErrExternalConnector, Param: "tools", Code: "http_error"},
			ErrTypeDiscovery,
			responses.RunError{Code: "http_error", Type: "external_connector_error", Param: "tools", Message: "no"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{t: t}
			asked := 0
			_, err := s.runIn(s.accepting(func(AcceptInput) (Accepted, error) {
				asked++
				return Accepted{}, temporal.NewApplicationErrorWithOptions("no", ErrTypeRefused,
					temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{c.refusal}})
			}), requested())
			out, ok := failedOutcome(err)
			if app := applicationError(t, err); !ok || app.Type() != c.kind || out.Status != responses.ResponseFailed || asked != 1 {
				t.Fatalf("error %s, outcome %+v after %d attempts", app.Type(), out, asked)
			}
			if diff := cmp.Diff(&c.want, out.Error); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if out.CompletedAt.IsZero() {
				t.Error("it does not say when it ended")
			}
		})
	}
}

// A storage that stays away fails the run, after more attempts than an hour of them takes.
func TestRequestThatCannotBeAccepted(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	env := s.accepting(func(AcceptInput) (Accepted, error) { return Accepted{}, errors.New("secret-ish detail of the storage") })
	began := env.Now()
	_, err := s.runIn(env, requested())
	out, ok := failedOutcome(err)
	if app := applicationError(t, err); !ok || app.Type() != ErrTypeFailed || strings.Contains(out.Error.Message, "detail") {
		t.Errorf("error %v, outcome %+v", err, out)
	}
	if waited := env.Now().Sub(began); waited < acceptPatience {
		t.Errorf("it was given up after %v", waited)
	}
}

func TestCancelledBeforeItIsAccepted(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	env := s.accepting(func(AcceptInput) (Accepted, error) { return Accepted{}, errors.New("the database is away") })
	env.RegisterDelayedCallback(func() {
		answer, err := env.QueryWorkflow(ProgressName)
		var out Outcome
		if err == nil {
			err = answer.Get(&out)
		}
		if err != nil || out.Status != responses.ResponseQueued {
			t.Errorf("progress is %+v, error %v", out, err)
		}
		env.CancelWorkflow()
	}, time.Minute)
	_, err := s.runIn(env, requested())
	if out, ok := failedOutcome(err); !ok || out.Status != responses.ResponseCancelled {
		t.Errorf("outcome %+v, error %v", out, err)
	}
}

func TestReturnsTheResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result RenderResult
		err    error
	}{
		"short":            {result: RenderResult{Response: contract.JSON(`{"id":"resp_requested"}`)}},
		"too long":         {result: RenderResult{Omitted: true}},
		"the storage died": {err: errors.New("away")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{t: t, turns: []turn{says("answer")}}
			env := s.accepting(accepts(input()))
			env.RegisterActivityWithOptions(func(_ context.Context, in RenderInput) (RenderResult, error) {
				if in.ResponseID != requestedID || in.Organization != "acme" || in.Outcome.Status != responses.ResponseCompleted {
					t.Errorf("asked to render %+v", in)
				}
				return c.result, c.err
			}, activity.RegisterOptions{Name: RenderName})
			in := requested()
			in.Request.Return = contract.ReturnResponse
			out, err := s.runIn(env, in)
			if err != nil || string(out.Response) != string(c.result.Response) || out.ResponseOmitted != (c.result.Response == nil) {
				t.Errorf("response %s, omitted %v, error %v", out.Response, out.ResponseOmitted, err)
			}
		})
	}
}

// The batch that a run is of slows down by how often the provider said no, whether or not the turn came to an answer.
func TestThrottledTurnsAreCounted(t *testing.T) {
	t.Parallel()
	refused := temporal.NewApplicationErrorWithOptions("HTTP 429", activities.ErrTypeModel,
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{3}})
	answered := says("answer")
	answered.result.Throttled = 2
	s := &script{t: t, turns: []turn{{err: refused}, answered}}
	in := input()
	in.Models = append(in.Models, "p/second")
	out, err := s.run(in)
	if err != nil || out.Throttled != 5 {
		t.Errorf("throttled %d times, want 5; error %v", out.Throttled, err)
	}
	s = &script{t: t, turns: []turn{{err: refused}}}
	_, err = s.run(input())
	if out, ok := failedOutcome(err); !ok || out.Throttled != 3 {
		t.Errorf("throttled %d times, want 3; error %v", out.Throttled, err)
	}
}
