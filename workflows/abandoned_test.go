package workflows

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/responses"
)

// environmentWith is environment, in which the step of the call with this ID takes an hour.
func (s *script) environmentWith(slow string) *testsuite.TestWorkflowEnvironment {
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		text := "result of " + in.ItemID
		if in.Abandoned {
			text = fmt.Sprintf("%s abandoned, ended %t, unmade %t", in.ItemID, in.Ended, in.Unmade)
		}
		return activities.MCPCallResult{Item: value(text)}, nil
	}
	env := s.environment()
	isSlow := func(in activities.MCPCallInput) bool { return in.ItemID == slow && !in.Abandoned }
	env.OnActivity(activities.MCPCallName, anyArgument, matched(isSlow)).After(time.Hour).Return(activities.MCPCallResult{}, nil)
	env.OnActivity(activities.MCPCallName, anyArgument, anyArgument).Return(s.mcpCall)
	return env
}

func cancelled(t *testing.T, err error) Outcome {
	t.Helper()
	var cancelled *temporal.CanceledError
	if !errors.As(err, &cancelled) {
		t.Fatalf("error %v, want a cancellation", err)
	}
	var out Outcome
	if err := cancelled.Details(&out); err != nil {
		t.Fatal(err)
	}
	if out.Status != responses.ResponseCancelled {
		t.Errorf("the run is %s", out.Status)
	}
	return out
}

// Whoever goes on from a cancelled run must know of every call that was made, or may have been.
func TestCancelledRunKeepsItsCalls(t *testing.T) {
	t.Parallel()
	turn := asksFor("a.1", "a.2", "a.3")
	turn.result.Functions = []blob.Value{value("function call")}
	for name, test := range map[string]struct {
		sequential bool
		third      string
	}{
		"at once":    {false, "result of a.3"},
		"one by one": {true, "a.3 abandoned, ended false, unmade true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{t: t}
			s.turns = append(s.turns, turn)
			env := s.environmentWith("a.2")
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
			in := input("a")
			in.SequentialCalls = test.sequential
			_, err := s.runIn(env, in)
			out := cancelled(t, err)
			want := []string{"prompt", "tools of a", "result of a.1", "a.2 abandoned, ended true, unmade false", test.third, "function call"}
			if diff := cmp.Diff(want, names(out.Conversation)); diff != "" {
				t.Errorf("conversation (-want +got):\n%s", diff)
			}
			if len(out.PendingCalls) != 1 {
				t.Errorf("pending calls %v", out.PendingCalls)
			}
		})
	}
}

// A model's turn that is cancelled leaves what was there before it.
func TestCancelledRunKeepsItsOutput(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1")}}
	env := s.environment()
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		env.CancelWorkflow() // the step has ended when it comes
		return activities.MCPCallResult{Item: value("result of " + in.ItemID)}, nil
	}
	_, err := s.runIn(env, input("a"))
	if got := names(cancelled(t, err).Conversation); strings.Join(got, ", ") != "prompt, tools of a, result of a.1" {
		t.Errorf("conversation %v", got)
	}
}

// A call that was given up when the run is cancelled is not lost either.
func TestCancelledWhileACallIsAbandoned(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1")}}
	env := s.environment()
	env.OnActivity(activities.MCPCallName, anyArgument, matched(func(in activities.MCPCallInput) bool { return !in.Abandoned })).
		Return(activities.MCPCallResult{}, temporal.NewNonRetryableApplicationError("lost", activities.ErrTypeBroken, nil))
	env.OnActivity(activities.MCPCallName, anyArgument, matched(func(in activities.MCPCallInput) bool { return !in.Ended })).
		After(time.Hour).Return(activities.MCPCallResult{}, nil)
	env.OnActivity(activities.MCPCallName, anyArgument, anyArgument).Return(activities.MCPCallResult{Item: value("abandoned")}, nil)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	_, err := s.runIn(env, input("a"))
	if got := names(cancelled(t, err).Conversation); strings.Join(got, ", ") != "prompt, tools of a, abandoned" {
		t.Errorf("conversation %v", got)
	}
}

// A conversation gets what was done, also by a run that came to no answer, and nothing of one that has done nothing.
func TestConversationsGetCallsOfRunsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	refused := turn{err: temporal.NewNonRetryableApplicationError("no", activities.ErrTypeModel, nil)}
	for name, test := range map[string]struct {
		turns  []turn
		cancel bool
		want   string
	}{
		"cancelled in a call":     {[]turn{asksFor("a.1")}, true, "prompt, tools of a, a.1 abandoned, ended true, unmade false"},
		"failed after a call":     {[]turn{asksFor("a.2"), refused}, false, "prompt, tools of a, result of a.2"},
		"failed without any call": {[]turn{refused}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{t: t, turns: test.turns}
			env := s.environmentWith("a.1")
			if test.cancel {
				env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
			}
			var got string
			sent := func(a ConversationAppend) bool { got = strings.Join(names(a.Transcript), ", "); return true }
			env.OnSignalExternalWorkflow(anyArgument, "conv_1", "", ConversationAppendName, matched(sent)).Return(nil)
			in := input("a")
			in.ConversationID = "conv_1"
			if _, err := s.runIn(env, in); err == nil {
				t.Error("the run has not failed")
			}
			if got != test.want {
				t.Errorf("the conversation got %q, want %q", got, test.want)
			}
		})
	}
}
