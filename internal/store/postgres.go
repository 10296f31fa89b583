package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"perdure/internal/secret"
)

// postgres is the engine of several machines.
type postgres struct{ url secret.String }

func (e postgres) open() (*sql.DB, error) {
	text := e.url.Reveal()
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return nil, errors.New("store: database.url must begin with postgres://; without it the database is a file in data.dir")
	}
	config, err := pgx.ParseConfig(text)
	if err != nil { // its text quotes the URL
		return nil, errors.New("store: database.url cannot be read; write it like postgres://user:password@host:5432/database")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "perdure"
	}
	return stdlib.OpenDB(*config), nil
}

func (postgres) forUpdate() string { return " FOR UPDATE" }

// classify knows the SQLSTATEs of Appendix A of PostgreSQL's documentation.
func (postgres) classify(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		if isConnectionError(err) {
			return ErrUnavailable
		}
		return nil
	}
	switch code := refused.Code; {
	case code == "23505": // unique_violation
		return ErrConflict
	case code == "23503": // foreign_key_violation
		return ErrNotFound
	case strings.HasPrefix(code, "08"), // connection_exception
		strings.HasPrefix(code, "40"), // transaction_rollback: deadlocks
		strings.HasPrefix(code, "53"), // insufficient_resources
		strings.HasPrefix(code, "57"), // operator_intervention: shutdown
		strings.HasPrefix(code, "58"), // system_error
		strings.HasPrefix(code, "28"), // invalid_authorization_specification: passwords are changed under way
		code == "25006":               // read_only_sql_transaction: a replica after a failover
		return ErrUnavailable
	default:
		return nil
	}
}

func isConnectionError(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// migrationLock is the number of the advisory lock; others of the same database must not use it.
const migrationLock = 7_237_651_908

func (postgres) migrate(ctx context.Context, _ *sql.DB, apply func(context.Context, migrateOptions) error) error {
	// Tried each second for five minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("prepare the lock: %w", err)
	}
	return apply(ctx, migrateOptions{dialect: goose.DialectPostgres, locker: locker})
}
