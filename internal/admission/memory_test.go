package admission

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// What is remembered of a key's runs is bounded, whether they end, are left alone, or never start, and so are the sums of it.
func TestRunsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRuns(func(context.Context, string, time.Time) (int, error) { return 0, nil }, slog.New(slog.DiscardHandler))
		most := 0
		const limit = 1 << 20
		for i := range 60_000 { // a thousand a second
			id := strconv.Itoa(i)
			never, ok := r.Begin(t.Context(), "key", limit, id)
			if !ok {
				t.Fatal("refused")
			}
			switch i % 3 {
			case 0:
				never()
			case 1:
				over := r.Watch(id)
				time.Sleep(time.Millisecond)
				r.Ended(id)
				over()
			}
			time.Sleep(time.Millisecond)
			most = max(most, len(r.owners))
		}
		if most > 2*crowded {
			t.Errorf("%d runs were remembered at the same time", most)
		}
		time.Sleep(time.Hour)
		never, _ := r.Begin(t.Context(), "key", limit, "last")
		never()
		if c := r.keys["key"]; len(r.owners) != 0 || len(c.own) != 0 || c.alive != 0 || c.fresh != 0 || c.over != 0 {
			t.Errorf("an hour later %d runs are remembered, sums %d, %d, %d", len(r.owners), c.alive, c.fresh, c.over)
		}
	})
}

func TestBudgetForgetsKeys(t *testing.T) {
	t.Parallel()
	b := NewBudget(100, 50)
	for i := range 1000 {
		key := strconv.Itoa(i)
		if err := b.Take(key, 7); err != nil {
			t.Fatal(err)
		}
		b.Give(key, 3)
		b.Give(key, 4)
		b.Give(key, 0)
	}
	if len(b.keys) != 0 || b.used != 0 {
		t.Errorf("%d keys, %d in use", len(b.keys), b.used)
	}
}
