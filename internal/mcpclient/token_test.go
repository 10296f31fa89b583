package mcpclient_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/egress"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

// A connection is a connector with its grant in a row, as a store keeps it.
type connection struct {
	as       *oauthtest.Server
	resource *oauthtest.Resource
	server   *mcptest.Server
	client   *oauth.Client
	con      oauth.Connector

	mu    sync.Mutex // the row's lock
	grant oauth.Grant
}

func newConnection(t *testing.T, as oauthtest.Options, resource oauthtest.ResourceOptions, server mcptest.ServerOptions) *connection {
	t.Helper()
	c := &connection{as: oauthtest.NewServer(as), server: newServer(t, server)}
	t.Cleanup(func() {
		if err := c.as.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if c.resource, err = oauthtest.NewResource(c.as, c.server.URL(), resource); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.resource.Close)
	c.client, err = oauth.New(oauth.Options{PublicURL: "http://localhost:8080", Network: egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	c.con = oauth.Connector{URL: c.resource.URL()}
	return c
}

// authorize does what the refusal of a run asks for.
func (c *connection) authorize(t *testing.T, refusal error, prior *oauth.Grant) {
	t.Helper()
	var e *mcpclient.Error
	if !errors.As(refusal, &e) {
		t.Fatalf("got %v, want a refusal", refusal)
	}
	d, err := c.client.Discover(t.Context(), c.con, e.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.client.Identify(t.Context(), c.con, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	u, p, err := c.client.Begin(c.con, d, r, e.Challenge, prior)
	if err != nil {
		t.Fatal(err)
	}
	query, err := oauthtest.Browse(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if c.grant, err = c.client.Complete(t.Context(), c.con, p, query); err != nil {
		t.Fatal(err)
	}
}

// token is what a run asks for its token.
func (c *connection) token(ctx context.Context, refused secret.String) (secret.String, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, changed, err := c.client.Refresh(ctx, c.con, c.grant, refused)
	if err != nil {
		return secret.String{}, err
	}
	if changed {
		c.grant = g
	}
	return g.Access, nil
}

func (c *connection) mcp() mcpclient.Server {
	s := at(c.con.URL)
	s.Token = c.token
	return s
}

// A token that ends in the middle of a run is replaced, and the call that met its end is made once.
func TestTokenIsRefreshedDuringARun(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]mcptest.ServerOptions{"stateful": {}, "stateless": {Stateless: true, JSONResponse: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			con, c := newConnection(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{}, opts), newClient(t, mcpclient.Options{})
			_, err := c.ListTools(t.Context(), "run", at(con.con.URL))
			con.authorize(t, wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.NotSent}), nil)
			if _, err := c.ListTools(t.Context(), "run", con.mcp()); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				con.as.ExpireTokens()
				sent := 0
				result, err := c.CallTool(t.Context(), "run", con.mcp(), mcpclient.Call{
					Name: "append", Arguments: []byte(`{"line":"x"}`), IdempotencyKey: "key-" + string(rune('a'+i)),
					BeforeSend: func(context.Context) error { sent++; return nil },
				})
				if err != nil || result.Output != "appended" {
					t.Fatalf("got %+v, %v", result, err)
				}
				// The refused request, and the one that was made. A stateless server is met with a session already.
				if sent != 2 {
					t.Errorf("the call was sent %d times, want 2", sent)
				}
			}
			if n := len(con.server.Lines()); n != 3 {
				t.Errorf("%d lines were appended, want 3", n)
			}
			if n := con.as.Count(oauthtest.Token); n != 4 { // the code and three refreshes
				t.Errorf("%d token requests, want 4", n)
			}
		})
	}
}

// Many calls whose token ends at once cause one refresh.
func TestParallelCallsRefreshOnce(t *testing.T) {
	t.Parallel()
	con, c := newConnection(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{}, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	_, err := c.ListTools(t.Context(), "run", at(con.con.URL))
	con.authorize(t, err, nil)
	if _, err := c.ListTools(t.Context(), "run", con.mcp()); err != nil {
		t.Fatal(err)
	}
	con.as.ExpireTokens()
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			result, err := c.CallTool(t.Context(), "run", con.mcp(), mcpclient.Call{Name: "echo", Arguments: []byte(`{"text":"hi"}`)})
			if err != nil || result.Output != "hi" {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
	calls.Wait()
	if n := con.as.Count(oauthtest.Token); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

// A dead grant is an error that says so, before anything is sent.
func TestDeadGrant(t *testing.T) {
	t.Parallel()
	con, c := newConnection(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	_, err := c.ListTools(t.Context(), "run", at(con.con.URL))
	con.authorize(t, err, nil)
	con.as.EndGrants()
	_, err = c.CallTool(t.Context(), "run", con.mcp(), mcpclient.Call{Name: "echo", Arguments: []byte(`{"text":"hi"}`)})
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Sent: mcpclient.NotSent})
	if !errors.Is(err, oauth.ErrReauth) || !strings.Contains(e.Message, "revoked") || e.Remedy == "" {
		t.Errorf("got %v with remedy %q", err, e.Remedy)
	}
	if con.server.Calls("echo") != 0 {
		t.Error("the tool was called")
	}
}

// A server that refuses every token is asked twice and no more.
func TestTokenRefusedForEver(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.Status(401, "WWW-Authenticate", `Bearer error="invalid_token"`))
	asked := 0
	s := at(h.URL())
	s.Token = func(_ context.Context, refused secret.String) (secret.String, error) {
		if asked++; asked > 1 && refused.IsZero() {
			t.Error("the second request for a token does not say which was refused")
		}
		return secret.New("token-" + strings.Repeat("x", asked)), nil
	}
	_, err := c.ListTools(t.Context(), "run", s)
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.NotSent})
	if asked != 2 || h.Count("initialize") != 2 || e.Challenge.Error != "invalid_token" {
		t.Errorf("%d tokens, %d requests, %+v", asked, h.Count("initialize"), e.Challenge)
	}
	// The same token again is not even tried.
	s.Token = func(context.Context, secret.String) (secret.String, error) { return secret.New("token"), nil }
	if _, err := c.ListTools(t.Context(), "run", s); err == nil || h.Count("initialize") != 3 {
		t.Errorf("%d requests, %v", h.Count("initialize"), err)
	}
	for name, token := range map[string]string{"a line break": "a\r\nX: y", "too long": strings.Repeat("x", 9000)} {
		s.Token = func(context.Context, secret.String) (secret.String, error) { return secret.New(token), nil }
		if _, err := c.ListTools(t.Context(), "run", s); err == nil || h.Count("initialize") != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Permissions that are missing are told with their names, and getting them helps.
func TestInsufficientScope(t *testing.T) {
	t.Parallel()
	con, c := newConnection(t, oauthtest.Options{}, oauthtest.ResourceOptions{Scopes: []string{"read"}}, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	_, err := c.ListTools(t.Context(), "run", at(con.con.URL))
	con.authorize(t, err, nil)
	con.resource.Require("read", "write")
	call := mcpclient.Call{Name: "echo", Arguments: []byte(`{"text":"hi"}`)}
	_, err = c.CallTool(t.Context(), "run", con.mcp(), call)
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Status: 403, Sent: mcpclient.NotSent})
	if !e.Challenge.InsufficientScope() || len(e.Challenge.Scopes) != 2 || !strings.Contains(e.Message, "permissions") {
		t.Errorf("got %v, %+v", e, e.Challenge)
	}
	if n := con.as.Count(oauthtest.Token); n != 1 {
		t.Errorf("%d token requests: a token without permissions was renewed in vain", n)
	}
	con.authorize(t, err, &con.grant)
	if result, err := c.CallTool(t.Context(), "run", con.mcp(), call); err != nil || result.Output != "hi" {
		t.Errorf("got %+v, %v", result, err)
	}
}

// A tool cannot carry the access token into the model's context.
func TestTokenIsRedactedFromOutput(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	s := at(h.URL())
	s.Token = func(context.Context, secret.String) (secret.String, error) { return secret.New(canary), nil }
	h.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		mcptest.Result(`{"content":[{"type":"text","text":"you sent `+r.Header.Get("Authorization")+`"}]}`)(w, r, m)
	})
	result, err := c.CallTool(t.Context(), "run", s, callT)
	if err != nil || strings.Contains(result.Output, canary) || !strings.Contains(result.Output, "[redacted]") {
		t.Errorf("got %+v, %v", result, err)
	}
	h.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		mcptest.Error(-32602, "bad "+r.Header.Get("Authorization"))(w, r, m)
	})
	_, err = c.CallTool(t.Context(), "run", s, callT)
	var e *mcpclient.Error
	if !errors.As(err, &e) || strings.Contains(e.ServerMessage, canary) || e.ServerMessage == "" {
		t.Errorf("got %v with %q", err, e.ServerMessage)
	}
}

// A refusal ends a handshake. The SDK would try another form, whose failure would hide that credentials are missing.
func TestRefusedHandshakeKeepsItsReason(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("server/discover", mcptest.Status(401, "WWW-Authenticate", `Bearer scope="a"`))
	h.On("initialize", mcptest.Status(400))
	s := at(h.URL())
	s.Version = "2026-07-28"
	_, err := c.ListTools(t.Context(), "run", s)
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.NotSent})
	if len(e.Challenge.Scopes) != 1 || h.Count("initialize") != 0 {
		t.Errorf("%d initialize requests, %+v", h.Count("initialize"), e.Challenge)
	}
}

// The version that was negotiated before saves the request that would find it out.
func TestVersionHint(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"": "initialize", "2025-06-18": "initialize", "2026-07-28": "server/discover", "nonsense": "initialize"} {
		s, c := newServer(t, mcptest.ServerOptions{Stateless: true}), newClient(t, mcpclient.Options{})
		server := at(s.URL())
		server.Version = version
		listing, err := c.ListTools(t.Context(), "run", server)
		if err != nil || len(listing.Tools) == 0 {
			t.Errorf("%q: %v", version, err)
			continue
		}
		if first := s.Requests()[0].Method; first != want {
			t.Errorf("%q: the first request was %s, want %s", version, first, want)
		}
		if (version == "2025-06-18" || version == "2026-07-28") && listing.ProtocolVersion != version {
			t.Errorf("%q: %s was negotiated", version, listing.ProtocolVersion)
		}
	}
}

// A caller who gives up while a token is fetched gets that as the reason.
func TestTokenHonoursContext(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{ListTimeout: 50 * time.Millisecond})
	s := at(h.URL())
	s.Token = func(ctx context.Context, _ secret.String) (secret.String, error) {
		<-ctx.Done()
		return secret.String{}, ctx.Err()
	}
	_, err := c.ListTools(t.Context(), "run", s)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTimeout, Sent: mcpclient.NotSent, Temporary: true})
}
