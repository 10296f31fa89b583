package connection_test

import (
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/egress"
	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/internal/store/postgrestest"
)

const publicURL = "https://agents.example.com"

// The people of organization acme. Eve is of another one.
var (
	ada = caller("acme", "ada", identity.Admin)
	ann = caller("acme", "ann", identity.Member)
	bob = caller("acme", "bob", identity.Member)
	eve = caller("other", "eve", identity.Admin)
)

func caller(organization, user string, role identity.Role) connection.Caller {
	return connection.Caller{
		Principal: identity.Principal{Organization: organization, User: user, Key: "key_" + user, Role: role, Scopes: identity.AllScopes},
		Address:   "192.0.2.1",
	}
}

// world is a database of a test's own, and what it takes to open it again.
type world struct {
	*connection.Service
	options store.Options
	log     *logtest.Buffer
}

// setup returns a service over an SQLite file, in which members may add connectors.
func setup(t *testing.T) *world {
	t.Helper()
	return over(t, store.Options{File: filepath.Join(t.TempDir(), "perdure.db")})
}

// both runs a test on both engines.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, setup(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := must(postgrestest.Start(t.Context()))
		t.Cleanup(func() { check(t, s.Stop()) })
		test(t, over(t, store.Options{URL: secret.New(s.URL(must(s.NewDatabase(t.Context(), ""))))}))
	})
}

func over(t *testing.T, o store.Options) *world {
	t.Helper()
	w := &world{log: &logtest.Buffer{}, options: o}
	w.options.Sealer = must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	w.options.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	first := w.open(t)
	must(first.Migrate(t.Context()))
	for _, admin := range []connection.Caller{ada, eve} {
		must(first.Bootstrap(t.Context(), admin.Organization, admin.User))
	}
	by := ada.Acts(ada.Address)
	for _, member := range []connection.Caller{ann, bob} {
		must(first.AddMember(t.Context(), by, member.User, member.User+"@acme.example", identity.Member))
	}
	check(t, first.UpdateOrganization(t.Context(), by, identity.OrganizationSettings{MembersMayAddConnectors: true}))
	w.Service = w.serve(t, first)
	return w
}

// open is another process's store on the same database, as far as the database can tell.
func (w *world) open(t *testing.T) *store.Store {
	t.Helper()
	s := must(store.Open(t.Context(), w.options))
	closed(t, s)
	return s
}

// another is the service of another process.
func (w *world) another(t *testing.T) *connection.Service {
	t.Helper()
	return w.serve(t, w.open(t))
}

func (w *world) serve(t *testing.T, s *store.Store) *connection.Service {
	t.Helper()
	return w.servePatiently(t, s, 0)
}

// servePatiently is serve for people who may take a time to authorize; 0 is the usual time.
func (w *world) servePatiently(t *testing.T, s *store.Store, pendingFor time.Duration) *connection.Service {
	t.Helper()
	network := egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}
	mcp := must(mcpclient.New(mcpclient.Options{Network: network, Logger: w.options.Logger}))
	closed(t, mcp)
	authorization := must(oauth.New(oauth.Options{Network: network, PublicURL: publicURL, ClientName: "Perdure", PendingFor: pendingFor}))
	t.Cleanup(authorization.Close)
	return must(connection.New(connection.Options{
		Store: s, MCP: mcp, OAuth: authorization, Logger: w.options.Logger, PublicURL: publicURL,
	}))
}

func mcpServer(t *testing.T, o mcptest.ServerOptions) *mcptest.Server {
	t.Helper()
	s := mcptest.NewServer(o)
	closed(t, s)
	return s
}

// protected is an MCP server behind an authorization server.
type protected struct {
	*oauthtest.Resource
	as  *oauthtest.Server
	mcp *mcptest.Server
}

func protect(t *testing.T, o oauthtest.Options, r oauthtest.ResourceOptions) protected {
	t.Helper()
	p := protected{as: oauthtest.NewServer(o), mcp: mcpServer(t, mcptest.ServerOptions{})}
	closed(t, p.as)
	p.Resource = must(oauthtest.NewResource(p.as, p.mcp.URL(), r))
	t.Cleanup(p.Close)
	return p
}

// draft is what a person enters for a server that asks for nothing.
func draft(scope connector.Scope, address string) connection.Draft {
	return connection.Draft{Settings: connector.Settings{
		Scope: scope, Name: "Acme", URL: address, Transport: connector.StreamableHTTP, Auth: connector.Auth{Type: connector.AuthNone},
		Network: connector.NetworkNone, Acknowledged: true,
	}}
}

func oauthDraft(scope connector.Scope, address string, grants connector.GrantMode) connection.Draft {
	d := draft(scope, address)
	d.Settings.Auth = connector.Auth{Type: connector.AuthOAuth, OAuth: connector.OAuth{Grants: grants}}
	return d
}

// create adds a connector that must be valid, and enables it.
func (w *world) create(t *testing.T, by connection.Caller, d connection.Draft) connection.View {
	t.Helper()
	v, err := w.Create(t.Context(), by, d)
	check(t, err)
	if !v.Enabled {
		v, err = w.Enable(t.Context(), by, v.ID, true)
		check(t, err)
	}
	return v
}

// authorize goes the way of a browser.
func (w *world) authorize(t *testing.T, by connection.Caller, id string) {
	t.Helper()
	if got, err := w.Complete(t.Context(), by, "browser", w.browse(t, by, id, "browser")); err != nil || got != id {
		t.Fatalf("Complete is %q, %v", got, err)
	}
}

// browse begins an authorization and returns what the browser brings back.
func (w *world) browse(t *testing.T, by connection.Caller, id, browser string) url.Values {
	t.Helper()
	address, err := w.Begin(t.Context(), by, id, browser)
	check(t, err)
	return must(oauthtest.Browse(t.Context(), address))
}

func closed(t *testing.T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
