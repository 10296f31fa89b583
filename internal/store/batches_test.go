package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/batch"
	"perdure/internal/identity"
	"perdure/internal/store"
)

// batchOf is a batch that was just made.
func batchOf(organization string, n int) batch.Batch {
	b := batch.Batch{
		ID: fmt.Sprintf("batch_%s%d", organization, n), Organization: organization, User: "ann", Key: "laptop", Endpoint: batch.Endpoint,
		InputFile: "file-in", OutputFile: "file-out", ErrorFile: "file-err", Window: 24 * time.Hour, OutputAge: time.Hour, Concurrency: 8,
		Metadata: map[string]string{"of": "ann"}, RetryOf: "batch_0", Fingerprint: "f", Status: batch.Validating,
	}
	b.Times.Created = time.UnixMicro(int64(1_000_000 + n)).UTC()
	return b
}

const manyBatches = 1000

func addBatch(t *testing.T, w *world, n int) batch.Batch {
	t.Helper()
	b := batchOf("acme", n)
	ok(t, w.AddBatch(t.Context(), identity.Operator("acme"), b, manyBatches))
	return b
}

func TestBatchIsWhatWasStored(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		want := addBatch(t, w, 1)
		got, err := w.Batch(t.Context(), "acme", want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if err := w.AddBatch(t.Context(), identity.Operator("acme"), want, manyBatches); !errors.Is(err, store.ErrConflict) {
			t.Errorf("the same once more: %v", err)
		}
		for _, organization := range []string{"umbrella", ""} {
			if _, err := w.Batch(t.Context(), organization, want.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("of organization %q: %v", organization, err)
			}
			if _, err := w.MoveBatch(t.Context(), organization, want.ID, batch.Cancelling); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("moved by organization %q: %v", organization, err)
			}
			if err := w.PauseBatch(t.Context(), identity.Operator(organization), want.ID, true); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("paused by organization %q: %v", organization, err)
			}
			ok(t, w.RemoveBatch(t.Context(), organization, want.ID))
			ok(t, w.StartedBatch(t.Context(), organization, want.ID))
			ok(t, w.AdvanceBatch(t.Context(), organization, want.ID, batch.Progress{Completed: 1}))
		}
		if again, err := w.Batch(t.Context(), "acme", want.ID); err != nil || cmp.Diff(want, again) != "" {
			t.Errorf("after what strangers did it is %+v, %v", again, err)
		}
	})
}

func TestBatchesAreListed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for n := range 5 {
			addBatch(t, w, n)
		}
		ok(t, w.AddBatch(t.Context(), identity.Operator("umbrella"), batchOf("umbrella", 9), manyBatches))
		var got []string
		after := ""
		for more := true; more; {
			var page []batch.Batch
			var err error
			page, more, err = w.Batches(t.Context(), "acme", after, 2)
			ok(t, err)
			for _, b := range page {
				got = append(got, b.ID)
				after = b.ID
			}
		}
		if diff := cmp.Diff([]string{"batch_acme4", "batch_acme3", "batch_acme2", "batch_acme1", "batch_acme0"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, _, err := w.Batches(t.Context(), "acme", "batch_umbrella9", 2); !errors.Is(err, store.ErrCursor) {
			t.Errorf("behind one of another organization: %v", err)
		}
	})
}

// A batch goes on through its statuses, never back; each has its time. What is repeated changes nothing.
func TestBatchMovesOn(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		b := addBatch(t, w, 1)
		for _, to := range []batch.Status{batch.Completed, batch.Finalizing} {
			if got, err := w.MoveBatch(ctx, "acme", b.ID, to); err != nil || got.Status != batch.Validating {
				t.Errorf("to %s before it ran: %+v, %v", to, got, err)
			}
		}
		got, err := w.RunBatch(ctx, "acme", b.ID, 40)
		if err != nil || got.Status != batch.InProgress || got.Total != 40 || got.Times.InProgress.IsZero() || !got.Started {
			t.Errorf("it runs as %+v, %v", got, err)
		}
		again, err := w.RunBatch(ctx, "acme", b.ID, 50)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%v, once more (-want +got):\n%s", err, diff)
		}
		p := batch.Progress{Total: 40, Completed: 10, Failed: 2}
		p.Usage.TotalTokens = 70
		ok(t, w.AdvanceBatch(ctx, "acme", b.ID, p))
		ok(t, w.AdvanceBatch(ctx, "acme", b.ID, batch.Progress{Total: 40, Completed: 9})) // an attempt that was thought lost
		must(t)(w.MoveBatch(ctx, "acme", b.ID, batch.Finalizing))
		if got, err := w.MoveBatch(ctx, "acme", b.ID, batch.Cancelling); err != nil || got.Status != batch.Finalizing {
			t.Errorf("cancelled too late: %+v, %v", got, err)
		}
		must(t)(w.MoveBatch(ctx, "acme", b.ID, batch.Completed))
		for _, to := range []batch.Status{batch.Cancelling, batch.Cancelled, batch.Expired, batch.Finalizing} {
			must(t)(w.MoveBatch(ctx, "acme", b.ID, to))
		}
		must(t)(w.FailBatch(ctx, "acme", b.ID, []batch.Problem{{Code: "x"}}))
		got, err = w.Batch(ctx, "acme", b.ID)
		if err != nil || got.Status != batch.Completed || cmp.Diff(p, got.Progress) != "" || len(got.Errors) != 0 ||
			got.Times.Completed.Before(got.Times.Finalizing) || !got.Times.Cancelling.IsZero() {
			t.Errorf("it ended as %+v, %v", got, err)
		}
		if err := w.PauseBatch(ctx, identity.Operator("acme"), b.ID, true); !errors.Is(err, store.ErrConflict) {
			t.Errorf("paused after its end: %v", err)
		}
	})
}

func TestBatchThatCannotBeRun(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		b := addBatch(t, w, 1)
		problems := []batch.Problem{{Code: "empty_file", Message: "no requests", Param: "input_file_id"}, {Code: "c", Message: "m", Line: 7}}
		got, err := w.FailBatch(t.Context(), "acme", b.ID, problems)
		if err != nil || got.Status != batch.Failed || cmp.Diff(problems, got.Errors) != "" || got.Times.Failed.IsZero() {
			t.Errorf("it failed as %+v, %v", got, err)
		}
	})
}

func TestRunningBatches(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx, by := t.Context(), identity.Operator("acme")
		for n := range 5 {
			b := addBatch(t, w, n)
			if n > 0 { // the first is not running yet
				must(t)(w.RunBatch(ctx, "acme", b.ID, 10))
			}
		}
		ok(t, w.PauseBatch(ctx, by, "batch_acme2", true))
		must(t)(w.CancelBatch(ctx, by, "batch_acme3"))
		got, err := w.RunningBatches(ctx, "acme")
		if diff := cmp.Diff([]batch.Running{{ID: "batch_acme1", Concurrency: 8}, {ID: "batch_acme4", Concurrency: 8}}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		ok(t, w.PauseBatch(ctx, by, "batch_acme2", false))
		if got, _ := w.RunningBatches(ctx, "acme"); len(got) != 3 {
			t.Errorf("after it went on: %+v", got)
		}
		if got, _ := w.RunningBatches(ctx, "umbrella"); len(got) != 0 {
			t.Errorf("another organization has %+v", got)
		}
	})
}

func TestTooManyBatches(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx, by := t.Context(), identity.Operator("acme")
		for n := range 2 {
			ok(t, w.AddBatch(ctx, by, batchOf("acme", n), 2))
		}
		if err := w.AddBatch(ctx, by, batchOf("acme", 2), 2); !errors.Is(err, store.ErrTooMany) {
			t.Errorf("a third: %v", err)
		}
		if _, err := w.Batch(ctx, "acme", "batch_acme2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the third is there: %v", err)
		}
		ok(t, w.AddBatch(ctx, identity.Operator("umbrella"), batchOf("umbrella", 1), 2))
		must(t)(w.MoveBatch(ctx, "acme", "batch_acme1", batch.Cancelled))
		ok(t, w.AddBatch(ctx, by, batchOf("acme", 2), 2))
		ok(t, w.RemoveBatch(ctx, "acme", "batch_acme2"))
		if _, err := w.Batch(ctx, "acme", "batch_acme2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it was not removed: %v", err)
		}
		ok(t, w.StartedBatch(ctx, "acme", "batch_acme0"))
		ok(t, w.RemoveBatch(ctx, "acme", "batch_acme0"))
		must(t)(w.Batch(ctx, "acme", "batch_acme0")) // one that was started stays
	})
}
