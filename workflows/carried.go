package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// carriedVersion is the version of [Carried] that this code writes.
const carriedVersion = 1

// Carried is what a run hands over to itself when its history has grown enough: it goes on as a new execution with the same workflow
// ID, and no client notices. That happens between two turns, when no step is under way and no call or approval is pending. What is not
// here either never changes, and is in the rest of [ResponseInput], or is of no account between turns.
//
// It may be read by other code than that which wrote it, where workers have no versions. A new member whose zero value means what was
// before needs nothing else. Any other change takes the next version, and code that still reads the ones before.
type Carried struct {
	// Version is that of this struct. Code does not go on with one that it does not know: see [run.resume].
	Version int `json:"version"`
	// Conversation begins with the run's input.
	Conversation transcript.Transcript `json:"conversation"`
	// Model is the position in [ResponseInput.Models] of the model in use. Those before it have failed.
	Model int `json:"model,omitempty"`
	// Turn is the number of turns made, and Tries that of attempts at turns that were given up.
	Turn  int `json:"turn"`
	Tries int `json:"tries,omitempty"`
	// Steps are the positions in Conversation at which the turns begin.
	Steps []int `json:"steps,omitempty"`
	// NextItem is the number of the next item: IDs and events go on where they were.
	NextItem int `json:"next_item"`
	// Calls is the number of MCP calls made.
	Calls int             `json:"calls,omitempty"`
	Usage responses.Usage `json:"usage"`
	// Throttled is how many times a provider refused a turn because there were too many.
	Throttled int `json:"throttled,omitempty"`
	// Deadline is when the run ends itself; zero if it does not.
	Deadline time.Time `json:"deadline,omitzero"`
}

// full reports whether the history is as long as it may get. A run without limits was begun before there were any.
func (r *run) full(ctx workflow.Context) bool {
	info, l := workflow.GetInfo(ctx), r.in.Limits
	if l.HistoryEvents == 0 || l.HistoryBytes == 0 {
		return false
	}
	return info.GetCurrentHistoryLength() >= l.HistoryEvents || info.GetCurrentHistorySize() >= l.HistoryBytes ||
		info.GetContinueAsNewSuggested()
}

// carryOn ends this execution in favour of the next one. A cancellation that has come must not be lost between the two.
func (r *run) carryOn(ctx workflow.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in := r.in
	in.Approved, in.Denied = nil, nil // these are settled
	in.Carried = &Carried{
		Version:      carriedVersion,
		Conversation: r.transcript, Model: r.model, Turn: r.turn, Tries: r.tries, Steps: r.steps, NextItem: r.nextItem,
		Calls: r.calls, Usage: r.usage, Throttled: r.throttled, Deadline: r.deadline,
	}
	return workflow.NewContinueAsNewError(ctx, ResponseName, in)
}

// resume takes over what the execution before has handed over. Code that is older than what it finds, as after a rollback without worker
// versions, does not guess: its workflow task fails, which Temporal repeats until a worker comes that knows better.
func (r *run) resume(c *Carried) {
	if c.Version != carriedVersion {
		panic(fmt.Sprintf("workflows: the run was carried on by a later release (version %d, known is %d): start a worker of that release",
			c.Version, carriedVersion))
	}
	r.transcript, r.model, r.turn, r.tries, r.steps = c.Conversation, c.Model, c.Turn, c.Tries, c.Steps
	r.nextItem, r.calls, r.usage, r.throttled = c.NextItem, c.Calls, c.Usage, c.Throttled
	r.discovered = true
}
