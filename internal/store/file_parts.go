package store

import (
	"context"
	"database/sql"
	"fmt"
)

// AppendFile adds a part to a file that grows. Parts may come in any order, and one of which there is one already changes nothing: then
// stored is false, and its blob is not needed. The file has as many parts as follow each other without a gap. ErrConflict: the file is
// complete.
func (s *Store) AppendFile(ctx context.Context, organization, id string, p FilePart) (stored bool, err error) {
	err = s.write(ctx, "add to the file", func(tx *sql.Tx) error {
		stored = false
		f, err := s.file(ctx, tx, organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if _, err := filePart(ctx, tx, id, p.Number); !isNone(err) {
			return err // it is there, or something else is wrong
		}
		if !f.Growing {
			return fmt.Errorf("%w: the file is complete", ErrConflict)
		}
		stored = true
		if err := insertFilePart(ctx, tx, id, p, false); err != nil {
			return err
		}
		return placeParts(ctx, tx, f)
	})
	return stored && err == nil, err
}

// placeParts gives their place to those parts that now follow what the file has.
func placeParts(ctx context.Context, tx *sql.Tx, f File) error {
	before := f.Parts
	for {
		p, err := filePart(ctx, tx, f.ID, f.Parts+1)
		if isNone(err) {
			break
		}
		if err != nil {
			return err
		}
		f.append(&p)
		err = one(ctx, tx, ErrNotFound, `UPDATE file_parts SET first_line = $1, first_row = $2, first_byte = $3 WHERE file = $4 AND number = $5`,
			p.FirstLine, p.FirstRow, p.FirstByte, f.ID, p.Number)
		if err != nil {
			return err
		}
	}
	if f.Parts == before {
		return nil
	}
	return one(ctx, tx, ErrNotFound, `UPDATE files SET parts = $1, line_count = $2, row_count = $3, byte_count = $4 WHERE id = $5`,
		f.Parts, f.Lines, f.Rows, f.Bytes, f.ID)
}

// FinishFile says that a file has all its parts. It may be repeated. ErrConflict: a part is missing before one that is there.
func (s *Store) FinishFile(ctx context.Context, organization, id string) (File, error) {
	var f File
	err := s.write(ctx, "complete the file", func(tx *sql.Tx) (err error) {
		if f, err = s.file(ctx, tx, organization, id, s.engine.forUpdate()); err != nil || !f.Growing {
			return err
		}
		var behind int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM file_parts WHERE file = $1 AND number > $2`, id, f.Parts).Scan(&behind)
		if err != nil {
			return err
		}
		if behind > 0 {
			return fmt.Errorf("%w: part %d of the file is missing, and there are %d behind it", ErrConflict, f.Parts+1, behind)
		}
		f.Growing = false
		return one(ctx, tx, ErrNotFound, `UPDATE files SET growing = $1 WHERE id = $2`, false, id)
	})
	return f, err
}

const partColumns = `number, ref, line_count, row_count, byte_count, first_line, first_row, first_byte`

func insertFilePart(ctx context.Context, tx *sql.Tx, file string, p FilePart, placed bool) error {
	place := func(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: placed} }
	_, err := tx.ExecContext(ctx, `INSERT INTO file_parts (file, `+partColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		file, p.Number, p.Ref, p.Lines, p.Rows, p.Bytes, place(int64(p.FirstLine)), place(int64(p.FirstRow)), place(p.FirstByte))
	return err
}

func filePart(ctx context.Context, q querier, file string, number int) (FilePart, error) {
	return scanFilePart(q.QueryRowContext(ctx, `SELECT `+partColumns+` FROM file_parts WHERE file = $1 AND number = $2`, file, number))
}

func scanFilePart(r row) (FilePart, error) {
	var p FilePart
	var line, firstRow, firstByte sql.NullInt64
	err := r.Scan(&p.Number, &p.Ref, &p.Lines, &p.Rows, &p.Bytes, &line, &firstRow, &firstByte)
	p.FirstLine, p.FirstRow, p.FirstByte = int(line.Int64), int(firstRow.Int64), firstByte.Int64
	return p, err
}

// FilePartsOfLines returns, in their order, the parts of a file that have lines from the given one on, until before another, which is not
// among them: as many parts as there are up to a limit.
func (s *Store) FilePartsOfLines(ctx context.Context, id string, from, until, limit int) ([]FilePart, error) {
	return s.fileParts(ctx, `first_line < $2 AND first_line + line_count > $3`, id, until, from, limit)
}

// FilePartsOfBytes is FilePartsOfLines for all that follows a number of bytes.
func (s *Store) FilePartsOfBytes(ctx context.Context, id string, from int64, limit int) ([]FilePart, error) {
	return s.fileParts(ctx, `first_byte < $2 AND first_byte + byte_count > $3`, id, int64(noEnd), from, limit)
}

func (s *Store) fileParts(ctx context.Context, where, id string, until, from any, limit int) ([]FilePart, error) {
	const what = "find parts of the file"
	rows, err := s.db.QueryContext(ctx, `SELECT `+partColumns+` FROM file_parts WHERE file = $1 AND `+where+` ORDER BY number LIMIT $4`,
		id, until, from, limit)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	var parts []FilePart
	for rows.Next() {
		p, err := scanFilePart(rows)
		if err != nil {
			return nil, s.failed(ctx, what, err)
		}
		parts = append(parts, p)
	}
	return parts, s.failed(ctx, what, rows.Err())
}
