package starter

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/signin"
)

func TestSignInLink(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	link := m.links.New("acme", "ann", time.Now()).Reveal()
	b := m.newBrowser()
	a := b.get(t, link+"&return=%2Fv1%2Fme")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/v1/me" {
		t.Fatalf("HTTP %d to %s", a.status, a.header.Get("Location"))
	}
	if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("cookie %s", cookie)
	}
	b.get(t, "/v1/me").want(t, http.StatusOK, `"user":"ann"`, `"role":"admin"`)
	m.newBrowser().get(t, link).want(t, http.StatusForbidden, "works once")
	m.newBrowser().get(t, m.links.New("acme", "ann", time.Now().Add(-LinkFor)).Reveal()).want(t, http.StatusForbidden, "works once")
	m.newBrowser().get(t, linkPath+"?token=guessed").want(t, http.StatusForbidden)
	// A session is not for runs, and a page of others does nothing with it.
	b.get(t, "/v1/responses").want(t, http.StatusUnauthorized)
	change := `{"members_may_add_connectors":true}`
	b.send(t, http.MethodPost, organizationPath, change, "Sec-Fetch-Site", "cross-site").want(t, http.StatusForbidden, "another origin")
	b.send(t, http.MethodPost, organizationPath, change, "Origin", "https://evil.example").want(t, http.StatusForbidden, "another origin")
	b.send(t, http.MethodPost, signOutPath, "", "Origin", "https://evil.example").want(t, http.StatusForbidden)
	b.send(t, http.MethodPost, organizationPath, change, "Sec-Fetch-Site", "same-origin", "Origin", m.URL).want(t, http.StatusOK, "true")

	token := b.Jar.Cookies(must(url.Parse(m.URL)))[0].Value
	b.send(t, http.MethodPost, signOutPath, "", "Origin", m.URL).want(t, http.StatusSeeOther)
	b.get(t, "/v1/me").want(t, http.StatusUnauthorized)
	m.newBrowser().send(t, http.MethodGet, "/v1/me", "", "Cookie", browserCookie+"="+token).want(t, http.StatusUnauthorized, "session has ended")
}

// TestTwoTabsSignIn: who begins to sign in twice, as a browser does that opens two tabs, can complete both, in any order, and each once.
func TestTwoTabsSignIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	m := newManaged(t, func(o *Options) {
		o.SignIn.OIDC = signin.New(signin.Options{
			Issuer: i.URL, ClientID: "perdure", PublicURL: o.SignIn.PublicURL, Organizations: []signin.Organization{{Name: "acme", Domains: []string{"acme.example"}}},
		})
	})
	b := m.newBrowser()
	pending := func() (cookies []*http.Cookie) {
		for _, c := range b.Jar.Cookies(must(url.Parse(m.URL + signin.CallbackPath))) {
			if strings.HasPrefix(c.Name, pendingPrefix) {
				cookies = append(cookies, c)
			}
		}
		return cookies
	}
	type tab struct {
		query     url.Values
		challenge string
		claims    map[string]any
	}
	begin := func() tab {
		q := i.signIn(t, b, object{"email": "alice@acme.example"})
		return tab{q, i.challenge, maps.Clone(i.claims)}
	}
	complete := func(tab tab) answer {
		i.challenge, i.claims = tab.challenge, tab.claims
		return b.get(t, signin.CallbackPath+"?"+tab.query.Encode())
	}
	one, two := begin(), begin()
	for _, tab := range []tab{two, one} {
		if a := complete(tab); a.status != http.StatusSeeOther {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
		b.get(t, "/v1/me").want(t, http.StatusOK, `"user":"alice"`)
	}
	complete(two).want(t, http.StatusForbidden, "not begun in this browser")
	if left := pending(); len(left) != 0 {
		t.Errorf("cookies are left: %v", left)
	}
	// A browser keeps some, the latest; what fits no callback goes first.
	b.Jar.SetCookies(must(url.Parse(m.URL+signin.CallbackPath)), []*http.Cookie{{Name: pendingPrefix + "old", Value: "x", Path: authPath}})
	var tabs []tab
	for range maxPending + 1 {
		tabs = append(tabs, begin())
	}
	if left := pending(); len(left) != maxPending {
		t.Errorf("%d cookies are left, want %d", len(left), maxPending)
	}
	complete(tabs[0]).want(t, http.StatusForbidden, "not begun in this browser")
	if a := complete(tabs[1]); a.status != http.StatusSeeOther {
		t.Errorf("HTTP %d with %s", a.status, a.body)
	}
}

// issuer is an OpenID Connect provider that signs in whoever its claims say.
type issuer struct {
	*httptest.Server
	key       *rsa.PrivateKey
	claims    map[string]any
	challenge string // of PKCE, of the last authorization
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{key: must(rsa.GenerateKey(rand.Reader, 2048)), claims: map[string]any{}}
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, object{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		encode := base64.RawURLEncoding.EncodeToString
		write(w, object{"keys": []object{{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		verifier := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if r.PostFormValue("code") != "good" || base64.RawURLEncoding.EncodeToString(verifier[:]) != i.challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		write(w, object{"access_token": "a", "token_type": "Bearer", "id_token": i.token()})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) token() string {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }
	text := part(object{"alg": "RS256", "kid": "k"}) + "." + part(i.claims)
	hash := sha256.Sum256([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, hash[:])))
}

// signIn goes through the provider with a browser, as far as the callback, whose query it returns.
func (i *issuer) signIn(t *testing.T, b *browser, claims object) url.Values {
	t.Helper()
	a := b.get(t, signInPath+"?return=%2Fv1%2Fme")
	to := must(url.Parse(a.header.Get("Location")))
	q := to.Query()
	if a.status != http.StatusSeeOther || !strings.HasPrefix(to.String(), i.URL+"/authorize?") || q.Get("code_challenge_method") != "S256" {
		t.Fatalf("HTTP %d to %s", a.status, to)
	}
	i.challenge = q.Get("code_challenge")
	i.claims = object{
		"iss": i.URL, "aud": q.Get("client_id"), "sub": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"nonce": q.Get("nonce"), "email_verified": true,
	}
	for name, value := range claims {
		i.claims[name] = value
	}
	return url.Values{"state": {q.Get("state")}, "code": {"good"}}
}

func TestSignInByOIDC(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	m := newManaged(t, func(o *Options) {
		o.SignIn.OIDC = signin.New(signin.Options{
			Issuer: i.URL, ClientID: "perdure", ClientSecret: secret.New("canary-oidc"), PublicURL: o.SignIn.PublicURL,
			Organizations: []signin.Organization{
				{Name: "acme", Domains: []string{"acme.example"}, AdminGroups: []string{"bosses"}},
				{Name: "other", Groups: []string{"others"}},
			},
		})
	})
	callback := func(b *browser, q url.Values) answer { return b.get(t, signin.CallbackPath+"?"+q.Encode()) }
	for _, tt := range []struct {
		name             string
		claims           object
		organization, id string
		role             identity.Role
	}{
		{"a member by the address", object{"email": "Alice@Acme.example"}, "acme", "alice", identity.Member},
		{"becomes an admin by a group", object{"email": "alice@acme.example", "groups": []string{"bosses"}}, "acme", "alice", identity.Admin},
		{"and a member without it", object{"email": "alice@acme.example"}, "acme", "alice", identity.Member},
		{"a newcomer", object{"email": "zoe@acme.example"}, "acme", "zoe@acme.example", identity.Member},
		{"by a group", object{"email": "olaf@else.example", "groups": []string{"others"}}, "other", "olaf@else.example", identity.Member},
	} {
		b := m.newBrowser()
		a := callback(b, i.signIn(t, b, tt.claims))
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/v1/me" {
			t.Fatalf("%s: HTTP %d with %s", tt.name, a.status, a.body)
		}
		got := decoded[shownCaller](t, b.get(t, "/v1/me"))
		if got.Organization != tt.organization || got.User != tt.id || got.Role != string(tt.role) {
			t.Errorf("%s: signed in as %+v", tt.name, got)
		}
	}
	for name, change := range map[string]struct {
		claims object
		query  func(url.Values)
	}{
		"a wrong state":            {object{"email": "alice@acme.example"}, func(q url.Values) { q.Set("state", "other") }},
		"a wrong code":             {object{"email": "alice@acme.example"}, func(q url.Values) { q.Set("code", "bad") }},
		"declined":                 {object{"email": "alice@acme.example"}, func(q url.Values) { q.Set("error", "access_denied") }},
		"a wrong nonce":            {object{"email": "alice@acme.example", "nonce": "other"}, nil},
		"another audience":         {object{"email": "alice@acme.example", "aud": "another-client"}, nil},
		"another issuer":           {object{"email": "alice@acme.example", "iss": "https://elsewhere.example"}, nil},
		"an expired token":         {object{"email": "alice@acme.example", "exp": time.Now().Add(-time.Hour).Unix()}, nil},
		"an unverified address":    {object{"email": "alice@acme.example", "email_verified": false}, nil},
		"no address":               {object{}, nil},
		"somebody from elsewhere":  {object{"email": "eve@evil.example"}, nil},
		"a domain that only looks": {object{"email": "eve@notacme.example"}, nil},
	} {
		b := m.newBrowser()
		q := i.signIn(t, b, change.claims)
		if change.query != nil {
			change.query(q)
		}
		callback(b, q).want(t, http.StatusForbidden, "Sign-in failed")
		if a := b.get(t, "/v1/me"); a.status != http.StatusUnauthorized {
			t.Errorf("%s signs somebody in: %s", name, a.body)
		}
	}
	// A callback in a browser that has not begun it.
	callback(m.newBrowser(), i.signIn(t, m.newBrowser(), object{"email": "alice@acme.example"})).want(t, http.StatusForbidden, "not begun in this browser")
	if strings.Contains(m.log.String(), "canary-oidc") {
		t.Error("the log has the client's secret")
	}
}
