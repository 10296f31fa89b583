package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perdure/internal/admission"
	"perdure/internal/logtest"
)

// world has the runs of all processes, and counts them as late as a search would.
type world struct {
	mu     sync.Mutex
	late   time.Duration
	fails  error
	counts int
	runs   map[string]*life
}

type life struct{ began, ended time.Time }

func newWorld() *world { return &world{runs: map[string]*life{}} }

func (w *world) begin(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[id] = &life{began: time.Now()}
}

func (w *world) end(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[id].ended = time.Now()
}

// underWay is the truth.
func (w *world) underWay() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, l := range w.runs {
		if l.ended.IsZero() {
			n++
		}
	}
	return n
}

func (w *world) count(_ context.Context, _ string, before time.Time) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts++
	seen, n := time.Now().Add(-w.late), 0
	for _, l := range w.runs {
		if l.began.Before(before) && !l.began.After(seen) && (l.ended.IsZero() || l.ended.After(seen)) {
			n++
		}
	}
	return n, w.fails
}

// process is a starter in the world, whose clients wait for their runs.
type process struct {
	*admission.Runs[string]
	t     *testing.T
	w     *world
	limit int
	over  map[string]func()
}

func (w *world) process(t *testing.T, limit int) *process {
	t.Helper()
	return &process{admission.NewRuns(w.count, slog.New(slog.NewTextHandler(&logtest.Buffer{}, nil))), t, w, limit, map[string]func(){}}
}

// start begins a run if the process lets it.
func (p *process) start(id string) bool {
	p.t.Helper()
	_, ok := p.Begin(p.t.Context(), "key", p.limit, id)
	if ok {
		p.w.begin(id)
		p.over[id] = p.Watch(id)
	}
	return ok
}

func (p *process) want(id string, ok bool) {
	p.t.Helper()
	if got := p.start(id); got != ok {
		p.t.Fatalf("run %s may start: %v, want %v; %d are under way", id, got, ok, p.w.underWay())
	}
}

// finish ends a run that the process waits for.
func (p *process) finish(id string) {
	p.w.end(id)
	p.Ended(id)
	p.over[id]()
}

// At the limit is not over it, and whoever learns of an end may start the next at once, however late the count.
func TestRunsOfOneProcess(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, time.Second, 1900 * time.Millisecond} {
		t.Run(fmt.Sprintf("count %v late", late), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.late = late
				p := w.process(t, 2)
				p.want("a", true)
				p.want("b", true)
				p.want("c", false)
				for i := range 200 { // runs of any length, one after the other
					old, next := strconv.Itoa(i-1), strconv.Itoa(i)
					if i == 0 {
						old = "a"
					}
					time.Sleep(time.Duration(rand.Int64N(int64(5 * time.Second))))
					p.want("c", false)
					p.finish(old)
					p.want(next, true)
					p.want("c", false)
				}
			})
		})
	}
}

// What others have started counts as soon as it can be known.
func TestRunsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.late = time.Second
		one, two := w.process(t, 4), w.process(t, 4)
		for _, id := range []string{"a", "b", "c", "d"} {
			one.want(id, true)
		}
		time.Sleep(3 * time.Second)
		two.want("e", false)
		one.finish("a")
		time.Sleep(2 * time.Second) // until the count knows
		two.want("e", true)
		two.want("f", false)
		time.Sleep(3 * time.Second)
		one.want("f", false)
		two.finish("e")
		two.want("g", true)
	})
}

// The end of a run that nobody waits for is in the count some time later.
func TestRunsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.late = time.Second
		p := w.process(t, 2)
		for _, id := range []string{"a", "b"} {
			p.want(id, true)
			p.over[id]()
		}
		time.Sleep(time.Minute)
		p.want("c", false)
		w.end("a")
		time.Sleep(1001 * time.Millisecond)
		p.want("c", true)
		p.want("d", false)
	})
}

// A run that did not start after all leaves its place, once.
func TestRunThatNeverStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newWorld().process(t, 1)
		begin := func(id string) (func(), bool) { return p.Begin(t.Context(), "key", 1, id) }
		never, ok := begin("a")
		if _, other := begin("b"); !ok || other {
			t.Fatalf("a may start: %v, b: %v", ok, other)
		}
		again, ok := begin("a") // the same request, sent twice
		if !ok {
			t.Fatal("a run that has a place needs another")
		}
		never()
		if _, ok := begin("b"); ok {
			t.Error("the place of a run went that somebody else starts")
		}
		again()
		if _, ok = begin("b"); !ok {
			t.Error("the place is not given back")
		}
		again() // has no place to give any more
		if _, ok := begin("c"); ok {
			t.Error("a place that was given back was given back again")
		}
	})
}

func TestRunsWithoutLimit(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := w.process(t, 0)
	for i := range 1000 {
		p.want(strconv.Itoa(i), true)
	}
	if w.counts != 0 {
		t.Errorf("%d counts for a key without a limit", w.counts)
	}
}

// While nobody can count, the last count stands for a minute, and then what the process knows itself.
func TestCountThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		one, two := w.process(t, 3), w.process(t, 3)
		for _, id := range []string{"a", "b"} {
			one.want(id, true)
		}
		time.Sleep(5 * time.Second)
		two.want("c", true)
		w.mu.Lock()
		w.fails = errors.New("away")
		w.mu.Unlock()
		for range 55 {
			time.Sleep(time.Second)
			two.want("d", false)
		}
		time.Sleep(6 * time.Second)
		two.want("d", true) // the others may have ended long ago
		two.want("e", true)
		two.want("f", false)
		w.mu.Lock()
		w.fails = nil
		w.mu.Unlock()
		two.finish("c")
		two.finish("d")
		time.Sleep(3 * time.Second)
		two.want("f", false) // now it is known again what the others have
	})
}

// A count that panics is one that failed.
func TestCountThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := 0
		r := admission.NewRuns(func(context.Context, string, time.Time) (int, error) {
			if counts++; counts == 1 {
				panic("no")
			}
			return 1, nil
		}, slog.New(slog.NewTextHandler(&logtest.Buffer{}, nil)))
		func() {
			defer func() { _ = recover() }()
			_, _ = r.Begin(t.Context(), "key", 1, "a")
			t.Error("it did not panic")
		}()
		time.Sleep(time.Minute)
		if _, ok := r.Begin(t.Context(), "key", 1, "a"); ok || counts != 2 {
			t.Errorf("a may start: %v after %d counts", ok, counts)
		}
	})
}

// Counts are asked for seldom, more often near the limit, and never by two at the same time.
func TestCountsAreFew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		limit, most    int
		least, several int // counts within a minute
	}{
		{"far from the limit", 1000, 10, 5, 7},
		{"near the limit", 12, 10, 50, 61},
		{"at the limit", 10, 10, 200, 241},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.process(t, tt.limit)
				for i := range tt.most {
					p.want(strconv.Itoa(i), true)
				}
				time.Sleep(20 * time.Second)
				w.counts = 0
				for range 60 * 20 {
					time.Sleep(50 * time.Millisecond)
					never, _ := p.Begin(t.Context(), "key", tt.limit, "more")
					never()
				}
				if w.counts < tt.least || w.counts > tt.several {
					t.Errorf("%d counts in a minute, want %d to %d", w.counts, tt.least, tt.several)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := admission.NewRuns(func(context.Context, string, time.Time) (int, error) {
			asked++ // by two at once it would be a race
			time.Sleep(500 * time.Millisecond)
			return 0, nil
		}, slog.New(slog.DiscardHandler))
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, ok := r.Begin(t.Context(), "key", 1000, strconv.Itoa(i)); !ok {
					t.Error("a run far from the limit was refused")
				}
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("%d counts at once", asked)
		}
	})
}

// A count ends even if the client that waits for it leaves, and does not keep anybody longer than a second.
func TestCountIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := admission.NewRuns(func(ctx context.Context, _ string, _ time.Time) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, slog.New(slog.DiscardHandler))
		ctx, leave := context.WithCancel(t.Context())
		leave()
		began := time.Now()
		if _, ok := r.Begin(ctx, "key", 1, "a"); !ok {
			t.Error("a count that takes too long closed the gate")
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the count took %v", took)
		}
	})
}
