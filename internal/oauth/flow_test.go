package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"perdure/internal/egress"
	"perdure/internal/mcptest"
	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

const publicURL = "http://localhost:8080"

// A world is a connector's MCP server, its authorization server, and us.
type world struct {
	as       *oauthtest.Server
	resource *oauthtest.Resource
	client   *oauth.Client
	con      oauth.Connector
}

func newWorld(t *testing.T, as oauthtest.Options, resource oauthtest.ResourceOptions, opts oauth.Options) *world {
	t.Helper()
	w := &world{as: oauthtest.NewServer(as)}
	t.Cleanup(func() {
		if err := w.as.Close(); err != nil {
			t.Error(err)
		}
	})
	server := mcptest.NewServer(mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if w.resource, err = oauthtest.NewResource(w.as, server.URL(), resource); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.resource.Close)
	w.client = newClient(t, opts)
	w.con = oauth.Connector{URL: w.resource.URL()}
	return w
}

func newClient(t *testing.T, opts oauth.Options) *oauth.Client {
	t.Helper()
	if opts.PublicURL == "" {
		opts.PublicURL = publicURL
	}
	if opts.Network.AllowOrigins == nil {
		opts.Network = egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}
	}
	c, err := oauth.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// call uses the MCP server and returns its status and challenge.
func (w *world) call(t *testing.T, token secret.String) (int, oauth.Challenge) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.con.URL,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	for name, values := range w.con.Header {
		req.Header[name] = values
	}
	// Not the default transport, whose connections every test server that closes takes down.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, oauth.ParseChallenge(resp.Header.Values("WWW-Authenticate"))
}

// begin goes as far as to the browser, with whatever the server's refusal says.
func (w *world) begin(ctx context.Context, ch oauth.Challenge, stored *oauth.Registration, prior *oauth.Grant) (string, oauth.Pending, error) {
	d, err := w.client.Discover(ctx, w.con, ch)
	if err != nil {
		return "", oauth.Pending{}, err
	}
	r, err := w.client.Identify(ctx, w.con, d, stored)
	if err != nil {
		return "", oauth.Pending{}, err
	}
	return w.client.Begin(w.con, d, r, ch, prior)
}

// connect goes the whole way. What is stored in between goes through its stored form.
func (w *world) connect(t *testing.T, stored *oauth.Registration, prior *oauth.Grant) (oauth.Grant, error) {
	t.Helper()
	token := secret.String{}
	if prior != nil {
		token = prior.Access
	}
	_, ch := w.call(t, token)
	u, p, err := w.begin(t.Context(), ch, stored, prior)
	if err != nil {
		return oauth.Grant{}, err
	}
	query, err := oauthtest.Browse(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Plaintext()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = oauth.ParsePending(text); err != nil {
		t.Fatal(err)
	}
	return w.client.Complete(t.Context(), w.con, p, query)
}

func (w *world) mustConnect(t *testing.T) oauth.Grant {
	t.Helper()
	g, err := w.connect(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestFlow(t *testing.T) {
	t.Parallel()
	redirect := publicURL + oauth.CallbackPath
	static := func(method string) oauthtest.Options {
		return oauthtest.Options{NoRegistration: true, AuthMethods: []string{method}, Clients: []oauthtest.Client{
			{ID: "by hand/1", Secret: "s+e/c:r&t", AuthMethod: method, RedirectURIs: []string{redirect}},
		}}
	}
	tests := []struct {
		name     string
		as       oauthtest.Options
		resource oauthtest.ResourceOptions
		con      oauth.Connector
		edit     func(*world)
		kind     oauth.Kind
		method   oauth.AuthMethod
	}{
		{name: "dynamic client", kind: oauth.KindDynamic, method: oauth.AuthBasic},
		{name: "secret in the form", as: oauthtest.Options{AuthMethods: []string{"client_secret_post"}}, method: oauth.AuthPost},
		{name: "public client", as: oauthtest.Options{AuthMethods: []string{"none"}}, method: oauth.AuthNone},
		{name: "another method than asked for", as: oauthtest.Options{GiveAuthMethod: "client_secret_post"}, method: oauth.AuthPost},
		{name: "registration answered with 200", as: oauthtest.Options{RegisterStatus: http.StatusOK}},
		{name: "issuer with a path", as: oauthtest.Options{Path: "/tenants/1"}},
		{name: "OpenID Connect", as: oauthtest.Options{OpenID: true}},
		{name: "OpenID Connect with a path", as: oauthtest.Options{OpenID: true, Path: "/realms/a"}},
		{name: "issuer in the callback", as: oauthtest.Options{IssuerInCallback: true}},
		{
			name: "issuer in the callback, not announced", as: oauthtest.Options{IssuerInCallback: true},
			edit: func(w *world) {
				w.as.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
			},
		},
		{name: "no hint", resource: oauthtest.ResourceOptions{NoHint: true}},
		{name: "metadata at the root", resource: oauthtest.ResourceOptions{AtRoot: true}},
		{
			name: "the server's own authorization server", resource: oauthtest.ResourceOptions{NoMetadata: true},
			edit: func(w *world) {
				w.as.EditMetadata(func(m map[string]any) { m["issuer"] = w.resource.Origin() })
			},
		},
		{
			name: "the server's own authorization server, without metadata", resource: oauthtest.ResourceOptions{NoMetadata: true},
			edit: func(w *world) { w.as.Override(oauthtest.Metadata, http.NotFound) },
		},
		{
			name: "an issuer written with a slash", // by frameworks that normalize URLs
			edit: func(w *world) {
				w.resource.EditMetadata(func(m map[string]any) { m["authorization_servers"] = []string{w.as.Issuer() + "/"} })
			},
		},
		{
			name: "static client, basic", as: static("client_secret_basic"), kind: oauth.KindStatic, method: oauth.AuthBasic,
			con: oauth.Connector{Client: &oauth.StaticClient{ID: "by hand/1", Secret: secret.New("s+e/c:r&t")}},
		},
		{
			name: "static client, post", as: static("client_secret_post"), kind: oauth.KindStatic, method: oauth.AuthPost,
			con: oauth.Connector{Client: &oauth.StaticClient{ID: "by hand/1", Secret: secret.New("s+e/c:r&t")}},
		},
		{
			name: "PKCE not announced, allowed by an admin", con: oauth.Connector{AllowNoPKCE: true},
			edit: func(w *world) {
				w.as.EditMetadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") })
			},
		},
		{
			name: "another resource, set by an admin", con: oauth.Connector{Resource: "urn:acme:api"},
			edit: func(w *world) {
				w.resource.EditMetadata(func(m map[string]any) { m["resource"] = "urn:acme:api" })
			},
		},
		{
			name:     "network access and OAuth stack",
			resource: oauthtest.ResourceOptions{AccessID: "id", AccessSecret: "pass"},
			con:      oauth.Connector{Header: http.Header{"Cf-Access-Client-Id": {"id"}, "Cf-Access-Client-Secret": {"pass"}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.as, test.resource, oauth.Options{})
			test.con.URL = w.con.URL
			w.con = test.con
			if test.edit != nil {
				test.edit(w)
			}
			g := w.mustConnect(t)
			if test.kind != "" && g.Client.Kind != test.kind || test.method != "" && g.Client.AuthMethod != test.method {
				t.Errorf("the client is %s with %s, want %s with %s", g.Client.Kind, g.Client.AuthMethod, test.kind, test.method)
			}
			if g.Refresh.IsZero() || g.Stale(time.Now()) || !g.Stale(g.Expires) || time.Until(g.Expires) > time.Hour || time.Until(g.Expires) < 50*time.Minute {
				t.Errorf("refresh token %q, expires %s, refresh from %s", g.Refresh, g.Expires, g.RefreshFrom)
			}
			renewed, changed, err := w.client.Refresh(t.Context(), w.con, g, g.Access)
			if err != nil || !changed || renewed.Access.Equal(g.Access) || !renewed.Refresh.Equal(g.Refresh) {
				t.Fatalf("refresh: changed %v, %v", changed, err)
			}
			if test.con.Resource == "" {
				if status, _ := w.call(t, renewed.Access); status != http.StatusOK {
					t.Errorf("the renewed token got status %d", status)
				}
			}
			if err := w.client.Revoke(t.Context(), w.con, renewed); err != nil {
				if !errors.Is(err, oauth.ErrNoRevocation) || !strings.Contains(test.name, "without metadata") {
					t.Fatalf("revoke: %v", err)
				}
			} else if n := w.as.Grants(); n != 0 {
				t.Errorf("%d grants are left after the revocation", n)
			}
		})
	}
}

// A client-metadata document needs no registration: the server fetches it from us.
func TestClientMetadataDocument(t *testing.T) {
	t.Parallel()
	var w *world
	host := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		document, err := w.client.Metadata()
		if err != nil {
			t.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(document)
	}))
	t.Cleanup(host.Close)
	w = newWorld(t, oauthtest.Options{ClientDocuments: true}, oauthtest.ResourceOptions{}, oauth.Options{ClientMetadataURL: host.URL + oauth.ClientMetadataPath})
	g := w.mustConnect(t)
	if g.Client.Kind != oauth.KindDocument || g.Client.ClientID != host.URL+oauth.ClientMetadataPath || w.as.Count(oauthtest.Registration) != 0 {
		t.Errorf("the client is %+v, after %d registrations", g.Client, w.as.Count(oauthtest.Registration))
	}
	if _, _, err := w.client.Refresh(t.Context(), w.con, g, g.Access); err != nil {
		t.Error(err)
	}
}

// Where a document cannot be fetched from us there is none.
func TestClientMetadataNeedsHTTPS(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]bool{"http://localhost:8080": false, "https://agents.example.com": true} {
		c, err := oauth.New(oauth.Options{PublicURL: public})
		if err != nil {
			t.Fatal(err)
		}
		document, err := c.Metadata()
		if err != nil || (document != nil) != want {
			t.Errorf("%s: document %s, %v", public, document, err)
		}
		if want && !strings.Contains(string(document), `"application_type": "web"`) {
			t.Errorf("%s: %s", public, document)
		}
	}
	for _, bad := range []string{"", "agents.example.com", "https://x/path", "https://x?q", "https://u@x", "ftp://x"} {
		if _, err := oauth.New(oauth.Options{PublicURL: bad}); err == nil {
			t.Errorf("the public URL %q was accepted", bad)
		}
	}
}

// One registration serves all connections, until the issuer changes or the server has forgotten it.
func TestRegistrationIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	g := w.mustConnect(t)
	text, err := g.Client.Plaintext()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := oauth.ParseRegistration(text)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.connect(t, &stored, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.as.Count(oauthtest.Registration); n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
	for name, change := range map[string]func(*oauth.Registration){
		"another issuer":       func(r *oauth.Registration) { r.Issuer = "https://other.example" },
		"another redirect URI": func(r *oauth.Registration) { r.RedirectURI = "https://old.example" + oauth.CallbackPath },
		"an expired secret":    func(r *oauth.Registration) { r.Expires = time.Now().Add(time.Minute) },
	} {
		before, other := w.as.Count(oauthtest.Registration), stored
		change(&other)
		if _, err := w.connect(t, &other, nil); err != nil || w.as.Count(oauthtest.Registration) != before+1 {
			t.Errorf("%s: the registration was used again, or %v", name, err)
		}
	}
	w.as.ForgetClients()
	_, _, err = w.client.Refresh(t.Context(), w.con, g, g.Access)
	if !errors.Is(err, oauth.ErrClientGone) || !errors.Is(err, oauth.ErrReauth) {
		t.Errorf("after the server has forgotten the client: %v", err)
	}
}

// What the network in front of a server needs goes to that server and to no other.
func TestHeadersStayAtTheirOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	w.con.Header = http.Header{"Cf-Access-Client-Id": {"id"}, "Authorization": {"Bearer SECRET"}}
	leaked := make(chan http.Header, 10)
	w.as.Override(oauthtest.Metadata, func(rw http.ResponseWriter, r *http.Request) {
		leaked <- r.Header.Clone()
		http.Error(rw, "", http.StatusInternalServerError)
	})
	_, err := w.client.Discover(t.Context(), w.con, oauth.Challenge{})
	if err == nil {
		t.Fatal("a server without metadata was accepted")
	}
	if h := <-leaked; h.Get("Cf-Access-Client-Id") != "" || h.Get("Authorization") != "" {
		t.Errorf("the authorization server got %v", h)
	}
}

func TestRequestsNameTheResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	for _, test := range []struct {
		con  oauth.Connector
		want string
	}{
		{oauth.Connector{}, w.con.URL},
		{oauth.Connector{Resource: "urn:other"}, "urn:other"},
		{oauth.Connector{OmitResource: true}, ""},
		{oauth.Connector{Resource: "urn:other", OmitResource: true}, ""},
	} {
		test.con.URL = w.con.URL
		w.con = test.con
		u, p, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Query().Get("resource"); got != test.want || p.Resource != test.want || parsed.Query().Has("resource") != (test.want != "") {
			t.Errorf("resource %q, stored %q, want %q", got, p.Resource, test.want)
		}
		form := make(chan url.Values, 1)
		w.as.Override(oauthtest.Token, func(rw http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			form <- r.PostForm
			oauthtest.HTML(http.StatusBadGateway)(rw, r)
		})
		g := oauth.Grant{
			Client: p.Client, Resource: p.Resource, TokenEndpoint: p.TokenEndpoint,
			Access: secret.New("a"), Refresh: secret.New("r"),
		}
		if _, _, err := w.client.Refresh(t.Context(), w.con, g, g.Access); err == nil {
			t.Fatal("a page was taken for a token")
		}
		if got := <-form; got.Get("resource") != test.want || got.Get("grant_type") != "refresh_token" {
			t.Errorf("the refresh sent %v, want resource %q", got, test.want)
		}
		w.as.Override(oauthtest.Token, nil)
	}
}
