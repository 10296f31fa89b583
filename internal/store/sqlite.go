package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// sqlite is the engine of one machine.
type sqlite struct{ file string }

// pragmas hold for each connection. busy_timeout is first: the others may have to wait already.
var pragmas = []string{
	"busy_timeout(10000)", // ms
	"journal_mode(WAL)",   // readers and a writer do not wait for each other
	"synchronous(FULL)",   // a token that was stored survives a power failure: the one before it is spent
	"foreign_keys(1)",
}

func (e sqlite) open() (*sql.DB, error) {
	if e.file == "" {
		return nil, errors.New("store: no database: name one by database.url or data.dir")
	}
	path, err := filepath.Abs(e.file)
	if err != nil {
		return nil, fmt.Errorf("store: database file: %w", err)
	}
	// SQLite would make it readable for others.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: database file: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("store: database file: %w", err)
	}
	// A transaction that reads before it writes would fail if another wrote in between; one that is immediate waits.
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
}

// forUpdate: a transaction has the database to itself.
func (sqlite) forUpdate() string { return "" }

func (sqlite) classify(err error) error {
	var failure *driver.Error
	if !errors.As(err, &failure) {
		return nil
	}
	switch failure.Code() {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrConflict
	case codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return ErrNotFound // of what the row belongs to
	}
	switch failure.Code() & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_IOERR, codes.SQLITE_FULL, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY:
		return ErrUnavailable
	default:
		return nil
	}
}

func (e sqlite) migrate(ctx context.Context, _ *sql.DB, apply func(context.Context, migrateOptions) error) error {
	unlock, err := lockFile(ctx, e.file+".migrate.lock")
	if err != nil {
		return err
	}
	defer unlock()
	return apply(ctx, migrateOptions{dialect: goose.DialectSQLite3})
}
