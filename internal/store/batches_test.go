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
		InputFile: "file-in", OutputFile: fmt.Sprintf("file-%s%d-out", organization, n), ErrorFile: fmt.Sprintf("file-%s%d-err", organization, n), Window: 24 * time.Hour, OutputAge: time.Hour, Concurrency: 8,
		Metadata: map[string]string{"of": "ann"}, RetryOf: "batch_0", Fingerprint: "f", Status: batch.Validating,
		MembersOnly: n%2 == 1,
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
			if err := w.RemoveBatch(t.Context(), organization, want.ID); !errors.Is(err, store.ErrConflict) {
				t.Errorf("removed by organization %q: %v", organization, err)
			}
			ok(t, w.StartedBatch(t.Context(), organization, want.ID))
			of := want
			of.Organization = organization
			if err := w.AppendSegment(t.Context(), of, store.Segment{Progress: batch.Progress{Completed: 1}}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("written to by organization %q: %v", organization, err)
			}
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
		beginFiles(t, w, b)
		ok(t, w.AppendSegment(ctx, got, segment(1, p)))
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

// beginFiles makes the files of a batch.
func beginFiles(t *testing.T, w *world, b batch.Batch) {
	t.Helper()
	for _, id := range []string{b.OutputFile, b.ErrorFile} {
		must(t)(w.BeginFile(t.Context(), store.File{
			ID: id, Organization: b.Organization, User: b.User, Purpose: "batch_output", Filename: id, Created: b.Times.Created, Expires: time.Now().Add(time.Hour),
		}, b.ID))
	}
}

// segment is one after which a batch is so far. Its parts have the number.
func segment(number int, p batch.Progress) store.Segment {
	part := store.FilePart{Number: number, Ref: fmt.Sprint("ref", number), Lines: 1, Rows: 1, Bytes: 10}
	return store.Segment{Output: part, Errors: store.FilePart{Number: number}, Progress: p}
}

// TestSegments: a batch's progress is what its files have. What another attempt has added, or would add twice, changes neither.
func TestSegments(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		b := addBatch(t, w, 1)
		beginFiles(t, w, b)
		before, err := w.RunBatch(ctx, "acme", b.ID, 3)
		ok(t, err)
		one, two := batch.Progress{Total: 3, Completed: 1}, batch.Progress{Total: 3, Completed: 2}
		ok(t, w.AppendSegment(ctx, before, segment(1, one)))
		after, err := w.Batch(ctx, "acme", b.ID)
		ok(t, err)
		for name, err := range map[string]error{
			"once more":                   w.AppendSegment(ctx, before, segment(1, one)),
			"of an attempt that is late":  w.AppendSegment(ctx, before, segment(2, two)),
			"a part that is there":        w.AppendSegment(ctx, after, segment(1, two)),
			"a part that does not follow": w.AppendSegment(ctx, after, segment(3, two)),
		} {
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		mixed := segment(2, two)
		mixed.Errors.Number = 3 // of the two parts, only one follows
		if err := w.AppendSegment(ctx, after, mixed); !errors.Is(err, store.ErrConflict) {
			t.Errorf("half a segment: %v", err)
		}
		for _, id := range []string{b.OutputFile, b.ErrorFile} {
			if f, err := w.File(ctx, "acme", id); err != nil || f.Parts != 1 {
				t.Errorf("%s is %+v, %v", id, f, err)
			}
		}
		if got, err := w.Batch(ctx, "acme", b.ID); err != nil || got.Progress != one {
			t.Errorf("the batch is at %+v, %v", got.Progress, err)
		}
		ok(t, w.AppendSegment(ctx, after, segment(2, two)))
		must(t)(w.FailBatch(ctx, "acme", b.ID, nil))
		after, err = w.Batch(ctx, "acme", b.ID)
		ok(t, err)
		if err := w.AppendSegment(ctx, after, segment(3, batch.Progress{Total: 3, Completed: 3})); !errors.Is(err, store.ErrConflict) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestCancelledBatches: one may be cancelled when it has not begun yet, and then still begins, to say of its lines that they did not run;
// and when nothing is left to cancel, and then ends as it would have.
func TestCancelledBatches(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx, by := t.Context(), identity.Operator("acme")
		early := addBatch(t, w, 1)
		got, err := w.CancelBatch(ctx, by, early.ID)
		if err != nil || got.Status != batch.Cancelling || got.Started {
			t.Errorf("cancelled before it began, it is %+v, %v", got, err)
		}
		for range 2 {
			if got, err = w.RunBatch(ctx, "acme", early.ID, 40); err != nil || got.Status != batch.Cancelling || got.Total != 40 {
				t.Errorf("with its lines it is %+v, %v", got, err)
			}
		}
		if got, err = w.Batch(ctx, "acme", early.ID); err != nil || got.Total != 40 {
			t.Errorf("later it is %+v, %v", got, err)
		}
		for n, to := range []batch.Status{batch.Completed, batch.Expired, batch.Cancelled} {
			late := addBatch(t, w, 2+n)
			must(t)(w.RunBatch(ctx, "acme", late.ID, 1))
			must(t)(w.CancelBatch(ctx, by, late.ID))
			if got, err := w.MoveBatch(ctx, "acme", late.ID, to); err != nil || got.Status != to {
				t.Errorf("cancelled too late, it is %s, not %s: %v", got.Status, to, err)
			}
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
		if err := w.RemoveBatch(ctx, "acme", "batch_acme0"); !errors.Is(err, store.ErrConflict) {
			t.Errorf("one that was started is removed: %v", err)
		}
		must(t)(w.Batch(ctx, "acme", "batch_acme0"))
	})
}
