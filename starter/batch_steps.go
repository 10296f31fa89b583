package starter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/store"
	"perdure/workflows"
)

// registerBatches makes a worker carry out the steps of batches. One without a database does not: it hands them on to those that have one.
func (k *Intake) registerBatches(r worker.Registry) {
	r.RegisterActivityWithOptions(k.BatchAccept, activity.RegisterOptions{Name: workflows.BatchAcceptName})
	r.RegisterActivityWithOptions(k.BatchBegin, activity.RegisterOptions{Name: workflows.BatchBeginName})
	r.RegisterActivityWithOptions(k.BatchShare, activity.RegisterOptions{Name: workflows.BatchShareName})
	r.RegisterActivityWithOptions(k.BatchAwait, activity.RegisterOptions{Name: workflows.BatchAwaitName})
	r.RegisterActivityWithOptions(k.BatchCollect, activity.RegisterOptions{Name: workflows.BatchCollectName})
	r.RegisterActivityWithOptions(k.BatchEnd, activity.RegisterOptions{Name: workflows.BatchEndName})
}

// errNoDatabase is what Temporal's Web UI shows of a batch whose worker cannot run it. It is tried again, by another worker or after this
// one was configured.
var errNoDatabase = errors.New("this worker has no database, where batches are kept: set database.url or data.dir as for the starters")

func (k *Intake) needDatabase() error {
	if k.Store == nil || k.Files == nil {
		return errNoDatabase
	}
	return nil
}

// BatchBegin looks at a batch that is to be run: whether there is one, and whether its file has requests for it. It may be repeated.
func (k *Intake) BatchBegin(ctx context.Context, in workflows.BatchBeginInput) (workflows.BatchBeginResult, error) {
	var out workflows.BatchBeginResult
	if err := k.needDatabase(); err != nil {
		return out, err
	}
	b, err := k.Store.Batch(ctx, in.Organization, in.BatchID)
	if errors.Is(err, store.ErrNotFound) {
		// The request that began it has failed, and has taken the batch back.
		return out, temporal.NewNonRetryableApplicationError("there is no such batch", "batch_not_found", nil)
	}
	if err != nil || b.Status.Ended() {
		out.Status = b.Status
		return out, err
	}
	defer beating(ctx)()
	if err := k.beginFiles(ctx, &b); err != nil {
		return out, err
	}
	lines, problems, err := k.lines(ctx, &b)
	if err != nil {
		return out, err
	}
	if len(problems) > 0 {
		if b, err = k.Store.FailBatch(ctx, b.Organization, b.ID, problems); err == nil {
			err = k.closeFiles(ctx, &b)
		}
	} else {
		b, err = k.Store.RunBatch(ctx, b.Organization, b.ID, lines)
	}
	if err != nil {
		return out, err
	}
	out = workflows.BatchBeginResult{Status: b.Status, Paused: b.Paused, File: b.InputFile, Lines: lines}
	out.Share, err = k.share(ctx, in.Organization, in.BatchID, in.Places)
	return out, err
}

// beginFiles makes the files of a batch, which the batch holds, and holds the one with its requests. It may be repeated.
func (k *Intake) beginFiles(ctx context.Context, b *batch.Batch) error {
	for id, name := range map[string]string{b.OutputFile: b.ID + "_output.jsonl", b.ErrorFile: b.ID + "_error.jsonl"} {
		_, err := k.Files.Begin(ctx, file.Output{
			ID: id, Organization: b.Organization, User: b.User, Purpose: file.PurposeBatchOutput, Filename: name,
			Expires: b.Expires().Add(b.OutputAge), Holder: b.ID,
		})
		if err != nil {
			return err
		}
	}
	err := k.Files.Hold(ctx, b.Organization, b.InputFile, b.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // which is a problem of the batch, found later
	}
	return err
}

// closeFiles says that the files of a batch have all they will have, and lets go of them. Files that are not there do not keep it from
// ending.
func (k *Intake) closeFiles(ctx context.Context, b *batch.Batch) error {
	for _, id := range []string{b.OutputFile, b.ErrorFile} {
		if _, err := k.Files.Finish(ctx, b.Organization, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return k.Files.Release(ctx, b.ID)
}

// lines returns how many requests the batch has, or why it has none.
func (k *Intake) lines(ctx context.Context, b *batch.Batch) (int, []batch.Problem, error) {
	if b.RetryOf != "" {
		problems, err := k.retryLines(ctx, b)
		if errors.Is(err, file.ErrCorrupt) && !mayAppear(ctx, err) {
			k.Logger.WarnContext(ctx, "a batch cannot be retried", "batch", b.ID, "retry_of", b.RetryOf, "error", err)
			problems, err = unreadableFiles(b), nil
		}
		if err != nil || len(problems) > 0 {
			return 0, problems, err
		}
	}
	f, err := k.Files.Get(ctx, b.Organization, b.InputFile)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, []batch.Problem{{
			Code: "invalid_file", Param: "input_file_id", Message: "there is no file " + b.InputFile + " any more: upload it again",
		}}, nil
	case err != nil:
		return 0, nil, err
	case f.Purpose != file.PurposeBatch:
		return 0, []batch.Problem{{
			Code: "invalid_file", Param: "input_file_id", Message: "the file's purpose is " + f.Purpose + ": upload it with the purpose batch",
		}}, nil
	case f.Lines == 0 && b.RetryOf != "":
		return 0, []batch.Problem{{
			Code: "empty_file", Param: "retry_of",
			Message: "nothing of the batch " + b.RetryOf + " can be retried: its failed requests have run, and their responses are too large for a file",
		}}, nil
	case f.Lines == 0:
		return 0, []batch.Problem{{Code: "empty_file", Param: "input_file_id", Message: "the file has no requests"}}, nil
	case f.Endpoint != b.Endpoint:
		return 0, []batch.Problem{{
			Code: "mismatched_endpoint", Param: "endpoint", Line: 1,
			Message: fmt.Sprintf("the requests of the file are for %s, and the batch is for %s", f.Endpoint, b.Endpoint),
		}}, nil
	}
	return f.Lines, nil, nil
}

// BatchShare says how many of its organization's places a batch may have.
func (k *Intake) BatchShare(ctx context.Context, in workflows.BatchShareInput) (workflows.BatchShareResult, error) {
	if err := k.needDatabase(); err != nil {
		return workflows.BatchShareResult{}, err
	}
	b, err := k.Store.Batch(ctx, in.Organization, in.BatchID)
	if err != nil {
		return workflows.BatchShareResult{}, finalOfFiles(ctx, err)
	}
	share, err := k.share(ctx, in.Organization, in.BatchID, in.Places)
	if err == nil && share < b.Concurrency {
		k.lookAfterAnother(ctx, &b)
	}
	return workflows.BatchShareResult{Share: share, Paused: b.Paused, Cancelled: b.Status == batch.Cancelling}, err
}

func (k *Intake) share(ctx context.Context, organization, id string, places int) (int, error) {
	running, err := k.Store.RunningBatches(ctx, organization)
	return batch.Share(places, running, id), err
}

// lookAfterAnother ends another batch of the organization whose workflow is over without having said so: an operator has ended it, and
// nobody has looked since. Until then it would keep its share. One at a time is enough, since those that want more ask again and again.
func (k *Intake) lookAfterAnother(ctx context.Context, b *batch.Batch) {
	running, err := k.Store.RunningBatches(ctx, b.Organization)
	if err != nil || len(running) == 0 {
		return
	}
	id := running[rand.IntN(len(running))].ID
	if id == b.ID {
		return
	}
	other, err := k.Store.Batch(ctx, b.Organization, id)
	if err != nil {
		return
	}
	if over, err := k.workflowOver(ctx, &other); err == nil && over {
		k.failBatch(ctx, &other)
	}
}

// BatchEnd completes the files of a batch and ends it. It may be repeated.
func (k *Intake) BatchEnd(ctx context.Context, in workflows.BatchEndInput) error {
	if err := k.needDatabase(); err != nil {
		return err
	}
	if in.Status == batch.Completed {
		if _, err := k.Store.MoveBatch(ctx, in.Organization, in.BatchID, batch.Finalizing); err != nil {
			return finalOfFiles(ctx, err)
		}
	}
	defer beating(ctx)()
	b, err := k.Store.Batch(ctx, in.Organization, in.BatchID)
	if err != nil {
		return finalOfFiles(ctx, err)
	}
	if err := k.closeFiles(ctx, &b); err != nil {
		return err
	}
	if in.Status == batch.Failed {
		p := batch.Problem{
			Code: "internal_error", Message: "the batch could not go on; what it had come to is in its files. The log of the workers has the reason",
		}
		if in.Reason != "" {
			p.Message = "the batch could not go on: " + in.Reason + ". What it had come to is in its files"
		}
		_, err = k.Store.FailBatch(ctx, in.Organization, in.BatchID, []batch.Problem{p})
		return err
	}
	_, err = k.Store.MoveBatch(ctx, in.Organization, in.BatchID, in.Status)
	return err
}
