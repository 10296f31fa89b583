package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"perdure/internal/batch"
	"perdure/internal/identity"
)

// What the steps of a batch change may be changed again by an attempt that is repeated: each of these methods does nothing to a batch that
// is already what it is to become, and nothing to one that has ended.

// StartedBatch notes that Temporal has the batch's workflow.
func (s *Store) StartedBatch(ctx context.Context, organization, id string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE batches SET started = $1 WHERE organization = $2 AND id = $3`, true, organization, id)
	return s.failed(ctx, "note the start of the batch", err)
}

// RunBatch makes a batch one that runs so many lines, and returns what it is then. One that was cancelled meanwhile stays so, and has its
// lines counted all the same: each of them is in its error file. ErrNotFound: there is none.
func (s *Store) RunBatch(ctx context.Context, organization, id string, lines int) (batch.Batch, error) {
	b, err := s.changeBatch(ctx, "run the batch", organization, id, batch.InProgress, []batch.Status{batch.Validating}, `lines_total = $4`, lines)
	if err != nil || b.Status != batch.Cancelling || b.Total != 0 {
		return b, err
	}
	_, err = s.db.ExecContext(ctx, `UPDATE batches SET lines_total = $1 WHERE organization = $2 AND id = $3 AND lines_total = 0`, lines, organization, id)
	b.Total = lines
	return b, s.failed(ctx, "count the lines of the batch", err)
}

// FailBatch ends a batch whose file cannot be processed, or that could not go on.
func (s *Store) FailBatch(ctx context.Context, organization, id string, problems []batch.Problem) (batch.Batch, error) {
	text, err := json.Marshal(problems)
	if err != nil {
		return batch.Batch{}, err
	}
	return s.changeBatch(ctx, "end the batch", organization, id, batch.Failed, before[batch.Failed], `problems = $4`, string(text))
}

// MoveBatch makes a batch, of whatever status that comes before, one of another status.
func (s *Store) MoveBatch(ctx context.Context, organization, id string, to batch.Status) (batch.Batch, error) {
	return s.changeBatch(ctx, "move the batch on", organization, id, to, before[to], `paused = $4`, false)
}

// before lists what a batch may be that becomes another thing.
var before = map[batch.Status][]batch.Status{
	batch.Finalizing: {batch.InProgress},
	// A batch may be cancelled when nothing is left to cancel: it then ends as it would have.
	batch.Completed:  {batch.InProgress, batch.Finalizing, batch.Cancelling},
	batch.Failed:     {batch.Validating, batch.InProgress, batch.Finalizing, batch.Cancelling},
	batch.Expired:    {batch.Validating, batch.InProgress, batch.Finalizing, batch.Cancelling},
	batch.Cancelling: {batch.Validating, batch.InProgress},
	batch.Cancelled:  {batch.Validating, batch.InProgress, batch.Cancelling},
}

// at has the column with the time at which a batch became something.
var at = map[batch.Status]string{
	batch.InProgress: "in_progress", batch.Finalizing: "finalizing", batch.Completed: "completed", batch.Failed: "failed",
	batch.Expired: "expired", batch.Cancelling: "cancelling", batch.Cancelled: "cancelled",
}

// changeBatch gives a batch another status, and sets what the clause says, if it has one of the statuses that may come before. It returns
// the batch as it is then. Only its workflow makes changes other than that it is to be cancelled, so any other tells that it has started.
func (s *Store) changeBatch(ctx context.Context, what, organization, id string, to batch.Status, from []batch.Status, set string, value any) (b batch.Batch, err error) {
	err = s.write(ctx, what, func(tx *sql.Tx) error {
		b, err = lockBatch(ctx, tx, s.engine, organization, id)
		if err != nil {
			return err
		}
		for _, status := range from {
			if b.Status != status {
				continue
			}
			_, err := tx.ExecContext(ctx, `UPDATE batches SET status = $1, `+at[to]+` = $2, started = $3, `+set+` WHERE organization = $5 AND id = $6`,
				string(to), micros(now()), b.Started || to != batch.Cancelling, value, organization, id)
			if err != nil {
				return err
			}
			b, err = lockBatch(ctx, tx, s.engine, organization, id)
			return err
		}
		return nil
	})
	return b, err
}

func lockBatch(ctx context.Context, q querier, e engine, organization, id string) (batch.Batch, error) {
	return scanBatch(q.QueryRowContext(ctx, `SELECT `+batchColumns+` FROM batches WHERE organization = $1 AND id = $2`+e.forUpdate(), organization, id))
}

// PauseBatch keeps a batch of the actor's organization from beginning further lines, or lets it go on. ErrConflict: it runs none any more.
func (s *Store) PauseBatch(ctx context.Context, by identity.Actor, id string, paused bool) error {
	action := ActBatchResume
	if paused {
		action = ActBatchPause
	}
	return s.write(ctx, "pause the batch, or let it go on", func(tx *sql.Tx) error {
		b, err := lockBatch(ctx, tx, s.engine, by.Organization, id)
		switch {
		case err != nil:
			return err
		case b.Status != batch.Validating && b.Status != batch.InProgress:
			return ErrConflict
		case b.Paused == paused:
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE batches SET paused = $1 WHERE organization = $2 AND id = $3`, paused, by.Organization, id)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{action, id, nil})
	})
}

// CancelBatch makes a batch of the actor's organization one that is being cancelled. It returns the batch as it is then, which may be one
// that has ended. ErrNotFound: there is none.
func (s *Store) CancelBatch(ctx context.Context, by identity.Actor, id string) (batch.Batch, error) {
	b, err := s.MoveBatch(ctx, by.Organization, id, batch.Cancelling)
	if err != nil || b.Status != batch.Cancelling {
		return b, err
	}
	return b, s.Record(ctx, by, ActBatchCancel, id, nil)
}
