package store

import (
	"context"
	"database/sql"
)

// HoldFile keeps a file of an organization from being deleted and from expiring, until the holder lets go of it. Holding it again changes
// nothing. The holder is the ID of what needs the file, which people see.
func (s *Store) HoldFile(ctx context.Context, organization, id, holder string) error {
	return s.write(ctx, "hold the file", func(tx *sql.Tx) error { return s.holdFile(ctx, tx, organization, id, holder) })
}

// holdFile is HoldFile within the transaction that makes the holder.
func (s *Store) holdFile(ctx context.Context, tx *sql.Tx, organization, id, holder string) error {
	if _, err := s.file(ctx, tx, organization, id, s.engine.forUpdate()); err != nil {
		return err
	}
	return hold(ctx, tx, id, holder)
}

func hold(ctx context.Context, q querier, id, holder string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO file_holds (file, holder) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, holder)
	return err
}

// ReleaseFiles lets go of all files that a holder holds.
func (s *Store) ReleaseFiles(ctx context.Context, holder string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM file_holds WHERE holder = $1`, holder)
	return s.failed(ctx, "let go of files", err)
}

// ReleaseOtherFiles lets go of all files that a holder holds but one.
func (s *Store) ReleaseOtherFiles(ctx context.Context, holder, id string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM file_holds WHERE holder = $1 AND file <> $2`, holder, id)
	return s.failed(ctx, "let go of other files", err)
}

// FileHolders returns those who hold files, of any organization, whose IDs begin with a prefix of ASCII.
func (s *Store) FileHolders(ctx context.Context, prefix string) ([]string, error) {
	const what = "find who holds files"
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT holder FROM file_holds WHERE substr(holder, 1, $1) = $2 ORDER BY holder`, len(prefix), prefix)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	holders, err := scanTexts(rows)
	return holders, s.failed(ctx, what, err)
}

// notHeld fails with a [HeldError] if something needs the file.
func notHeld(ctx context.Context, q querier, id string) error {
	var holder string
	err := q.QueryRowContext(ctx, `SELECT holder FROM file_holds WHERE file = $1 ORDER BY holder LIMIT 1`, id).Scan(&holder)
	switch {
	case isNone(err):
		return nil
	case err != nil:
		return err
	default:
		return &HeldError{Holder: holder}
	}
}
