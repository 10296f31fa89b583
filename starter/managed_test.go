package starter

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// managed is a starter with a database, and people who use it. Nothing of it needs Temporal.
type managed struct {
	*httptest.Server
	store   *store.Store
	starter *Starter
	log     *logtest.Buffer
	links   *SignInLinks
	// keys of users, by their names: ann and amy are admins, alice and bob members; eve is the admin of another organization.
	keys map[string]string
}

func newManaged(t *testing.T, change ...func(*Options)) *managed {
	t.Helper()
	o, log := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	m := &managed{log: log, keys: map[string]string{}, links: NewSignInLinks()}
	ctx := t.Context()
	m.store = must(store.Open(ctx, store.Options{File: filepath.Join(t.TempDir(), "perdure.db"), Sealer: o.Sealer, Logger: o.Logger}))
	t.Cleanup(func() { m.store.Close() })
	must(m.store.Migrate(ctx))
	o.Store, o.SignIn.Links = m.store, m.links
	m.Server = httptest.NewUnstartedServer(nil)
	o.SignIn.PublicURL = "http://" + m.Listener.Addr().String()
	for _, c := range change {
		c(&o)
	}
	m.starter = newStarter(ctx, ctx, o)
	m.Config.Handler = m.starter.routes()
	m.Start()
	t.Cleanup(m.Close)
	must(m.store.Bootstrap(ctx, "acme", "ann"))
	must(m.store.Bootstrap(ctx, "other", "eve"))
	acme := identity.Operator("acme")
	must(m.store.AddMember(ctx, acme, "amy", "", identity.Admin))
	must(m.store.AddMember(ctx, acme, "alice", "alice@acme.example", identity.Member))
	must(m.store.AddMember(ctx, acme, "bob", "", identity.Member))
	for user, organization := range map[string]string{"ann": "acme", "amy": "acme", "alice": "acme", "bob": "acme", "eve": "other"} {
		m.keys[user] = m.newKey(t, organization, user, identity.AllScopes)
	}
	return m
}

func (m *managed) newKey(t *testing.T, organization, user string, scopes identity.Scopes) string {
	t.Helper()
	key, text, err := identity.NewKey(organization, user, "test", scopes, time.Now(), time.Time{})
	if err == nil {
		err = m.store.AddKey(t.Context(), identity.Operator(organization), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// as sends a request with the key of a user.
func (m *managed) as(t *testing.T, user, method, path, body string) answer {
	t.Helper()
	return as(t, m.keys[user], method, m.URL+path, body)
}

// browser is one that keeps cookies and follows no redirect.
type browser struct {
	*http.Client
	url string
}

func (m *managed) signedIn(t *testing.T, organization, user string) *browser {
	t.Helper()
	b := m.newBrowser()
	a := b.get(t, m.links.New(organization, user, time.Now()).Reveal())
	if a.status != http.StatusSeeOther {
		t.Fatalf("sign-in: HTTP %d with %s", a.status, a.body)
	}
	return b
}

var _ secret.String
