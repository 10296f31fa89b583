package events

import "github.com/nats-io/nats.go"

// delivery is an event on its way to the log.
//
// A short delta waits as it is and becomes a message when its turn comes. Until then it takes in the deltas that continue it, so that
// a log that is slower than the models gets fewer and longer deltas, and need not lose any.
type delivery struct {
	step *Step
	msg  *nats.Msg
	size int // bytes, about
	// settled gets the outcome, for those who wait for it; it has room for one. It may be nil.
	settled chan error
	// What follows is guarded by the publisher's mu.

	// waiting is set for a short delta whose turn has not come. It is the event then.
	waiting bool
	event   Event
	// placed is set for a message that holds one of the publisher's places.
	placed bool
}

const (
	// shortDelta bounds the text of a delta that waits, with all that it takes in: bytes.
	shortDelta = 4 << 10
	// besideText is about what a delta needs beside its text.
	besideText = 256
)

func newDelivery(s *Step, m *nats.Msg, e Event) (*delivery, error) {
	d := &delivery{step: s, msg: m}
	if e.Kind == DeltaAdded && e.Delta != nil && len(e.Delta.Text) <= shortDelta {
		delta := *e.Delta // the caller's does not change
		e.Delta = &delta
		d.waiting, d.event, d.size = true, e, len(delta.Text)+besideText
		return d, nil
	}
	err := s.log.fill(m, e)
	d.size = len(m.Data)
	return d, err
}

// take adds a delta that continues the one that waits, and reports whether it does.
func (d *delivery) take(e Event) bool {
	if !d.waiting || e.Kind != DeltaAdded || e.Delta == nil {
		return false
	}
	was, is := d.event.Delta, e.Delta
	if e.Turn != d.event.Turn || e.Try != d.event.Try || e.Index != d.event.Index || e.ItemID != d.event.ItemID ||
		is.Part != was.Part || is.At != was.At+len(was.Text) || len(was.Text)+len(is.Text) > shortDelta {
		return false
	}
	was.Text += is.Text
	return true
}
