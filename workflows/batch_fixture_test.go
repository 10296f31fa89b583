package workflows

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/responses"
)

// hall plays everything around a batch: its lines, and the steps that look into files and database.
type hall struct {
	t     *testing.T
	env   *testsuite.TestWorkflowEnvironment
	began time.Time
	// line plays the run of a line.
	line func(ctx workflow.Context, number int) (Outcome, error)

	mu         sync.Mutex
	begin      BatchBeginResult
	share      BatchShareResult
	now, most  int   // lines that run, and the most that ever did
	order      []int // of their beginnings
	runs       map[int]int
	cancelled  []int
	wrong      []string // of how lines are started; a workflow must not tell a test
	collected  []BatchCollectInput
	inFiles    batch.Progress // what the database would say
	ended      []batch.Status
	reason     string // of the last
	awaited    [][]int
	endsOf     func(lines []int) []EndedLine // of lines of an earlier execution
	collectErr error
}

func newHall(t *testing.T, lines int) *hall {
	h := &hall{t: t, runs: map[int]int{}, begin: BatchBeginResult{Status: batch.InProgress, File: "file-1", Lines: lines, Share: 1000}}
	h.share.Share = 1000
	h.line = func(ctx workflow.Context, _ int) (Outcome, error) { return done(ctx, time.Second) }
	h.env = newEnvironment()
	h.began = h.env.Now()
	t.Cleanup(func() {
		for _, wrong := range h.wrong {
			t.Error(wrong)
		}
	})
	h.env.RegisterWorkflowWithOptions(Batch, workflow.RegisterOptions{Name: BatchName})
	h.env.RegisterWorkflowWithOptions(h.run, workflow.RegisterOptions{Name: ResponseName})
	for name, step := range map[string]any{
		BatchBeginName: func(context.Context, BatchBeginInput) (BatchBeginResult, error) { return locked(h, &h.begin), nil },
		BatchShareName: func(context.Context, BatchShareInput) (BatchShareResult, error) { return locked(h, &h.share), nil },
		BatchAwaitName: h.await, BatchCollectName: h.collect, BatchEndName: h.end,
	} {
		h.env.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: name})
	}
	return h
}

func locked[T any](h *hall, v *T) T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *v
}

func done(ctx workflow.Context, after time.Duration) (Outcome, error) {
	return Outcome{Status: responses.ResponseCompleted}, workflow.Sleep(ctx, after)
}

// run plays a line as it is started.
func (h *hall) run(ctx workflow.Context, in contract.ResponseInput) (Outcome, error) {
	number := in.Request.Line.Number
	h.mu.Lock()
	if id := workflow.GetInfo(ctx).WorkflowExecution.ID; id != batch.ResponseID("batch_1", number) {
		h.wrong = append(h.wrong, fmt.Sprintf("line %d runs as %s", number, id))
	}
	if in.Request.Organization != "acme" || in.Request.User != "ann" || in.Request.Batch != "batch_1" || in.Request.Line.File != "file-1" {
		h.wrong = append(h.wrong, fmt.Sprintf("line %d runs as %+v", number, in.Request))
	}
	h.order, h.now = append(h.order, number), h.now+1
	h.most = max(h.most, h.now)
	h.runs[number]++
	h.mu.Unlock()
	out, err := h.line(ctx, number)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now--
	if temporal.IsCanceledError(err) {
		h.cancelled = append(h.cancelled, number)
	}
	return out, err
}

func (h *hall) await(_ context.Context, in BatchAwaitInput) (BatchAwaitResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.awaited = append(h.awaited, in.Lines)
	return BatchAwaitResult{Ended: h.endsOf(in.Lines)}, nil
}

func (h *hall) collect(_ context.Context, in BatchCollectInput) (BatchCollectResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.collectErr != nil {
		return BatchCollectResult{}, h.collectErr
	}
	h.collected = append(h.collected, in)
	h.inFiles.Total = h.begin.Lines
	h.inFiles.Completed += max(0, min(in.Until+1, in.Begun)-in.From)
	h.inFiles.Failed += max(0, in.Until+1-max(in.From, in.Begun))
	return BatchCollectResult{Progress: h.inFiles}, nil
}

func (h *hall) end(_ context.Context, in BatchEndInput) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended, h.reason = append(h.ended, in.Status), in.Reason
	return nil
}

func (h *hall) input() BatchInput {
	return BatchInput{
		BatchID: "batch_1", Organization: "acme", User: "ann", Key: "laptop", Concurrency: 4, Created: h.began, Deadline: h.began.Add(24 * time.Hour),
		Limits: BatchLimits{Places: 1000, RunTimeout: time.Hour, Segment: 10, Ahead: 100, HistoryEvents: 9000, HistoryBytes: 8 << 20},
	}
}

func (h *hall) execute(in BatchInput) (BatchResult, error) {
	h.env.ExecuteWorkflow(BatchName, in)
	var result BatchResult
	err := h.env.GetWorkflowError()
	if err == nil {
		err = h.env.GetWorkflowResult(&result)
	}
	return result, err
}

// after does something at a time of the workflow.
func (h *hall) after(d time.Duration, do func()) { h.env.RegisterDelayedCallback(do, d) }

func (h *hall) control(c BatchControl) { h.env.SignalWorkflow(BatchControlName, c) }

func (h *hall) progress() BatchProgress {
	h.t.Helper()
	answer, err := h.env.QueryWorkflow(BatchProgressName)
	if err != nil {
		h.t.Fatal(err)
	}
	var p BatchProgress
	if err := answer.Get(&p); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// inOrder wants that the parts of the files have each line once, in order.
func (h *hall) inOrder(lines int) {
	h.t.Helper()
	next := 1
	for part, c := range h.collected {
		if c.From != next || c.Until < c.From {
			h.t.Errorf("part %d has lines %d to %d, want it from line %d on", part+1, c.From, c.Until, next)
		}
		next = c.Until + 1
	}
	if next != lines+1 {
		h.t.Errorf("%d lines are in the files, want %d", next-1, lines)
	}
}

func (h *hall) eachOnce(lines int) {
	h.t.Helper()
	for number, n := range h.runs {
		if n != 1 {
			h.t.Errorf("line %d ran %d times", number, n)
		}
	}
	if len(h.runs) != lines {
		h.t.Errorf("%d lines ran, want %d", len(h.runs), lines)
	}
}

// carriedBy returns the input of the execution that goes on with what err ended.
func carriedBy(t *testing.T, err error) BatchInput {
	t.Helper()
	var again *workflow.ContinueAsNewError
	if !asError(err, &again) {
		t.Fatalf("ended with %v", err)
	}
	var in BatchInput
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &in); err != nil {
		t.Fatal(err)
	}
	if in.Carried == nil {
		t.Fatal(fmt.Sprint("it hands nothing over: ", in))
	}
	return in
}
