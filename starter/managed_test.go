package starter

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perdure/internal/connection"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/store"
)

// managed is a starter with a database, and people who use it. Nothing of it needs Temporal.
type managed struct {
	*httptest.Server
	store   *store.Store
	starter *Starter
	log     *logtest.Buffer
	links   *SignInLinks
	mux     *http.ServeMux // which tells the pattern of a request
	// keys of users, by their names: ann and amy are admins, alice and bob members; eve is the admin of another organization.
	keys map[string]string
}

func newManaged(t *testing.T, change ...func(*Options)) *managed {
	t.Helper()
	return newManagedOn(t, store.Options{File: filepath.Join(t.TempDir(), "perdure.db")}, change...)
}

// newManagedOn is newManaged with another database.
func newManagedOn(t *testing.T, database store.Options, change ...func(*Options)) *managed {
	t.Helper()
	o, log := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	m := &managed{log: log, keys: map[string]string{}, links: NewSignInLinks()}
	ctx := t.Context()
	database.Sealer, database.Logger = o.Sealer, o.Logger
	m.store = must(store.Open(ctx, database))
	t.Cleanup(func() { m.store.Close() })
	must(m.store.Migrate(ctx))
	o.SignIn.Links = m.links
	o.Limits.Batch = BatchLimits{Concurrency: 8, Places: 16, UnderWay: 100}
	m.Server = httptest.NewUnstartedServer(nil)
	o.SignIn.PublicURL = "http://" + m.Listener.Addr().String()
	for _, c := range change {
		c(&o)
	}
	o.Connections = newConnections(t, m.store, o)
	o.Files = file.New(file.Options{
		Store: m.store, Blobs: o.Blobs, Sealer: o.Sealer, Logger: o.Logger, ExpireAfter: 24 * time.Hour,
		Limits: file.Limits{Bytes: 8 << 20, Lines: 10_000, Line: 1 << 20},
	})
	m.starter = newStarter(ctx, ctx, o)
	m.Config.Handler = m.starter.routes()
	m.mux = http.NewServeMux()
	m.starter.apiRoutes(m.mux.Handle)
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
	a := as(t, m.keys[user], method, m.URL+path, body)
	checkAnswer(t, m.mux, method, m.URL+path, a)
	return a
}

// newConnections has short time limits: what tests meet is on this machine, or not there at all.
func newConnections(t *testing.T, database *store.Store, o Options) *connection.Service {
	t.Helper()
	mcp := must(mcpclient.New(mcpclient.Options{Network: o.Network, ConnectTimeout: 5 * time.Second, ListTimeout: 5 * time.Second, Logger: o.Logger}))
	t.Cleanup(func() {
		if err := mcp.Close(); err != nil {
			t.Error(err)
		}
	})
	client := must(oauth.New(oauth.Options{Network: o.Network, PublicURL: o.SignIn.PublicURL, ClientName: "Perdure", Timeout: 5 * time.Second}))
	t.Cleanup(client.Close)
	return must(connection.New(connection.Options{Store: database, MCP: mcp, OAuth: client, Logger: o.Logger, PublicURL: o.SignIn.PublicURL}))
}

// browser is one that keeps cookies and follows no redirect.
type browser struct {
	*http.Client
	url string
	mux *http.ServeMux
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

func (m *managed) newBrowser() *browser {
	return &browser{url: m.URL, mux: m.mux, Client: &http.Client{
		Jar:           must(cookiejar.New(nil)),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get opens an address of ours, by its path or in full.
func (b *browser) get(t *testing.T, address string) answer {
	return b.send(t, http.MethodGet, address, "")
}

func (b *browser) send(t *testing.T, method, address, body string, header ...string) answer {
	t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.url + address
	}
	r := must(http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body)))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{resp.StatusCode, resp.Header, string(must(io.ReadAll(resp.Body)))}
	checkAnswer(t, b.mux, method, address, a)
	return a
}
