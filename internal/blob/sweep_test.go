package blob_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
)

// sweepAll sweeps every shard.
func sweepAll(t *testing.T, s *blob.Stores, sweep blob.Sweep) int {
	t.Helper()
	total := 0
	for shard := range blob.Shards {
		n, err := s.Sweep(t.Context(), shard, sweep)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// goneAre knows which workflows do not exist, and wants to be asked for each once.
type goneAre struct {
	gone  []string
	asked []string
}

func (g *goneAre) ask(_ context.Context, ids []string) ([]string, error) {
	var gone []string
	for _, id := range ids {
		g.asked = append(g.asked, id)
		if slices.Contains(g.gone, id) {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

func TestSweep(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		for _, owner := range []string{"resp_lives", "resp_gone", "conv_gone", "approval/acme/gone"} {
			put(t, s.For(owner), "first")
			put(t, s.For(owner), "second")
		}
		put(t, p.open(t, func(o *blob.Options) { o.Namespace = "other" }).For("resp_gone"), "first")
		put(t, s.ForEvents("resp_lives"), "an event")
		past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)

		g := &goneAre{gone: []string{"resp_gone", "conv_gone", "approval/acme/gone"}}
		if n := sweepAll(t, s, blob.Sweep{Gone: g.ask, Before: past, EventsBefore: past}); n != 0 || len(p.names(t)) != 10 {
			t.Errorf("%d values were removed that are young; %v are left", n, p.names(t))
		}
		if len(g.asked) != 4 {
			t.Errorf("asked for %v", g.asked)
		}
		if n := sweepAll(t, s, blob.Sweep{Gone: g.ask, Before: future, EventsBefore: past}); n != 6 {
			t.Errorf("%d values were removed, want 6", n)
		}
		checkHolds(t, p.open(t).For("resp_lives"), "first")
		checkHolds(t, p.open(t).For("resp_lives"), "second")
		checkHolds(t, p.open(t).ForEvents("resp_lives"), "an event")
		if n := sweepAll(t, s, blob.Sweep{Gone: g.ask, Before: future, EventsBefore: future}); n != 1 {
			t.Errorf("%d values were removed, want the event", n)
		}
		if got := p.names(t); len(got) != 3 || len(p.of(t, "resp_lives")) != 2 {
			t.Errorf("%v are left", got)
		}
	})
}

// More owners than are asked for at once, and more values than are listed at once.
func TestSweepMany(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		put(t, s.For("resp_1"), "x")
		name := p.only(t)
		shard := filepath.Dir(filepath.Dir(name))
		dir := strings.Split(name, "resp_1")[0]
		g := &goneAre{}
		for i := range 250 {
			owner := fmt.Sprint("resp_", i+1)
			if i%2 == 0 {
				g.gone = append(g.gone, owner)
			}
			mkdir(t, p, dir+owner)
			p.write(t, dir+owner+"/"+digestOf("x"), []byte("x"))
		}
		for i := range 2100 {
			p.write(t, dir+"resp_1/"+digestOf(fmt.Sprint(i)), nil)
		}
		number := 0
		if _, err := fmt.Sscanf(filepath.Base(shard), "%02x", &number); err != nil {
			t.Fatal(err)
		}
		n, err := s.Sweep(t.Context(), number, blob.Sweep{Gone: g.ask, Before: time.Now().Add(time.Hour)})
		if err != nil || n != 125+2100 {
			t.Errorf("%d values were removed, %v", n, err)
		}
		if got := p.names(t); len(got) != 125 || len(g.asked) != 250 {
			t.Errorf("%d are left, %d were asked for", len(got), len(g.asked))
		}
	})
}

// One value that was just written keeps all: its workflow is about to start.
func TestSweepLeavesWhatIsAboutToStart(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	s := p.open(t)
	for _, data := range []string{"a", "b", "c"} {
		put(t, s.For("resp_1"), data)
	}
	put(t, s.For("resp_old"), "copied")
	age := func() {
		for _, name := range p.names(t) {
			makeOlder(t, filepath.Join(p.options.Dir, name), 48*time.Hour)
		}
	}
	sweep := func(gone ...string) int {
		g := &goneAre{gone: gone}
		return sweepAll(t, s, blob.Sweep{Gone: g.ask, Before: time.Now().Add(-24 * time.Hour)})
	}
	for name, write := range map[string]func(){
		"a new value":                   func() { put(t, s.For("resp_1"), "d") },
		"one that was there, put again": func() { put(t, s.For("resp_1"), "a") },
		"a copy": func() {
			if err := s.For("resp_1").Copy(t.Context(), s.For("resp_old"), blob.RefOf([]byte("copied"))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		age()
		write()
		sweep("resp_1")
		for _, data := range []string{"a", "b", "c"} {
			if _, err := p.open(t).For("resp_1").Get(t.Context(), blob.RefOf([]byte(data))); err != nil {
				t.Errorf("after %s: %v", name, err)
			}
		}
		if t.Failed() {
			return
		}
	}
	age()
	if n := sweep("resp_1", "resp_old"); n == 0 || len(p.names(t)) != 0 {
		t.Errorf("%d were removed, %v are left", n, p.names(t))
	}
}

// Who cannot say what is gone removes nothing.
func TestSweepWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		put(t, s.For("resp_1"), "x")
		away := errors.New("away")
		failed := 0
		for shard := range blob.Shards {
			n, err := s.Sweep(t.Context(), shard, blob.Sweep{
				Gone:   func(context.Context, []string) ([]string, error) { return []string{"resp_1"}, away },
				Before: time.Now().Add(time.Hour),
			})
			if errors.Is(err, away) {
				failed++
			}
			if n != 0 {
				t.Errorf("%d were removed", n)
			}
		}
		if failed != 1 {
			t.Errorf("%d shards failed", failed)
		}
		p.only(t)
	})
}
