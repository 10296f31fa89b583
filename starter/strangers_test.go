package starter

import (
	"net/http"
	"strings"
	"testing"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcptest"
)

func scopesOf(t *testing.T, names string) identity.Scopes {
	t.Helper()
	return must(identity.ParseScopes(names))
}

// strangerBodies are what a stranger sends to a route with an ID; a route that is not here fails the test.
var strangerBodies = map[string]string{
	"GET /v1/connectors/{id}":               "",
	"POST /v1/connectors/{id}":              `{"name":"mine"}`,
	"PATCH /v1/connectors/{id}":             `{"name":"mine","unknown":1}`,
	"DELETE /v1/connectors/{id}":            "",
	"POST /v1/connectors/{id}/probe":        "",
	"POST /v1/connectors/{id}/authorize":    "",
	"POST /v1/connectors/{id}/disconnect":   "",
	"POST /v1/connectors/{id}/share":        "",
	"POST /v1/connectors/{id}/unshare":      "",
	"POST /v1/connectors/{id}/enable":       "",
	"POST /v1/connectors/{id}/disable":      "",
	"POST /v1/connectors/{id}/restrict":     `{"reason":"mine"}`,
	"POST /v1/connectors/{id}/unrestrict":   "",
	"POST /v1/connectors/{id}/vet":          "",
	"POST /v1/connectors/{id}/review":       "",
	"GET /v1/connectors/{id}/icon":          "",
	"PUT /v1/connectors/{id}/icon":          "not an icon",
	"DELETE /v1/connectors/{id}/icon":       "",
	"POST /v1/organization/members/{id}":    `{"role":"member"}`,
	"DELETE /v1/organization/members/{id}":  "",
	"DELETE /v1/organization/api_keys/{id}": "",
}

// TestStrangers: whatever a member tries with another member's connector, and anybody with those of another organization, the answer is
// letter by letter that for an ID that nobody has, and nothing changes.
func TestStrangers(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	m.letMembersAdd(t, true)
	server := mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	path := m.add(t, "alice", server, object{"auth": object{"type": "oauth"}})
	id := strings.TrimPrefix(path, connectorsPath+"/")
	nobodys := connector.NewID()
	before := m.as(t, "alice", http.MethodGet, path, "").body

	var patterns []string
	(&Starter{}).managedRoutes(func(pattern string, _ http.Handler) {
		if strings.Contains(pattern, "{") {
			patterns = append(patterns, pattern)
		}
	})
	for _, pattern := range patterns {
		body, ok := strangerBodies[pattern]
		if !ok {
			t.Errorf("there is no case for %s", pattern)
			continue
		}
		if !strings.Contains(pattern, connectorsPath) {
			continue // see TestStrangersOfOrganizations
		}
		method, path, _ := strings.Cut(pattern, " ")
		for _, user := range []string{"bob", "eve"} {
			ask := func(id string) answer { return m.as(t, user, method, strings.ReplaceAll(path, "{id}", id), body) }
			got, want := ask(id), ask(nobodys)
			if got.status != http.StatusNotFound || want.status != http.StatusNotFound || got.body != want.body {
				t.Errorf("%s by %s: HTTP %d with %s\nfor an ID that nobody has: HTTP %d with %s", pattern, user, got.status, got.body, want.status, want.body)
			}
		}
	}
	if len(strangerBodies) != len(patterns) {
		t.Errorf("%d cases, %d routes with an ID", len(strangerBodies), len(patterns))
	}
	for _, user := range []string{"bob", "eve"} {
		if all := m.as(t, user, http.MethodGet, connectorsPath+"?owner=alice", ""); strings.Contains(all.body, id) {
			t.Errorf("%s lists it: %s", user, all.body)
		}
		// Nor by a browser that is signed in.
		organization := map[string]string{"bob": "acme", "eve": "other"}[user]
		a := m.signedIn(t, organization, user).get(t, connection.AuthorizePath+"?connector="+id)
		if b := m.signedIn(t, organization, user).get(t, connection.AuthorizePath+"?connector="+nobodys); a.status != http.StatusNotFound || a.body != b.body {
			t.Errorf("%s is sent off to authorize it: HTTP %d with %s", user, a.status, a.body)
		}
	}
	if after := m.as(t, "alice", http.MethodGet, path, "").body; after != before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, before)
	}
	if events := m.as(t, "ann", http.MethodGet, organizationPath+"/audit_log?limit=100", "").body; strings.Contains(events, `"user":"eve"`) {
		t.Error("the audit log of acme knows eve")
	}
}

// TestStrangersOfOrganizations: an admin of one organization is nobody in another.
func TestStrangersOfOrganizations(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	keys := decoded[listOf[shownKey]](t, m.as(t, "bob", http.MethodGet, organizationPath+"/api_keys", ""))
	if len(keys.Data) != 1 || keys.Data[0].User != "bob" {
		t.Fatalf("bob lists %+v", keys.Data)
	}
	for _, tt := range []struct {
		user, method, path, body string
		status                   int
	}{
		{"eve", http.MethodPost, organizationPath + "/members/alice", `{"role":"admin"}`, http.StatusNotFound},
		{"eve", http.MethodDelete, organizationPath + "/members/alice", "", http.StatusNotFound},
		{"eve", http.MethodDelete, organizationPath + "/api_keys/" + keys.Data[0].ID, "", http.StatusNotFound},
		{"alice", http.MethodDelete, organizationPath + "/api_keys/" + keys.Data[0].ID, "", http.StatusNotFound},
		{"alice", http.MethodGet, organizationPath + "/api_keys?user=bob", "", http.StatusForbidden},
		{"alice", http.MethodGet, organizationPath + "/members", "", http.StatusForbidden},
		{"alice", http.MethodPost, organizationPath + "/members", `{"id":"mallory"}`, http.StatusForbidden},
		{"alice", http.MethodPost, organizationPath + "/members/alice", `{"role":"admin"}`, http.StatusForbidden},
		{"alice", http.MethodDelete, organizationPath + "/members/bob", "", http.StatusForbidden},
		{"alice", http.MethodGet, organizationPath + "/audit_log", "", http.StatusForbidden},
		{"alice", http.MethodPost, organizationPath + "/api_keys", `{"name":"k","user":"bob"}`, http.StatusForbidden},
	} {
		m.as(t, tt.user, tt.method, tt.path, tt.body).want(t, tt.status)
	}
	members := decoded[listOf[shownMember]](t, m.as(t, "eve", http.MethodGet, organizationPath+"/members", ""))
	if ids := len(members.Data); ids != 1 || members.Data[0].ID != "eve" {
		t.Errorf("eve lists %+v", members.Data)
	}
	m.as(t, "bob", http.MethodGet, "/v1/me", "").want(t, http.StatusOK, `"user":"bob"`) // whose key nobody has revoked
}
