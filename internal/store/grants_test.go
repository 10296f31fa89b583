package store_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// granted is a connector with a grant of ann's whose content is "0".
func (w *world) granted(t *testing.T) (identity.Actor, store.GrantKey) {
	t.Helper()
	by := w.acme(t)
	c := w.addOAuth(t, "acme", "ann")
	ok(t, w.PutGrant(t.Context(), by, grantOf(c.ID, "0")))
	return by, store.GrantKey{Organization: "acme", Connector: c.ID, User: "ann"}
}

func grantOf(id, content string) connector.Grant {
	return connector.Grant{Connector: id, User: "ann", State: connector.GrantActive, Content: secret.New(content)}
}

func (w *world) content(t *testing.T, key store.GrantKey) string {
	t.Helper()
	g, err := w.Grant(t.Context(), key)
	ok(t, err)
	return g.Content.Reveal()
}

// increment spends the number in a grant, as a refresh spends a refresh token.
func increment(_ context.Context, g connector.Grant) (connector.Grant, error) {
	n, err := strconv.Atoi(g.Content.Reveal())
	g.Content = secret.New(strconv.Itoa(n + 1))
	return g, err
}

func TestGrants(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by, key := w.granted(t)
		g, err := w.Grant(ctx, key)
		if err != nil || g.State != connector.GrantActive || g.AuthorizedBy != "ada" || g.Version != 1 || g.User != "ann" || g.Created.IsZero() {
			t.Errorf("the grant is %+v, %v", g, err)
		}
		ok(t, w.PutGrant(ctx, by, connector.Grant{Connector: key.Connector, State: connector.GrantActive, Content: secret.New("all")}))
		ok(t, w.PutGrant(ctx, by, grantOf(key.Connector, "1")))
		if g, err = w.Grant(ctx, key); err != nil || g.Content.Reveal() != "1" || g.Version != 2 {
			t.Errorf("another one in its place: %+v, %v", g, err)
		}
		all := key
		all.User = ""
		states, err := w.GrantStates(ctx, "acme", "ann")
		if err != nil || len(states) != 2 || states[key] != connector.GrantActive || states[all] != connector.GrantActive {
			t.Errorf("states %v, %v", states, err)
		}
		if states, err = w.GrantStates(ctx, "acme", "bob"); err != nil || len(states) != 1 {
			t.Errorf("bob's: %v, %v", states, err)
		}
		dead, err := w.WithGrantLock(ctx, key, func(_ context.Context, g connector.Grant) (connector.Grant, error) {
			g.State = connector.GrantDead
			return g, nil
		})
		if err != nil || dead.State != connector.GrantDead || dead.Version != 3 {
			t.Errorf("a dead grant is %+v, %v", dead, err)
		}
		if states, err = w.GrantStates(ctx, "acme", "ann"); err != nil || states[key] != connector.GrantDead {
			t.Errorf("states %v, %v", states, err)
		}
		wantKind(t, "for no connector", w.PutGrant(ctx, by, grantOf(connector.NewID(), "")), store.ErrNotFound)
		ok(t, w.DeleteGrant(ctx, by, key.Connector, "ann"))
		_, err = w.Grant(ctx, key)
		wantKind(t, "deleted", err, store.ErrNotFound)
		wantKind(t, "deleted twice", w.DeleteGrant(ctx, by, key.Connector, "ann"), store.ErrNotFound)
		_, err = w.WithGrantLock(ctx, key, increment)
		wantKind(t, "a refresh of none", err, store.ErrNotFound)
		if got := w.content(t, all); got != "all" {
			t.Errorf("everybody's grant is %q", got)
		}
	})
}

// Settings that make a grant another server's, or another client's, end it.
func TestRegrant(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by, key := w.granted(t)
		ok(t, w.AddAuthorization(ctx, connector.Authorization{
			StateHash: "s", Organization: "acme", Connector: key.Connector, User: "ann", Browser: "b", Expires: time.Now().Add(time.Hour),
		}))
		c, err := w.Connector(ctx, "acme", key.Connector)
		ok(t, err)
		for url, kept := range map[string]bool{"https://mcp.acme.example/other": true, "https://other.example/mcp": false} {
			if !kept {
				must(t)(w.Grant(ctx, key))
			}
			s := c.Settings
			s.URL = url
			change, err := c.Apply(s, nil, lenient, time.Now())
			ok(t, err)
			if change.Regrant == kept {
				t.Errorf("%s: regrant is %v", url, change.Regrant)
			}
			if kept {
				continue
			}
			must(t)(w.UpdateConnector(ctx, by, change))
			_, err = w.Grant(ctx, key)
			wantKind(t, "the grant", err, store.ErrNotFound)
			_, err = w.TakeAuthorization(ctx, "acme", "s", "b")
			wantKind(t, "the authorization under way", err, store.ErrNotFound)
		}
	})
}

// No two processes spend the same refresh token: each sees what the one before it has left.
func TestProcessesRefreshOneByOne(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, key := w.granted(t)
		const processes = 3
		var all sync.WaitGroup
		for range processes {
			all.Go(func() {
				process := exec.CommandContext(t.Context(), os.Args[0])
				process.Env = append(os.Environ(), otherProcess+"=1", "KEYSET="+w.keyset, "URL="+w.options.URL.Reveal(),
					"FILE="+w.options.File, "CONNECTOR="+key.Connector)
				if output, err := process.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, output)
				}
			})
		}
		// And many callers in one process, which has fewer connections than callers.
		for range 20 {
			all.Go(func() {
				if _, err := w.WithGrantLock(t.Context(), key, increment); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got, want := w.content(t, key), strconv.Itoa(processes*refreshes+20); got != want {
			t.Errorf("after %s refreshes the grant is at %s", want, got)
		}
	})
}

// A caller who gives up does not cut a refresh short, and what it gave is stored.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, key := w.granted(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.WithGrantLock(ctx, key, func(held context.Context, g connector.Grant) (connector.Grant, error) {
			cancel()
			if held.Err() != nil {
				t.Error("the refresh was cancelled")
			}
			if _, ok := held.Deadline(); !ok {
				t.Error("the refresh may take for ever")
			}
			return increment(held, g)
		})
		if err != nil {
			t.Error(err)
		}
		if got := w.content(t, key); got != "1" {
			t.Errorf("the grant is at %s", got)
		}
		_, err = w.WithGrantLock(ctx, key, increment)
		wantKind(t, "a caller who has given up already", err, context.Canceled)
	})
}

func TestWaitingForARefreshEnds(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		by, key := w.granted(t)
		other := w.open(t)
		_, err := w.WithGrantLock(t.Context(), key, func(held context.Context, g connector.Grant) (connector.Grant, error) {
			for name, s := range map[string]*store.Store{"this process": w.Store, "another process": other} {
				for what, attempt := range map[string]func(context.Context) error{
					"refresh": func(ctx context.Context) error { _, err := s.WithGrantLock(ctx, key, increment); return err },
					"put":     func(ctx context.Context) error { return s.PutGrant(ctx, by, grantOf(key.Connector, "x")) },
					"delete":  func(ctx context.Context) error { return s.DeleteGrant(ctx, by, key.Connector, "ann") },
				} {
					ctx, cancel := context.WithTimeout(held, 50*time.Millisecond)
					if err := attempt(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s in %s: %v", what, name, err)
					}
					cancel()
				}
				// To look at it needs no waiting, nor does all else.
				if _, err := s.Grant(held, key); err != nil {
					t.Error(err)
				}
				if err := s.EnableConnector(held, by, key.Connector, true); err != nil {
					t.Error(err)
				}
			}
			return increment(held, g)
		})
		ok(t, err)
		if got := w.content(t, key); got != "1" {
			t.Errorf("the grant is at %s", got)
		}
	})
}

// A person who authorizes while a refresh is under way wins.
func TestNewGrantWins(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		by, key := w.granted(t)
		other := w.open(t)
		put := make(chan error, 1)
		_, err := w.WithGrantLock(t.Context(), key, func(held context.Context, g connector.Grant) (connector.Grant, error) {
			go func() { put <- other.PutGrant(t.Context(), by, grantOf(key.Connector, "100")) }()
			return increment(held, g)
		})
		ok(t, err)
		ok(t, <-put)
		if got := w.content(t, key); got != "100" {
			t.Errorf("the grant is at %s", got)
		}
	})
}

func TestFailedRefreshChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, key := w.granted(t)
		failure := errors.New("the authorization server is away")
		_, err := w.WithGrantLock(t.Context(), key, func(_ context.Context, g connector.Grant) (connector.Grant, error) {
			g.Content = secret.New("half")
			return g, failure
		})
		if !errors.Is(err, failure) {
			t.Errorf("error %v", err)
		}
		g, err := w.Grant(t.Context(), key)
		if err != nil || g.Content.Reveal() != "0" || g.Version != 1 {
			t.Errorf("the grant is %+v, %v", g, err)
		}
		// One that has nothing to do writes nothing.
		g, err = w.WithGrantLock(t.Context(), key, func(_ context.Context, g connector.Grant) (connector.Grant, error) { return g, nil })
		if err != nil || g.Version != 1 {
			t.Errorf("after nothing the grant is %+v, %v", g, err)
		}
	})
}

// The connection that holds the lock breaks between the refresh and its storing: what cannot be had again is stored nevertheless.
func TestRefreshSurvivesItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgresEngine)
	_, key := w.granted(t)
	admin, err := pgx.Connect(t.Context(), w.options.URL.Reveal())
	ok(t, err)
	defer admin.Close(t.Context())
	g, err := w.WithGrantLock(t.Context(), key, func(held context.Context, g connector.Grant) (connector.Grant, error) {
		var n int
		err := admin.QueryRow(held, `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n)
		if err != nil || n == 0 {
			t.Errorf("%d connections were cut, %v", n, err)
		}
		return increment(held, g)
	})
	if err != nil || g.Content.Reveal() != "1" {
		t.Errorf("the refresh gave %+v, %v", g, err)
	}
	if got := w.content(t, key); got != "1" {
		t.Errorf("the grant is at %s", got)
	}
	ok(t, w.log.Await(t.Context(), "trying again"))
}
