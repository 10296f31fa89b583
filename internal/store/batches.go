package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"perdure/internal/batch"
	"perdure/internal/identity"
)

// ErrTooMany is for a batch that would be one more than an organization may have under way.
var ErrTooMany = errors.New("too many")

// AddBatch stores a new batch of the actor's organization, unless that has most batches under way already, which is [ErrTooMany].
// ErrConflict: there is one of this ID.
func (s *Store) AddBatch(ctx context.Context, by identity.Actor, b batch.Batch, most int) error {
	metadata, err := json.Marshal(b.Metadata)
	if err != nil {
		return err
	}
	progress, err := json.Marshal(b.Progress)
	if err != nil {
		return err
	}
	return s.write(ctx, "add the batch", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO batches (id, organization, member, key_name, endpoint, input_file, output_file, error_file,
			time_window, output_age, concurrency, metadata, retry_of, fingerprint, status, paused, started, created, lines_total, lines_done, progress, problems,
			members_only)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0, 0, $19, 'null', $20)`,
			b.ID, by.Organization, b.User, b.Key, b.Endpoint, b.InputFile, b.OutputFile, b.ErrorFile, int64(b.Window/time.Second),
			int64(b.OutputAge/time.Second), b.Concurrency,
			string(metadata), b.RetryOf, b.Fingerprint, string(b.Status), b.Paused, b.Started, micros(b.Times.Created), string(progress),
			b.MembersOnly)
		if err != nil {
			return err
		}
		// After the row, so that two requests at the same time see each other's in SQLite. In PostgreSQL they may not: the limit is exceeded
		// by those that come within the same moment.
		var n int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM batches WHERE organization = $1 AND status IN (`+underWay+`)`, by.Organization).Scan(&n)
		if err != nil {
			return err
		}
		if n > most {
			return ErrTooMany
		}
		detail := map[string]string{"input_file": b.InputFile}
		if b.RetryOf != "" {
			detail["retry_of"] = b.RetryOf
		}
		return record(ctx, tx, by, b.Times.Created, entry{ActBatchCreate, b.ID, detail})
	})
}

// underWay are the statuses of batches for which something is still to be done.
const underWay = `'validating', 'in_progress', 'finalizing', 'cancelling'`

const batchColumns = `id, organization, member, key_name, endpoint, input_file, output_file, error_file, time_window, output_age, concurrency, metadata,
	retry_of, fingerprint, status, paused, started, created, in_progress, finalizing, completed, failed, expired, cancelling, cancelled,
	lines_total, progress, problems, members_only`

// Batch returns a batch of an organization.
func (s *Store) Batch(ctx context.Context, organization, id string) (batch.Batch, error) {
	b, err := scanBatch(s.db.QueryRowContext(ctx, `SELECT `+batchColumns+` FROM batches WHERE organization = $1 AND id = $2`, organization, id))
	return b, s.failed(ctx, "find the batch", err)
}

// Batches lists batches of an organization, the newest first: those behind the one named, or all. ErrCursor: there is none of that ID.
func (s *Store) Batches(ctx context.Context, organization, after string, limit int) (batches []batch.Batch, more bool, err error) {
	const what = "list batches"
	p := Page{Limit: limit}
	if after != "" {
		var created int64
		err := s.db.QueryRowContext(ctx, `SELECT created FROM batches WHERE organization = $1 AND id = $2`, organization, after).Scan(&created)
		if isNone(err) {
			err = ErrCursor
		}
		if err != nil {
			return nil, false, s.failed(ctx, what, err)
		}
		p.After = place{created, after}.cursor()
	}
	batches, next, err := list(ctx, s, what, p, `SELECT `+batchColumns+` FROM batches
		WHERE organization = $1 AND (created, id) < ($2, $3) ORDER BY created DESC, id DESC LIMIT $4`,
		[]any{organization}, scanBatch, func(b batch.Batch) (time.Time, string) { return b.Times.Created, b.ID })
	return batches, next != "", err
}

// RunningBatches lists the batches of an organization that have lines to run, the oldest first.
func (s *Store) RunningBatches(ctx context.Context, organization string) (running []batch.Running, err error) {
	const what = "list running batches"
	rows, err := s.db.QueryContext(ctx, `SELECT id, concurrency FROM batches
		WHERE organization = $1 AND status = 'in_progress' AND NOT paused ORDER BY created, id`, organization)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r batch.Running
		if err := rows.Scan(&r.ID, &r.Concurrency); err != nil {
			return nil, s.failed(ctx, what, err)
		}
		running = append(running, r)
	}
	return running, s.failed(ctx, what, rows.Err())
}

// RemoveBatch removes a batch that was never started. ErrConflict: there is none of which that is known.
func (s *Store) RemoveBatch(ctx context.Context, organization, id string) error {
	err := one(ctx, s.db, fmt.Errorf("%w: the batch has begun", ErrConflict),
		`DELETE FROM batches WHERE organization = $1 AND id = $2 AND NOT started AND status = 'validating'`, organization, id)
	return s.failed(ctx, "remove the batch", err)
}

func scanBatch(from row) (batch.Batch, error) {
	var b batch.Batch
	var window, age, created, total int64
	var metadata, progress, problems, status string
	var times [7]sql.NullInt64
	err := from.Scan(&b.ID, &b.Organization, &b.User, &b.Key, &b.Endpoint, &b.InputFile, &b.OutputFile, &b.ErrorFile, &window, &age,
		&b.Concurrency,
		&metadata, &b.RetryOf, &b.Fingerprint, &status, &b.Paused, &b.Started, &created,
		&times[0], &times[1], &times[2], &times[3], &times[4], &times[5], &times[6], &total, &progress, &problems,
		&b.MembersOnly)
	if err != nil {
		return batch.Batch{}, err
	}
	b.Window, b.OutputAge, b.Status = time.Duration(window)*time.Second, time.Duration(age)*time.Second, batch.Status(status)
	b.Times = batch.Times{
		Created: fromMicros(created), InProgress: fromMaybe(times[0]), Finalizing: fromMaybe(times[1]), Completed: fromMaybe(times[2]),
		Failed: fromMaybe(times[3]), Expired: fromMaybe(times[4]), Cancelling: fromMaybe(times[5]), Cancelled: fromMaybe(times[6]),
	}
	err = errors.Join(json.Unmarshal([]byte(metadata), &b.Metadata), json.Unmarshal([]byte(progress), &b.Progress), json.Unmarshal([]byte(problems), &b.Errors))
	if err != nil {
		return batch.Batch{}, fmt.Errorf("batch %s: %w", b.ID, err)
	}
	b.Total = int(total)
	return b, nil
}
