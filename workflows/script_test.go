package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// script plays the activities of one run. Model turns are answered in order; one that is not in the script, and one that is left
// over, fail the test.
type script struct {
	t        *testing.T
	discover func(activities.DiscoverInput) (activities.DiscoverResult, error)
	turns    []turn
	call     func(activities.MCPCallInput) (activities.MCPCallResult, error)

	mu    sync.Mutex
	asked []activities.ModelTurnInput
	calls []activities.MCPCallInput
}

type turn struct {
	result activities.ModelTurnResult
	err    error
}

func (s *script) modelTurn(_ context.Context, in activities.ModelTurnInput) (activities.ModelTurnResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, in)
	if len(s.asked) > len(s.turns) {
		return activities.ModelTurnResult{}, temporal.NewNonRetryableApplicationError("no turn left in the script", "script", nil)
	}
	t := s.turns[len(s.asked)-1]
	return t.result, t.err
}

func (s *script) mcpCall(_ context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
	s.mu.Lock()
	s.calls = append(s.calls, in)
	s.mu.Unlock()
	if s.call == nil {
		return activities.MCPCallResult{Item: value("result of " + in.ItemID)}, nil
	}
	return s.call(in)
}

func (s *script) run(in ResponseInput) (Outcome, error) {
	s.t.Helper()
	return s.runIn(s.environment(), in)
}

func (s *script) environment() *testsuite.TestWorkflowEnvironment {
	env := newEnvironment()
	env.RegisterWorkflow(Response)
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.DiscoverInput) (activities.DiscoverResult, error) {
		if s.discover == nil {
			return activities.DiscoverResult{Item: value("tools of " + in.Server.Label), Tools: 1}, nil
		}
		return s.discover(in)
	}, activity.RegisterOptions{Name: activities.DiscoverName})
	env.RegisterActivityWithOptions(s.modelTurn, activity.RegisterOptions{Name: activities.ModelTurnName})
	env.RegisterActivityWithOptions(s.mcpCall, activity.RegisterOptions{Name: activities.MCPCallName})
	return env
}

func (s *script) runIn(env *testsuite.TestWorkflowEnvironment, in ResponseInput) (Outcome, error) {
	s.t.Helper()
	env.ExecuteWorkflow(Response, in)
	if !env.IsWorkflowCompleted() {
		s.t.Fatal("the workflow did not end")
	}
	if len(s.asked) < len(s.turns) {
		s.t.Errorf("the model was asked %d times, the script has %d turns", len(s.asked), len(s.turns))
	}
	var out Outcome
	err := env.GetWorkflowError()
	if err == nil {
		if err := env.GetWorkflowResult(&out); err != nil {
			s.t.Fatal(err)
		}
	}
	return out, err
}

// value is an item whose content does not matter to a workflow.
func value(name string) blob.Value { return blob.Value{JSON: []byte(fmt.Sprintf("%q", name))} }

func names(t transcript.Transcript) []string {
	var out []string
	for _, v := range t.Tail {
		out = append(out, strings.Trim(string(v.JSON), `"`))
	}
	return out
}

func says(items ...string) turn {
	r := activities.ModelTurnResult{Finish: "stop", Usage: responses.Usage{InputTokens: 10, OutputTokens: 5, TotalTokens: 15}}
	for _, name := range items {
		r.Items = append(r.Items, value(name))
	}
	return turn{result: r}
}

func asksFor(ids ...string) turn {
	t := turn{result: activities.ModelTurnResult{Finish: "tool_calls"}}
	for _, id := range ids {
		server, _, _ := strings.Cut(id, ".")
		t.result.Calls = append(t.result.Calls, activities.ToolCall{ItemID: id, Server: server, Tool: "t", Arguments: value("{}")})
	}
	return t
}

func input(servers ...string) ResponseInput {
	in := ResponseInput{
		ResponseID: "resp_1",
		Models:     []string{"p/first"},
		MaxSteps:   10,
		Limits: Limits{
			Tools: 128, ParallelCalls: 16, ParallelCallsPerServer: 8,
			DiscoveryTimeout: 15 * time.Second, DiscoveryAttempts: 3,
			ModelTimeout: time.Minute, ModelAttempts: 2,
			CallTimeout: time.Minute, CallAttempts: 4,
			Heartbeat: 5 * time.Second,
		},
	}
	in.Input.Append(value("prompt"))
	for _, s := range servers {
		in.Servers = append(in.Servers, activities.Server{Label: s})
	}
	return in
}

func applicationError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("error %v, want an application error", err)
	}
	return app
}
