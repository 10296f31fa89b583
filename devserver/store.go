package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"syscall"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	_ "modernc.org/sqlite" // registers the driver "sqlite", the one that the server uses
)

const (
	// newStoreShards is the number of history shards of a new store. Shards dispatch in parallel; measured on
	// two cores, more than four no longer helped. A store keeps its number for ever.
	newStoreShards = 4

	// storeSchema identifies the tables that this build of the server expects.
	storeSchema = sqliteschema.Version + "/" + sqliteschema.VisibilityVersion
)

// store is the server's SQLite database: a file, or memory.
type store struct {
	sql    *config.SQL
	shards int32
	lock   *os.File // nil in memory
}

// openStore prepares the database, creating the file when absent; "" means memory. Until close, no other
// perdure-temporal can open the same file.
func openStore(ctx context.Context, file string) (*store, error) {
	if file == "" {
		return &store{
			sql: &config.SQL{
				PluginName:        sqliteplugin.PluginName,
				DatabaseName:      "memory",
				ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
			},
			shards: newStoreShards,
		}, nil
	}

	lock, err := lockFile(file + ".lock")
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("--db %s: in use by another perdure-temporal; stop it or choose another file", file)
	} else if err != nil {
		return nil, fmt.Errorf("--db %s: %w", file, err)
	}
	shards, err := prepareFile(ctx, file)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("--db %s: %w", file, err)
	}
	return &store{
		sql: &config.SQL{
			PluginName:   sqliteplugin.PluginName,
			DatabaseName: escapePath(file),
			ConnectAttributes: map[string]string{
				"mode":         "rwc",
				"journal_mode": "wal",
				// In WAL mode "normal" writes every commit to the file before it returns, and syncs the disk only
				// at checkpoints. A killed process loses nothing. After a power loss or a kernel crash the
				// database is consistent but may lack its latest commits, so a run may repeat its last steps.
				"synchronous":  "normal",
				"busy_timeout": "10000", // ms; only foreign readers (sqlite3, backups) ever contend
			},
		},
		shards: shards,
		lock:   lock,
	}, nil
}

func (s *store) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// lockFile takes an exclusive lock that the kernel releases when this process ends, however it ends. It is a
// file of its own because closing any descriptor of the database would drop SQLite's locks on it.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// prepareFile creates the tables in a new or empty file, checks those of an existing one, and returns its
// number of history shards. All tables are created in one transaction: a kill leaves an empty file behind, which the
// next start takes for a new one.
func prepareFile(ctx context.Context, file string) (shards int32, err error) {
	// Created here for its mode, which SQLite gives to its side files too: the store holds prompts and answers.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	_ = f.Close()

	db, err := sql.Open("sqlite", "file:"+escapePath(file))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()

	var tables, stamps int
	err = tx.QueryRowContext(ctx, `SELECT count(*), count(CASE WHEN name = 'perdure_store' THEN 1 END) FROM sqlite_schema`).
		Scan(&tables, &stamps)
	switch {
	case err != nil:
		return 0, err
	case tables == 0:
		if err := createTables(ctx, tx); err != nil {
			return 0, err
		}
		return newStoreShards, tx.Commit()
	case stamps == 0:
		return 0, errors.New("this database was not made by perdure-temporal; choose another file")
	}

	var schema string
	if err := tx.QueryRowContext(ctx, `SELECT schema, shards FROM perdure_store`).Scan(&schema, &shards); err != nil {
		return 0, err
	}
	if schema != storeSchema {
		return 0, fmt.Errorf("made for Temporal schema %s, this server needs %s and cannot migrate it; "+
			"run the version of perdure-temporal that made it, or move the file away", schema, storeSchema)
	}
	return shards, nil
}

func createTables(ctx context.Context, tx *sql.Tx) error {
	if err := sqliteschema.SetupSchemaOnDB(schemaTx{ctx: ctx, tx: tx}); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE perdure_store (schema TEXT NOT NULL, shards INTEGER NOT NULL)`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO perdure_store (schema, shards) VALUES (?, ?)`, storeSchema, newStoreShards)
	return err
}

// schemaTx makes the server's schema set-up, which would commit every statement by itself, run inside one
// transaction. The set-up uses no other method of AdminDB; TestOpenStore would panic if that changed.
type schemaTx struct {
	sqlplugin.AdminDB
	ctx context.Context
	tx  *sql.Tx
}

func (s schemaTx) Exec(stmt string, args ...any) error {
	_, err := s.tx.ExecContext(s.ctx, stmt, args...)
	return err
}

// escapePath makes a file name safe inside SQLite's file: URI, where ?, # and % are syntax.
func escapePath(file string) string {
	return (&url.URL{Path: file}).EscapedPath()
}
