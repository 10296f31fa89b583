package events_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"perdure/internal/events"
	"perdure/internal/events/eventstest"
)

// waitFor is generous: nothing waits for it to pass, but for a machine that is busy.
const waitFor = 60 * time.Second

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	t.Cleanup(cancel)
	return ctx
}

func delta(at int, text string) events.Event {
	return events.Event{Kind: events.DeltaAdded, Turn: 1, Try: 1, ItemID: "msg_1", Delta: &events.Delta{Part: events.PartText, At: at, Text: text}}
}

func read(t *testing.T, l *events.Log, id string) *events.Reader {
	t.Helper()
	r, err := l.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// next returns the place of the next delta.
func next(ctx context.Context, t *testing.T, r *events.Reader) int {
	t.Helper()
	e, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if e.Delta == nil {
		t.Fatalf("got %+v, want a delta", e)
	}
	return e.Delta.At
}

// expect reads deltas at the places from to to, without gap or duplicate.
func expect(t *testing.T, r *events.Reader, from, to int) {
	t.Helper()
	ctx := bounded(t)
	for want := from; want < to; want++ {
		if got := next(ctx, t, r); got != want {
			t.Fatalf("got the delta at %d, want %d", got, want)
		}
	}
}

// patiently makes a request of a server that may be too busy to answer in time.
func patiently(t *testing.T, request func(context.Context) error) {
	t.Helper()
	ctx := bounded(t)
	for {
		err := request(ctx)
		if err == nil {
			return
		}
		if !errors.Is(err, events.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

func end(t *testing.T, l *events.Log, id string) {
	t.Helper()
	patiently(t, func(ctx context.Context) error { return l.End(ctx, id) })
}

func publish(s *events.Step, from, to int) {
	for at := from; at < to; at++ {
		s.Publish(delta(at, "text"))
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	early := read(t, l, "resp_1")
	// More than a reader holds, and more than it fetches at once.
	const n = 300
	s := l.Step("resp_1", "turn-1-1")
	publish(s, 0, n)
	s.Flush(t.Context())
	end(t, l, "resp_1")
	l.Step("resp_1", "turn-9-1").Publish(delta(n, "too late"))
	for name, r := range map[string]*events.Reader{"early": early, "late": read(t, l, "resp_1")} {
		expect(t, r, 0, n)
		e, err := r.Next(bounded(t))
		if err != nil || e.Kind != events.Ended {
			t.Errorf("%s: got %+v, %v, want the end", name, e, err)
		}
		if _, err := r.Next(bounded(t)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v after the end, want io.EOF", name, err)
		}
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	s := l.Step("resp_1", "turn-1-1")
	r := read(t, l, "resp_1")
	for at := range 100 {
		s.Publish(delta(at, "text"))
		expect(t, r, at, at+1)
	}
}

// A reader that does not keep up misses what comes and fetches it: it holds no more than its buffer.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	s := l.Step("resp_1", "turn-1-1")
	r := read(t, l, "resp_1")
	publish(s, 0, 1)
	expect(t, r, 0, 1)
	at := 1
	for burst := range 20 {
		publish(s, at, at+100)
		s.Flush(t.Context())
		expect(t, r, at, at+3*burst)
		publish(s, at+100, at+200)
		expect(t, r, at+3*burst, at+200)
		at += 200
	}
}

func TestStoredOnce(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	for range 2 {
		s := l.Step("resp_1", "turn-1-1")
		publish(s, 0, 10)
		s.Flush(t.Context())
	}
	for range 2 {
		end(t, l, "resp_1")
	}
	l.Step("resp_2", "turn-1-1").Publish(delta(7, "of another response"))
	r := read(t, l, "resp_1")
	expect(t, r, 0, 10)
	if e, err := r.Next(bounded(t)); err != nil || e.Kind != events.Ended {
		t.Errorf("got %+v, %v, want the end", e, err)
	}
}

// Flush makes the steps of several processes follow each other.
func TestFlush(t *testing.T) {
	t.Parallel()
	s := eventstest.StartServer(t)
	logs := []*events.Log{eventstest.Connect(t, s.URL()), eventstest.Connect(t, s.URL())}
	for at := range 200 {
		step := logs[at%2].Step("resp_1", fmt.Sprintf("turn-%d-1", at))
		step.Publish(delta(at, "text"))
		step.Flush(bounded(t))
	}
	expect(t, read(t, logs[0], "resp_1"), 0, 200)
}

// again is Next for a server that is too busy to answer in time.
func again(ctx context.Context, r *events.Reader) (events.Event, error) {
	for {
		if e, err := r.Next(ctx); !errors.Is(err, events.ErrUnavailable) {
			return e, err
		}
	}
}

func TestManyReaders(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	writer := eventstest.Connect(t, server.URL())
	starters := []*events.Log{eventstest.Connect(t, server.URL()), eventstest.Connect(t, server.URL())}
	const readers, responses, n = 200, 20, 60
	id := func(i int) string { return fmt.Sprintf("resp_%d", i%responses) }
	var group errgroup.Group
	ctx := bounded(t)
	for i := range readers {
		r := read(t, starters[i%2], id(i))
		group.Go(func() error {
			for at := range n {
				e, err := again(ctx, r)
				if err != nil {
					return err
				}
				if e.Delta == nil || e.Delta.At != at {
					return fmt.Errorf("got %+v, want the delta at %d", e, at)
				}
			}
			e, err := again(ctx, r)
			if err == nil && e.Kind != events.Ended {
				return fmt.Errorf("got %+v, want the end", e)
			}
			return err
		})
	}
	for i := range responses {
		group.Go(func() error {
			s := writer.Step(id(i), "turn-1-1")
			publish(s, 0, n)
			s.Flush(ctx)
			for {
				if err := writer.End(ctx, id(i)); !errors.Is(err, events.ErrUnavailable) {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestLargeEvent(t *testing.T) {
	t.Parallel()
	// The server's messages have a MiB at most.
	l := eventstest.Connect(t, eventstest.StartServer(t).URL())
	s := l.Step("resp_1", "turn-1-1")
	r := read(t, l, "resp_1")
	texts := []string{"before", strings.Repeat("0123456789", 300_000), strings.Repeat("x", 100_000), strings.Repeat("y", 140_000), "after"}
	for at, text := range texts {
		s.Publish(delta(at, text))
	}
	for name, r := range map[string]*events.Reader{"early": r, "late": read(t, l, "resp_1")} {
		for at, want := range texts {
			e, err := r.Next(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if e.Delta == nil || e.Delta.At != at || e.Delta.Text != want {
				t.Errorf("%s: event %d is not what was published", name, at)
			}
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	for _, id := range []string{"resp_1", "resp_2"} {
		s := l.Step(id, "turn-1-1")
		publish(s, 0, 10)
		s.Flush(t.Context())
	}
	patiently(t, func(ctx context.Context) error { return l.Delete(ctx, "resp_1") })
	s := l.Step("resp_1", "turn-2-1")
	publish(s, 10, 11)
	expect(t, read(t, l, "resp_1"), 10, 11)
	expect(t, read(t, l, "resp_2"), 0, 10)
}

func TestNudges(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	starter, worker := eventstest.Connect(t, server.URL()), eventstest.Connect(t, server.URL())
	heard := make(chan string, 10)
	if err := worker.OnCancelled(func(id string) { heard <- id }); err != nil {
		t.Fatal(err)
	}
	// Until the server knows of the worker, nudges are lost.
	for id := ""; id == ""; {
		starter.NudgeCancelled("resp_1")
		select {
		case id = <-heard:
			if id != "resp_1" {
				t.Errorf("heard of %q, want resp_1", id)
			}
		case <-time.After(10 * time.Millisecond):
		case <-bounded(t).Done():
			t.Fatal("the worker heard nothing")
		}
	}
}

func TestInvalidIDs(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	all := make(chan string, 10)
	if err := l.OnCancelled(func(id string) { all <- id }); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "*", ">", "a.b", "a b", "a\r\nb", "é", strings.Repeat("a", 129)} {
		if r, err := l.Read(t.Context(), id); !errors.Is(err, events.ErrInvalidID) {
			t.Errorf("Read(%q): got %v, %v", id, r, err)
		}
		if err := l.End(t.Context(), id); !errors.Is(err, events.ErrInvalidID) {
			t.Errorf("End(%q): got %v", id, err)
		}
		if err := l.Delete(t.Context(), id); !errors.Is(err, events.ErrInvalidID) {
			t.Errorf("Delete(%q): got %v", id, err)
		}
		s := l.Step(id, "turn-1-1")
		s.Publish(delta(0, "text"))
		s.Flush(t.Context())
		l.NudgeCancelled(id)
	}
	l.NudgeCancelled("resp_1")
	if got := <-all; got != "resp_1" {
		t.Errorf("heard of %q", got)
	}
}

func TestReadEndsWithContext(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	r := read(t, l, "resp_1")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	l.Step("resp_1", "turn-1-1").Publish(delta(0, "text"))
	expect(t, r, 0, 1)
}
