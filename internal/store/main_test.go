package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/internal/store/postgrestest"
)

// The one PostgreSQL server of this test process, with a database to copy that is up to date.
var (
	server   = sync.OnceValues(func() (*postgrestest.Server, error) { return postgrestest.Start(context.Background()) })
	started  bool
	template = sync.OnceValues(func() (string, error) {
		s, err := server()
		if err != nil {
			return "", err
		}
		started = true
		name, err := s.NewDatabase(context.Background(), "")
		if err != nil {
			return "", err
		}
		return name, migrate(store.Options{URL: secret.New(s.URL(name))})
	})
)

func migrate(o store.Options) error {
	s, err := store.Open(context.Background(), o)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Migrate(context.Background())
	return err
}

func TestMain(m *testing.M) {
	if os.Getenv(otherProcess) != "" {
		os.Exit(beOtherProcess())
	}
	code := m.Run()
	if started {
		s, err := server()
		if err == nil {
			err = s.Stop()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	otherProcess = "PERDURE_STORE_TEST_PROCESS" // set in the processes that TestProcessesRefreshOneByOne starts
	refreshes    = 25
)

// beOtherProcess refreshes a grant many times, in a process of its own.
func beOtherProcess() int {
	ctx := context.Background()
	sealer, err := secret.OpenKeysetFile(os.Getenv("KEYSET"), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := store.Open(ctx, store.Options{URL: secret.New(os.Getenv("URL")), File: os.Getenv("FILE"), Sealer: sealer})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	for range refreshes {
		key := store.GrantKey{Organization: "acme", Connector: os.Getenv("CONNECTOR"), User: "ann"}
		if _, err := s.WithGrantLock(ctx, key, increment); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// world is a database of a test's own.
type world struct {
	*store.Store
	options store.Options
	keyset  string // the file of the sealer's keys
	log     *logtest.Buffer
}

const (
	postgresEngine = "postgres"
	sqliteEngine   = "sqlite"
)

// both runs a test on both engines, on a database that is up to date.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{sqliteEngine, postgresEngine} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, engine))
		})
	}
}

func newWorld(t *testing.T, engine string) *world {
	t.Helper()
	w := &world{keyset: filepath.Join(t.TempDir(), "keyset.json"), log: &logtest.Buffer{}}
	sealer, err := secret.OpenKeysetFile(w.keyset, w.logger())
	if err != nil {
		t.Fatal(err)
	}
	w.options = emptyDatabase(t, engine, true)
	w.options.Sealer, w.options.Logger = sealer, w.logger()
	w.Store = w.open(t)
	if _, err := w.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// emptyDatabase returns options for a new database, in PostgreSQL one that is up to date if that is wanted.
func emptyDatabase(t *testing.T, engine string, upToDate bool) store.Options {
	t.Helper()
	if engine == sqliteEngine {
		// The ? and the # must not become part of a URL, nor the space.
		return store.Options{File: filepath.Join(t.TempDir(), "a ?#b.db")}
	}
	name, err := template()
	if err != nil {
		t.Fatal(err)
	}
	if !upToDate {
		name = ""
	}
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	if name, err = s.NewDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return store.Options{URL: secret.New(s.URL(name))}
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.log, nil)) }

// open is another process's store on the same database, as far as the database can tell.
func (w *world) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sealerAnew reads the keyset file as a process that starts now does.
func (w *world) sealerAnew(t *testing.T) *secret.Sealer {
	t.Helper()
	sealer, err := secret.OpenKeysetFile(w.keyset, w.logger())
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// acme is an organization with an admin, ada, and two members, ann and bob.
func (w *world) acme(t *testing.T) identity.Actor { return w.organization(t, "acme") }

func (w *world) organization(t *testing.T, name string) identity.Actor {
	t.Helper()
	if made, err := w.Bootstrap(t.Context(), name, "ada"); err != nil || !made {
		t.Fatalf("Bootstrap is %v, %v", made, err)
	}
	by := identity.Actor{Organization: name, User: "ada", Key: "key_1", Address: "192.0.2.1"}
	for _, user := range []string{"ann", "bob"} {
		must(t)(w.AddMember(t.Context(), by, user, user+"@"+name+".example", identity.Member))
	}
	return by
}

// must fails the test if a call that returns a value and an error failed.
func must(t *testing.T) func(_ any, err error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
