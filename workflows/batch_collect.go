package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/batch"
)

// collect writes what lines came to into the files: a segment at a time, or what there is after a while. It returns when this execution is
// closing, and at the end of the batch when all that ran is in the files.
func (b *batchRun) collect(ctx workflow.Context) {
	for b.await(ctx, func() bool { return b.ended > b.collected || b.closing }) {
		if b.ended == b.collected || b.closing && !b.settled() {
			return
		}
		_, err := workflow.AwaitWithTimeout(ctx, collectEvery, func() bool {
			return b.ended-b.collected >= b.in.Limits.Segment || b.settled() || b.closing || b.fault != nil
		})
		b.fail(err)
		if b.fault == nil {
			b.write(ctx, min(b.ended, b.collected+b.in.Limits.Segment), b.next)
		}
	}
}

// settled reports whether no line will end any more.
func (b *batchRun) settled() bool { return b.last() && len(b.running) == 0 }

// write writes the lines that follow, up to one, into the files. Those from begun on have never begun.
func (b *batchRun) write(ctx workflow.Context, until, begun int) {
	in := BatchCollectInput{
		Organization: b.in.Organization, BatchID: b.in.BatchID, File: b.file, From: b.collected + 1, Until: until, Begun: begun,
		Ending: b.ending,
	}
	var out BatchCollectResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, collectOptions(in)), BatchCollectName, in).Get(ctx, &out)
	if err != nil {
		b.fail(err)
		return
	}
	b.collected, b.progress = until, out.Progress
	b.tell(ctx)
}

// finish writes the lines that were never begun, and ends the batch.
func (b *batchRun) finish(ctx workflow.Context) error {
	for b.fault == nil && b.collected < b.total {
		b.ended = min(b.total, b.collected+skippedSegment)
		b.write(ctx, b.ended, b.next)
	}
	in := BatchEndInput{Organization: b.in.Organization, BatchID: b.in.BatchID, Status: b.ending}
	switch {
	case b.fault != nil:
		in.Status, in.Reason = batch.Failed, reasonOf(b.fault)
	case b.ending == "":
		in.Status = batch.Completed
	}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, batchOptions("end the batch: "+string(in.Status))), BatchEndName, in).Get(ctx, nil)
	if err == nil {
		b.status = in.Status
		err = b.fault
	}
	b.publish(ctx)
	return err
}

// reasonOf is what a client may know of a fault; empty for others.
func reasonOf(fault error) string {
	if app := (*temporal.ApplicationError)(nil); errors.As(fault, &app) && app.Type() == ErrTypeBatchFiles {
		return app.Message()
	}
	return ""
}
