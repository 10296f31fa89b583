package batchrun_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/apiclient"
	"perdure/internal/batchrun"
)

const failureLine = `{"custom_id":"c2","error":{"message":"no"}}` + "\n"

// interrupt runs it until it has asked about the batch that often, and interrupts it.
func (f *fixture) interrupt(polls int32, change func(*batchrun.Options)) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	o := f.options()
	if change != nil {
		change(&o)
	}
	o.Changed = func(apiclient.Batch) {
		if f.polls.Load() > polls {
			cancel()
		}
	}
	if _, err := batchrun.Run(ctx, f.client(), o); !errors.Is(err, context.Canceled) {
		f.t.Fatal(err)
	}
}

// TestFailedMidway: a batch that has failed after requests of it were run is not sent again, and what it has come to stays.
func TestFailedMidway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.with(func() { f.began = true })
	f.end("failed", resultLines(2), failureLine)
	for range 2 {
		b, err := f.run(nil)
		if err != nil || b.Status != "failed" || b.NothingRan() || b.Counts.Completed != 2 {
			t.Errorf("%+v, %v", b, err)
		}
		f.has("out", resultLines(2))
		f.has("err", failureLine)
	}
	if len(f.uploads) != 1 || len(f.creates) != 1 {
		t.Errorf("%d uploads and %d requests for a batch", len(f.uploads), len(f.creates))
	}
	if len(f.notes) != 1 || !strings.Contains(f.notes[0], "has ended before") {
		t.Errorf("notes: %q", f.notes)
	}
	f.put("in", input+"{\"custom_id\":\"d\"}\n")
	f.refuses("is not what was sent as the batch batch_1", nil)
}

// TestEndIsKept: how a batch has ended can be told when its server is gone.
func TestEndIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.end("completed", resultLines(2), failureLine)
	first, err := f.run(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	again, err := f.run(nil)
	if err != nil || again.ID != "batch_1" || len(again.Raw) == 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if diff := cmp.Diff(first.Counts, again.Counts); diff != "" || again.Counts.Failed != 1 {
		t.Errorf("counts %+v: %s", again.Counts, diff)
	}
}

// TestForeignFiles: what this batch has not written is not touched, whichever way it is named.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	const work = "somebody's work\n"
	elsewhere := func(name string, f *fixture) func(*batchrun.Options) {
		return func(o *batchrun.Options) { o.Errors = f.path(name) }
	}
	t.Run("failures of a later start", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.with(func() { f.output = []byte(resultLines(1)) })
		f.interrupt(1, nil)
		f.put("notes", work)
		f.refuses("notes is there already: remove it, or name another with --errors", elsewhere("notes", f))
		f.has("notes", work)
		restarted := func(o *batchrun.Options) { o.Errors, o.Restart = f.path("notes"), true }
		f.refuses("notes is there already: remove it, or name another with --errors", restarted)
		f.has("notes", work)
		f.has("out", resultLines(1))
		// As long as there are no failures, they may go elsewhere.
		f.with(func() { f.failures = []byte(failureLine) })
		f.interrupt(f.polls.Load()+1, elsewhere("other", f))
		f.has("other", failureLine)
		f.refuses("the failures of the batch batch_1 are in "+f.path("other")+": name that with --errors, or use --restart", nil)
		f.end("completed", resultLines(2), failureLine)
		f.works(elsewhere("other", f))
		f.has("other", failureLine)
		f.has("err", "-")
		f.has("notes", work)
	})
	t.Run("its own failures, written when it was killed", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.with(func() { f.output, f.failures = []byte(resultLines(1)), []byte(failureLine) })
		f.interrupt(1, nil)
		state, err := os.ReadFile(f.path("out" + batchrun.StateSuffix))
		if err != nil {
			t.Fatal(err)
		}
		bytes := fmt.Sprintf(`"error_bytes": %d`, len(failureLine))
		if !strings.Contains(string(state), bytes) {
			t.Fatalf("the state is %s", state)
		}
		f.put("out"+batchrun.StateSuffix, strings.Replace(string(state), bytes, `"error_bytes": 0`, 1))
		f.end("completed", resultLines(2), failureLine)
		f.works(nil)
		f.has("err", failureLine)
	})
	t.Run("three files", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		if err := os.Link(f.path("in"), f.path("linked")); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*batchrun.Options){
			"output":               func(o *batchrun.Options) { o.Output = f.dir + "/./in" },
			"output by a link":     func(o *batchrun.Options) { o.Output = f.path("linked") },
			"failures":             func(o *batchrun.Options) { o.Errors = f.path("linked") },
			"failures and results": func(o *batchrun.Options) { o.Errors = f.dir + "/./out" },
		} {
			_, err := f.run(func(o *batchrun.Options) { o.Restart = true; change(o) })
			if !errors.Is(err, batchrun.ErrThreeFiles) {
				t.Errorf("%s: error %v", name, err)
			}
			f.has("in", input)
			f.has("out", "-")
		}
		if len(f.uploads) > 0 {
			t.Errorf("%d uploads", len(f.uploads))
		}
	})
	t.Run("results after the end", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.end("completed", resultLines(2), "")
		f.works(nil)
		f.put("out", resultLines(2)+work)
		f.put("err", work)
		f.works(nil)
		f.has("out", resultLines(2)+work)
		f.has("err", work)
	})
}
