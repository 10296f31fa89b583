package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"perdure/internal/identity"
)

// File is what the database has of a file. What is in the file is sealed, in blobs.
type File struct {
	ID           string // file-…; later files have greater ones
	Organization string
	User         string
	Purpose      string
	Filename     string
	// Endpoint is the one that all lines of an input are for, such as "/v1/responses"; empty for other files.
	Endpoint string
	// Growing: more of it may come.
	Growing bool
	// Parts, Lines, Rows and Bytes are how much of it can be read. Lines are those that are not blank, Rows all of them.
	Parts, Lines, Rows int
	Bytes              int64
	Created, Expires   time.Time
}

// FilePart is where some lines of a file are.
type FilePart struct {
	Number      int    // from 1
	Ref         string // of the blob; empty for a part without lines
	Lines, Rows int
	Bytes       int64
	// FirstLine and FirstRow count from 1, FirstByte from 0.
	FirstLine, FirstRow int
	FirstByte           int64
}

// HeldError is the ErrConflict of a file that is needed.
type HeldError struct{ Holder string }

// Error names the holder.
func (e *HeldError) Error() string { return "the file is needed by " + e.Holder }

// Is makes it an ErrConflict.
func (e *HeldError) Is(target error) bool { return target == ErrConflict }

// CreateFile stores a file that is complete, with the parts that it has, from the first one on.
func (s *Store) CreateFile(ctx context.Context, by identity.Actor, f File, parts []FilePart) (File, error) {
	f.Organization, f.User, f.Growing = by.Organization, by.User, false
	f.Parts, f.Lines, f.Rows, f.Bytes = 0, 0, 0, 0
	for i := range parts {
		f.append(&parts[i])
	}
	return f, s.write(ctx, "store the file", func(tx *sql.Tx) error {
		if err := insertFile(ctx, tx, f); err != nil {
			return err
		}
		for _, p := range parts {
			if err := insertFilePart(ctx, tx, f.ID, p, true); err != nil {
				return err
			}
		}
		return record(ctx, tx, by, now(), entry{ActFileCreate, f.ID, map[string]string{
			"filename": f.Filename, "purpose": f.Purpose, "bytes": fmt.Sprint(f.Bytes),
		}})
	})
}

// append gives a part its place behind those that the file has.
func (f *File) append(p *FilePart) {
	p.Number, p.FirstLine, p.FirstRow, p.FirstByte = f.Parts+1, f.Lines+1, f.Rows+1, f.Bytes
	f.Parts++
	f.Lines += p.Lines
	f.Rows += p.Rows
	f.Bytes += p.Bytes
}

// BeginFile stores a file that is to grow, and a hold on it. The same file may be begun again, which changes nothing.
func (s *Store) BeginFile(ctx context.Context, f File, holder string) (File, error) {
	f.Growing, f.Parts, f.Lines, f.Rows, f.Bytes = true, 0, 0, 0, 0
	begun := f
	err := s.write(ctx, "begin the file", func(tx *sql.Tx) error {
		there, err := s.file(ctx, tx, f.Organization, f.ID, s.engine.forUpdate())
		if !isNone(err) {
			begun = there
			return err
		}
		if err := insertFile(ctx, tx, f); err != nil || holder == "" {
			return err
		}
		return hold(ctx, tx, f.ID, holder)
	})
	if errors.Is(err, ErrConflict) { // another was faster
		return s.File(ctx, f.Organization, f.ID)
	}
	return begun, err
}

func insertFile(ctx context.Context, tx *sql.Tx, f File) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO files (`+fileColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		f.ID, f.Organization, f.User, f.Purpose, f.Filename, f.Endpoint, f.Growing, f.Parts, f.Lines, f.Rows, f.Bytes,
		micros(f.Created), micros(f.Expires))
	return err
}

const fileColumns = `id, organization, member, purpose, filename, endpoint, growing, parts, line_count, row_count, byte_count, created, expires`

// living is the condition of files whose time is not over. A file that is held outlives it.
const living = `(expires > $2 OR EXISTS (SELECT 1 FROM file_holds h WHERE h.file = id))`

// File returns a file of an organization.
func (s *Store) File(ctx context.Context, organization, id string) (File, error) {
	f, err := s.file(ctx, s.db, organization, id, "")
	return f, s.failed(ctx, "find the file", err)
}

func (s *Store) file(ctx context.Context, q querier, organization, id, suffix string) (File, error) {
	return scanFile(q.QueryRowContext(ctx, `SELECT `+fileColumns+` FROM files WHERE organization = $1 AND `+living+` AND id = $3`+suffix,
		organization, micros(now()), id))
}

func scanFile(r row) (File, error) {
	var f File
	var created, expires int64
	err := r.Scan(&f.ID, &f.Organization, &f.User, &f.Purpose, &f.Filename, &f.Endpoint, &f.Growing, &f.Parts, &f.Lines, &f.Rows, &f.Bytes,
		&created, &expires)
	f.Created, f.Expires = fromMicros(created), fromMicros(expires)
	return f, err
}

// FileFilter chooses among an organization's files. What is empty chooses all.
type FileFilter struct {
	Purpose string
	// After is the ID behind which the list begins, in its order. The file need not be there any more.
	After string
	// OldestFirst turns the order round.
	OldestFirst bool
	// Limit is how many are returned, at least 1.
	Limit int
}

// Files lists files, the newest first, and reports whether there are more.
func (s *Store) Files(ctx context.Context, organization string, f FileFilter) (files []File, more bool, err error) {
	const what = "list files"
	order := `AND ($4 = '' OR id < $4) ORDER BY id DESC`
	if f.OldestFirst {
		order = `AND ($4 = '' OR id > $4) ORDER BY id`
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+fileColumns+` FROM files WHERE organization = $1 AND `+living+`
		AND ($3 = '' OR purpose = $3) `+order+` LIMIT $5`, organization, micros(now()), f.Purpose, f.After, f.Limit+1)
	if err != nil {
		return nil, false, s.failed(ctx, what, err)
	}
	defer rows.Close()
	for rows.Next() {
		file, err := scanFile(rows)
		if err != nil {
			return nil, false, s.failed(ctx, what, err)
		}
		files = append(files, file)
	}
	if len(files) > f.Limit {
		files, more = files[:f.Limit], true
	}
	return files, more, s.failed(ctx, what, rows.Err())
}

// DeleteFile deletes a file of the actor's organization. Its blobs may go after that. A file that is needed fails with a [HeldError].
func (s *Store) DeleteFile(ctx context.Context, by identity.Actor, id string) error {
	return s.write(ctx, "delete the file", func(tx *sql.Tx) error {
		f, err := s.file(ctx, tx, by.Organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if err := notHeld(ctx, tx, id); err != nil {
			return err
		}
		if err := one(ctx, tx, ErrNotFound, `DELETE FROM files WHERE organization = $1 AND id = $2`, by.Organization, id); err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActFileDelete, id, map[string]string{"filename": f.Filename, "owner": f.User}})
	})
}

// ExpireFiles deletes files whose time was over at the given one, as many as there are up to a limit, and returns their IDs. Their blobs may go after
// that. What is held stays.
func (s *Store) ExpireFiles(ctx context.Context, at time.Time, limit int) (ids []string, err error) {
	err = s.write(ctx, "delete files that have expired", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM files WHERE id IN (SELECT f.id FROM files f WHERE f.expires <= $1
			AND NOT EXISTS (SELECT 1 FROM file_holds h WHERE h.file = f.id) ORDER BY f.expires LIMIT $2`+s.engine.forUpdate()+`) RETURNING id`,
			micros(at), limit)
		if err != nil {
			return err
		}
		ids, err = scanTexts(rows)
		return err
	})
	return ids, err
}

// MissingFiles returns those of the IDs that no file has, of any organization. Expired files are not missing before they are deleted.
func (s *Store) MissingFiles(ctx context.Context, ids []string) ([]string, error) {
	const what = "look for files"
	var missing []string
	for _, id := range ids {
		var there int
		err := s.db.QueryRowContext(ctx, `SELECT 1 FROM files WHERE id = $1`, id).Scan(&there)
		if isNone(err) {
			missing = append(missing, id)
		} else if err != nil {
			return nil, s.failed(ctx, what, err)
		}
	}
	return missing, nil
}

func scanTexts(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

// noEnd is behind the end of every file.
const noEnd = math.MaxInt64
