package starter

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"perdure/internal/batch"
	"perdure/internal/identity"
	"perdure/workflows"
)

// heal begins a batch whose starter died before it could.
func (s *Starter) heal(ctx context.Context, who identity.Principal, b *batch.Batch) error {
	if b.Started || b.Status.Ended() {
		return nil
	}
	return s.startBatch(ctx, who, b)
}

// tryHeal is heal for one who only looks.
func (s *Starter) tryHeal(ctx context.Context, who identity.Principal, b *batch.Batch) {
	if time.Since(b.Times.Created) < healAfter {
		return // it is being begun
	}
	if err := s.heal(ctx, who, b); err != nil {
		s.Logger.WarnContext(ctx, "a batch could not be begun yet", "batch", b.ID, "error", err)
	}
}

// healAfter is how long a starter has to begin a batch that it has stored.
const healAfter = startTimeout + 5*time.Second

// progressTimeout bounds how long a batch is asked for what the database does not have of it.
const progressTimeout = time.Second

// batchProgress asks the workflow of a batch that runs. It is nil if that does not answer soon. A batch whose workflow was ended from
// outside, so that it could not say so itself, has failed: then b is that.
func (s *Starter) batchProgress(ctx context.Context, b *batch.Batch) *workflows.BatchProgress {
	if b.Status.Ended() || !b.Started || s.gates.temporal.Away() {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, progressTimeout)
	defer cancel()
	over, err := s.workflowOver(asking, b)
	if err != nil {
		return nil
	}
	if over {
		s.failBatch(ctx, b)
		return nil
	}
	answer, err := s.Temporal.QueryWorkflow(asking, b.ID, "", workflows.BatchProgressName)
	if err != nil {
		return nil
	}
	var p workflows.BatchProgress
	if err := answer.Get(&p); err != nil {
		return nil
	}
	return &p
}

// workflowOver reports whether nothing runs a batch any more that had begun: its workflow has ended, or Temporal does not know it.
func (k *Intake) workflowOver(ctx context.Context, b *batch.Batch) (bool, error) {
	d, err := k.Temporal.DescribeWorkflow(ctx, b.ID, "")
	if hasEnded(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return d.Status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && d.Status != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, nil
}

// failBatch ends a batch whose workflow is over and has not ended it. Its lines, which run on, are nobody's.
func (k *Intake) failBatch(ctx context.Context, b *batch.Batch) {
	err := k.closeFiles(ctx, b)
	var now batch.Batch
	if err == nil {
		now, err = k.Store.FailBatch(ctx, b.Organization, b.ID, []batch.Problem{{
			Code: "batch_terminated", Message: "the workflow of the batch was ended, or is gone, in Temporal; what it had come to is in its files",
		}})
	}
	if err != nil {
		k.Logger.WarnContext(ctx, "a batch whose workflow is over could not be ended", "batch", b.ID, "error", err)
		return
	}
	*b = now
}
