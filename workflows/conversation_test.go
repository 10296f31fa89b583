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
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/transcript"
)

// room plays a conversation: its activities keep all items in the tail, and find two changes that are made at once.
type room struct {
	t           *testing.T
	env         *testsuite.TestWorkflowEnvironment
	appendItems func(activities.ConversationAppendInput) error
	updates     int

	mu      sync.Mutex
	busy    bool
	appends int
}

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{t: t, env: newEnvironment()}
	r.env.RegisterWorkflowWithOptions(Conversation, workflow.RegisterOptions{Name: ConversationName})
	r.env.RegisterActivityWithOptions(func(_ context.Context, in activities.ConversationAppendInput) (activities.ConversationAppendResult, error) {
		r.begin()
		defer r.end()
		r.mu.Lock()
		r.appends++
		r.mu.Unlock()
		if r.appendItems != nil {
			if err := r.appendItems(in); err != nil {
				return activities.ConversationAppendResult{}, err
			}
		}
		in.Transcript.Append(in.Added.Tail[in.From:]...)
		return activities.ConversationAppendResult{Transcript: in.Transcript, NextItem: in.NextItem + in.Added.Len()}, nil
	}, activity.RegisterOptions{Name: activities.ConversationAppendName})
	r.env.RegisterActivityWithOptions(
		func(_ context.Context, in activities.ConversationDeleteItemInput) (activities.ConversationDeleteItemResult, error) {
			r.begin()
			defer r.end()
			at := slices.Index(names(in.Transcript), in.ItemID)
			if at < 0 {
				return activities.ConversationDeleteItemResult{}, nil
			}
			shorter := transcript.Transcript{Tail: slices.Delete(slices.Clone(in.Transcript.Tail), at, at+1)}
			return activities.ConversationDeleteItemResult{Transcript: shorter, Found: true}, nil
		}, activity.RegisterOptions{Name: activities.ConversationDeleteItemName})
	return r
}

func (r *room) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		r.t.Error("two changes are made at once")
	}
	r.busy = true
}

func (r *room) end() {
	<-time.After(2 * time.Millisecond) // time for another change to begin, if it could
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
}

// told is what became of an update.
type told struct {
	rejected bool
	done     bool
	err      error
	state    ConversationState
}

// update asks for a change, now or in a callback.
func (r *room) update(name string, change ConversationChange) *told {
	out := &told{}
	if change.Organization == "" {
		change.Organization = "acme"
	}
	r.updates++
	r.env.UpdateWorkflow(name, fmt.Sprint("update ", r.updates), &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { out.rejected, out.done, out.err = true, true, err },
		OnComplete: func(result any, err error) {
			out.done, out.err = true, err
			if state, ok := result.(ConversationState); ok {
				out.state = state
			}
		},
	}, change)
	return out
}

func (r *room) signal(responseID string, from int, items ...string) {
	r.env.SignalWorkflow(ConversationAppendName, ConversationAppend{ResponseID: responseID, Transcript: of(items...), From: from})
}

// run runs the conversation through the steps, one a second, and returns the error with which its workflow ends.
func (r *room) run(state ConversationState, steps ...func()) error {
	r.t.Helper()
	for i, step := range steps {
		r.env.RegisterDelayedCallback(step, time.Duration(i+1)*time.Second)
	}
	r.env.ExecuteWorkflow(Conversation, state)
	if !r.env.IsWorkflowCompleted() {
		r.t.Fatal("the workflow did not end")
	}
	return r.env.GetWorkflowError()
}

func (r *room) state() ConversationState {
	r.t.Helper()
	value, err := r.env.QueryWorkflow(ConversationStateName)
	if err != nil {
		r.t.Fatal(err)
	}
	var state ConversationState
	if err := value.Get(&state); err != nil {
		r.t.Fatal(err)
	}
	return state
}

func (r *room) delete() { r.update(ConversationDeleteName, ConversationChange{}) }

func of(items ...string) transcript.Transcript {
	var t transcript.Transcript
	for _, item := range items {
		t.Append(value(item))
	}
	return t
}

func empty() ConversationState {
	return ConversationState{ConversationID: "conv_1", Organization: "acme", CreatedAt: 7}
}

func isRefusal(err error, kind string) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == kind
}

func TestConversationChangesInOrder(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	var added, removed, metadata *told
	state := empty()
	state.Transcript = of("a")
	err := r.run(state,
		func() { // at once
			r.signal("resp_1", 1, "a", "b", "c")
			added = r.update(ConversationAddName, ConversationChange{Added: of("d")})
			r.signal("resp_2", 0, "e")
			removed = r.update(ConversationDeleteItemName, ConversationChange{ItemID: "b"})
			metadata = r.update(ConversationMetadataName, ConversationChange{Metadata: map[string]string{"k": "v"}})
		},
		func() {
			if got := names(r.state().Transcript); !slices.Contains(got, "d") || slices.Contains(got, "b") || len(got) != 4 {
				t.Errorf("items %v", got)
			}
			if got := r.state(); got.Metadata["k"] != "v" || got.CreatedAt != 7 || got.NextItem != 5 || got.Unsettled {
				t.Errorf("state %+v", got)
			}
			r.delete()
		})
	if err != nil {
		t.Error(err)
	}
	for _, got := range []*told{added, removed, metadata} {
		if got.err != nil || !got.done {
			t.Errorf("update ended with %+v", got)
		}
	}
	// The runs whose signals are there come before the changes, which have no order among themselves.
	got := slices.DeleteFunc(names(added.state.Transcript), func(item string) bool { return item == "b" })
	if diff := cmp.Diff([]string{"a", "c", "e", "d"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConversationAppendsAResponseOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	var steps []func()
	for n := range 120 {
		steps = append(steps, func() { r.signal(fmt.Sprint("resp_", n), 0, fmt.Sprint("item ", n)) })
	}
	steps = append(steps, func() {
		r.signal("resp_119", 0, "again")
		r.signal("resp_20", 0, "again")
	}, func() {
		state := r.state()
		if got := names(state.Transcript); len(got) != 120 || got[119] != "item 119" || slices.Contains(got, "again") {
			t.Errorf("%d items, the last %s", len(got), got[len(got)-1])
		}
		if got := len(state.Applied); got != 100 || state.Applied[0] != "resp_20" || state.Applied[99] != "resp_119" {
			t.Errorf("%d responses remembered: %v", got, state.Applied)
		}
		r.delete()
	})
	if err := r.run(empty(), steps...); err != nil || r.appends != 120 {
		t.Errorf("%d appends, error %v", r.appends, err)
	}
}

// A client that has a response's answer must find its items, although the signal with them was only just delivered.
func TestConversationSettles(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	attempts := 0
	r.appendItems = func(activities.ConversationAppendInput) error {
		if attempts++; attempts < 4 {
			return temporal.NewApplicationError("busy", activities.ErrTypeStorage)
		}
		return nil
	}
	var settled *told
	err := r.run(empty(),
		func() {
			r.signal("resp_1", 0, "a")
			settled = r.update(ConversationSettleName, ConversationChange{})
		},
		func() {
			if !r.state().Unsettled || settled.done {
				t.Error("the conversation calls itself settled")
			}
		},
		func() {}, func() {}, func() {}, func() {},
		func() {
			if r.state().Unsettled || !settled.done || !slices.Equal(names(settled.state.Transcript), []string{"a"}) {
				t.Errorf("not settled: %+v", settled)
			}
			r.delete()
		})
	if err != nil {
		t.Error(err)
	}
}

func TestConversationRefusals(t *testing.T) {
	t.Parallel()
	full := empty()
	full.Transcript.Folded = MaxConversationItems - 1
	tests := []struct {
		name     string
		state    ConversationState
		update   string
		change   ConversationChange
		kind     string
		rejected bool // before it is in the history
	}{
		{"other tenant", empty(), ConversationMetadataName, ConversationChange{Organization: "other"}, ErrTypeConversationGone, true},
		{"other tenant reads", empty(), ConversationSettleName, ConversationChange{Organization: "other"}, ErrTypeConversationGone, true},
		{"full", full, ConversationAddName, ConversationChange{Added: of("a", "b")}, ErrTypeConversationFull, true},
		{"no such item", empty(), ConversationDeleteItemName, ConversationChange{ItemID: "x"}, ErrTypeItemNotFound, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			var got *told
			err := r.run(tt.state, func() { got = r.update(tt.update, tt.change) }, func() {
				if diff := cmp.Diff(tt.state, r.state()); diff != "" {
					t.Errorf("state (-want +got):\n%s", diff)
				}
			}, r.delete)
			if err != nil || got.rejected != tt.rejected || !isRefusal(got.err, tt.kind) {
				t.Errorf("refused with %+v, error %v", got, err)
			}
		})
	}
}

// The items of a run that do not fit, or cannot be read, are left out; the conversation goes on.
func TestConversationSurvivesAnAppendThatFails(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.appendItems = func(in activities.ConversationAppendInput) error {
		if in.ResponseID == "resp_1" {
			return temporal.NewNonRetryableApplicationError("corrupt", activities.ErrTypeStorage, nil)
		}
		return nil
	}
	err := r.run(empty(), func() { r.signal("resp_1", 0, "a") }, func() { r.signal("resp_2", 0, "b") }, func() {
		if got := names(r.state().Transcript); !slices.Equal(got, []string{"b"}) {
			t.Errorf("items %v", got)
		}
		r.delete()
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConversationContinuesAsNew(t *testing.T) {
	t.Parallel()
	long := map[string]func(*testsuite.TestWorkflowEnvironment){
		"events":    func(env *testsuite.TestWorkflowEnvironment) { env.SetCurrentHistoryLength(maxConversationEvents + 1) },
		"suggested": func(env *testsuite.TestWorkflowEnvironment) { env.SetContinueAsNewSuggested(true) },
	}
	for name, makeLong := range long {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			var added *told
			err := r.run(empty(),
				func() { r.signal("resp_1", 0, "a") },
				func() { // all of these before it ends
					r.signal("resp_2", 0, "b")
					added = r.update(ConversationAddName, ConversationChange{Added: of("d")})
					r.signal("resp_3", 0, "c")
					r.env.RegisterDelayedCallback(func() { makeLong(r.env) }, 0)
				})
			var again *workflow.ContinueAsNewError
			if !errors.As(err, &again) || again.WorkflowType.Name != ConversationName {
				t.Fatalf("ended with %v", err)
			}
			var next ConversationState
			if err := r.env.GetWorkflowResult(&next); err == nil {
				t.Error("it has a result")
			}
			if !added.done || added.err != nil || r.appends != 4 {
				t.Errorf("it left changes behind: %+v, %d appends", added, r.appends)
			}
			got := r.state()
			want := ConversationState{
				ConversationID: "conv_1", Organization: "acme", CreatedAt: 7, NextItem: 4, Applied: []string{"resp_1", "resp_2", "resp_3"},
			}
			items := names(got.Transcript)
			slices.Sort(items)
			got.Transcript = transcript.Transcript{}
			if diff := cmp.Diff(want, got); diff != "" || !slices.Equal(items, []string{"a", "b", "c", "d"}) {
				t.Errorf("goes on with %v (-want +got):\n%s", items, diff)
			}
		})
	}
}

func TestConversationIsDeleted(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	var deletions []*told
	err := r.run(empty(), func() {
		r.signal("resp_1", 0, "a") // both wait for it
		deletions = []*told{r.update(ConversationDeleteName, ConversationChange{}), r.update(ConversationDeleteName, ConversationChange{})}
	})
	if err != nil || r.appends != 1 {
		t.Errorf("%d appends, error %v", r.appends, err)
	}
	refused := 0
	for _, d := range deletions {
		if isRefusal(d.err, ErrTypeConversationGone) {
			refused++
		} else if !d.done || d.err != nil {
			t.Errorf("deleted with %+v", d)
		}
	}
	if refused != 1 {
		t.Errorf("%d of two deletions were refused, want 1", refused)
	}
}

func TestRunSignalsItsConversation(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"delivered": nil, "deleted": errors.New("unknown external workflow execution")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{t: t, turns: []turn{says("answer")}}
			env := s.environment()
			var got ConversationAppend
			sent := func(a ConversationAppend) bool { got = a; return true }
			env.OnSignalExternalWorkflow(anyArgument, "conv_1", "", ConversationAppendName, matched(sent)).Return(failure).Once()
			in := input()
			in.Input.Append(value("question"))
			in.InputFrom, in.ConversationID = 1, "conv_1"
			if _, err := s.runIn(env, in); err != nil {
				t.Fatal(err)
			}
			env.AssertExpectations(t)
			if got.ResponseID != "resp_1" || got.From != 1 || strings.Join(names(got.Transcript), " ") != "prompt question answer" {
				t.Errorf("signal %+v", got)
			}
		})
	}
}
