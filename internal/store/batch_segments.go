package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"perdure/internal/batch"
)

// Segment is what some lines of a batch came to.
type Segment struct {
	// Output and Errors are the next parts of the batch's two files. One of them may have no lines.
	Output, Errors FilePart
	// Progress is how far the batch is with these lines.
	Progress batch.Progress
}

// AppendSegment adds a segment to both files of a batch as it was when the segment was made, and notes how far the batch is: all of that or
// nothing. So what the database says of a batch's progress is what its files have, whoever adds to them, and however often.
// ErrConflict: the files have more by now, or the batch has ended.
func (s *Store) AppendSegment(ctx context.Context, of batch.Batch, add Segment) error {
	text, err := json.Marshal(add.Progress)
	if err != nil {
		return err
	}
	return s.write(ctx, "add to the files of the batch", func(tx *sql.Tx) error {
		b, err := lockBatch(ctx, tx, s.engine, of.Organization, of.ID)
		if err != nil {
			return err
		}
		if b.Done() != of.Done() || b.Status.Ended() {
			return fmt.Errorf("%w: the batch is %s, with %d lines in its files", ErrConflict, b.Status, b.Done())
		}
		if err := s.appendNext(ctx, tx, b.Organization, b.OutputFile, add.Output); err != nil {
			return err
		}
		if err := s.appendNext(ctx, tx, b.Organization, b.ErrorFile, add.Errors); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE batches SET progress = $1, lines_done = $2 WHERE organization = $3 AND id = $4`,
			string(text), add.Progress.Done(), b.Organization, b.ID)
		return err
	})
}

// appendNext adds the part that follows those of a file.
func (s *Store) appendNext(ctx context.Context, tx *sql.Tx, organization, id string, p FilePart) error {
	f, err := s.file(ctx, tx, organization, id, s.engine.forUpdate())
	if err != nil {
		return err
	}
	if !f.Growing || p.Number != f.Parts+1 {
		return fmt.Errorf("%w: part %d does not follow the %d of the file", ErrConflict, p.Number, f.Parts)
	}
	if err := insertFilePart(ctx, tx, id, p, false); err != nil {
		return err
	}
	return placeParts(ctx, tx, f)
}
