package workflows

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

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
			"tokens used up",
			[]turn{finish("stop", 100)},
			func(in *ResponseInput) { in.MaxOutputTokens = &limit },
			responses.ResponseIncomplete, responses.IncompleteMaxOutputTokens,
		},
		{
			"steps used up",
			[]turn{asksFor("a.1"), asksFor("a.2")},
			func(in *ResponseInput) { in.MaxSteps = 2 },
			responses.ResponseIncomplete, responses.IncompleteMaxSteps,
		},
		{
			"answer in the last step",
			[]turn{asksFor("a.1"), says("answer")},
			func(in *ResponseInput) { in.MaxSteps = 2 },
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

// Whoever asks a run hears when it cannot fail at discovery any more.
func TestProgressTellsOfDiscovery(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	env := s.environment()
	env.OnActivity(activities.DiscoverName, anyArgument, anyArgument).Return(activities.DiscoverResult{Item: value("tools"), Tools: 1}, nil).After(2 * time.Second)
	env.OnActivity(activities.ModelTurnName, anyArgument, anyArgument).Return(says("answer").result, nil).After(2 * time.Second)
	var got []bool
	for _, at := range []time.Duration{time.Second, 3 * time.Second} {
		env.RegisterDelayedCallback(func() {
			answer, err := env.QueryWorkflow(ProgressName)
			if err != nil {
				t.Error(err)
				return
			}
			var out Outcome
			if err := answer.Get(&out); err != nil {
				t.Error(err)
			}
			got = append(got, out.Discovered)
		}, at)
	}
	if _, err := s.runIn(env, input("a")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{false, true}, got); diff != "" {
		t.Errorf("before and after the servers were listed (-want +got):\n%s", diff)
	}
}
