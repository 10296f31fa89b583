package workflows

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

// chain runs a run to its end, however many executions it takes. The change is made to each environment.
func (s *script) chain(in ResponseInput, change func(*testsuite.TestWorkflowEnvironment)) (out Outcome, executions int, err error) {
	s.t.Helper()
	for {
		executions++
		env := s.environment()
		change(env)
		env.ExecuteWorkflow(Response, in)
		var again *workflow.ContinueAsNewError
		if !errors.As(env.GetWorkflowError(), &again) {
			out, err = outcomeOf(s.t, env)
			return out, executions, err
		}
		if again.WorkflowType.Name != ResponseName {
			s.t.Fatalf("it goes on as %s", again.WorkflowType.Name)
		}
		in = ResponseInput{}
		if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &in); err != nil {
			s.t.Fatal(err)
		}
	}
}

// outcomeOf is what a run that has ended came to, whichever way.
func outcomeOf(t *testing.T, env *testsuite.TestWorkflowEnvironment) (out Outcome, err error) {
	t.Helper()
	err = env.GetWorkflowError()
	if err == nil {
		if err := env.GetWorkflowResult(&out); err != nil {
			t.Fatal(err)
		}
		return out, nil
	}
	if err := applicationError(t, err).Details(&out); err != nil {
		t.Fatal(err)
	}
	return out, err
}

// A run that goes on as a new execution after each turn makes the same steps as one that does not, and comes to the same.
func TestCarriedRunIsTheSameRun(t *testing.T) {
	t.Parallel()
	gone := turn{err: temporal.NewNonRetryableApplicationError("provider said no", activities.ErrTypeModel, nil)}
	first := asksFor("a.1", "b.2")
	first.result.Items, first.result.Try = says("let me see").result.Items, 3
	first.result.Usage = says().result.Usage
	in := input("a", "b")
	in.Models = []string{"p/first", "q/second"}
	in.MaxToolCalls, in.MaxOutputTokens = new(int), new(int)
	*in.MaxToolCalls, *in.MaxOutputTokens = 5, 1000
	in.Limits.HistoryEvents, in.Limits.HistoryBytes = 100, 10_000
	in.Background = true
	for name, test := range map[string]struct {
		turns      []turn
		executions int
	}{
		"completed": {[]turn{first, gone, asksFor("b.3"), asksFor("a.4", "a.5", "a.6"), says("answer")}, 4},
		"failed":    {[]turn{first, gone, asksFor("b.3"), gone}, 3},
		"cut off":   {[]turn{first, {result: activities.ModelTurnResult{Finish: activities.FinishLength}}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := &script{t: t, turns: test.turns}
			want, n, wantErr := whole.chain(in, func(*testsuite.TestWorkflowEnvironment) {})
			if n != 1 {
				t.Fatalf("without a long history it took %d executions", n)
			}
			for reason, long := range map[string]func(*testsuite.TestWorkflowEnvironment){
				"events":    func(env *testsuite.TestWorkflowEnvironment) { env.SetCurrentHistoryLength(100) },
				"bytes":     func(env *testsuite.TestWorkflowEnvironment) { env.SetCurrentHistorySize(10_000) },
				"suggested": func(env *testsuite.TestWorkflowEnvironment) { env.SetContinueAsNewSuggested(true) },
			} {
				carried := &script{t: t, turns: test.turns}
				got, n, err := carried.chain(in, long)
				if n != test.executions || (err == nil) != (wantErr == nil) {
					t.Errorf("%s: %d executions, error %v; want %d, %v", reason, n, err, test.executions, wantErr)
				}
				got.CompletedAt = want.CompletedAt
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("%s: outcome (-whole +carried):\n%s", reason, diff)
				}
				if diff := gocmp.Diff(whole.asked, carried.asked); diff != "" {
					t.Errorf("%s: turns (-whole +carried):\n%s", reason, diff)
				}
				if diff := gocmp.Diff(sortedCalls(whole.calls), sortedCalls(carried.calls)); diff != "" {
					t.Errorf("%s: calls (-whole +carried):\n%s", reason, diff)
				}
			}
		})
	}
}

// A run that began before there were limits does not go on as a new execution: its history would not replay.
func TestRunWithoutHistoryLimitsStays(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1"), says("answer")}}
	_, n, err := s.chain(input("a"), func(env *testsuite.TestWorkflowEnvironment) {
		env.SetCurrentHistoryLength(50_000)
		env.SetContinueAsNewSuggested(true)
	})
	if n != 1 || err != nil {
		t.Errorf("%d executions, error %v", n, err)
	}
}

// A cancellation that comes when the history is full cancels the run, and is not left behind.
func TestFullRunIsCancelled(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1")}}
	in := input("a")
	in.Limits.HistoryEvents, in.Limits.HistoryBytes = 100, 10_000
	env := s.environment()
	env.SetCurrentHistoryLength(100)
	// The step has ended when the cancellation comes, so that nothing but the end of this execution could notice it.
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		env.CancelWorkflow()
		return activities.MCPCallResult{Item: value("result of " + in.ItemID)}, nil
	}
	_, err := s.runIn(env, in)
	if !temporal.IsCanceledError(err) {
		t.Errorf("it ended with %v", err)
	}
}

// What was settled before the first turn is not handed over.
func TestCarriedRunAnswersApprovalsOnce(t *testing.T) {
	t.Parallel()
	begun := input("a")
	begun.Organization, begun.Background, begun.ConversationID, begun.Webhooks = "acme", true, "conv_1", []string{"ops"}
	begun.Listed, begun.SequentialCalls, begun.InputFrom = []string{"b"}, true, 1
	r := newRun(begun)
	r.in.Approved, r.in.Denied = []Approved{{RequestID: "mcpr_1", Server: "a", Tool: "t", Arguments: value("{}")}}, []string{"mcpr_2"}
	env := newEnvironment()
	env.ExecuteWorkflow(func(ctx workflow.Context) error { return r.carryOn(ctx) })
	var again *workflow.ContinueAsNewError
	if !errors.As(env.GetWorkflowError(), &again) {
		t.Fatalf("it ended with %v", env.GetWorkflowError())
	}
	var in ResponseInput
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &in); err != nil {
		t.Fatal(err)
	}
	if s := newRun(in).status; s != responses.ResponseInProgress {
		t.Errorf("the next execution begins as %s", s)
	}
	want := r.in
	want.Approved, want.Denied = nil, nil
	want.Carried = &Carried{Version: 1, Conversation: r.transcript}
	if diff := gocmp.Diff(want, in); diff != "" {
		t.Errorf("the next execution gets (-want +got):\n%s", diff)
	}
}

// A release that does not know what it finds must not go on with it.
func TestCarriedByALaterRelease(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	in := input("a")
	in.Carried = &Carried{Version: carriedVersion + 1, Conversation: in.Input, Turn: 1}
	_, err := s.runIn(s.environment(), in)
	var panicked *temporal.PanicError // with which a worker fails the task and not the run
	if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "start a worker of that release") {
		t.Errorf("it ended with %v", err)
	}
	if len(s.asked) > 0 || len(s.calls) > 0 {
		t.Errorf("it made %d turns and %d calls", len(s.asked), len(s.calls))
	}
}

// sortedCalls puts calls that were made at the same time into one order.
func sortedCalls(calls []activities.MCPCallInput) []activities.MCPCallInput {
	return slices.SortedFunc(slices.Values(calls), func(a, b activities.MCPCallInput) int { return cmp.Compare(a.ItemID, b.ItemID) })
}
