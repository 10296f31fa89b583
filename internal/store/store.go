package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"perdure/internal/secret"
)

// Options say where the store is. The file is used if there is no URL.
type Options struct {
	// URL is that of a PostgreSQL database: postgres://user:password@host/database.
	URL secret.String
	// File is the path of an SQLite database, made if it is missing. Its directory must be there.
	File string
	// MaxOpen and MaxIdle bound connections; 0 is 16 and 4.
	MaxOpen, MaxIdle int
	Sealer           *secret.Sealer
	Logger           *slog.Logger
}

// Store is the database. It is safe for concurrent use, also by several processes.
type Store struct {
	db     *sql.DB
	engine engine
	sealer *secret.Sealer
	logger *slog.Logger
	locks  keyedLock
}

// engine is what differs between the two databases.
type engine interface {
	// open returns the database, without waiting for it.
	open() (*sql.DB, error)
	// forUpdate ends a SELECT whose rows are to stay as they are until the transaction ends.
	forUpdate() string
	// classify returns the kind of an error of the driver: one of ours, or nil for what is a mistake in this package.
	classify(error) error
	// migrate calls apply while no other process migrates.
	migrate(ctx context.Context, db *sql.DB, apply func(ctx context.Context, o migrateOptions) error) error
	// holdGrant returns a session in which the row of the grant, once it is read for update, is no other process's until the session is
	// ended. It waits no longer than ctx, and lasts as long as held.
	holdGrant(ctx, held context.Context, db *sql.DB, key GrantKey) (*grantSession, error)
}

// Open connects to the database. It does not change it: see [Store.Migrate] and [Store.RequireMigrated]. An error that is
// [ErrUnavailable] may pass.
func Open(ctx context.Context, o Options) (*Store, error) {
	var e engine = sqlite{file: o.File}
	if !o.URL.IsZero() {
		e = postgres{url: o.URL}
	}
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = 16
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 4
	}
	db.SetMaxOpenConns(o.MaxOpen)
	db.SetMaxIdleConns(min(o.MaxIdle, o.MaxOpen))
	// A connection that a proxy or a failover has forgotten is not kept for ever.
	db.SetConnMaxIdleTime(5 * time.Minute)
	s := &Store{db: db, engine: e, sealer: o.Sealer, logger: o.Logger}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, s.failed(ctx, "open the database", err)
	}
	return s, nil
}

// Close gives the connections back.
func (s *Store) Close() error { return s.db.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.failed(ctx, "reach the database", s.db.PingContext(ctx))
}

// write runs change in a transaction, which it ends. In SQLite it is the only one that writes.
func (s *Store) write(ctx context.Context, what string, change func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(ctx, what, err)
	}
	if err := change(tx); err != nil {
		// Where the connection is gone, the transaction is, too.
		_ = tx.Rollback()
		return s.failed(ctx, what, err)
	}
	return s.failed(ctx, what, tx.Commit())
}

// querier is a database, a connection or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// row is where a row is scanned from.
type row interface{ Scan(dest ...any) error }

// one runs a statement that is to change one row. That it changed none is otherwise.
func one(ctx context.Context, q querier, otherwise error, query string, args ...any) error {
	result, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	switch {
	case err != nil:
		return err
	case n == 0:
		return otherwise
	case n > 1:
		return fmt.Errorf("%d rows changed instead of one", n)
	default:
		return nil
	}
}

// isNone reports whether a query for one row found none.
func isNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }
