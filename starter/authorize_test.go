package starter

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/mcptest"
	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
)

// protected is a managed starter with an MCP server that wants OAuth.
type protected struct {
	*managed
	as       *oauthtest.Server
	resource *oauthtest.Resource
}

func newProtected(t *testing.T, o oauthtest.Options) *protected {
	t.Helper()
	p := &protected{managed: newManaged(t), as: oauthtest.NewServer(o)}
	t.Cleanup(func() {
		if err := p.as.Close(); err != nil {
			t.Error(err)
		}
	})
	p.resource = must(oauthtest.NewResource(p.as, mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true}), oauthtest.ResourceOptions{}))
	t.Cleanup(p.resource.Close)
	return p
}

var byOAuth = object{"auth": object{"type": "oauth"}}

// begin lets ann's browser begin to authorize the connector at a path, and returns where it is sent.
func (p *protected) begin(t *testing.T, b *browser, path string) string {
	t.Helper()
	a := p.managed.as(t, "ann", http.MethodPost, path+"/authorize", "")
	address := decoded[shownAuthorization](t, a).AuthorizationURL
	if want := p.URL + connection.AuthorizePath + "?connector=" + strings.TrimPrefix(path, connectorsPath+"/"); address != want {
		t.Fatalf("the address is %s, want ours: %s", address, want)
	}
	got := b.get(t, address)
	if got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), p.as.Issuer()) {
		t.Fatalf("HTTP %d to %s with %s", got.status, got.header.Get("Location"), got.body)
	}
	return got.header.Get("Location")
}

// agreed is the query with which the authorization server sends the browser back.
func agreed(t *testing.T, address string) url.Values {
	t.Helper()
	return must(oauthtest.Browse(t.Context(), address))
}

func (p *protected) state(t *testing.T, path string) connector.State {
	t.Helper()
	return decoded[shownConnector](t, p.managed.as(t, "ann", http.MethodGet, path, "")).Status.State
}

func TestAuthorizeInTheBrowser(t *testing.T) {
	t.Parallel()
	p := newProtected(t, oauthtest.Options{Rotate: true})
	path := p.add(t, "ann", p.resource.URL(), byOAuth)
	if got := p.state(t, path); got != connector.NeedsAuth {
		t.Fatalf("state %s", got)
	}
	// Who is not signed in is asked to, and comes back to the same page.
	address := decoded[shownAuthorization](t, p.managed.as(t, "ann", http.MethodPost, path+"/authorize", "")).AuthorizationURL
	a := p.newBrowser().get(t, address)
	if to := must(url.Parse(a.header.Get("Location"))); a.status != http.StatusSeeOther || to.Path != signInPath || !strings.HasPrefix(to.Query().Get("return"), connection.AuthorizePath) {
		t.Fatalf("HTTP %d to %s", a.status, to)
	}
	b := p.signedIn(t, "acme", "ann")
	query := agreed(t, p.begin(t, b, path))
	done := b.get(t, oauth.CallbackPath+"?"+query.Encode())
	done.want(t, http.StatusOK, "Connected", "Acme CRM")
	if csp := done.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(done.body, "<script>") {
		t.Errorf("policy %q of %s", csp, done.body)
	}
	if got := p.state(t, path); got != connector.Connected {
		t.Errorf("state %s", got)
	}
	// Once more with the same state.
	b.get(t, oauth.CallbackPath+"?"+query.Encode()).want(t, http.StatusBadRequest, "callback")
	if got := p.state(t, path); got != connector.Connected {
		t.Errorf("state %s after a state was used twice", got)
	}
	p.managed.as(t, "ann", http.MethodPost, path+"/disconnect", "").want(t, http.StatusOK, `"state":"needs_auth"`)
	if n := p.as.Grants(); n != 0 {
		t.Errorf("%d grants are left at the authorization server", n)
	}
}

// TestForeignCallback: a callback with a state that is wrong, of another browser, of another person or of nobody stores nothing.
func TestForeignCallback(t *testing.T) {
	t.Parallel()
	p := newProtected(t, oauthtest.Options{})
	path := p.add(t, "ann", p.resource.URL(), byOAuth, object{"scope": "organization"})
	anns := p.signedIn(t, "acme", "ann")
	query := agreed(t, p.begin(t, anns, path))
	wrong := url.Values{"code": query["code"], "state": {"never-given-out"}}
	for name, callback := range map[string]func() answer{
		"no session":      func() answer { return p.newBrowser().get(t, oauth.CallbackPath+"?"+query.Encode()) },
		"another admin":   func() answer { return p.signedIn(t, "acme", "amy").get(t, oauth.CallbackPath+"?"+query.Encode()) },
		"another browser": func() answer { return p.signedIn(t, "acme", "ann").get(t, oauth.CallbackPath+"?"+query.Encode()) },
		"a stranger":      func() answer { return p.signedIn(t, "other", "eve").get(t, oauth.CallbackPath+"?"+query.Encode()) },
		"a wrong state":   func() answer { return anns.get(t, oauth.CallbackPath+"?"+wrong.Encode()) },
		"no state":        func() answer { return anns.get(t, oauth.CallbackPath) },
	} {
		callback().want(t, http.StatusBadRequest, "Authorization failed", "Stage: <code>callback</code>")
		if got := p.state(t, path); got != connector.NeedsAuth {
			t.Errorf("state %s after a callback of %s", got, name)
		}
	}
	if n := p.as.Count(oauthtest.Token); n != 0 {
		t.Errorf("the code was shown %d times", n)
	}
	anns.get(t, oauth.CallbackPath+"?"+query.Encode()).want(t, http.StatusOK, "Connected") // which nobody has spoiled
}

// TestBadAuthorizationServer: whatever is wrong with it, the page says at which stage and what to do, and nothing is stored.
func TestBadAuthorizationServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		o           oauthtest.Options
		spoil       func(*oauthtest.Server)
		stage, says string
	}{
		{"mixes issuers", oauthtest.Options{}, func(as *oauthtest.Server) {
			as.EditMetadata(func(m map[string]any) { m["issuer"] = "https://elsewhere.example" })
		}, "authorization_server", ""},
		{"returns HTML", oauthtest.Options{}, func(as *oauthtest.Server) { as.Override(oauthtest.Metadata, oauthtest.HTML(http.StatusOK)) }, "authorization_server", ""},
		{"omits PKCE", oauthtest.Options{}, func(as *oauthtest.Server) {
			as.EditMetadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") })
		}, "authorization_server", "PKCE"},
		{"rejects registration", oauthtest.Options{}, func(as *oauthtest.Server) {
			as.Override(oauthtest.Registration, oauthtest.JSON(http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata"}))
		}, "registration", "client"},
		{"has no registration", oauthtest.Options{NoRegistration: true}, nil, "registration", "client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProtected(t, tt.o)
			path := p.add(t, "ann", p.resource.URL(), byOAuth)
			if tt.spoil != nil {
				tt.spoil(p.as)
			}
			b := p.signedIn(t, "acme", "ann")
			a := b.get(t, connection.AuthorizePath+"?connector="+strings.TrimPrefix(path, connectorsPath+"/"))
			a.want(t, http.StatusFailedDependency, "Authorization failed", "Stage: <code>"+tt.stage+"</code>", tt.says)
			if got := p.state(t, path); got != connector.NeedsAuth {
				t.Errorf("state %s", got)
			}
		})
	}
}

// TestDeclined: a person who says no, and an authorization server that answers for another, leave things as they were.
func TestDeclined(t *testing.T) {
	t.Parallel()
	p := newProtected(t, oauthtest.Options{IssuerInCallback: true})
	path := p.add(t, "ann", p.resource.URL(), byOAuth)
	b := p.signedIn(t, "acme", "ann")
	p.as.Deny("access_denied")
	b.get(t, oauth.CallbackPath+"?"+agreed(t, p.begin(t, b, path)).Encode()).want(t, http.StatusFailedDependency, "Stage: <code>authorization</code>")
	p.as.Deny("")
	query := agreed(t, p.begin(t, b, path))
	query.Set("iss", "https://elsewhere.example")
	b.get(t, oauth.CallbackPath+"?"+query.Encode()).want(t, http.StatusFailedDependency, "Stage: <code>callback</code>")
	if got := p.state(t, path); got != connector.NeedsAuth {
		t.Errorf("state %s", got)
	}
}

// TestConnectorSecrets: no answer, line of the log or event of the audit log has a secret.
func TestConnectorSecrets(t *testing.T) {
	t.Parallel()
	p := newProtected(t, oauthtest.Options{Rotate: true})
	canaries := []string{"canary-api-key", "canary-header", "canary-cf-id", "canary-cf-secret", "canary-client-secret"}
	var answers strings.Builder
	ask := func(method, path, body string) answer {
		a := p.managed.as(t, "ann", method, path, body)
		answers.WriteString(a.body)
		return a
	}
	created := ask(http.MethodPost, connectorsPath, connectorJSON(p.resource.URL(), object{
		"auth":    object{"type": "api_key", "api_key": canaries[0], "header": "X-Api-Key"},
		"headers": object{"X-Team": canaries[1]},
		"network": object{"type": "cloudflare_access", "client_id": canaries[2], "client_secret": canaries[3]},
	}))
	c := decoded[shownConnector](t, created)
	path := connectorsPath + "/" + c.ID
	if c.Auth.APIKey == nil || !c.Auth.APIKey.Set || !c.Headers["X-Team"].Set || c.Network.ClientSecret == nil || !c.Network.ClientSecret.Set {
		t.Errorf("what is set does not show: %s", created.body)
	}
	// What an answer shows in the place of a secret says to keep it.
	body := string(must(json.Marshal(object{"auth": c.Auth, "headers": c.Headers, "network": c.Network, "name": "Renamed"})))
	if kept := decoded[shownConnector](t, ask(http.MethodPatch, path, body)); kept.Name != "Renamed" || !kept.Headers["X-Team"].Set || !kept.Auth.APIKey.Set {
		t.Errorf("kept %+v", kept)
	}
	ask(http.MethodPatch, path, `{"name":7}`)
	ask(http.MethodPatch, path, `{"auth":{"api_key":"canary-api-key\n"}}`)
	changed := ask(http.MethodPatch, path, `{"headers":{},"network":{"type":"none"},"auth":{"type":"oauth","oauth":{"client_id":"x","client_secret":"canary-client-secret"}}}`)
	if c := decoded[shownConnector](t, changed); len(c.Headers) != 0 || c.Auth.APIKey != nil || c.Auth.OAuth == nil || !c.Auth.OAuth.ClientSecret.Set {
		t.Errorf("changed to %s", changed.body)
	}
	ask(http.MethodPatch, path, `{"auth":{"type":"none"}}`)
	ask(http.MethodPatch, path, `{"auth":{"type":"oauth"}}`)
	b := p.signedIn(t, "acme", "ann")
	query := agreed(t, p.begin(t, b, path))
	answers.WriteString(b.get(t, oauth.CallbackPath+"?"+query.Encode()).body)
	ask(http.MethodPost, path+"/probe", "")
	ask(http.MethodGet, path, "")
	ask(http.MethodGet, connectorsPath, "")
	ask(http.MethodPost, path+"/disconnect", "")
	ask(http.MethodDelete, path, "")
	ask(http.MethodGet, organizationPath+"/audit_log?limit=100", "")
	canaries = append(canaries, query.Get("code"), query.Get("state"))
	for _, cookie := range b.Jar.Cookies(must(url.Parse(p.URL))) {
		canaries = append(canaries, cookie.Value)
	}
	for _, key := range p.keys {
		canaries = append(canaries, key)
	}
	for _, canary := range canaries {
		for where, text := range map[string]string{"answers": answers.String(), "log": p.log.String()} {
			if strings.Contains(text, canary) {
				t.Errorf("%s has %s", where, canary)
			}
		}
	}
}
