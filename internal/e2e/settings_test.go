package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"perdure/internal/identity"
)

// click follows a link or sends a form, and waits for the page behind it: for its heading, which may be that of the page before.
func (v *visitor) click(t *testing.T, what, heading string) {
	t.Helper()
	v.do(t, "click "+what, chromedp.SetAttributeValue(chromedp.CSS("html"), "data-left", ""), chromedp.Click(chromedp.CSS(what)),
		chromedp.WaitVisible(`//html[not(@data-left)]//h1[normalize-space(text())="`+heading+`"]`))
}

func (v *visitor) fill(t *testing.T, field, value string) {
	t.Helper()
	if !evaluated[bool](t, v.browser, "fill in "+field, fmt.Sprintf(`(e => e && (e.value = %q) === e.value)(document.querySelector('main [name="%s"]'))`, value, field)) {
		t.Fatalf("%s cannot be filled in", field)
	}
}

// text is what the main part of the page says.
func (v *visitor) text(t *testing.T) string {
	t.Helper()
	return evaluated[string](t, v.browser, "read the page", `document.querySelector('main').innerText`)
}

func (v *visitor) wants(t *testing.T, what string, texts ...string) {
	t.Helper()
	page := v.text(t)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("%s: the page lacks %q:\n%s", what, text, page)
		}
	}
}

// open goes to a page of the stage.
func (s *pageStage) open(t *testing.T, v *visitor, path, heading string) {
	t.Helper()
	v.visit(t, s.url+path)
	v.awaitHeading(t, heading)
}

// TestSettings walks through what admins do with keys and members, once with JavaScript and once without: the pages are the same.
func TestSettings(t *testing.T) { //nolint:tparallel // two browsers at once are slower than one after the other
	t.Parallel()
	s := newPageStage(t, stackOptions{})
	for name, scripts := range map[string]bool{"with-scripts": true, "without-scripts": false} {
		t.Run(name, func(t *testing.T) {
			p := person{organization: name, user: "walker"}
			s.join(t, p, identity.Admin)
			v := s.browser.visitor(t)
			v.resize(t, 1280, 900)
			v.setSession(t, s.url, s.session(t, p))
			v.do(t, name, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts}))
			s.walkKeys(t, v)
			s.walkMembers(t, v)
			s.walkAccount(t, v, p)
		})
	}
}

// walkKeys makes a key, which is shown once, uses it, and revokes it.
func (s *pageStage) walkKeys(t *testing.T, v *visitor) {
	s.open(t, v, "/settings/keys", "API keys")
	v.wants(t, "without keys", "No API key yet", "Make your first key")
	v.click(t, ".empty a", "New API key")
	v.fill(t, "name", "not a name")
	v.do(t, "take the browser's own check away", chromedp.SetAttributeValue(chromedp.CSS("main form"), "novalidate", ""))
	v.click(t, "main form button", "New API key")
	v.wants(t, "a wrong name", "The key was not made", "must be 1 to 64 letters")
	v.fill(t, "name", "walker")
	v.fill(t, "user", "nobody")
	v.click(t, "main form button", "New API key")
	v.wants(t, "a stranger's key", `"nobody" is no member`)
	v.fill(t, "user", "")
	v.click(t, "main form button", "Your new API key")
	key := strings.TrimSpace(evaluated[string](t, v.browser, "read the key", `document.getElementById('new-key').textContent`))
	created := evaluated[string](t, v.browser, "read the address", `location.href`)
	if !strings.HasPrefix(key, "pd_") || strings.Contains(created, key) {
		t.Fatalf("the key is %q at %s", key, created)
	}
	stored := evaluated[string](t, v.browser, "read what scripts can read", `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)`)
	if strings.Contains(stored, "pd") || strings.Contains(stored, key) {
		t.Errorf("scripts can read %s", stored)
	}
	s.wantKey(t, key, http.StatusOK)
	v.click(t, "main a.primary", "API keys")
	v.wants(t, "with a key", "walker", key[:8])
	evaluated[bool](t, v.browser, "go back", `history.back(), true`)
	v.awaitHeading(t, "The key has been shown")
	for what, step := range map[string]chromedp.Action[chromedp.Void]{"reload": chromedp.Reload(), "open again": chromedp.Navigate(created)} {
		v.do(t, what, step)
		v.awaitHeading(t, "The key has been shown")
		if strings.Contains(v.text(t), key) {
			t.Errorf("%s: the key is shown again", what)
		}
	}
	s.open(t, v, "/settings/keys", "API keys")
	v.click(t, "tbody a", "Revoke API key")
	v.wants(t, "before it is revoked", "walker", "ends for good")
	s.wantKey(t, key, http.StatusOK)
	v.click(t, "main form button", "API keys")
	v.wants(t, "after it was revoked", "The key walker is revoked", "revoked")
	s.wantKey(t, key, http.StatusUnauthorized)
}

// wantKey wants a key to be good, or not.
func (s *pageStage) wantKey(t *testing.T, key string, status int) {
	t.Helper()
	a, err := send(t.Context(), http.MethodGet, s.url+"/v1/responses", key, "")
	if err != nil || a.status != status {
		t.Errorf("the key: %v, status %d, want %d: %s", err, a.status, status, a.body)
	}
}

// walkMembers adds a member, makes them an admin, and removes them. The last admin stays.
func (s *pageStage) walkMembers(t *testing.T, v *visitor) {
	s.open(t, v, membersPage, "Members")
	v.wants(t, "the first admin", "the only admin: make another one first")
	v.click(t, ".page-head a", "Add a member")
	v.fill(t, "id", "carl")
	v.fill(t, "email", "carl@walk.example")
	v.click(t, "main form button", "Members")
	v.wants(t, "a new member", "carl is a member now", "carl@walk.example")
	v.click(t, ".page-head a", "Add a member")
	v.fill(t, "id", "carl")
	v.click(t, "main form button", "Add a member")
	v.wants(t, "the same again", "has a member of this name")

	const carl = `main form[action="/enterprise/members/carl/role"] button`
	s.open(t, v, membersPage, "Members")
	v.click(t, carl, "Members")
	v.wants(t, "a new admin", "carl is an admin now")
	v.click(t, carl, "Members")
	v.wants(t, "a former admin", "carl is a member now")
	// The page offers it no more, and the server refuses it anyway: to one who has the form open still.
	v.do(t, "have an old form", chromedp.SetAttributeValue(chromedp.CSS(`main form[action="/enterprise/members/carl/role"]`), "action", "/enterprise/members/walker/role"),
		chromedp.SetAttributeValue(chromedp.CSS("main tbody form button"), "value", "member"))
	v.click(t, "main tbody form button", "Members")
	v.wants(t, "the last admin", "would have no admin")

	v.click(t, `a[href="/enterprise/members/carl/remove"]`, "Remove member")
	v.wants(t, "before the removal", "carl loses access at once")
	v.click(t, "main form button", "Members")
	v.wants(t, "after the removal", "carl is no member any more")

	s.open(t, v, "/enterprise/audit-log", "Audit log")
	v.wants(t, "the log", "walker removed the member carl", "walker made carl an admin", "walker added carl as a member", "walker revoked the API key walker")
	v.fill(t, "action", "key.")
	v.click(t, ".filters button", "Audit log")
	v.wants(t, "the log of keys", "walker made the API key walker for walker")
	if strings.Contains(v.text(t), "carl") {
		t.Errorf("the filter lets members through: %s", v.text(t))
	}
}

const membersPage = "/enterprise/members"

// walkAccount chooses a theme, ends the session of another browser, and signs out.
func (s *pageStage) walkAccount(t *testing.T, v *visitor, p person) {
	other := s.session(t, p)
	s.open(t, v, "/settings/account", "Account")
	v.click(t, `.side button[value="dark"]`, "Account")
	for range 2 { // it is kept
		if theme := evaluated[string](t, v.browser, "read the theme", `document.documentElement.dataset.theme + ' ' + getComputedStyle(document.body).colorScheme`); theme != "dark dark" {
			t.Errorf("the theme is %s", theme)
		}
		s.open(t, v, "/settings/account", "Account")
	}
	v.click(t, `.side button[value=""]`, "Account")
	if theme := evaluated[bool](t, v.browser, "read the theme", `'theme' in document.documentElement.dataset`); theme {
		t.Error("the browser's theme is not followed again")
	}
	v.wants(t, "who is signed in", "walker", p.organization, "This one", "Another one")
	s.wantSession(t, other, http.StatusOK)
	v.click(t, ".table-wrap form button", "Account")
	v.wants(t, "after one is ended", "That browser is signed out")
	s.wantSession(t, other, http.StatusSeeOther)
	several := []string{s.session(t, p), s.session(t, p)}
	s.open(t, v, "/settings/account", "Account")
	v.click(t, ".page-head form button", "Account")
	v.wants(t, "after the others are ended", "2 other browsers are signed out")
	for _, token := range several {
		s.wantSession(t, token, http.StatusSeeOther)
	}
	v.click(t, `.side form[action="/rest/auth/sign-out"] button`, "Signed out")
	v.visit(t, s.url+"/settings/keys")
	v.awaitHeading(t, "Sign in")
}

func (s *pageStage) wantSession(t *testing.T, token string, status int) {
	t.Helper()
	if resp, _ := s.ask(t, http.MethodGet, "/settings/account", token, ""); resp.StatusCode != status {
		t.Errorf("the session: status %d, want %d", resp.StatusCode, status)
	}
}
