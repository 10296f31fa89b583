package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/model"
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
	env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
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

func TestRunDiscoversCallsAndAnswers(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1", "b.2"), says("answer")}}
	out, err := s.run(input("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"prompt", "tools of a", "tools of b", "result of a.1", "result of b.2", "answer"}
	if diff := cmp.Diff(want, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	if out.Status != responses.ResponseCompleted || out.OutputFrom != 1 || out.Model != "p/first" || out.CompletedAt.IsZero() {
		t.Errorf("outcome %+v", out)
	}
	if got := out.Usage.ToolCalls.MCP.Invocation; got != 2 {
		t.Errorf("%d calls counted, want 2", got)
	}
	// The IDs of what the model says follow those of the two lists and of the two calls.
	if got := s.asked[1].NextItem; got != 4 {
		t.Errorf("second turn's items begin at %d, want 4", got)
	}
}

func TestCallsStandInTheOrderAskedFor(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.0", "a.1", "a.2"), says("answer")}}
	delays := map[string]time.Duration{"a.0": 3 * time.Second, "a.1": 2 * time.Second, "a.2": time.Second}
	env := s.environment()
	env.OnActivity(activities.MCPCallName, anyArgument, anyArgument).Return(
		func(_ context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
			return activities.MCPCallResult{Item: value("result of " + in.ItemID)}, nil
		}).AfterFn(func() time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, d := range delays { // whichever is asked next
			delete(delays, id)
			return d
		}
		return 0
	})
	out, err := s.runIn(env, input("a"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"result of a.0", "result of a.1", "result of a.2"}
	if diff := cmp.Diff(want, names(out.Conversation)[2:5]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParallelCallsAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		change     func(*ResponseInput)
		most       int
		servers    []string
		calls      []string
		mostServer int
	}{
		{"per run", func(in *ResponseInput) { in.Limits.ParallelCalls = 3 }, 3, []string{"a", "b"}, ids(8, "a", "b"), 3},
		{"per server", func(in *ResponseInput) { in.Limits.ParallelCallsPerServer = 2 }, 4, []string{"a", "b"}, ids(8, "a", "b"), 2},
		{"sequential", func(in *ResponseInput) { in.SequentialCalls = true }, 1, []string{"a"}, ids(4, "a"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			running, peak, peakServer := map[string]int{}, 0, 0
			s := &script{t: t, turns: []turn{asksFor(tt.calls...), says("answer")}}
			s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
				mu.Lock()
				defer mu.Unlock()
				return activities.MCPCallResult{Item: value(in.ItemID)}, nil
			}
			env := s.environment()
			env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converterArgs) {
				if info.ActivityType.Name != activities.MCPCallName {
					return
				}
				var in activities.MCPCallInput
				if err := args.Get(&in); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				running[in.Server.Label]++
				total := 0
				for _, n := range running {
					total += n
				}
				peak, peakServer = max(peak, total), max(peakServer, running[in.Server.Label])
			})
			env.SetOnActivityCompletedListener(func(info *activity.Info, result converterResult, _ error) {
				if info.ActivityType.Name != activities.MCPCallName {
					return
				}
				var r activities.MCPCallResult
				if err := result.Get(&r); err != nil {
					t.Error(err)
				}
				server, _, _ := strings.Cut(strings.Trim(string(r.Item.JSON), `"`), ".")
				mu.Lock()
				defer mu.Unlock()
				running[server]--
			})
			in := input(tt.servers...)
			tt.change(&in)
			out, err := s.runIn(env, in)
			if err != nil {
				t.Fatal(err)
			}
			if peak > tt.most || peakServer > tt.mostServer {
				t.Errorf("%d calls at once, %d of one server; at most %d and %d are allowed", peak, peakServer, tt.most, tt.mostServer)
			}
			if got := out.Usage.ToolCalls.MCP.Invocation; got != len(tt.calls) {
				t.Errorf("%d calls made, want %d", got, len(tt.calls))
			}
		})
	}
}

func ids(n int, servers ...string) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s.%d", servers[i%len(servers)], i))
	}
	return out
}

func TestDiscoveryFailureFailsTheRun(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	s.discover = func(in activities.DiscoverInput) (activities.DiscoverResult, error) {
		if in.Server.Label == "b" {
			return activities.DiscoverResult{}, temporal.NewNonRetryableApplicationError(
				`MCP server "b" could not be initialized (stage auth): 401`, activities.ErrTypeDiscovery, nil)
		}
		return activities.DiscoverResult{Item: value("tools"), Tools: 1}, nil
	}
	_, err := s.run(input("a", "b"))
	app := applicationError(t, err)
	if app.Type() != ErrTypeDiscovery || !strings.HasPrefix(app.Message(), `MCP server "b" could not be initialized`) {
		t.Errorf("error %s: %s", app.Type(), app.Message())
	}
}

func TestDiscoveryIsTriedAgain(t *testing.T) {
	t.Parallel()
	attempts := 0
	s := &script{t: t, turns: []turn{says("answer")}}
	s.discover = func(activities.DiscoverInput) (activities.DiscoverResult, error) {
		if attempts++; attempts < 3 {
			return activities.DiscoverResult{}, temporal.NewApplicationError("down", activities.ErrTypeDiscovery)
		}
		return activities.DiscoverResult{Item: value("tools"), Tools: 1}, nil
	}
	if _, err := s.run(input("a")); err != nil || attempts != 3 {
		t.Errorf("%d attempts, error %v", attempts, err)
	}
}

func TestTooManyToolsAreTheRequestsFault(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	s.discover = func(activities.DiscoverInput) (activities.DiscoverResult, error) {
		return activities.DiscoverResult{Item: value("tools"), Tools: 65}, nil
	}
	_, err := s.run(input("a", "b"))
	if app := applicationError(t, err); app.Type() != ErrTypeInvalid || !strings.Contains(app.Message(), "130 tools") {
		t.Errorf("error %s: %s", app.Type(), app.Message())
	}
}

func TestNextModelIsAskedWhenOneFails(t *testing.T) {
	t.Parallel()
	gone := turn{err: temporal.NewNonRetryableApplicationError("provider said no", activities.ErrTypeModel, nil)}
	s := &script{t: t, turns: []turn{gone, asksFor("a.1"), says("answer")}}
	in := input("a")
	in.Models = []string{"p/first", "q/second"}
	out, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, a := range s.asked {
		asked = append(asked, fmt.Sprintf("%d %s", a.Turn, a.Model))
	}
	if want := []string{"1 p/first", "1 q/second", "2 q/second"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	if out.Model != "q/second" {
		t.Errorf("served by %s", out.Model)
	}
}

func TestRunFailsWhenNoModelAnswers(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{
		asksFor("a.1"),
		{err: temporal.NewNonRetryableApplicationError("the provider refused the request", activities.ErrTypeModel, nil)},
	}}
	_, err := s.run(input("a"))
	app := applicationError(t, err)
	var out Outcome
	if err := app.Details(&out); err != nil {
		t.Fatal(err)
	}
	if app.Type() != ErrTypeFailed || out.Status != responses.ResponseFailed || out.Error.Message != "the provider refused the request" {
		t.Errorf("error %s, outcome %+v", app.Type(), out)
	}
	if want := []string{"prompt", "tools of a", "result of a.1"}; !slices.Equal(names(out.Conversation), want) {
		t.Errorf("what there was of output is %v, want %v", names(out.Conversation), want)
	}
}

func TestInternalTroubleIsNotTold(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{{err: temporal.NewNonRetryableApplicationError("/var/lib/blobs: broken", activities.ErrTypeStorage, nil)}}}
	_, err := s.run(input())
	var out Outcome
	if err := applicationError(t, err).Details(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.Error.Message, "blobs") {
		t.Errorf("the client is told %q", out.Error.Message)
	}
}

func TestLostCallBecomesAnItem(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1"), says("answer")}}
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		if !in.Abandoned {
			return activities.MCPCallResult{}, temporal.NewNonRetryableApplicationError("lost", activities.ErrTypeBroken, nil)
		}
		return activities.MCPCallResult{Item: value("abandoned"), Failed: true}, nil
	}
	out, err := s.run(input("a"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"prompt", "tools of a", "abandoned", "answer"}; !slices.Equal(names(out.Conversation), want) {
		t.Errorf("conversation %v, want %v", names(out.Conversation), want)
	}
}

func TestRefusedCallsAreNotMade(t *testing.T) {
	t.Parallel()
	first := asksFor("a.1", "a.2")
	refused := value("refused")
	first.result.Calls[0].Refused = &refused
	s := &script{t: t, turns: []turn{first, says("answer")}}
	out, err := s.run(input("a"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 1 || s.calls[0].ItemID != "a.2" {
		t.Errorf("calls made: %+v", s.calls)
	}
	if want := []string{"prompt", "tools of a", "refused", "result of a.2", "answer"}; !slices.Equal(names(out.Conversation), want) {
		t.Errorf("conversation %v, want %v", names(out.Conversation), want)
	}
}

func TestFunctionCallsEndTheRunAfterMCPCalls(t *testing.T) {
	t.Parallel()
	mixed := asksFor("a.1")
	mixed.result.Functions = []blob.Value{value("function call")}
	s := &script{t: t, turns: []turn{mixed}}
	out, err := s.run(input("a"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"prompt", "tools of a", "result of a.1", "function call"}
	if !slices.Equal(names(out.Conversation), want) || out.Status != responses.ResponseCompleted {
		t.Errorf("%s with %v, want completed with %v", out.Status, names(out.Conversation), want)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	finish := func(reason model.Finish, output int) turn {
		t := says("part")
		t.result.Finish = reason
		t.result.Usage.OutputTokens = output
		return t
	}
	limit := 100
	tests := []struct {
		name           string
		turns          []turn
		change         func(*ResponseInput)
		status, reason string
	}{
		{"answer", []turn{says("answer")}, nil, responses.ResponseCompleted, ""},
		{"length", []turn{finish("length", 5)}, nil, responses.ResponseIncomplete, responses.IncompleteMaxOutputTokens},
		{"filter", []turn{finish("content_filter", 5)}, nil, responses.ResponseIncomplete, responses.IncompleteContentFilter},
		{
			"tokens used up", []turn{finish("stop", 100)}, func(in *ResponseInput) { in.MaxOutputTokens = &limit },
			responses.ResponseIncomplete, responses.IncompleteMaxOutputTokens,
		},
		{
			"steps used up", []turn{asksFor("a.1"), asksFor("a.2")}, func(in *ResponseInput) { in.MaxSteps = 2 },
			responses.ResponseIncomplete, responses.IncompleteMaxSteps,
		},
		{
			"answer in the last step", []turn{asksFor("a.1"), says("answer")}, func(in *ResponseInput) { in.MaxSteps = 2 },
			responses.ResponseCompleted, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := input("a")
			if tt.change != nil {
				tt.change(&in)
			}
			out, err := (&script{t: t, turns: tt.turns}).run(in)
			if err != nil {
				t.Fatal(err)
			}
			if out.Status != tt.status || out.Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", out.Status, out.Reason, tt.status, tt.reason)
			}
		})
	}
}

func TestLimitsTravelWithTheTurns(t *testing.T) {
	t.Parallel()
	calls, tokens := 3, 100
	in := input("a")
	in.MaxSteps, in.MaxToolCalls, in.MaxOutputTokens = 2, &calls, &tokens
	first := asksFor("a.1", "a.2")
	first.result.Usage.OutputTokens = 60
	s := &script{t: t, turns: []turn{first, says("answer")}}
	if _, err := s.run(in); err != nil {
		t.Fatal(err)
	}
	type limits struct {
		Calls, Tokens int
		Last          bool
	}
	var got []limits
	for _, a := range s.asked {
		got = append(got, limits{*a.CallsLeft, *a.MaxOutputTokens, a.LastTurn})
	}
	if diff := cmp.Diff([]limits{{3, 100, false}, {1, 40, true}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFoldedConversationIsTakenOver(t *testing.T) {
	t.Parallel()
	first := asksFor("a.1")
	first.result.Folded = &transcript.Transcript{Head: "sha256-x", Folded: 2}
	s := &script{t: t, turns: []turn{first, says("answer")}}
	out, err := s.run(input("a"))
	if err != nil {
		t.Fatal(err)
	}
	if out.Conversation.Head != "sha256-x" || !slices.Equal(names(out.Conversation), []string{"result of a.1", "answer"}) {
		t.Errorf("conversation %+v", out.Conversation)
	}
}

func TestCancelledRunKeepsItsOutput(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1")}}
	env := s.environment()
	env.OnActivity(activities.MCPCallName, anyArgument, anyArgument).After(time.Hour).Return(activities.MCPCallResult{}, nil)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	_, err := s.runIn(env, input("a"))
	var cancelled *temporal.CanceledError
	if !errors.As(err, &cancelled) {
		t.Fatalf("error %v, want a cancellation", err)
	}
	var out Outcome
	if err := cancelled.Details(&out); err != nil {
		t.Fatal(err)
	}
	if out.Status != responses.ResponseCancelled || !slices.Equal(names(out.Conversation), []string{"prompt", "tools of a"}) {
		t.Errorf("outcome %+v", out)
	}
}

func applicationError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("error %v, want an application error", err)
	}
	return app
}
