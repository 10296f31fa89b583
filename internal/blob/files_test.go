package blob_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
)

// What a file has was sealed before: it is kept as it is, also where everything else is encrypted, and not in memory.
func TestPartsOfFilesAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t, encrypted(newSealer(t)), cached)
		ref := put(t, s.ForFile("file-1"), "sealed")
		name := p.only(t)
		if got := string(p.read(t, name)); got != "sealed" || !strings.HasPrefix(name, "default/files/") || strings.Contains(name, ".sealed") {
			t.Errorf("it is kept as %q in %s", got, name)
		}
		checkHolds(t, p.open(t).ForFile("file-1"), "sealed") // whoever does not encrypt reads it as well
		for other, from := range map[string]*blob.Store{"another file": s.ForFile("file-2"), "a workflow": s.For("file-1"), "events": s.ForEvents("file-1")} {
			if _, err := from.Get(t.Context(), ref); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s has it: %v", other, err)
			}
		}
		p.write(t, name, []byte("altered"))
		checkError(t, s.ForFile("file-1"), "sealed", blob.ErrCorrupt) // which a value in memory would not have noticed
		second := put(t, s.ForFile("file-1"), "another part")
		if err := s.ForFile("file-1").Remove(t.Context(), ref); err != nil {
			t.Error(err)
		}
		checkMissing(t, s.ForFile("file-1"), "sealed")
		if _, err := s.ForFile("file-1").Get(t.Context(), second); err != nil {
			t.Errorf("the other part: %v", err)
		}
		put(t, s.For("file-1"), "of a workflow that is called so")
		if err := s.RemoveFile(t.Context(), "file-1"); err != nil {
			t.Error(err)
		}
		if got := p.only(t); strings.Contains(got, "/files/") {
			t.Errorf("%s is left", got)
		}
	})
}

// Files and workflows are swept by those who know them: what one of them calls gone says nothing of the other.
func TestSweepOfFiles(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		for _, id := range []string{"lives", "gone"} {
			put(t, s.ForFile(id), "a part")
			put(t, s.ForFile(id), "another part")
			put(t, s.For(id), "a value")
		}
		workflows, files := &goneAre{gone: []string{"lives"}}, &goneAre{gone: []string{"gone"}}
		past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if n := sweepAll(t, s, blob.Sweep{Gone: workflows.ask, GoneFiles: files.ask, Before: past}); n != 0 {
			t.Errorf("%d values were removed that are young", n)
		}
		if n := sweepAll(t, s, blob.Sweep{Gone: (&goneAre{}).ask, Before: future}); n != 0 {
			t.Errorf("%d values were removed by somebody who knows no files", n)
		}
		if n := sweepAll(t, s, blob.Sweep{Gone: workflows.ask, GoneFiles: files.ask, Before: future}); n != 3 {
			t.Errorf("%d values were removed, want 3", n)
		}
		checkHolds(t, s.ForFile("lives"), "a part")
		checkHolds(t, s.ForFile("lives"), "another part")
		checkHolds(t, s.For("gone"), "a value")
		if got := p.names(t); len(got) != 3 {
			t.Errorf("%v are left", got)
		}
		away := errors.New("the database is away")
		failed := 0
		for shard := range blob.Shards {
			n, err := s.Sweep(t.Context(), shard, blob.Sweep{
				GoneFiles: func(context.Context, []string) ([]string, error) { return []string{"lives"}, away }, Before: future,
			})
			if n != 0 || err != nil && !errors.Is(err, away) {
				t.Errorf("%d were removed, %v", n, err)
			}
			if err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d shards failed, want that of the file", failed)
		}
	})
}
