package oauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

// wantError checks an error's stage and a part of its text, and that it repeats nothing of a peer's.
func wantError(t *testing.T, err error, stage oauth.Stage, part string) *oauth.Error {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *oauth.Error", err)
	}
	text := e.Error()
	if e.Stage != stage || !strings.Contains(text, part) {
		t.Errorf("got %q at stage %q,\nwant %q at stage %q", text, e.Stage, part, stage)
	}
	if e.Remedy == "" {
		t.Errorf("%q has no remedy", text)
	}
	for cause := range causes(err) {
		for _, leak := range []string{"SECRET", "127.0.0.1:", "http://", "<!doctype"} {
			if strings.Contains(cause.Error(), leak) && !strings.Contains(cause.Error(), "dial tcp") {
				t.Errorf("%q repeats %q", cause, leak)
			}
		}
	}
	return e
}

// causes walks an error and all that it wraps.
func causes(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		queue := []error{err}
		for len(queue) > 0 {
			err, queue = queue[0], queue[1:]
			if !yield(err) {
				return
			}
			switch wrapper := err.(type) { //nolint:errorlint // It walks the tree itself.
			case interface{ Unwrap() error }:
				if inner := wrapper.Unwrap(); inner != nil {
					queue = append(queue, inner)
				}
			case interface{ Unwrap() []error }:
				queue = append(queue, wrapper.Unwrap()...)
			}
		}
	}
}

func redirectTo(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	t.Parallel()
	huge := oauthtest.JSON(http.StatusOK, map[string]any{"issuer": strings.Repeat("SECRET", 200<<10)})
	meta := func(edit func(map[string]any)) func(*world) {
		return func(w *world) { w.as.EditMetadata(edit) }
	}
	resource := func(edit func(map[string]any)) func(*world) {
		return func(w *world) { w.resource.EditMetadata(edit) }
	}
	on := func(h http.HandlerFunc) func(*world) { return func(w *world) { w.as.Override(oauthtest.Metadata, h) } }
	tests := []struct {
		name      string
		edit      func(*world)
		challenge string // where the metadata is said to be
		stage     oauth.Stage
		want      string
		kind      error
		temporary bool
	}{
		{name: "plain http", edit: func(w *world) { w.con.URL = "http://mcp.example.com/mcp" }, stage: oauth.StageResource, want: "https://"},
		{name: "a private address", edit: func(w *world) { w.con.URL = "https://10.0.0.1/mcp" }, stage: oauth.StageResource, want: "not public"},
		{name: "nobody there", edit: func(w *world) { w.resource.Close() }, stage: oauth.StageResource, want: "could not be reached", temporary: true},
		{name: "a hint to a private address", challenge: "https://169.254.169.254/latest?SECRET", stage: oauth.StageResource, want: "not public"},
		{name: "a hint to plain http", challenge: "http://mcp.example.com/x", stage: oauth.StageResource, want: "https://"},
		{
			name: "metadata of another resource", stage: oauth.StageResource, want: "another resource",
			edit: resource(func(m map[string]any) { m["resource"] = "https://SECRET.example/mcp" }),
		},
		{
			name: "metadata of a resource that begins the same", stage: oauth.StageResource, want: "another resource",
			edit: resource(func(m map[string]any) { m["resource"] = m["resource"].(string) + "/more" }),
		},
		{
			name: "no authorization server", stage: oauth.StageResource, want: "names no authorization server",
			edit: resource(func(m map[string]any) { delete(m, "authorization_servers") }),
		},
		{
			name: "an authorization server that is no URL", stage: oauth.StageServer, want: "not an issuer URL",
			edit: resource(func(m map[string]any) { m["authorization_servers"] = []string{"SECRET"} }),
		},
		{
			name: "an authorization server at a private address", stage: oauth.StageServer, want: "not public",
			edit: resource(func(m map[string]any) { m["authorization_servers"] = []string{"https://192.168.0.1"} }),
		},
		{name: "a page", edit: on(oauthtest.HTML(http.StatusOK)), stage: oauth.StageServer, want: "page"},
		{name: "no metadata", edit: on(http.NotFound), stage: oauth.StageServer, want: "no metadata"},
		{name: "an error", edit: on(oauthtest.HTML(http.StatusBadGateway)), stage: oauth.StageServer, want: "HTTP 502", temporary: true},
		{name: "no answer", edit: on(oauthtest.Hang()), stage: oauth.StageServer, want: "in time", temporary: true},
		{name: "a huge answer", edit: on(huge), stage: oauth.StageServer, want: "larger than"},
		{name: "a redirect to elsewhere", edit: on(redirectTo(302, "https://evil.example/SECRET")), stage: oauth.StageServer, want: "HTTP 302"},
		{name: "a redirect to plain http", edit: on(redirectTo(302, "http://mcp.example.com/SECRET")), stage: oauth.StageServer, want: "HTTP 302"},
		{name: "a redirect to itself", edit: on(redirectTo(307, oauthtest.Metadata)), stage: oauth.StageServer, want: "circles"},
		{
			name: "another issuer", stage: oauth.StageServer, want: "another issuer", kind: oauth.ErrIssuer,
			edit: meta(func(m map[string]any) { m["issuer"] = "https://SECRET.example" }),
		},
		{
			name: "an issuer with a path that begins the same", stage: oauth.StageServer, want: "another issuer", kind: oauth.ErrIssuer,
			edit: meta(func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/x" }),
		},
		{
			name: "no issuer", stage: oauth.StageServer, want: "another issuer", kind: oauth.ErrIssuer,
			edit: meta(func(m map[string]any) { delete(m, "issuer") }),
		},
		{
			name: "no PKCE", stage: oauth.StageServer, want: "PKCE",
			edit: meta(func(m map[string]any) { delete(m, "code_challenge_methods_supported") }),
		},
		{
			name: "plain PKCE", stage: oauth.StageServer, want: "an admin",
			edit: meta(func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }),
		},
		{
			name: "no token endpoint", stage: oauth.StageServer, want: "lacks",
			edit: meta(func(m map[string]any) { delete(m, "token_endpoint") }),
		},
		{
			name: "a token endpoint at a private address", stage: oauth.StageServer, want: "not public",
			edit: meta(func(m map[string]any) { m["token_endpoint"] = "https://10.0.0.1/SECRET" }),
		},
		{
			name: "a registration endpoint without TLS", stage: oauth.StageServer, want: "https://",
			edit: meta(func(m map[string]any) { m["registration_endpoint"] = "http://as.example.com/SECRET" }),
		},
		{
			name: "no code flow", stage: oauth.StageServer, want: "code flow",
			edit: meta(func(m map[string]any) { m["response_types_supported"] = []string{"token"} }),
		},
		{
			name: "not an object", stage: oauth.StageServer, want: "not JSON",
			edit: on(oauthtest.JSON(http.StatusOK, "SECRET")),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{Timeout: 5 * time.Second})
			if test.edit != nil {
				test.edit(w)
			}
			_, err := w.client.Discover(t.Context(), w.con, oauth.Challenge{ResourceMetadata: test.challenge})
			e := wantError(t, err, test.stage, test.want)
			if e.Temporary != test.temporary || test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("temporary %v, kind %v: %v", e.Temporary, test.kind, err)
			}
		})
	}
}

func TestRedirectWithinTheOriginIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{Path: "/a", OpenID: true}, oauthtest.ResourceOptions{}, oauth.Options{})
	w.resource.EditMetadata(func(m map[string]any) {
		m["authorization_servers"] = []string{strings.TrimSuffix(w.as.Issuer(), "/a") + "/a"}
	})
	moved := false
	w.as.Override(oauthtest.OpenID, func(rw http.ResponseWriter, r *http.Request) {
		moved = true
		w.as.Override(oauthtest.OpenID, nil)
		redirectTo(http.StatusMovedPermanently, "/a"+oauthtest.OpenID)(rw, r)
	})
	if _, err := w.client.Discover(t.Context(), w.con, oauth.Challenge{}); err != nil || !moved {
		t.Errorf("moved %v: %v", moved, err)
	}
}

func TestCloudflareAccessIsRecognized(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{AccessID: "id", AccessSecret: "pass"}, oauth.Options{})
	_, err := w.client.Discover(t.Context(), w.con, oauth.Challenge{})
	wantError(t, err, oauth.StageResource, "give its network access")
	w.con.Header = http.Header{"Cf-Access-Client-Id": {"id"}, "Cf-Access-Client-Secret": {"wrong"}}
	_, err = w.client.Discover(t.Context(), w.con, oauth.Challenge{})
	wantError(t, err, oauth.StageResource, "the Cloudflare Access token was refused")
}

func TestRegistrationRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		answer    http.HandlerFunc
		want      string
		code      string
		needed    bool
		temporary bool
	}{
		{"a defined error", oauthtest.JSON(400, map[string]any{"error": "invalid_redirect_uri", "error_description": "SECRET"}), "invalid_redirect_uri", "invalid_redirect_uri", true, false},
		{"an error of its own", oauthtest.JSON(400, map[string]any{"error": "SECRET"}), "unknown error code", "", true, false},
		{"a page", oauthtest.HTML(http.StatusForbidden), "HTTP 403 and a page", "", true, false},
		{"a page as success", oauthtest.HTML(http.StatusCreated), "page", "", false, false},
		{"not there", http.NotFound, "HTTP 404", "", true, false},
		{"an accident", oauthtest.HTML(http.StatusInternalServerError), "HTTP 500", "", false, true},
		{"too often", oauthtest.HTML(http.StatusTooManyRequests), "HTTP 429", "", false, true},
		{"no ID", oauthtest.JSON(201, map[string]any{"client_secret": "SECRET"}), "without a usable client ID", "", false, false},
		{"a method nobody asked for", oauthtest.JSON(201, map[string]any{"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}), "not supported", "", false, false},
		{"a method without its secret", oauthtest.JSON(201, map[string]any{"client_id": "x", "token_endpoint_auth_method": "client_secret_post"}), "not supported", "", false, false},
		{"elsewhere", redirectTo(307, "/other"), "HTTP 307", "", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
			w.as.Override(oauthtest.Registration, test.answer)
			_, _, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
			e := wantError(t, err, oauth.StageRegistration, test.want)
			if e.Code != test.code || e.Temporary != test.temporary || errors.Is(err, oauth.ErrClientNeeded) != test.needed {
				t.Errorf("code %q, temporary %v, client needed %v", e.Code, e.Temporary, errors.Is(err, oauth.ErrClientNeeded))
			}
		})
	}
	w := newWorld(t, oauthtest.Options{NoRegistration: true}, oauthtest.ResourceOptions{}, oauth.Options{})
	_, _, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
	wantError(t, err, oauth.StageRegistration, "by hand")
	if !errors.Is(err, oauth.ErrClientNeeded) {
		t.Errorf("got %v, want ErrClientNeeded", err)
	}
}

// A secret that was entered for one authorization server is not shown to another that the MCP server names later.
func TestStaticClientIsBoundToItsIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	w.con.Client = &oauth.StaticClient{ID: "x", Secret: secret.New("SECRET"), Issuer: "https://old.example"}
	_, _, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
	wantError(t, err, oauth.StageRegistration, "another authorization server")
	if !errors.Is(err, oauth.ErrIssuer) || w.as.Count(oauthtest.Token)+w.as.Count(oauthtest.Registration) != 0 {
		t.Errorf("got %v", err)
	}
	for _, client := range []oauth.StaticClient{{}, {ID: "x", AuthMethod: oauth.AuthBasic}, {ID: strings.Repeat("x", 3000)}} {
		w.con.Client = &client
		_, _, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
		wantError(t, err, oauth.StageRegistration, "enter it")
	}
}

func TestCallbackRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		as    oauthtest.Options
		edit  func(q url.Values, p *oauth.Pending)
		stage oauth.Stage
		want  string
		kind  error
		hides bool // the server's description
	}{
		{name: "no state", edit: func(q url.Values, _ *oauth.Pending) { q.Del("state") }, stage: oauth.StageCallback, want: "another authorization", kind: oauth.ErrState},
		{name: "a foreign state", edit: func(q url.Values, _ *oauth.Pending) { q.Set("state", strings.Repeat("x", 43)) }, stage: oauth.StageCallback, want: "another authorization", kind: oauth.ErrState},
		{name: "two states", edit: func(q url.Values, _ *oauth.Pending) { q.Add("state", "x") }, stage: oauth.StageCallback, want: "twice", kind: oauth.ErrState},
		{name: "two codes", edit: func(q url.Values, _ *oauth.Pending) { q.Add("code", "x") }, stage: oauth.StageCallback, want: "twice", kind: oauth.ErrState},
		{name: "a long code", edit: func(q url.Values, _ *oauth.Pending) { q.Set("code", strings.Repeat("x", 9000)) }, stage: oauth.StageCallback, want: "too long", kind: oauth.ErrState},
		{name: "an old state", edit: func(_ url.Values, p *oauth.Pending) { p.Expires = time.Now().Add(-time.Second) }, stage: oauth.StageCallback, want: "took too long", kind: oauth.ErrState},
		{name: "neither code nor error", edit: func(q url.Values, _ *oauth.Pending) { q.Del("code") }, stage: oauth.StageCallback, want: "neither", kind: oauth.ErrState},
		{name: "another issuer", edit: func(q url.Values, _ *oauth.Pending) { q.Set("iss", "https://honest.example") }, stage: oauth.StageCallback, want: "another authorization server", kind: oauth.ErrIssuer},
		{
			name: "another issuer, with an error", stage: oauth.StageCallback, want: "another authorization server", kind: oauth.ErrIssuer, hides: true,
			edit: func(q url.Values, _ *oauth.Pending) {
				q.Set("iss", "https://honest.example")
				q.Set("error", "access_denied")
				q.Set("error_description", "SECRET")
			},
		},
		{
			name: "an issuer that is the same but for a slash", as: oauthtest.Options{IssuerInCallback: true}, stage: oauth.StageCallback, want: "another authorization server", kind: oauth.ErrIssuer,
			edit: func(q url.Values, _ *oauth.Pending) { q.Set("iss", q.Get("iss")+"/") },
		},
		{
			name: "the promised issuer is missing", as: oauthtest.Options{IssuerInCallback: true}, stage: oauth.StageCallback, want: "does not name", kind: oauth.ErrIssuer,
			edit: func(q url.Values, _ *oauth.Pending) { q.Del("iss") },
		},
		{
			name: "declined", stage: oauth.StageAuthorization, want: "declined", kind: oauth.ErrDenied,
			edit: func(q url.Values, _ *oauth.Pending) {
				q.Set("error", "access_denied")
				q.Set("error_description", "no\u202e \x1b[31mway\n\n")
			},
		},
		{
			name: "an unknown error", stage: oauth.StageAuthorization, want: "unknown error code",
			edit: func(q url.Values, _ *oauth.Pending) { q.Set("error", "SECRET") },
		},
		{
			name: "a resource it does not know", stage: oauth.StageAuthorization, want: "leave the resource out",
			edit: func(q url.Values, _ *oauth.Pending) { q.Set("error", "invalid_target") },
		},
		{name: "a wrong code", edit: func(q url.Values, _ *oauth.Pending) { q.Set("code", "SECRET") }, stage: oauth.StageToken, want: "does not accept the code"},
		{name: "a wrong verifier", edit: func(_ url.Values, p *oauth.Pending) { p.Verifier = secret.New(strings.Repeat("x", 43)) }, stage: oauth.StageToken, want: "does not accept the code"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.as, oauthtest.ResourceOptions{}, oauth.Options{})
			u, p, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			q, err := oauthtest.Browse(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			test.edit(q, &p)
			_, err = w.client.Complete(t.Context(), w.con, p, q)
			e := wantError(t, err, test.stage, test.want)
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("got %v, want %v", err, test.kind)
			}
			if test.hides && (e.Description != "" || e.Code != "") || test.name == "declined" && e.Description != "no [31mway" {
				t.Errorf("the description is %q, the code %q", e.Description, e.Code)
			}
			if test.stage != oauth.StageToken && w.as.Count(oauthtest.Token) != 0 {
				t.Error("the code was sent although the callback was refused")
			}
		})
	}
	if err := oauth.UnknownState(); !errors.Is(err, oauth.ErrState) {
		t.Errorf("UnknownState is %v", err)
	}
}

// A code is good once, also for us.
func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	u, p, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := oauthtest.Browse(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Complete(t.Context(), w.con, p, q); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Complete(t.Context(), w.con, p, q)
	wantError(t, err, oauth.StageToken, "used already")
}

func TestTokenAnswerRefused(t *testing.T) {
	t.Parallel()
	good := func() map[string]any {
		return map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r"}
	}
	with := func(name string, value any) http.HandlerFunc {
		m := good()
		m[name] = value
		return oauthtest.JSON(http.StatusOK, m)
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string // "" if it is good
		life   time.Duration
	}{
		{"good", oauthtest.JSON(http.StatusOK, good()), "", time.Minute},
		{"a life in quotes", with("expires_in", "60"), "", time.Minute},
		{"no life", with("expires_in", nil), "", 0},
		{"a negative life", with("expires_in", -5), "", 0},
		{"a life that is none", with("expires_in", []string{}), "", 0},
		{"an endless life", with("expires_in", 1e300), "", 10 * 365 * 24 * time.Hour},
		{"a page", oauthtest.HTML(http.StatusOK), "page", 0},
		{"a page and an error", oauthtest.HTML(http.StatusBadRequest), "HTTP 400 and a page", 0},
		{"no token", with("access_token", ""), "usable token", 0},
		{"a token with a line break", with("access_token", "a\r\nX-Evil: 1"), "usable token", 0},
		{"a huge token", with("access_token", strings.Repeat("x", 20<<10)), "usable token", 0},
		{"a refresh token with a space", with("refresh_token", "a b"), "usable token", 0},
		{"not a bearer token", with("token_type", "DPoP"), "bearer", 0},
		{"no type", with("token_type", ""), "bearer", 0},
		{"an error as success", with("error", "invalid_grant"), "does not accept the code", 0},
		{"wrong credentials", oauthtest.JSON(401, map[string]any{"error": "invalid_client", "error_description": "SECRET"}), "invalid_client", 0},
		{"elsewhere", redirectTo(307, "https://evil.example/"), "HTTP 307", 0},
		{"nothing", oauthtest.JSON(http.StatusBadGateway, map[string]any{}), "HTTP 502", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
			w.as.Override(oauthtest.Token, test.answer)
			g, err := w.connect(t, nil, nil)
			if test.want != "" {
				wantError(t, err, oauth.StageToken, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(g.Expires); test.life == 0 && !g.Expires.IsZero() || test.life > 0 && (left > test.life || left < test.life-30*time.Second) {
				t.Errorf("it expires %s, in %s; want %s", g.Expires, left, test.life)
			}
		})
	}
}

// Whatever is logged of these values shows no secret, and what is sealed shows all.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	_, p, err := w.begin(t.Context(), oauth.Challenge{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := w.mustConnect(t)
	secrets := []string{p.Verifier.Reveal(), g.Access.Reveal(), g.Refresh.Reveal(), g.Client.Secret.Reveal(), p.Client.Secret.Reveal()}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{p, g, g.Client, &g} {
			text := fmt.Sprintf(format, value)
			for _, s := range secrets {
				if s == "" || strings.Contains(text, s) {
					t.Errorf("%s of a %T shows %q", format, value, s)
				}
			}
		}
	}
	text, err := g.Plaintext()
	if err != nil {
		t.Fatal(err)
	}
	back, err := oauth.ParseGrant(text)
	if err != nil || !back.Access.Equal(g.Access) || !back.Refresh.Equal(g.Refresh) || !back.Client.Secret.Equal(g.Client.Secret) || !back.Expires.Equal(g.Expires) {
		t.Errorf("the grant came back as %+v, %v", back, err)
	}
	for _, parse := range []func([]byte) error{
		func(b []byte) error { _, err := oauth.ParseGrant(b); return err },
		func(b []byte) error { _, err := oauth.ParsePending(b); return err },
		func(b []byte) error { _, err := oauth.ParseRegistration(b); return err },
	} {
		if err := parse([]byte(`{"access":"SECRET`)); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("a broken value gave %v", err)
		}
	}
}
