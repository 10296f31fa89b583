package oauth_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

func TestRefreshClassifiesFailures(t *testing.T) {
	t.Parallel()
	says := func(status int, code string) http.HandlerFunc {
		return oauthtest.JSON(status, map[string]any{"error": code, "error_description": "SECRET"})
	}
	tests := []struct {
		name         string
		answer       http.HandlerFunc
		reauth, gone bool
	}{
		{"invalid_grant", says(400, "invalid_grant"), true, false},
		{"invalid_grant as 401", says(401, "invalid_grant"), true, false},
		{"invalid_grant as 200", says(200, "invalid_grant"), true, false},
		{"invalid_client", says(401, "invalid_client"), true, true},
		{"unauthorized_client", says(400, "unauthorized_client"), true, true},
		{"invalid_scope", says(400, "invalid_scope"), true, false},
		{"invalid_target", says(400, "invalid_target"), true, false},
		{"unsupported_grant_type", says(400, "unsupported_grant_type"), true, false},
		{"a code of its own", says(400, "bad_refresh_token"), true, false},
		{"temporarily_unavailable", says(503, "temporarily_unavailable"), false, false},
		{"server_error as 400", says(400, "server_error"), false, false},
		{"a code of its own, as 500", says(500, "oops"), false, false},
		{"a page as 400", oauthtest.HTML(400), false, false},
		{"a page as 403", oauthtest.HTML(403), false, false},
		{"a page as 502", oauthtest.HTML(502), false, false},
		{"429", oauthtest.HTML(429), false, false},
		{"no answer", oauthtest.Hang(), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
			g := w.mustConnect(t)
			w.as.Override(oauthtest.Token, test.answer)
			client := w.client
			if test.name == "no answer" {
				client = newClient(t, oauth.Options{Timeout: 100 * time.Millisecond})
			}
			_, changed, err := client.Refresh(t.Context(), w.con, g, g.Access)
			e := wantError(t, err, oauth.StageRefresh, "")
			if changed || errors.Is(err, oauth.ErrReauth) != test.reauth || errors.Is(err, oauth.ErrClientGone) != test.gone || e.Temporary == test.reauth {
				t.Errorf("changed %v, temporary %v: %v", changed, e.Temporary, err)
			}
			w.as.Override(oauthtest.Token, nil)
			if _, _, err := w.client.Refresh(t.Context(), w.con, g, g.Access); err != nil {
				t.Errorf("the same grant, after the fault has passed: %v", err)
			}
		})
	}
}

func TestRefreshOnlyWhenNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	g := w.mustConnect(t)
	stale := g
	stale.RefreshFrom = time.Now().Add(-time.Second)
	dead := g
	dead.Refresh, dead.Expires, dead.RefreshFrom = secret.String{}, time.Now().Add(-time.Second), time.Now().Add(-time.Minute)
	ending := g
	ending.Refresh, ending.Expires, ending.RefreshFrom = secret.String{}, time.Now().Add(time.Minute), time.Now().Add(-time.Second)
	unknown := g
	unknown.Expires, unknown.RefreshFrom = time.Time{}, time.Time{}
	for _, test := range []struct {
		name    string
		grant   oauth.Grant
		refused secret.String
		changed bool
		reauth  bool
	}{
		{name: "fresh", grant: g},
		{name: "fresh, an older token was refused", grant: g, refused: secret.New("older")},
		{name: "refused", grant: g, refused: g.Access, changed: true},
		{name: "stale", grant: stale, changed: true},
		{name: "expiry not known", grant: unknown},
		{name: "expiry not known, refused", grant: unknown, refused: g.Access, changed: true},
		{name: "no refresh token, not expired", grant: ending},
		{name: "no refresh token, refused", grant: ending, refused: g.Access, reauth: true},
		{name: "no refresh token, expired", grant: dead, reauth: true},
	} {
		before := w.as.Count(oauthtest.Token)
		got, changed, err := w.client.Refresh(t.Context(), w.con, test.grant, test.refused)
		requests := w.as.Count(oauthtest.Token) - before
		if changed != test.changed || errors.Is(err, oauth.ErrReauth) != test.reauth || err != nil != test.reauth || requests != map[bool]int{true: 1}[test.changed] {
			t.Errorf("%s: changed %v, %d requests, %v", test.name, changed, requests, err)
		}
		if !test.changed && !test.reauth && !got.Access.Equal(test.grant.Access) {
			t.Errorf("%s: another token came back", test.name)
		}
	}
}

// Many replicas that find the same token expired spend its refresh token once, provided that each holds the lock on the row it read.
func TestReplicasRefreshOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{}, oauth.Options{})
	expired := w.mustConnect(t)
	w.as.ExpireTokens()
	var row struct {
		sync.Mutex
		grant oauth.Grant
	}
	row.grant = expired
	before := w.as.Count(oauthtest.Token)
	var replicas sync.WaitGroup
	for range 8 {
		replicas.Go(func() {
			row.Lock()
			defer row.Unlock()
			g, changed, err := w.client.Refresh(t.Context(), w.con, row.grant, expired.Access)
			if err != nil {
				t.Error(err)
				return
			}
			if changed {
				row.grant = g
			}
		})
	}
	replicas.Wait()
	if n := w.as.Count(oauthtest.Token) - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	if status, _ := w.call(t, row.grant.Access); status != http.StatusOK {
		t.Errorf("the token of the row got status %d", status)
	}
	// The counter-proof: without the row, the second replica kills the grant.
	if _, _, err := w.client.Refresh(t.Context(), w.con, expired, expired.Access); !errors.Is(err, oauth.ErrReauth) {
		t.Errorf("a spent refresh token gave %v", err)
	}
	if _, _, err := w.client.Refresh(t.Context(), w.con, row.grant, row.grant.Access); !errors.Is(err, oauth.ErrReauth) {
		t.Errorf("after the reuse of a refresh token the grant gave %v", err)
	}
}

func TestRevokedGrantNeedsReauth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{}, oauth.Options{})
	g := w.mustConnect(t)
	w.as.EndGrants()
	if status, ch := w.call(t, g.Access); status != http.StatusUnauthorized || ch.Error != "invalid_token" {
		t.Errorf("status %d, %+v", status, ch)
	}
	_, _, err := w.client.Refresh(t.Context(), w.con, g, g.Access)
	wantError(t, err, oauth.StageRefresh, "revoked")
	if !errors.Is(err, oauth.ErrReauth) {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{}, oauth.Options{})
	g := w.mustConnect(t)
	w.as.Override(oauthtest.Revocation, oauthtest.HTML(http.StatusInternalServerError))
	err := w.client.Revoke(t.Context(), w.con, g)
	wantError(t, err, oauth.StageRevocation, "on the server's own page")
	w.as.Override(oauthtest.Revocation, nil)
	if err := w.client.Revoke(t.Context(), w.con, g); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.call(t, g.Access); status != http.StatusUnauthorized || w.as.Grants() != 0 {
		t.Errorf("status %d with %d grants after the revocation", status, w.as.Grants())
	}
	g.RevocationEndpoint = ""
	if err := w.client.Revoke(t.Context(), w.con, g); !errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("got %v, want ErrNoRevocation", err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		as       oauthtest.Options
		resource oauthtest.ResourceOptions
		override []string
		want     string
	}{
		{name: "nobody says", want: ""},
		{name: "the challenge", resource: oauthtest.ResourceOptions{Scopes: []string{"read"}, Supported: []string{"read", "write"}}, want: "read"},
		{name: "the metadata", resource: oauthtest.ResourceOptions{Supported: []string{"read", "write"}}, want: "read write"},
		{name: "set by an admin", resource: oauthtest.ResourceOptions{Scopes: []string{"read"}}, override: []string{"read", "extra"}, want: "read extra"},
		{name: "a scope for refresh tokens", as: oauthtest.Options{Scopes: []string{"offline_access", "read"}}, resource: oauthtest.ResourceOptions{Scopes: []string{"read"}}, want: "read offline_access"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.as, test.resource, oauth.Options{})
			w.con.Scopes = test.override
			g := w.mustConnect(t)
			if got := strings.Join(g.Scopes, " "); got != test.want || strings.Join(g.Asked, " ") != test.want {
				t.Errorf("scopes %q, asked %q, want %q", got, g.Asked, test.want)
			}
			if status, _ := w.call(t, g.Access); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
}

// A server may want more for one tool than for another. What was granted before stays; who is never content is left in the end.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oauthtest.Options{}, oauthtest.ResourceOptions{Scopes: []string{"read"}}, oauth.Options{})
	g := w.mustConnect(t)
	for i, scope := range []string{"a", "b", "c", "d"} {
		w.resource.Require(scope)
		status, ch := w.call(t, g.Access)
		if status != http.StatusForbidden || !ch.InsufficientScope() {
			t.Fatalf("status %d, %+v", status, ch)
		}
		var err error
		if g, err = w.connect(t, &g.Client, &g); err != nil {
			t.Fatal(err)
		}
		if len(g.Scopes) != i+2 || !slices.Contains(g.Scopes, "read") || !slices.Contains(g.Scopes, scope) || g.StepUps != 0 {
			t.Fatalf("scopes %q after asking for %s, %d step-ups in a row", g.Scopes, scope, g.StepUps)
		}
	}
	// From now on the server refuses whatever it gets.
	insatiable := oauth.Challenge{Error: "insufficient_scope", Scopes: []string{"a"}}
	tries := 0
	for {
		u, p, err := w.begin(t.Context(), insatiable, &g.Client, &g)
		if err != nil {
			wantError(t, err, oauth.StageScope, "keeps asking")
			if !errors.Is(err, oauth.ErrForbidden) {
				t.Error(err)
			}
			break
		}
		if tries++; tries > 10 {
			t.Fatal("it goes on for ever")
		}
		query, err := oauthtest.Browse(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = w.client.Complete(t.Context(), w.con, p, query); err != nil {
			t.Fatal(err)
		}
	}
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	// A person who connects anew on purpose may.
	if _, _, err := w.begin(t.Context(), oauth.Challenge{}, &g.Client, &g); err != nil {
		t.Error(err)
	}
}
