package stream

import (
	"context"
	"slices"

	"perdure/internal/events"
	"perdure/internal/responses"
)

// isCurrent reports whether an event is of the latest attempt at the latest turn. One of a later attempt makes that the latest, and
// what the earlier one began is abandoned.
func (r *Renderer) isCurrent(e events.Event) bool {
	if e.Turn <= 0 || r.isLate(e) {
		return false
	}
	if e.Turn == r.turn && e.Try == r.try {
		return true
	}
	first := slices.IndexFunc(r.live, func(p *place) bool { return p.turn == e.Turn })
	if first >= 0 {
		if slices.ContainsFunc(r.live[first:], func(p *place) bool { return p.turn == 0 }) {
			return false // its calls have been made, so that the turn was over, and this is from a worker that was given up
		}
		r.abandonFrom(first)
	}
	r.turn, r.try, r.turnDone = e.Turn, e.Try, false
	return true
}

// isLate reports whether an event is of an attempt that was given up, or of a turn that is over.
func (r *Renderer) isLate(e events.Event) bool {
	return e.Turn < r.turn || (e.Turn == r.turn && e.Try < r.try)
}

// delta adds a piece to an item. One that does not fit is left out: the turn's end brings the whole.
func (r *Renderer) delta(e events.Event) {
	if e.Delta == nil || e.ItemID == "" || !r.isCurrent(e) || r.turnDone {
		return
	}
	itemType, kind := adds(e.Delta.Part)
	if itemType == "" || e.Index < 0 || e.Index > len(r.live) {
		return
	}
	if e.Index == len(r.live) {
		item := beginning(e, itemType)
		if item == nil {
			return
		}
		r.open(e.Index, item).turn = e.Turn
	}
	p := r.live[e.Index]
	if p.id != e.ItemID || p.kind != itemType || p.shown == nil {
		return
	}
	k := r.partFor(p, kind, e.Delta.At)
	switch {
	case k < 0 || len(p.shown.parts[k].text) < e.Delta.At:
		p.shown.gap = true
	case p.shown.parts[k].done || len(p.shown.parts[k].text) > e.Delta.At:
		// It was told twice, or is more than the end of the part had.
	case e.Delta.Text != "":
		r.addText(p, k, e.Delta.Text)
	}
}

// adds returns the type of the item and the kind of its part that a delta adds to.
func adds(to string) (responses.ItemType, string) {
	switch to {
	case events.PartText:
		return responses.TypeMessage, responses.PartOutputText
	case events.PartRefusal:
		return responses.TypeMessage, responses.PartRefusal
	case events.PartReasoning:
		return responses.TypeReasoning, responses.PartSummaryText
	default:
		return "", ""
	}
}

// beginning returns an item as it begins with its first delta; nil if this is a later one.
func beginning(e events.Event, t responses.ItemType) responses.Item {
	if e.Delta.At != 0 {
		return nil
	}
	if t == responses.TypeReasoning {
		return &responses.Reasoning{ID: e.ItemID}
	}
	return &responses.Message{ID: e.ItemID, Role: responses.RoleAssistant}
}

// partFor returns the number of the part that a delta adds to. It begins the part if the delta is its first, and ends the one before,
// unless something is missing there; it returns a negative number if the first was lost.
func (r *Renderer) partFor(p *place, kind string, at int) int {
	for k := range p.shown.parts {
		if p.shown.parts[k].kind == kind {
			return k
		}
	}
	if at != 0 {
		return -1
	}
	last := len(p.shown.parts) - 1
	if last >= 0 && !p.shown.gap {
		before := p.shown.parts[last]
		r.endPart(p, last, responses.Part{Type: before.kind, Text: string(before.text)})
	}
	return r.beginPart(p, kind)
}

// turnEnds brings all items of a turn to what the model has said, and begins its calls.
func (r *Renderer) turnEnds(ctx context.Context, e events.Event) error {
	if r.isLate(e) {
		return nil
	}
	// All that can fail comes before all that changes something.
	items, err := r.slots(ctx, e.Slots)
	if err != nil || e.Index < 0 || r.contradicted(e.Index, items) || !r.isCurrent(e) {
		return err
	}
	r.turnDone = true
	for i, item := range items {
		at := e.Index + i
		switch {
		case at > len(r.live):
			return nil // something before was lost: the end of the run brings it, and these
		case at < len(r.live) && r.live[at].turn == 0:
			continue
		case e.Slots[i].Call != nil:
			r.startCall(at, item)
		default:
			r.bring(at, item)
		}
		r.live[at].turn = e.Turn
	}
	if end := e.Index + len(items); len(items) == len(e.Slots) && end < len(r.live) && r.live[end].turn == e.Turn {
		r.abandonFrom(end)
	}
	return nil
}

// contradicted reports whether something certain stands where a turn wants its items: the turn was then done by another worker.
func (r *Renderer) contradicted(from int, items []responses.Item) bool {
	for i, item := range items {
		if at := from + i; at < len(r.live) && r.live[at].turn == 0 && r.live[at].id != responses.IDOf(item) {
			return true
		}
	}
	return false
}

// slots reads the items of a turn, up to the first that is malformed.
func (r *Renderer) slots(ctx context.Context, slots []events.Slot) ([]responses.Item, error) {
	items := make([]responses.Item, 0, len(slots))
	for _, s := range slots {
		var item responses.Item
		var err error
		switch {
		case s.Call != nil:
			item, err = r.callItem(ctx, s.ItemID, s.Call)
		case s.Item != nil:
			item, err = r.o.Item(ctx, *s.Item)
		}
		if err != nil {
			return nil, err
		}
		if item == nil || responses.IDOf(item) == "" {
			break
		}
		items = append(items, item)
	}
	return items, nil
}
