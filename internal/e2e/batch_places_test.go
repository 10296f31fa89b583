package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"perdure/internal/modeltest"
)

// prompts are n of a kind, each of which is different.
func prompts(kind string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(kind, " ", i)
	}
	return all
}

// TestBatchesShare: the batches of an organization divide its places; one that pauses leaves its own to the other.
func TestBatchesShare(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "batches:\n  concurrency: 3\n  tenant_concurrency: 4\n")
	ctx := b.ctx(t)
	windows := func(running, window int) func(batchObject) bool {
		return func(o batchObject) bool { return o.Progress.Running == running && o.Progress.Window == window }
	}
	first := createBatch(ctx, t, b.url, b.upload(t, prompts("wait", 8)...), "")
	batchUntil(ctx, t, b.url, first.ID, "alone, as wide as it may be", windows(3, 3))
	second := createBatch(ctx, t, b.url, b.upload(t, prompts("wait", 8)...), "")
	batchUntil(ctx, t, b.url, second.ID, "at its share", windows(2, 2))
	batchUntil(ctx, t, b.url, first.ID, "narrower, with the lines that it has begun", windows(3, 2))

	readAs[batchObject](t, b.post(t, "/v1/batches/"+second.ID+"/pause", ""))
	batchUntil(ctx, t, b.url, first.ID, "as wide as before", windows(3, 3))
	readAs[batchObject](t, b.post(t, "/v1/batches/"+second.ID+"/resume", ""))
	batchUntil(ctx, t, b.url, first.ID, "narrower again", windows(3, 2))
	if _, err := b.model.WaitRequest(ctx, 4); err != nil { // a line that runs may not have asked yet
		t.Fatal(err)
	}
	if n := len(b.model.Requests()); n != 5 {
		t.Errorf("%d lines have begun, want the three and the two", n)
	}
	close(b.gate)
	for _, id := range []string{first.ID, second.ID} {
		if done := batchUntil(ctx, t, b.url, id, "completed", ended); done.RequestCounts.Completed != 8 {
			t.Errorf("it ends as %+v", done)
		}
	}
}

// TestBatchObeysAProvider: refusals of a provider make a batch narrow, turns that it takes make it wide again, and no line is lost or
// answered twice.
func TestBatchObeysAProvider(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refused := map[string]bool{}
	narrow, wide := make(chan struct{}), make(chan struct{})
	k := newKillStack(t, "batches:\n  concurrency: 8\n", func(r modeltest.Request) modeltest.Reply {
		text := r.Messages[0].Content
		answer := modeltest.Text("answer to " + text)
		switch kind, _, _ := strings.Cut(text, " "); kind {
		case "busy": // once for each
			mu.Lock()
			defer mu.Unlock()
			if !refused[text] {
				refused[text] = true
				return modeltest.RateLimited(1)
			}
		case "narrow":
			return answer.Hold(narrow)
		case "wide":
			return answer.Hold(wide)
		}
		return answer
	})
	b := &batchStack{killStack: k}
	ctx := b.ctx(t)
	const busy, held = 24, 16
	all := slices.Concat(prompts("busy", busy), prompts("narrow", held), prompts("wide", held))
	made := createBatch(ctx, t, b.url, b.upload(t, all...), "")
	slow := batchUntil(ctx, t, b.url, made.ID, "narrow", func(o batchObject) bool {
		return o.Progress.Begun > busy && o.Progress.Running == o.Progress.Window
	})
	if p := slow.Progress; p.Window > 2 || p.Throttled != busy {
		t.Errorf("after %d refusals: %+v", busy, p)
	}
	close(narrow)
	batchUntil(ctx, t, b.url, made.ID, "wide", func(o batchObject) bool {
		return o.Progress.Begun > busy+held && o.Progress.Running == o.Progress.Window && o.Progress.Window >= 4
	})
	close(wide)
	done := batchUntil(ctx, t, b.url, made.ID, "completed", ended)
	var want []string
	for n, p := range all {
		want = append(want, fmt.Sprintf("c%d answer to %s", n, p))
	}
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID), want...)
	if n := len(b.model.Requests()); n != len(all)+busy {
		t.Errorf("the model was asked %d times, want %d and once more for each of %d refusals", n, len(all), busy)
	}
}

// TestBatchStarvesNobody: whatever comes while the lines of a batch wait for a worker is done before them, be it of the same organization
// and be it that nobody waits for it.
func TestBatchStarvesNobody(t *testing.T) {
	t.Parallel()
	const lines, wide = 24, 12
	release := make(chan struct{})
	k := newKillStack(t, fmt.Sprintf("batches:\n  concurrency: %d\nworker:\n  max_concurrent_activities: %d\n", wide, floodSlots),
		func(r modeltest.Request) modeltest.Reply {
			reply := modeltest.Text("done")
			if r.N < floodSlots {
				return reply.Hold(release)
			}
			return reply
		})
	b := &batchStack{killStack: k}
	ctx := b.ctx(t)
	made := createBatch(ctx, t, b.url, b.upload(t, prompts("line", lines)...), "")
	b.awaitQueue(t, wide-floodSlots)
	later := b.sendLater(t, b.url, apiKey, `{"input": "somebody waits"}`)
	b.post(t, "/v1/responses", `{"input": "in the background", "background": true}`)
	b.awaitQueue(t, wide-floodSlots+2)
	close(release)
	if got := (<-later).must(t).decode(t); got.Status != "completed" {
		t.Errorf("the run for which somebody waits is %s", got.Status)
	}
	batchUntil(ctx, t, b.url, made.ID, "completed", ended)
	order := requested(b.model)
	// Two steps were under way, and as many may have been handed to the worker already.
	for what, most := range map[string]int{"somebody waits": 5, "in the background": 6} {
		if at := slices.Index(order, what); at < 0 || at >= most {
			t.Errorf("the request of the run %q is number %d of %d, want it among the first %d: %q", what, at, len(order), most, order)
		}
	}
}
