package main

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustOpenStore(t *testing.T, file string) *store {
	t.Helper()
	s, err := openStore(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

// execSQL runs a statement on the file behind the store's back.
func execSQL(t *testing.T, file, stmt string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+escapePath(file))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), stmt, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a ?#% b.db")
	for range 2 {
		s := mustOpenStore(t, file)
		if s.shards != newStoreShards {
			t.Errorf("shards: got %d, want %d", s.shards, newStoreShards)
		}
		if got := s.sql.ConnectAttributes; got["journal_mode"] != "wal" || got["synchronous"] != "normal" {
			t.Errorf("attributes: got %v", got)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), fs.FileMode(0o600); got != want {
		t.Errorf("mode: got %v, want %v", got, want)
	}
}

func TestOpenStoreInMemory(t *testing.T) {
	t.Parallel()
	s := mustOpenStore(t, "")
	if s.sql.ConnectAttributes["mode"] != "memory" || s.shards != newStoreShards {
		t.Errorf("got %+v", s)
	}
}

// A kill during the first set-up leaves an empty file, or SQLite's journal of a transaction without end.
func TestOpenStoreAfterInterruptedSetup(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "temporal.db")
	db, err := sql.Open("sqlite", "file:"+escapePath(file))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := createTables(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
		t.Fatal(err)
	}

	if s := mustOpenStore(t, file); s.shards != newStoreShards {
		t.Errorf("shards: got %d, want %d", s.shards, newStoreShards)
	}
}

func TestOpenStoreSetupCancelled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "temporal.db")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openStore(ctx, file); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	mustOpenStore(t, file) // Neither the file nor its lock is left in the way.
}

func TestOpenStoreKeepsShards(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "temporal.db")
	_ = mustOpenStore(t, file).close()
	execSQL(t, file, `UPDATE perdure_store SET shards = 1`)
	s := mustOpenStore(t, file)
	if s.shards != 1 {
		t.Errorf("got %d shards, want the file's 1", s.shards)
	}
	if got := serverConfig(s, testAddresses()).Persistence.NumHistoryShards; got != 1 {
		t.Errorf("configured %d shards, want the file's 1", got)
	}
}

func TestOpenStoreRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, file string)
		want    string
	}{
		{"another schema", func(t *testing.T, file string) {
			_ = mustOpenStore(t, file).close()
			execSQL(t, file, `UPDATE perdure_store SET schema = '0.1/0.1'`)
		}, "0.1/0.1"},
		{"another program's database", func(t *testing.T, file string) {
			execSQL(t, file, `CREATE TABLE namespaces (id INT)`)
		}, "not made by perdure-temporal"},
		{"not a database", func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(strings.Repeat("text\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a database"},
		{"a folder", func(t *testing.T, file string) {
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "directory"},
		{"in use", func(t *testing.T, file string) { mustOpenStore(t, file) }, "in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "temporal.db")
			tt.prepare(t, file)
			_, err := openStore(t.Context(), file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want an error with %q and the file's name", err, tt.want)
			}
		})
	}

	if _, err := openStore(t.Context(), filepath.Join(t.TempDir(), "none", "temporal.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: got %v, want %v", err, fs.ErrNotExist)
	}
}
