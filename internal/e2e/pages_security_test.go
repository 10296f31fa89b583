package e2e

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"perdure/internal/ui"
)

// checkRoutes asks every route of the pages as no person of ours would.
func (s *pageStage) checkRoutes(t *testing.T) {
	token := s.session(t, acmeAdmin)
	before := s.dump(t)
	for _, route := range ui.Routes() {
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(strings.TrimSuffix(path, "{$}"), "{id}", "bob")
		if strings.Contains(path, "{") {
			path = placeholder.ReplaceAllString(path, "x")
		}
		t.Run(route, func(t *testing.T) {
			if method == http.MethodGet {
				s.checkStranger(t, path)
				return
			}
			s.checkForgery(t, path, token)
		})
	}
	if after := s.dump(t); after != before {
		t.Errorf("forged forms have changed something:\n%s\nbefore:\n%s", after, before)
	}
	for _, c := range pageCases {
		if len(c.as) == 0 || c.as[0] == acmeAdmin {
			t.Run("headers of "+c.path, func(t *testing.T) { s.checkHeaders(t, s.path(t, c.path), token) })
		}
	}
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// TestCookiesBehindHTTPS: where people come over https, which ends at a proxy, every cookie is for https alone.
func TestCookiesBehindHTTPS(t *testing.T) {
	t.Parallel()
	const public = "https://agents.example.com"
	s := newPageStage(t, stackOptions{Settings: "http:\n  public_url: " + public + "\n"})
	token := s.session(t, acmeAdmin)
	seen := map[string]bool{}
	for _, step := range []struct{ path, form string }{
		{"/theme", "theme=dark&return=/settings/keys"},
		{"/settings/keys", "name=behind-https&scopes=responses&expiry=7"},
		{"/enterprise/members/bob/role", "role=member"},
		{"/rest/auth/sign-out", ""},
	} {
		resp, body := s.ask(t, http.MethodPost, step.path, token, step.form, "Origin", public, "Sec-Fetch-Site", "same-origin")
		if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) == 0 {
			t.Errorf("%s: status %d, cookies %v: %s", step.path, resp.StatusCode, resp.Cookies(), body)
		}
		for _, c := range resp.Cookies() {
			seen[c.Name] = true
			if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s sets the cookie %s", step.path, c)
			}
		}
	}
	for _, name := range []string{sessionCookie, "perdure_theme", "perdure_flash", "perdure_new_key"} {
		if !seen[name] {
			t.Errorf("no step has set %s", name)
		}
	}
}

// dump is what there is of members, keys, sessions and connectors.
func (s *pageStage) dump(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/organization", "/v1/organization/members", "/v1/organization/api_keys", "/v1/connectors"} {
		a, err := send(t.Context(), http.MethodGet, s.url+path, s.adminKey, "")
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("GET %s: %v, status %d: %s", path, err, a.status, a.body)
		}
		all.Write(lastUse.ReplaceAll(a.body, nil))
	}
	return all.String()
}

var lastUse = regexp.MustCompile(`"last_used_at":[^,}]*,?`)

// withoutRedirects is a client that is sent nowhere, and keeps no cookies.
var withoutRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *pageStage) ask(t *testing.T, method, path, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" || method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if token != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
	}
	resp, err := withoutRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// checkStranger: who is not signed in is sent to sign in, and from there back.
func (s *pageStage) checkStranger(t *testing.T, path string) {
	for name, token := range map[string]string{"no session": "", "a session that was made up": "pds_made_up"} {
		resp, _ := s.ask(t, http.MethodGet, path, token, "")
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusSeeOther || to.Path != "/rest/auth/sign-in" || to.Query().Get("return") != path {
			t.Errorf("%s: status %d to %s", name, resp.StatusCode, to)
		}
	}
}

// checkForgery: a form that a page of another origin has the browser of an admin send does nothing.
func (s *pageStage) checkForgery(t *testing.T, path, token string) {
	const form = "name=forged&id=forged&role=admin&scopes=admin&expiry=never"
	for name, header := range map[string][]string{
		"another site":                 {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"a sibling":                    {"Sec-Fetch-Site", "same-site", "Origin", "https://sibling.example"},
		"a browser that says no more":  {"Origin", "https://evil.example"},
		"a page without an origin":     {"Origin", "null"},
		"a sandboxed frame of another": {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
	} {
		if resp, body := s.ask(t, http.MethodPost, path, token, form, header...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, body)
		}
	}
	// Nor does anything happen for who is not signed in. It is said, since browsers send no form of ours on to a provider.
	resp, body := s.ask(t, http.MethodPost, path, "", form)
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "nothing was changed") || !strings.Contains(body, `href="/rest/auth/sign-in"`) {
		t.Errorf("a stranger: status %d: %s", resp.StatusCode, body)
	}
	// No route takes a form as an address.
	if resp, _ := s.ask(t, http.MethodGet, path+"?"+form, token, ""); resp.StatusCode == http.StatusSeeOther {
		t.Errorf("as an address: status %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

// checkHeaders: a page runs, loads and sends nothing but what is ours, is in no frame, and stays in no cache.
func (s *pageStage) checkHeaders(t *testing.T, path, token string) {
	resp, body := s.ask(t, http.MethodGet, path, token, "", "Accept", "text/html")
	h := resp.Header
	directives := map[string]string{}
	for part := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(part), " ")
		directives[name] = sources
		for source := range strings.FieldsSeq(sources) {
			if source != "'self'" && source != "'none'" && source != "blob:" {
				t.Errorf("the policy allows %s %s", name, source)
			}
		}
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
	} {
		if directives[name] != want {
			t.Errorf("the policy's %s is %q, want %s", name, directives[name], want)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	for _, cookie := range resp.Cookies() {
		if !cookie.HttpOnly || cookie.SameSite == http.SameSiteNoneMode || cookie.SameSite == http.SameSiteDefaultMode {
			t.Errorf("the cookie %s can be read or sent by others", cookie.Name)
		}
	}
	static := staticFile.FindAllString(body, -1)
	if len(static) < 3 {
		t.Fatalf("the page has the static files %q", static)
	}
	for _, file := range static {
		resp, _ := s.ask(t, http.MethodGet, file, "", "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d, %v", file, resp.StatusCode, resp.Header)
		}
	}
}

// staticFile is an address that has a hash of what is there.
var staticFile = regexp.MustCompile(`/static/[a-z.-]+\.[A-Za-z0-9_-]{12}\.[a-z]+`)
