package events_test

import (
	"fmt"
	"strings"
	"testing"

	"perdure/internal/events"
	"perdure/internal/events/eventstest"
)

// Deltas that come faster than the log takes them are joined, and none is lost. Those of different items stay apart.
func TestBurstIsJoined(t *testing.T) {
	t.Parallel()
	const items, pieces = 20, 1000
	l := eventstest.New(t)
	s := l.Step("resp_1", "turn-1-1")
	var said [items]strings.Builder
	at := 0
	for i := range items {
		for k := range pieces {
			e := delta(at, fmt.Sprintf("item %d, piece %d; ", i, k))
			e.Index = i
			s.Publish(e)
			said[i].WriteString(e.Delta.Text)
			at += len(e.Delta.Text)
		}
	}
	s.Publish(events.Event{Kind: events.TurnDone, Turn: 1, Try: 1})
	r := read(t, l, "resp_1")
	ctx := bounded(t)
	var heard [items]strings.Builder
	at = 0
	for count := 0; ; count++ {
		e, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == events.TurnDone {
			if count >= items*pieces {
				t.Errorf("%d deltas came as %d", items*pieces, count)
			}
			break
		}
		if e.Delta.At != at {
			t.Fatalf("a delta is at %d, want %d", e.Delta.At, at)
		}
		heard[e.Index].WriteString(e.Delta.Text)
		at += len(e.Delta.Text)
	}
	for i := range items {
		if heard[i].String() != said[i].String() {
			t.Errorf("item %d: what was heard is not what was said", i)
		}
	}
}
