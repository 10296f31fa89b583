package workflows

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/batch"
	"perdure/internal/responses"
)

func asError(err error, target any) bool { return errors.As(err, target) }

// A line that ends makes room for the next one at once: no page of lines is waited for.
func TestBatchRunsAWindowOfLines(t *testing.T) {
	t.Parallel()
	h := newHall(t, 40)
	h.line = func(ctx workflow.Context, number int) (Outcome, error) {
		if number == 1 {
			return done(ctx, 30*time.Second)
		}
		return done(ctx, 2*time.Second)
	}
	got, err := h.execute(h.input())
	if err != nil {
		t.Fatal(err)
	}
	h.eachOnce(40)
	h.inOrder(40)
	if h.most != 4 {
		t.Errorf("%d lines ran at the same time, want 4", h.most)
	}
	// 39 lines of 2 s on the three places beside the slow one.
	if took := h.env.Now().Sub(h.began); took > 31*time.Second {
		t.Errorf("it took %v", took)
	}
	if got.Status != batch.Completed || got.Progress.Completed != 40 || !slices.Equal(h.ended, []batch.Status{batch.Completed}) {
		t.Errorf("ended as %+v, %v", got, h.ended)
	}
}

// The order of the files is that of the input. Where a line is slow, those behind it wait, so many and no more.
func TestBatchWaitsForASlowLine(t *testing.T) {
	t.Parallel()
	h := newHall(t, 60)
	h.line = func(ctx workflow.Context, number int) (Outcome, error) {
		if number == 3 {
			return done(ctx, 10*time.Minute)
		}
		return done(ctx, time.Second)
	}
	in := h.input()
	in.Limits.Ahead = 20
	h.after(5*time.Minute, func() {
		if p := h.progress(); p.Begun != 22 || p.Running != 1 || p.Progress.Completed != 2 {
			t.Errorf("while the third line runs: %+v", p)
		}
	})
	if _, err := h.execute(in); err != nil {
		t.Fatal(err)
	}
	h.eachOnce(60)
	h.inOrder(60)
}

// What has ended is in the files after a while, although no segment is full.
func TestBatchWritesWhatThereIs(t *testing.T) {
	t.Parallel()
	h := newHall(t, 8)
	h.line = func(ctx workflow.Context, number int) (Outcome, error) {
		return done(ctx, time.Duration(number)*20*time.Second)
	}
	if _, err := h.execute(h.input()); err != nil {
		t.Fatal(err)
	}
	h.inOrder(8)
	if len(h.collected) < 4 {
		t.Errorf("%d parts for lines that end one after another", len(h.collected))
	}
}

func TestBatchPausesAndGoesOn(t *testing.T) {
	t.Parallel()
	h := newHall(t, 40)
	h.after(2500*time.Millisecond, func() { h.control(BatchPause) })
	h.after(5*time.Minute, func() {
		p := h.progress()
		if !p.Paused || p.Running != 0 || p.Begun != 12 || p.Progress.Completed != 12 {
			t.Errorf("while it is paused: %+v", p)
		}
		h.control(BatchResume)
	})
	h.share.Paused = true // as the database says until it goes on
	h.after(5*time.Minute, func() { h.mu.Lock(); h.share.Paused = false; h.mu.Unlock() })
	if _, err := h.execute(h.input()); err != nil {
		t.Fatal(err)
	}
	h.eachOnce(40)
	h.inOrder(40)
}

// A batch that is paused has no places. It asks for them as soon as it is to go on, not when it would have asked anyway.
func TestBatchGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	h := newHall(t, 40)
	share := func(s BatchShareResult) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.share = s
	}
	h.after(2500*time.Millisecond, func() { share(BatchShareResult{Paused: true}); h.control(BatchPause) })
	h.after(5*time.Minute, func() { share(BatchShareResult{Share: 4}); h.control(BatchResume) })
	h.after(5*time.Minute+2*time.Second, func() {
		if p := h.progress(); p.Running != 4 || p.Share != 4 {
			t.Errorf("two seconds after it was told to go on: %+v", p)
		}
	})
	if _, err := h.execute(h.input()); err != nil {
		t.Fatal(err)
	}
	h.eachOnce(40)
}

// A batch whose lines have all begun can still be cancelled, also when its signal was lost.
func TestBatchCancelledAtItsLastLines(t *testing.T) {
	t.Parallel()
	h := newHall(t, 3)
	h.line = func(ctx workflow.Context, _ int) (Outcome, error) { return done(ctx, 30*time.Minute) }
	h.after(10*time.Minute, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.share.Cancelled = true
	})
	got, err := h.execute(h.input())
	if took := h.env.Now().Sub(h.began); err != nil || got.Status != batch.Cancelled || len(h.cancelled) != 3 || took > 11*time.Minute {
		t.Errorf("ended as %+v, %v, after %v, with lines %v cancelled", got, err, took, h.cancelled)
	}
}

// What a client could not say to the workflow is in the database.
func TestBatchLooksIntoTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHall(t, 4000)
	h.share.Paused = true
	h.after(10*time.Minute, func() {
		if p := h.progress(); !p.Paused || p.Running != 0 {
			t.Errorf("while it is paused: %+v", p)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.share.Paused, h.share.Cancelled = false, true
	})
	got, err := h.execute(h.input())
	if err != nil || got.Status != batch.Cancelled {
		t.Errorf("ended as %+v, %v", got, err)
	}
	h.inOrder(4000)
}

func TestBatchEndsEarly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(h *hall, in *BatchInput)
		want batch.Status
	}{
		"cancelled": {func(h *hall, _ *BatchInput) { h.after(3500*time.Millisecond, func() { h.control(BatchCancel) }) }, batch.Cancelled},
		"cancelled while paused": {func(h *hall, _ *BatchInput) {
			h.after(3500*time.Millisecond, func() { h.control(BatchPause); h.control(BatchCancel) })
		}, batch.Cancelled},
		"cancelled in Temporal": {func(h *hall, _ *BatchInput) { h.after(3500*time.Millisecond, h.env.CancelWorkflow) }, batch.Cancelled},
		"its time is over":      {func(h *hall, in *BatchInput) { in.Deadline = h.began.Add(3500 * time.Millisecond) }, batch.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t, 5000)
			in := h.input()
			tt.end(h, &in)
			got, err := h.execute(in)
			if err != nil {
				t.Fatal(err)
			}
			h.eachOnce(16)
			h.inOrder(5000)
			slices.Sort(h.cancelled)
			if !slices.Equal(h.cancelled, []int{13, 14, 15, 16}) {
				t.Errorf("lines %v were cancelled, want those under way", h.cancelled)
			}
			for _, c := range h.collected {
				if c.Begun != 17 && c.Until > 12 || c.Ending != tt.want && c.Until > 12 {
					t.Errorf("lines %d to %d are written as %+v", c.From, c.Until, c)
				}
			}
			if got.Status != tt.want || !slices.Equal(h.ended, []batch.Status{tt.want}) || got.Progress.Done() != 5000 {
				t.Errorf("ended as %+v, %v", got, h.ended)
			}
		})
	}
}

// A batch whose file is none that can be run ends at once, and so does one that was cancelled before it began.
func TestBatchThatRunsNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status batch.Status
		lines  int
		ended  []batch.Status
	}{
		{batch.Failed, 0, nil},
		{batch.Cancelled, 0, nil},
		{batch.Cancelling, 30, []batch.Status{batch.Cancelled}},
	} {
		h := newHall(t, tt.lines)
		h.begin.Status = tt.status
		got, err := h.execute(h.input())
		if err != nil || len(h.runs) != 0 || !slices.Equal(h.ended, tt.ended) {
			t.Errorf("%s: %+v, %d lines ran, ended %v, error %v", tt.status, got, len(h.runs), h.ended, err)
		}
		h.inOrder(tt.lines)
	}
}

// Whatever becomes of a line is that line's affair.
func TestBatchWithLinesThatFail(t *testing.T) {
	t.Parallel()
	h := newHall(t, 30)
	h.line = func(ctx workflow.Context, number int) (Outcome, error) {
		switch number % 5 {
		case 1:
			out := Outcome{Status: responses.ResponseFailed, Error: &responses.RunError{Message: "no"}}
			return out, temporal.NewApplicationErrorWithOptions("no", ErrTypeFailed, temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{out}})
		case 2:
			panic("a defect")
		case 3:
			return done(ctx, 2*time.Hour) // longer than a run may take
		}
		return done(ctx, time.Second)
	}
	got, err := h.execute(h.input())
	if err != nil || got.Status != batch.Completed {
		t.Errorf("ended as %+v, %v", got, err)
	}
	h.eachOnce(30)
	h.inOrder(30)
}

// A step that fails for good, which is a defect, ends the batch and is not waited for.
func TestBatchWithAStepThatFails(t *testing.T) {
	t.Parallel()
	h := newHall(t, 100)
	h.collectErr = temporal.NewNonRetryableApplicationError("a defect", "defect", nil)
	_, err := h.execute(h.input())
	if err == nil || !strings.Contains(err.Error(), "a defect") || !slices.Equal(h.ended, []batch.Status{batch.Failed}) || h.reason != "" {
		t.Errorf("ended as %v (%s) with %v", h.ended, h.reason, err)
	}
	lost := newHall(t, 100)
	lost.collectErr = temporal.NewNonRetryableApplicationError("the content is damaged", ErrTypeBatchFiles, nil)
	_, err = lost.execute(lost.input())
	if err == nil || !slices.Equal(lost.ended, []batch.Status{batch.Failed}) || lost.reason != "the content is damaged" {
		t.Errorf("ended as %v (%s) with %v", lost.ended, lost.reason, err)
	}
}

func TestBatchObeysItsShare(t *testing.T) {
	t.Parallel()
	h := newHall(t, 200)
	h.begin.Share, h.share.Share = 2, 1
	h.after(10*time.Second, func() {
		if p := h.progress(); p.Running != 2 || p.Window != 2 {
			t.Errorf("with two places: %+v", p)
		}
	})
	h.after(20*time.Second, func() {
		if p := h.progress(); p.Running != 1 || p.Window != 1 {
			t.Errorf("with one place: %+v", p)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.share.Share = 0
	})
	h.after(40*time.Second, func() {
		if p := h.progress(); p.Running != 0 || p.Window != 0 {
			t.Errorf("without places: %+v", p)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.share.Share = 3
	})
	h.after(60*time.Second, func() {
		if p := h.progress(); p.Running != 3 {
			t.Errorf("with three places: %+v", p)
		}
	})
	if _, err := h.execute(h.input()); err != nil {
		t.Fatal(err)
	}
	h.eachOnce(200)
}

// A provider that refuses turns makes the window narrow, and wide again once it does not.
func TestBatchSlowsDown(t *testing.T) {
	t.Parallel()
	h := newHall(t, 400)
	in := h.input()
	in.Concurrency = 16
	refusing := true
	h.line = func(ctx workflow.Context, _ int) (Outcome, error) {
		out, err := done(ctx, time.Second)
		if refusing {
			out.Throttled = 1
		}
		return out, err
	}
	// One refusal for each width: 16, 8, 4, 2, 1.
	h.after(1500*time.Millisecond, func() {
		if p := h.progress(); p.Window != 8 || p.Throttled != 16 {
			t.Errorf("after the first second: %+v", p)
		}
	})
	h.after(10*time.Second, func() {
		if p := h.progress(); p.Window != 1 || p.Running != 1 {
			t.Errorf("while the provider refuses: %+v", p)
		}
		refusing = false
	})
	h.after(60*time.Second, func() {
		if p := h.progress(); p.Window < 8 || p.Rate <= 0 || p.Left <= 0 {
			t.Errorf("when it does not any more: %+v", p)
		}
	})
	if _, err := h.execute(in); err != nil {
		t.Fatal(err)
	}
	h.eachOnce(400)
}

// TestBatchContinuesAsNew: an execution whose history is full hands over what it knows; slow lines run on, and are waited for by the next.
func TestBatchContinuesAsNew(t *testing.T) {
	t.Parallel()
	first := newHall(t, 50)
	first.line = func(ctx workflow.Context, number int) (Outcome, error) {
		if number == 7 {
			return done(ctx, time.Hour)
		}
		return done(ctx, time.Second)
	}
	first.after(3500*time.Millisecond, func() { first.env.SetCurrentHistoryLength(9000) })
	first.after(4*time.Second, func() { first.control(BatchPause) })
	first.after(5*time.Second, func() { first.control(BatchResume) })
	_, err := first.execute(first.input())
	in := carriedBy(t, err)
	c := in.Carried
	if c.Next != 15 || c.Total != 50 || !slices.Equal(c.Running, []int{7}) || c.Collected > 6 || c.Paused || c.Executions != 1 || c.File != "file-1" {
		t.Fatalf("it hands over %+v", c)
	}
	if len(first.cancelled) != 0 {
		t.Errorf("lines %v were cancelled", first.cancelled)
	}

	second := newHall(t, 50)
	second.endsOf = func(lines []int) []EndedLine { return []EndedLine{{Line: lines[0], Failed: true}} }
	got, err := second.execute(in)
	if err != nil || got.Status != batch.Completed || got.Progress.Total != 50 {
		t.Fatalf("ended as %+v, %v", got, err)
	}
	if len(second.order) != 36 || slices.Min(second.order) != 15 || len(second.awaited) != 1 || !slices.Equal(second.awaited[0], []int{7}) {
		t.Errorf("the second execution runs %v and waits for %v", second.order, second.awaited)
	}
	all := newHall(t, 0)
	all.collected = slices.Concat(first.collected, second.collected)
	all.inOrder(50)
}

// With quick lines there is nobody to wait for.
func TestBatchContinuesAsNewWithoutLinesUnderWay(t *testing.T) {
	t.Parallel()
	h := newHall(t, 50)
	h.after(3500*time.Millisecond, func() { h.env.SetCurrentHistoryLength(9000) })
	_, err := h.execute(h.input())
	if c := carriedBy(t, err).Carried; len(c.Running) != 0 || c.Next != 17 {
		t.Errorf("it hands over %+v", c)
	}
	if took := h.env.Now().Sub(h.began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
