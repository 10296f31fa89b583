package workflows

import (
	"go.temporal.io/sdk/workflow"

	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// Carried is what a run hands over to itself when its history has grown enough: it goes on as a new execution with the same workflow
// ID, and no client notices. That happens between two turns, when no step is under way and no call or approval is pending.
type Carried struct {
	// Conversation begins with the run's input.
	Conversation transcript.Transcript `json:"conversation"`
	Model        int                   `json:"model,omitempty"` // position in ResponseInput.Models
	Turn         int                   `json:"turn"`
	Tries        int                   `json:"tries,omitempty"`
	Steps        []int                 `json:"steps,omitempty"`
	NextItem     int                   `json:"next_item"`
	Calls        int                   `json:"calls,omitempty"`
	Usage        responses.Usage       `json:"usage"`
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
		Conversation: r.transcript, Model: r.model, Turn: r.turn, Tries: r.tries, Steps: r.steps, NextItem: r.nextItem,
		Calls: r.calls, Usage: r.usage,
	}
	return workflow.NewContinueAsNewError(ctx, ResponseName, in)
}

// resume takes over what the execution before has handed over.
func (r *run) resume(c *Carried) {
	r.transcript, r.model, r.turn, r.tries, r.steps = c.Conversation, c.Model, c.Turn, c.Tries, c.Steps
	r.nextItem, r.calls, r.usage = c.NextItem, c.Calls, c.Usage
}
