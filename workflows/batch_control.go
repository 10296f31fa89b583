package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/batch"
)

// BatchControlName is the signal with a [BatchControl]. It never changes.
const BatchControlName = "control"

// BatchControl is what a client wants of a batch that runs. It is a signal and not an update, so that Temporal takes it at once, whether
// there is a worker or not.
type BatchControl string

// What a client may want. Pausing begins no more lines and lets those under way end.
const (
	BatchPause  BatchControl = "pause"
	BatchResume BatchControl = "resume"
	BatchCancel BatchControl = "cancel"
)

// listen obeys what clients want, and takes the cancellation of the workflow for that of the batch.
func (b *batchRun) listen(ctx, outside workflow.Context) {
	controls := workflow.GetSignalChannel(ctx, BatchControlName)
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var c BatchControl
			controls.Receive(ctx, &c)
			b.obey(ctx, c)
		}
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		outside.Done().Receive(ctx, nil)
		b.obey(ctx, BatchCancel)
	})
}

func (b *batchRun) obey(ctx workflow.Context, c BatchControl) {
	b.controls++
	switch c {
	case BatchPause:
		b.paused = true
	case BatchResume:
		b.paused = false
	case BatchCancel:
		b.stop(batch.Cancelled)
	default:
		workflow.GetLogger(ctx).Warn("Unknown control of a batch", "control", c)
		return
	}
	b.tell(ctx)
}

// stop has no more lines begun, and those under way cancelled, unless all have ended.
func (b *batchRun) stop(as batch.Status) {
	if b.ending == "" && (b.status == batch.Validating || !b.settled()) {
		b.ending = as
	}
}

// expire ends the batch when its time is over. It is for this execution alone.
func (b *batchRun) expire(ctx workflow.Context) {
	if err := workflow.Sleep(ctx, b.in.Deadline.Sub(workflow.Now(ctx))); err == nil {
		b.stop(batch.Expired)
		b.tell(ctx)
	}
}

// askShare asks, again and again, how many of the organization's places the batch may have, and whether it was paused or cancelled: the
// database has it even if the signal was lost. When a client wants something it asks at once, for a batch that was paused has no places.
func (b *batchRun) askShare(ctx workflow.Context) {
	told := b.controls
	for {
		wait := shareEvery
		if b.paused {
			wait = shareEveryPaused
		}
		_, err := workflow.AwaitWithTimeout(ctx, wait, func() bool { return b.attentive && b.controls != told })
		if err != nil || b.heedsNothing() || b.fault != nil {
			return
		}
		var share BatchShareResult
		told = b.controls
		err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, batchOptions("ask for places")), BatchShareName,
			BatchShareInput{Organization: b.in.Organization, BatchID: b.in.BatchID, Places: b.in.Limits.Places}).Get(ctx, &share)
		if temporal.IsCanceledError(err) {
			return
		}
		if err != nil {
			b.fail(err)
			return
		}
		b.window.share = share.Share
		if share.Cancelled {
			b.stop(batch.Cancelled)
		}
		if told == b.controls { // else the signal is newer
			b.paused = share.Paused
		}
	}
}

// heedsNothing reports whether neither a share nor what a client wants can change anything any more.
func (b *batchRun) heedsNothing() bool {
	if !b.attentive {
		return b.last()
	}
	return b.ending != "" || b.settled()
}
