package starter

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/identity"
	"perdure/internal/store"
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	path := organizationPath + "/api_keys"
	made := decoded[shownKey](t, m.as(t, "alice", http.MethodPost, path, `{"name":"laptop","scopes":["connectors"],"expires_at":4102444800}`))
	if made.Key == "" || !strings.HasPrefix(made.Key, made.Prefix) || made.User != "alice" || made.ExpiresAt == nil {
		t.Fatalf("made %+v", made)
	}
	if list := m.as(t, "ann", http.MethodGet, path+"?user=alice", ""); strings.Contains(list.body, made.Key) || !strings.Contains(list.body, made.ID) {
		t.Errorf("listed as %s", list.body)
	}
	as(t, made.Key, http.MethodGet, m.URL+"/v1/me", "").want(t, http.StatusOK, `"scopes":["connectors"]`)
	as(t, made.Key, http.MethodGet, m.URL+"/v1/responses", "").want(t, http.StatusForbidden, "scope responses")
	as(t, made.Key, http.MethodPost, m.URL+path, `{"name":"more"}`).want(t, http.StatusForbidden, "scope admin")
	lesser := m.newKey(t, "acme", "ann", scopesOf(t, "connectors,admin"))
	as(t, lesser, http.MethodPost, m.URL+path, `{"name":"more","scopes":["responses"]}`).want(t, http.StatusForbidden, "scope responses")
	for body, says := range map[string]string{
		`{"name":"a b"}`:                 `"param":"name"`,
		`{"name":"k","scopes":["root"]}`: `"param":"scopes"`,
		`{"name":"k","scopes":[]}`:       `"param":"scopes"`,
		`{"name":"k","expires_at":1}`:    `"param":"expires_at"`,
		`{"name":"k","user":"nobody"}`:   `"param":"user"`,
		`{"name":"k","key":"pd_chosen"}`: `"param":"key"`,
	} {
		m.as(t, "ann", http.MethodPost, path, body).want(t, http.StatusBadRequest, says)
	}
	m.as(t, "alice", http.MethodDelete, path+"/"+made.ID, "").want(t, http.StatusOK, `"deleted":true`)
	as(t, made.Key, http.MethodGet, m.URL+"/v1/me", "").want(t, http.StatusUnauthorized, "revoked")
	m.as(t, "alice", http.MethodDelete, path+"/"+made.ID, "").want(t, http.StatusNotFound)
}

// TestRevokedElsewhere: a key that another process has revoked is good for a few seconds here, and no longer.
func TestRevokedElsewhere(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	as(t, m.keys["alice"], http.MethodGet, m.URL+"/v1/me", "").want(t, http.StatusOK)
	keys, _, err := m.store.Keys(t.Context(), "acme", "alice", store.Page{})
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	if err := m.store.RevokeKey(t.Context(), identity.Operator("acme"), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for m.as(t, "alice", http.MethodGet, "/v1/me", "").status == http.StatusOK {
		select {
		case <-ctx.Done():
			t.Fatal("a revoked key is still good")
		case <-every.C:
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	path := organizationPath + "/members"
	added := decoded[shownMember](t, m.as(t, "ann", http.MethodPost, path, `{"id":"carol","email":"Carol@Acme.example"}`))
	if added.Role != "member" || added.Email == nil || *added.Email != "carol@acme.example" {
		t.Errorf("added %+v", added)
	}
	m.as(t, "ann", http.MethodPost, path, `{"id":"carol"}`).want(t, http.StatusConflict, "already")
	m.as(t, "ann", http.MethodPost, path, `{"id":"c d"}`).want(t, http.StatusBadRequest, `"param":"id"`)
	m.as(t, "ann", http.MethodPost, path, `{"id":"cd","role":"root"}`).want(t, http.StatusBadRequest, `"param":"role"`)
	m.as(t, "ann", http.MethodPost, path, `{"id":"cd","email":"nobody"}`).want(t, http.StatusBadRequest, `"param":"email"`)
	m.as(t, "bob", http.MethodGet, "/v1/me", "").want(t, http.StatusOK, `"role":"member"`)
	m.as(t, "ann", http.MethodPost, path+"/bob", `{"role":"admin"}`).want(t, http.StatusOK, `"role":"admin"`)
	m.as(t, "bob", http.MethodGet, "/v1/me", "").want(t, http.StatusOK, `"role":"admin"`) // at once
	for _, id := range []string{"bob", "amy"} {
		m.as(t, "ann", http.MethodPost, path+"/"+id, `{"role":"member"}`).want(t, http.StatusOK)
	}
	m.as(t, "ann", http.MethodPost, path+"/ann", `{"role":"member"}`).want(t, http.StatusConflict, "no admin")
	m.as(t, "ann", http.MethodDelete, path+"/ann", "").want(t, http.StatusConflict, "no admin")
	m.as(t, "ann", http.MethodDelete, path+"/bob", "").want(t, http.StatusOK)
	m.as(t, "bob", http.MethodGet, "/v1/me", "").want(t, http.StatusUnauthorized)

	var seen []string
	for page := ""; ; {
		list := decoded[listOf[shownMember]](t, m.as(t, "ann", http.MethodGet, path+"?limit=2&page="+page, ""))
		for _, member := range list.Data {
			seen = append(seen, member.ID)
		}
		if list.HasMore != (list.NextPage != nil) {
			t.Fatalf("list %+v", list)
		}
		if !list.HasMore {
			break
		}
		page = *list.NextPage
	}
	if len(seen) != 4 { // ann, amy, alice, carol
		t.Errorf("the pages have %q", seen)
	}
	m.as(t, "ann", http.MethodGet, path+"?page=made-up", "").want(t, http.StatusBadRequest, `"param":"page"`)
	m.as(t, "ann", http.MethodGet, path+"?limit=1000", "").want(t, http.StatusBadRequest, `"param":"limit"`)
	m.as(t, "ann", http.MethodGet, path+"?colour=red", "").want(t, http.StatusBadRequest, `"param":"colour"`)
}
