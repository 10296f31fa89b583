package stream

import (
	"context"

	"perdure/internal/events"
	"perdure/internal/responses"
)

// maxHeld is how many events wait for earlier items to begin. There are two for each list and for each approved call; more than this
// are left to the end of the run.
const maxHeld = 1024

// hold keeps an event of an item whose turn to begin has not come, and reports whether it did.
func (r *Renderer) hold(e events.Event) bool {
	if e.Index <= len(r.live) {
		return false
	}
	if len(r.held) < maxHeld {
		r.held = append(r.held, e)
	}
	return true
}

// release applies the events that have waited for their turn.
func (r *Renderer) release(ctx context.Context) error {
	for i := 0; i < len(r.held); {
		if r.held[i].Index > len(r.live) {
			i++
			continue
		}
		if err := r.apply(ctx, r.held[i]); err != nil {
			return err
		}
		r.held = append(r.held[:i], r.held[i+1:]...)
		i = 0 // it may be what one before has waited for
	}
	return nil
}

func (r *Renderer) listStarted(e events.Event) {
	if e.Index < 0 || e.ItemID == "" || e.Index < len(r.live) || r.hold(e) {
		return
	}
	r.open(e.Index, &responses.MCPListTools{ID: e.ItemID, ServerLabel: e.Server})
}

// itemDone closes a list or a call. It has happened, so that it counts more than what was shown in its place.
func (r *Renderer) itemDone(ctx context.Context, e events.Event, kind responses.ItemType) error {
	if e.Item == nil || e.Index < 0 {
		return nil
	}
	if e.Index < len(r.live) && r.live[e.Index].id == e.ItemID && r.live[e.Index].shown == nil {
		return nil
	}
	if r.hold(e) {
		return nil
	}
	item, err := r.o.Item(ctx, *e.Item)
	if err != nil {
		return err
	}
	if item == nil || item.Type() != kind || responses.IDOf(item) == "" || responses.IDOf(item) != e.ItemID {
		return nil
	}
	r.bring(e.Index, item)
	return nil
}

// callStarted begins a call that a user approved.
func (r *Renderer) callStarted(ctx context.Context, e events.Event) error {
	if e.Call == nil || e.Index < 0 || e.ItemID == "" || r.hold(e) {
		return nil
	}
	item, err := r.callItem(ctx, e.ItemID, e.Call)
	if err != nil {
		return err
	}
	r.startCall(e.Index, item)
	return nil
}

// startCall begins a call, unless it has begun.
func (r *Renderer) startCall(at int, item responses.Item) {
	if at < len(r.live) {
		if r.live[at].id == responses.IDOf(item) {
			return
		}
		r.abandon(r.live[at])
	}
	r.open(at, item)
}

func (r *Renderer) callItem(ctx context.Context, id string, call *events.Call) (responses.Item, error) {
	arguments, err := r.o.Text(ctx, call.Arguments)
	if err != nil {
		return nil, err
	}
	return &responses.MCPCall{
		ID: id, ServerLabel: call.Server, Name: call.Tool, Arguments: arguments, ApprovalRequestID: call.ApprovalRequestID,
	}, nil
}
