package stream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/responses"
	"perdure/internal/stream"
)

// TestMalformed: an event that makes no sense changes nothing.
func TestMalformed(t *testing.T) {
	t.Parallel()
	kinds := []events.Kind{
		events.ListStarted, events.ListDone, events.TurnStarted, events.DeltaAdded, events.TurnDone, events.CallStarted,
		events.CallDone, "unheard_of", "",
	}
	var log []events.Event
	for _, kind := range kinds {
		for _, at := range []int{-1, 0, 7, 1 << 40} {
			for _, item := range []*blob.Value{nil, value(message("")), value(message("msg_0")), value(function("fc_0", ""))} {
				e := events.Event{Kind: kind, Turn: 1, Try: 1, Index: at, Item: item, Slots: []events.Slot{{}, {ItemID: "x"}}}
				log = append(log, e)
				e.ItemID, e.Delta = "other", &events.Delta{Part: "arguments", Text: "no such part"}
				if kind == events.ListStarted && at == 0 {
					continue // it makes sense
				}
				log = append(log, e)
				e.Turn, e.Delta = -1, &events.Delta{Part: "unheard_of", At: -1, Text: "\xff"}
				log = append(log, e)
			}
		}
	}
	o := options(responses.DialectAgent)
	if diff := cmp.Diff("completed completed\n", trace(t, render(t, o, log, final(o, responses.ResponseCompleted)))); diff != "" {
		t.Error(diff)
	}
}

// TestUnreadable: an event whose item cannot be read may be added again.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	o := options(responses.DialectOpenAI)
	a, b := list("mcpl_0", "a"), list("mcpl_1", "b")
	hello, call := message("msg_2", responses.OutputText("Hello")), called("mcp_3", "yes")
	log := []events.Event{
		listDone(1, b), listDone(0, a), turnDone(1, 1, 2, hello, unanswered(call)), callDone(3, call),
	}
	end := final(o, responses.ResponseCompleted, a, b, hello, call)
	want := render(t, o, log, end)

	errAway := errors.New("the store is away")
	var away bool
	broken := o
	broken.Item = func(ctx context.Context, v blob.Value) (responses.Item, error) {
		if away = !away; away {
			return nil, errAway
		}
		return o.Item(ctx, v)
	}
	r := stream.New(broken)
	got, err := r.Begin()
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, e := range log {
		for again := true; again; {
			made, err := r.Add(t.Context(), e)
			got = append(got, made...)
			if again = err != nil; again {
				failures++
			}
			if err != nil && !errors.Is(err, errAway) {
				t.Fatal(err)
			}
		}
	}
	made, err := r.Finish(end)
	if err != nil {
		t.Fatal(err)
	}
	if failures < len(log) {
		t.Errorf("%d failures, want at least %d", failures, len(log))
	}
	if diff := cmp.Diff(want, append(got, made...)); diff != "" {
		t.Error(diff)
	}
}
