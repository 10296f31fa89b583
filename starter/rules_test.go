package starter

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"perdure/internal/mcptest"
)

// mcpServer is a well-behaved MCP server.
func mcpServer(t *testing.T, o mcptest.ServerOptions) string {
	t.Helper()
	server := mcptest.NewServer(o)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

// connectorJSON is the body that makes a connector, with what else is given in the place of what goes without saying.
func connectorJSON(url string, members ...map[string]any) string {
	body := map[string]any{"name": "Acme CRM", "url": url, "acknowledged": true}
	for _, m := range members {
		for name, value := range m {
			body[name] = value
		}
	}
	return string(must(json.Marshal(body)))
}

type object = map[string]any

// add makes a connector for a user and returns its path.
func (m *managed) add(t *testing.T, user, url string, members ...map[string]any) string {
	t.Helper()
	return connectorsPath + "/" + decoded[shownConnector](t, m.as(t, user, http.MethodPost, connectorsPath, connectorJSON(url, members...))).ID
}

func (m *managed) letMembersAdd(t *testing.T, allowed bool) {
	t.Helper()
	body := string(must(json.Marshal(object{"members_may_add_connectors": allowed})))
	if a := m.as(t, "ann", http.MethodPost, organizationPath, body); a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
}

// want checks the status of an answer, and that an error says what is wanted.
func (a answer) want(t *testing.T, status int, says ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("HTTP %d with %s, want %d", a.status, a.body, status)
		return
	}
	for _, s := range says {
		if !strings.Contains(a.body, s) {
			t.Errorf("HTTP %d with %s, want %q in it", a.status, a.body, s)
		}
	}
}

// TestConnectorRules tries every rule on every kind of caller. In each row, ann and amy are admins, and alice and bob members.
func TestConnectorRules(t *testing.T) { //nolint:tparallel // each row builds on those before it
	t.Parallel()
	m := newManaged(t)
	server := mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	organization := object{"scope": "organization"}
	edit := `{"description":"changed"}`

	// Off by default, in the API as well; a member's key gets the reason.
	m.as(t, "alice", http.MethodPost, connectorsPath, connectorJSON(server)).want(t, http.StatusForbidden, "does not let members add connectors")
	m.as(t, "alice", http.MethodPost, organizationPath, `{"members_may_add_connectors":true}`).want(t, http.StatusForbidden, "only admins")
	m.letMembersAdd(t, true)
	own := m.add(t, "alice", server)
	admins := m.add(t, "ann", server)
	unshared := m.add(t, "ann", server, organization)
	shared := m.add(t, "ann", server, organization)
	m.as(t, "ann", http.MethodPost, shared+"/share", "").want(t, http.StatusOK, `"shared":true`)
	m.letMembersAdd(t, false)

	for _, tt := range []struct {
		rule, user, method, path, body string
		status                         int
		says                           string
	}{
		{"only admins create organization connectors", "alice", "POST", connectorsPath, connectorJSON(server, organization), 403, "only admins add organization connectors"},
		{"members add none where it is off again", "alice", "POST", connectorsPath, connectorJSON(server), 403, "does not let members"},
		{"admins add where it is off", "amy", "POST", connectorsPath, connectorJSON(server), 200, `"scope":"individual"`},

		{"an individual connector is its creator's to see", "alice", "GET", own, "", 200, own[len(connectorsPath)+1:]},
		{"another member does not see it", "bob", "GET", own, "", 404, ""},
		{"an admin sees it", "amy", "GET", own, "", 200, `"owner":"alice"`},
		{"an admin's own is hidden from members", "alice", "GET", admins, "", 404, ""},

		{"users edit their own", "alice", "PATCH", own, edit, 200, `"description":"changed"`},
		{"and by POST", "alice", "POST", own, edit, 200, `"description":"changed"`},
		{"another member does not", "bob", "PATCH", own, edit, 404, ""},
		{"nor does an admin", "ann", "PATCH", own, edit, 403, "change only their own"},
		{"an admin gives it no icon", "ann", "DELETE", own + "/icon", "", 403, "change only their own"},
		{"an old connector is no way to another server", "alice", "PATCH", own, `{"url":"http://127.0.0.1:9/mcp"}`, 403, "does not let members"},

		{"an individual connector is not shared by its owner", "alice", "POST", own + "/share", "", 403, "cannot be shared"},
		{"nor by an admin", "ann", "POST", own + "/share", "", 403, "cannot be shared"},

		{"an organization connector is hidden until it is shared", "alice", "GET", unshared, "", 404, ""},
		{"other admins see it", "amy", "GET", unshared, "", 200, `"shared":false`},
		{"other admins edit it", "amy", "PATCH", unshared, edit, 200, `"description":"changed"`},
		{"members see a shared one", "alice", "GET", shared, "", 200, `"shared":true`},
		{"members do not edit a shared one", "alice", "PATCH", shared, edit, 403, "only admins manage"},
		{"members do not delete a shared one", "alice", "DELETE", shared, "", 403, "only admins manage"},
		{"members do not share", "alice", "POST", shared + "/share", "", 403, "only admins manage"},
		{"members do not take sharing back", "alice", "POST", shared + "/unshare", "", 403, "only admins manage"},
		{"members do not disable it", "alice", "POST", shared + "/disable", "", 403, "only admins manage"},
		{"members do not review its tools", "alice", "POST", shared + "/review", "", 403, "only admins manage"},
		{"members do not change its icon", "alice", "PUT", shared + "/icon", "x", 403, "only admins manage"},
		{"members do not probe it", "alice", "POST", shared + "/probe", "", 403, "only admins manage"},
		{"admins manage organization connectors without restricting", "amy", "POST", shared + "/restrict", "", 403, "disable it"},
		{"other admins disable it", "amy", "POST", shared + "/disable", "", 200, `"enabled":false`},
		{"and enable it", "amy", "POST", shared + "/enable", "", 200, `"enabled":true`},
		{"other admins take sharing back", "amy", "POST", shared + "/unshare", "", 200, `"shared":false`},
		{"and share again", "amy", "POST", shared + "/share", "", 200, `"shared":true`},

		{"members do not vet", "alice", "POST", own + "/vet", "", 403, "only admins vet"},
		{"another member learns nothing by it, either", "bob", "POST", own + "/vet", "", 404, ""},
		{"nobody vets what admins manage", "amy", "POST", shared + "/vet", "", 403, "review its tools"},
		{"admins vet", "ann", "POST", own + "/vet", "", 200, `"current":true`},
		{"members do not restrict", "alice", "POST", own + "/restrict", "", 403, "only admins restrict"},
		{"another member learns nothing by it", "bob", "POST", own + "/restrict", "", 404, ""},
		{"admins restrict", "ann", "POST", own + "/restrict", `{"reason":"leaks data"}`, 200, `"reason":"leaks data"`},
		{"the owner sees why", "alice", "GET", own, "", 200, "an admin has restricted it: leaks data"},
		{"the owner does not use a restricted one to probe", "alice", "POST", own + "/probe", "", 403, "restricted"},
		{"the owner does not take it back", "alice", "POST", own + "/unrestrict", "", 403, "only admins restrict"},
		{"admins take it back", "amy", "POST", own + "/unrestrict", "", 200, `"restricted":null`},
		{"admins remove members' connectors", "amy", "DELETE", own, "", 200, `"deleted":true`},
		{"users delete their own", "ann", "DELETE", admins, "", 200, `"deleted":true`},
		{"admins delete organization connectors of others", "amy", "DELETE", unshared, "", 200, `"deleted":true`},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			a := m.as(t, tt.user, tt.method, tt.path, tt.body)
			a.want(t, tt.status, tt.says)
			if a.status >= 400 {
				a.failed(t)
			}
		})
	}
	for user, want := range map[string]int{"ann": 2, "alice": 1, "bob": 1, "eve": 0} { // amy's own and the shared one
		if got := decoded[listOf[shownConnector]](t, m.as(t, user, http.MethodGet, connectorsPath, "")); len(got.Data) != want {
			t.Errorf("%s lists %d connectors, want %d", user, len(got.Data), want)
		}
	}
	// A key for less makes an admin a member.
	lesser := m.newKey(t, "acme", "ann", scopesOf(t, "responses,connectors"))
	as(t, lesser, http.MethodPost, m.URL+connectorsPath, connectorJSON(server, organization)).want(t, http.StatusForbidden, "only admins")
	runs := m.newKey(t, "acme", "ann", scopesOf(t, "responses"))
	as(t, runs, http.MethodGet, m.URL+connectorsPath, "").want(t, http.StatusForbidden, "scope connectors")
	log := m.as(t, "ann", http.MethodGet, organizationPath+"/audit_log?limit=100", "").body
	for _, action := range []string{
		"connector.create", "connector.update", "connector.share", "connector.unshare", "connector.enable",
		"connector.disable", "connector.restrict", "connector.unrestrict", "connector.delete", "organization.update",
	} {
		if !strings.Contains(log, `"action":"`+action+`"`) {
			t.Errorf("the audit log has no %s", action)
		}
	}
}
