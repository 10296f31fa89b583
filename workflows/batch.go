package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/batch"
)

// BatchName is the name under which [Batch] is registered. It never changes.
const BatchName = contract.BatchName

// BatchInput starts a batch. The workflow's ID is the batch's. Like [ResponseInput], it comes in two forms.
type BatchInput struct {
	// Request is set in the second form, and nothing else: that is [contract.BatchInput].
	Request *contract.BatchRequest `json:"request,omitempty"`

	BatchID string `json:"batch_id"`
	// Organization, User and Key are those that the lines run for: the tenant, who it is there, and the name of the API key.
	Organization string `json:"organization"`
	User         string `json:"user"`
	Key          string `json:"key,omitempty"`
	// Role is the most that the lines may do for the user, and MembersOnly has those refused that begin when the user is no member any more;
	// see [contract.Request].
	Role        string `json:"role,omitempty"`
	MembersOnly bool   `json:"members_only,omitempty"`
	// Concurrency is how many lines may run at the same time.
	Concurrency int `json:"concurrency"`
	// Created and Deadline are when the completion window begins and ends.
	Created  time.Time   `json:"created"`
	Deadline time.Time   `json:"deadline"`
	Limits   BatchLimits `json:"limits"`
	// Carried is set for an execution that goes on where an earlier one of the same batch has stopped.
	Carried *BatchCarried `json:"carried,omitempty"`
}

// BatchLimits are what a deployment bounds batches by. They travel with the batch, so that a change of configuration does not change what
// a batch under way does when it is replayed.
type BatchLimits struct {
	// Places is how many lines of all batches of the organization may run at the same time.
	Places int `json:"places"`
	// RunTimeout bounds the run of one line.
	RunTimeout time.Duration `json:"run_timeout"`
	// Segment is how many lines are written to the output at once.
	Segment int `json:"segment"`
	// Ahead is how many lines may have been begun that are not in the output yet, because one before them is still running.
	Ahead int `json:"ahead"`
	// HistoryEvents and HistoryBytes are how long the history of one execution may get before the batch goes on as a new one. Events are
	// never exceeded: room is left for what ends the lines under way.
	HistoryEvents int `json:"history_events"`
	HistoryBytes  int `json:"history_bytes"`
}

// BatchResult is what a batch came to. What its lines came to is in its files.
type BatchResult struct {
	Status   batch.Status   `json:"status"`
	Progress batch.Progress `json:"progress"`
}

// Batch runs every line of a file as a [Response] of its own, so many at a time, and writes what they come to into two files, in the order
// of the lines. See the package comment.
func Batch(ctx workflow.Context, in BatchInput) (BatchResult, error) {
	if in.Request != nil {
		accepted, err := acceptBatch(ctx, *in.Request)
		if err != nil {
			_, err = refused(ctx, err)
			return BatchResult{Status: batch.Failed}, err
		}
		in = accepted
	}
	// Who cancels the workflow cancels the batch. That takes steps, which go on.
	steps, _ := workflow.NewDisconnectedContext(ctx)
	b := newBatchRun(in)
	b.attentive = workflow.GetVersion(steps, "batch-asks-when-told", workflow.DefaultVersion, 1) > workflow.DefaultVersion
	if err := b.announce(steps); err != nil {
		return BatchResult{}, err
	}
	b.listen(steps, ctx)
	if in.Carried == nil {
		if err := b.prepare(steps); err != nil || b.status.Ended() {
			return b.result(), err
		}
	}
	b.work(steps)
	if !b.done() && b.fault == nil {
		return b.result(), b.carryOn(steps)
	}
	err := b.finish(steps)
	return b.result(), err
}

// batchRun is the state of a batch.
type batchRun struct {
	in     BatchInput
	status batch.Status // as far as this workflow has brought it
	file   string       // with the lines
	total  int
	window window

	// Lines count from 1. Those before next were begun, those up to ended have all ended, and those up to collected are in the files.
	next, ended, collected int
	running                map[int]*line
	starting               int // lines of which Temporal has not said yet that they run
	strayed                int // lines under way that are strays
	progress               batch.Progress
	seen                   BatchSeen

	paused   bool
	controls int // how often a client has said what it wants
	// attentive is set where the batch asks for its share as soon as a client wants something, and until nothing can be wanted any more.
	attentive bool
	// ending is set when no more lines are to be begun before all were: the batch is cancelled, or its time is over.
	ending batch.Status
	// leaving is set when the history is full, and closing when this execution waits for no more lines.
	leaving, closing bool
	fault            error // with which a step failed for good
	pace             pace
	executions       int // before this one
}

// line is a line under way.
type line struct {
	// epoch is that of the window when the line began: see [window.ended].
	epoch int
	// stray is set for a line whose end this execution does not hear of by itself: another has begun it.
	stray bool
}

func newBatchRun(in BatchInput) *batchRun {
	b := &batchRun{
		in: in, status: batch.Validating, next: 1, running: map[int]*line{}, window: newWindow(in.Concurrency, in.Concurrency),
	}
	if in.Carried != nil {
		b.resume(in.Carried)
	}
	return b
}

func (b *batchRun) result() BatchResult { return BatchResult{Status: b.status, Progress: b.progress} }

// prepare looks at the batch's file, and at whether there is still such a batch.
func (b *batchRun) prepare(ctx workflow.Context) error {
	var begun BatchBeginResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, batchOptions("look at the file")), BatchBeginName,
		BatchBeginInput{Organization: b.in.Organization, BatchID: b.in.BatchID, Places: b.in.Limits.Places}).Get(ctx, &begun)
	if err != nil {
		return err
	}
	b.status, b.file, b.total, b.progress.Total = begun.Status, begun.File, begun.Lines, begun.Lines
	if b.controls == 0 { // what a client has said meanwhile is newer
		b.paused = begun.Paused
	}
	b.window.share = begun.Share
	if b.status == batch.Cancelling {
		b.stop(batch.Cancelled)
	}
	b.tell(ctx)
	return nil
}

// work begins lines, and returns when all that were begun have ended and are in the files, or this execution is to stop.
func (b *batchRun) work(ctx workflow.Context) {
	lines, cancelLines := workflow.WithCancel(ctx)
	aside, over := workflow.WithCancel(ctx)
	defer over()
	workflow.Go(aside, b.expire)
	workflow.Go(aside, b.askShare)
	workflow.Go(aside, b.awaitStrays)
	workflow.Go(aside, func(ctx workflow.Context) { b.cancelLines(ctx, cancelLines) })
	collector := workflow.NewWaitGroup(ctx)
	collector.Add(1)
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer collector.Done()
		b.collect(ctx)
	})
	for b.await(ctx, func() bool { return b.over(ctx) || b.room() }) && !b.over(ctx) {
		b.begin(lines)
	}
	b.drain(ctx)
	collector.Wait(ctx)
}

// await is [workflow.Await]. It is false once a step has failed for good, and when the context is cancelled.
func (b *batchRun) await(ctx workflow.Context, condition func() bool) bool {
	err := workflow.Await(ctx, func() bool { return b.fault != nil || condition() })
	return err == nil && b.fault == nil
}

// fail keeps the first fault.
func (b *batchRun) fail(err error) {
	if b.fault == nil {
		b.fault = err
	}
}

// last reports whether no line is to be begun any more, by no execution.
func (b *batchRun) last() bool { return b.next > b.total || b.ending != "" }

// over reports whether this execution begins no more lines.
func (b *batchRun) over(ctx workflow.Context) bool { return b.last() || b.full(ctx) }

// room reports whether a line may be begun.
func (b *batchRun) room() bool {
	return !b.paused && len(b.running) < b.window.limit() && b.next-b.collected <= b.in.Limits.Ahead
}

// done reports whether every line that is to be run has ended and is in the files.
func (b *batchRun) done() bool { return b.last() && len(b.running) == 0 && b.collected == b.next-1 }

// drain waits for the lines under way: for all of them at the end of the batch, and for those that end soon if it goes on in another
// execution, which waits for the others.
func (b *batchRun) drain(ctx workflow.Context) {
	if b.last() {
		b.await(ctx, func() bool { return len(b.running) == 0 || b.full(ctx) })
	}
	if len(b.running) > 0 {
		_, err := workflow.AwaitWithTimeout(ctx, drainPatience, func() bool { return len(b.running) == 0 })
		b.fail(err)
		// Of a line that the server has not begun yet, nobody could tell whether it ever will.
		b.fail(workflow.Await(ctx, func() bool { return b.starting == 0 }))
	}
	b.closing = true
}
