package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"perdure/internal/connector"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// raw opens the database beside the store.
func (w *world) raw(t *testing.T) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+strings.NewReplacer("?", "%3f", "#", "%23", " ", "%20").Replace(w.options.File)
	if !w.options.URL.IsZero() {
		driver, source = "pgx", w.options.URL.Reveal()
	}
	db, err := sql.Open(driver, source)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// rotate makes a new primary key, and returns the ID of the old one.
func (w *world) rotate(t *testing.T) (replaced uint32) {
	t.Helper()
	ok(t, secret.ChangeKeysetFile(w.keyset, func(k *secret.Keyset) error {
		if _, err := k.Prepare(); err != nil {
			return err
		}
		var err error
		_, replaced, err = k.Promote()
		return err
	}))
	return replaced
}

func (w *world) drop(t *testing.T, key uint32) {
	t.Helper()
	ok(t, secret.ChangeKeysetFile(w.keyset, func(k *secret.Keyset) error {
		if err := k.Disable(key); err != nil {
			return err
		}
		return k.Drop(key)
	}))
}

// anew is the store of a process that starts now, and so has the keys of now.
func (w *world) anew(t *testing.T) *store.Store {
	t.Helper()
	w.options.Sealer = w.sealerAnew(t)
	return w.open(t)
}

func TestReseal(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		_, key := w.granted(t)
		must(t)(w.SaveOAuthClient(ctx, connector.Client{Organization: "acme", Issuer: "https://as", RedirectURI: "r", Content: secret.New("client")}))
		// More than one batch, in more than one organization.
		var all []connector.Connector
		w.organization(t, "umbrella")
		for i := range 120 {
			all = append(all, w.add(t, []string{"acme", "umbrella"}[i%2], "ann", "c", connector.Individual))
		}
		values := 4*len(all) + 2
		if done, err := w.Reseal(ctx); err != nil || done.Looked != values || done.Sealed != 0 || len(done.Lost) != 0 {
			t.Errorf("while there is one key: %+v, %v", done, err)
		}
		old := w.rotate(t)
		s := w.anew(t)
		// A first attempt is cut off; a second one goes on, beside somebody who refreshes.
		cut, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Reseal(cut); err == nil {
			t.Error("an attempt that was cut off succeeded")
		}
		var busy sync.WaitGroup
		busy.Go(func() {
			for range 20 {
				if _, err := s.WithGrantLock(ctx, key, increment); err != nil {
					t.Error(err)
				}
			}
		})
		done, err := s.Reseal(ctx)
		busy.Wait()
		if err != nil || done.Looked != values || done.Sealed < values-1 || len(done.Lost) != 0 {
			t.Errorf("after a rotation: %+v of %d, %v", done, values, err)
		}
		if again, err := s.Reseal(ctx); err != nil || again.Sealed > 1 {
			t.Errorf("once more: %+v, %v", again, err)
		}
		w.drop(t, old)
		s = w.anew(t)
		for _, c := range all {
			opened, err := s.ConnectorSecrets(ctx, c.Organization, c.ID)
			if err != nil || !opened[connector.APIKey].Equal(given()[connector.APIKey]) {
				t.Fatalf("without the old key: %v", err)
			}
		}
		if g, err := s.Grant(ctx, key); err != nil || g.Content.Reveal() != "20" {
			t.Errorf("the grant is %+v, %v", g, err)
		}
		if c, err := s.OAuthClient(ctx, "acme", "https://as", "r"); err != nil || c.Content.Reveal() != "client" {
			t.Errorf("the client is %+v, %v", c, err)
		}
	})
}

// What nobody can open is named, and keeps nothing else from being sealed again.
func TestResealNamesWhatIsLost(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		_, key := w.granted(t)
		w.drop(t, w.rotate(t))
		s := w.anew(t)
		_, err := s.Grant(ctx, key)
		wantKind(t, "the grant", err, secret.ErrOpen)
		w.Store = s
		c := w.add(t, "acme", "ann", "c", connector.Individual)
		w.rotate(t)
		done, err := w.anew(t).Reseal(ctx)
		want := fmt.Sprintf("[grants acme %s ann]", key.Connector)
		if err != nil || done.Looked != 5 || done.Sealed != 4 || fmt.Sprint(done.Lost) != want {
			t.Errorf("%+v, %v; want lost %s", done, err, want)
		}
		must(t)(w.anew(t).ConnectorSecrets(ctx, "acme", c.ID))
	})
}

// A value that is copied to another row does not open there: another secret's, connector's, organization's or user's.
func TestSealedValuesStayInTheirRow(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by, key := w.granted(t)
		ok(t, w.PutGrant(ctx, by, connector.Grant{Connector: key.Connector, User: "bob", State: connector.GrantActive, Content: secret.New("bob's")}))
		a, b := w.add(t, "acme", "ann", "a", connector.Individual), w.add(t, "acme", "ann", "b", connector.Individual)
		db := w.raw(t)
		for what, move := range map[string]struct {
			statement string
			open      func() error
		}{
			"another user's grant": {
				`UPDATE grants SET sealed = (SELECT sealed FROM grants WHERE member = 'bob') WHERE member = 'ann'`,
				func() error { _, err := w.Grant(ctx, key); return err },
			},
			"another connector's secret": {
				`UPDATE connector_secrets SET sealed = (SELECT sealed FROM connector_secrets WHERE connector = '` + a.ID + `' AND name = 'auth.api_key')
					WHERE connector = '` + b.ID + `' AND name = 'auth.api_key'`,
				func() error { _, err := w.ConnectorSecrets(ctx, "acme", b.ID); return err },
			},
			"another secret": {
				`UPDATE connector_secrets SET sealed = (SELECT sealed FROM connector_secrets WHERE connector = '` + a.ID + `' AND name = 'headers.X-Team')
					WHERE connector = '` + a.ID + `' AND name = 'network.client_id'`,
				func() error { _, err := w.ConnectorSecrets(ctx, "acme", a.ID); return err },
			},
		} {
			ok(t, move.open())
			if _, err := db.ExecContext(ctx, move.statement); err != nil {
				t.Fatal(err)
			}
			wantKind(t, what, move.open(), secret.ErrOpen)
		}
	})
}

// No secret is in the database in clear, nor a key or a token of a session.
func TestNothingIsInClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqliteEngine)
	ctx := t.Context()
	by, key := w.granted(t)
	w.add(t, "acme", "ann", "findable-name", connector.Individual)
	ok(t, w.PutGrant(ctx, by, grantOf(key.Connector, canary)))
	must(t)(w.SaveOAuthClient(ctx, connector.Client{Organization: "acme", Issuer: "i", RedirectURI: "r", Content: secret.New(canary)}))
	ok(t, w.AddAuthorization(ctx, connector.Authorization{StateHash: "s", Organization: "acme", Connector: key.Connector, Content: secret.New(canary)}))
	var files strings.Builder
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(w.options.File), "*"))
	ok(t, err)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err == nil { // directories are none
			files.Write(data)
		}
	}
	if !strings.Contains(files.String(), "findable-name") {
		t.Error("the files hold nothing that can be found")
	}
	if strings.Contains(files.String(), canary) {
		t.Error("a secret is in the files")
	}
}
