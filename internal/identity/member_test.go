package identity_test

import (
	"strings"
	"testing"
	"time"

	"perdure/internal/identity"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestNewKey(t *testing.T) {
	t.Parallel()
	key, text, err := identity.NewKey("acme", "ann", "laptop", identity.ScopeResponses, now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	other, otherText, err := identity.NewKey("acme", "ann", "laptop", identity.ScopeResponses, now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if text.Equal(otherText) || key.ID == other.ID || len(text.Reveal()) < 50 {
		t.Error("keys can be guessed")
	}
	if key.Hash != identity.HashKey(text.Reveal()) {
		t.Error("the hash is not that of the key")
	}
	if !strings.HasPrefix(text.Reveal(), key.Prefix) || len(key.Prefix) != 10 || !strings.HasPrefix(key.Prefix, "pd_") {
		t.Errorf("the prefix is %q", key.Prefix)
	}
	for name, refused := range map[string]func() error{
		"a name with a space": func() error {
			_, _, err := identity.NewKey("acme", "ann", "my laptop", identity.AllScopes, now, time.Time{})
			return err
		},
		"no scope":    func() error { _, _, err := identity.NewKey("acme", "ann", "laptop", 0, now, time.Time{}); return err },
		"over by now": func() error { _, _, err := identity.NewKey("acme", "ann", "laptop", 1, now, now); return err },
	} {
		if refused() == nil {
			t.Errorf("%s: a key was made", name)
		}
	}
}

func TestKeyIsUsable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key  identity.APIKey
		want bool
	}{
		"as made":     {identity.APIKey{}, true},
		"not yet":     {identity.APIKey{Expires: now.Add(time.Second)}, true},
		"expired":     {identity.APIKey{Expires: now}, false},
		"revoked":     {identity.APIKey{Revoked: now.Add(-time.Hour)}, false},
		"to be ended": {identity.APIKey{Expires: now.Add(time.Hour), Revoked: now}, false},
	} {
		if got := tt.key.Usable(now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The key of an admin that is not good for administration makes no admin of whoever finds it.
func TestScopesLimitRole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scopes     identity.Scopes
		role, want identity.Role
	}{
		{identity.AllScopes, identity.Admin, identity.Admin},
		{identity.ScopeResponses | identity.ScopeConnectors, identity.Admin, identity.Member},
		{identity.AllScopes, identity.Member, identity.Member},
		{identity.ScopeAdmin, "", ""},
	} {
		key := identity.APIKey{ID: "key_1", Organization: "acme", User: "ann", Scopes: tt.scopes}
		want := identity.Principal{Organization: "acme", User: "ann", Key: "key_1", Role: tt.want, Stored: true, Scopes: tt.scopes}
		if got := key.Principal(tt.role); got != want {
			t.Errorf("a key of an %q for %v makes %+v", tt.role, tt.scopes, got)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]identity.Scopes{
		"responses":                  identity.ScopeResponses,
		"connectors, responses":      identity.ScopeResponses | identity.ScopeConnectors,
		"responses,connectors,admin": identity.AllScopes,
		"responses,responses":        identity.ScopeResponses,
		identity.AllScopes.String():  identity.AllScopes,
		identity.ScopeAdmin.String(): identity.ScopeAdmin,
		" responses , admin ":        identity.ScopeResponses | identity.ScopeAdmin,
	} {
		if got, err := identity.ParseScopes(text); err != nil || got != want {
			t.Errorf("ParseScopes(%q) is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "all", "responses,", "Responses", "responses connectors"} {
		if got, err := identity.ParseScopes(text); err == nil || got != 0 || !strings.Contains(err.Error(), "responses,connectors,admin") {
			t.Errorf("ParseScopes(%q) is %v, %v", text, got, err)
		}
	}
	if identity.ScopeResponses.Has(identity.AllScopes) || !identity.AllScopes.Has(identity.ScopeAdmin) || identity.Scopes(0).Has(identity.ScopeResponses) {
		t.Error("Has is wrong")
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	session, token := identity.NewSession("acme", "ann", now)
	if session.Hash != identity.HashKey(token.Reveal()) || session.Expires.Sub(now) != identity.SessionFor {
		t.Errorf("a session is %+v", session)
	}
	want := identity.Principal{Organization: "acme", User: "ann", Key: "session:ann", Role: identity.Admin, Stored: true, Scopes: identity.AllScopes}
	if got := session.Principal(identity.Admin); got != want {
		t.Errorf("it makes %+v", got)
	}
}

func TestUserCheck(t *testing.T) {
	t.Parallel()
	good := identity.User{ID: "ann@acme.example", Role: identity.Member, Email: "ann@acme.example"}
	for _, tt := range []struct {
		change func(*identity.User)
		want   string
	}{
		{func(*identity.User) {}, ""},
		{func(u *identity.User) { u.Email = "" }, ""},
		{func(u *identity.User) { u.ID = "" }, "user: must be"},
		{func(u *identity.User) { u.ID = "-ann" }, "user: must be"},
		{func(u *identity.User) { u.ID = strings.Repeat("a", 65) }, "user: must be"},
		{func(u *identity.User) { u.Role = "owner" }, "role: must be admin or member"},
		{func(u *identity.User) { u.Role = "" }, "role: must be"},
		{func(u *identity.User) { u.Email = "Ann <ann@acme.example>" }, "email: must be"},
		{func(u *identity.User) { u.Email = "ann" }, "email: must be"},
		{func(u *identity.User) { u.Email = "Ann@acme.example" }, "email: must be in lower case"},
		{func(u *identity.User) { u.Email = strings.Repeat("a", 250) + "@acme.example" }, "email: must be"},
	} {
		u := good
		tt.change(&u)
		err := u.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", u, err, tt.want)
		}
	}
	if got, err := identity.ParseEmail("Ann@Acme.example"); err != nil || got != "ann@acme.example" {
		t.Errorf("ParseEmail is %q, %v", got, err)
	}
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	if r, err := identity.ParseRole("admin"); err != nil || r != identity.Admin {
		t.Errorf("admin is %q, %v", r, err)
	}
	for _, s := range []string{"", "Admin", "root"} {
		if r, err := identity.ParseRole(s); err == nil || r != "" {
			t.Errorf("%q is the role %q", s, r)
		}
	}
}

func TestActors(t *testing.T) {
	t.Parallel()
	p := identity.Principal{Organization: "acme", User: "ann", Key: "key_1", Role: identity.Admin}
	if got, want := p.Acts("192.0.2.1"), (identity.Actor{Organization: "acme", User: "ann", Key: "key_1", Address: "192.0.2.1"}); got != want {
		t.Errorf("a principal acts as %+v", got)
	}
	if got := identity.Operator("acme"); got.Key != identity.ByOperator || got.Organization != "acme" || got.Address != "" {
		t.Errorf("an operator is %+v", got)
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	session, _ := identity.NewSession("acme", "ann", now)
	for _, key := range []string{session.Principal(identity.Member).Key, "key_ABC", "laptop"} {
		if err := identity.CheckKey(key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, key := range []string{"", "session:", "session:a b", "other:ann", "session:session:ann"} {
		if identity.CheckKey(key) == nil {
			t.Errorf("%q is a key", key)
		}
	}
}
