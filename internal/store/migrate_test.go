package store_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"perdure/internal/secret"
	"perdure/internal/store"
)

const migrations = 7

func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{sqliteEngine, postgresEngine} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := &world{options: emptyDatabase(t, engine, false)}
			s := w.open(t)
			if err := s.RequireMigrated(t.Context()); err == nil || !strings.Contains(err.Error(), "perdure migrate") {
				t.Errorf("an empty database: %v", err)
			}
			// As processes that start together do.
			var applied atomic.Int64
			var all sync.WaitGroup
			for range 4 {
				other := w.open(t)
				all.Go(func() {
					n, err := other.Migrate(t.Context())
					if err != nil {
						t.Error(err)
					}
					applied.Add(int64(n))
				})
			}
			all.Wait()
			if applied.Load() != migrations {
				t.Errorf("%d migrations were applied, want each of %d once", applied.Load(), migrations)
			}
			if n, err := s.Migrate(t.Context()); n != 0 || err != nil {
				t.Errorf("once more: %d, %v", n, err)
			}
			ok(t, s.RequireMigrated(t.Context()))
			ok(t, s.Ping(t.Context()))
		})
	}
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqliteEngine)
	w.acme(t)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(w.options.File + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%q has mode %v", suffix, info.Mode())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := listener.Addr().String()
	listener.Close()
	for name, tt := range map[string]struct {
		o           store.Options
		want        string
		unavailable bool
	}{
		"nothing":            {store.Options{}, "database.url or data.dir", false},
		"another scheme":     {store.Options{URL: secret.New("mysql://u:hunter2@h/d")}, "must begin with postgres://", false},
		"what cannot be one": {store.Options{URL: secret.New("postgres://u:hunter2@h:port/d")}, "cannot be read", false},
		"nobody there":       {store.Options{URL: secret.New("postgres://u:hunter2@" + dead + "/d?sslmode=disable")}, "not available", true},
		"no directory":       {store.Options{File: filepath.Join(t.TempDir(), "none", "x.db")}, "database file", false},
		"a directory":        {store.Options{File: t.TempDir()}, "database file", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(t.Context(), tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, store.ErrUnavailable) != tt.unavailable {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestClosedIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{sqliteEngine, postgresEngine} {
		w := newWorld(t, engine)
		s, err := store.Open(t.Context(), w.options)
		ok(t, err)
		ok(t, s.Close())
		if _, err := s.Organization(t.Context(), "acme"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", engine, err)
		}
	}
}
