package ui

import (
	"net/http/httptest"
	"strings"
	"testing"

	"perdure/internal/connector"
)

// Each problem is told at its field, in a sentence, and the list at the top leads there.
func TestFormProblems(t *testing.T) {
	t.Parallel()
	f := connectorForm{section: accountSection, Settings: connector.Settings{Headers: []string{"X-Tenant"}, Auth: connector.Auth{Type: connector.AuthOAuth}}}
	f.refuse(connector.Invalid{
		{Param: "name", Message: "is missing: give it one"},
		{Param: "url", Message: "the URL must begin with https://"},
		{Param: "auth.oauth.endpoints", Message: "must have authorization and token"},
		{Param: "headers.X-Tenant", Message: "has to be entered again."},
		{Param: "acknowledged", Message: "must be true"},
		{Param: "allowed_tools", Message: "has 200 tools"},
	})
	want := []problem{
		{"f-name", "Name is missing: give it one."},
		{"f-url", "MCP Server URL must begin with https://."},
		{"f-auth-oauth-endpoints", "Endpoints must have authorization and token."},
		{"f-header-0-value", "Header X-Tenant has to be entered again."},
		{"f-acknowledged", "Confirm that you understand the risks of custom connectors."},
		{"", "Choice of tools has 200 tools."},
	}
	for i, p := range f.Problems {
		if i >= len(want) || p != want[i] {
			t.Errorf("problem %d is %+v", i, p)
		}
	}
	if len(f.Problems) != len(want) {
		t.Errorf("%d problems, want %d", len(f.Problems), len(want))
	}
	if !f.MoreOAuth() || !f.MoreHeaders() {
		t.Error("a problem is where nobody sees it")
	}
	w := httptest.NewRecorder()
	if err := pages.RenderPart(w, "connector_edit", "connector-form", f); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for _, p := range f.Problems {
		if p.Field != "" && (!strings.Contains(body, `href="#`+p.Field+`"`) || !strings.Contains(body, `id="`+p.Field+`"`)) {
			t.Errorf("nothing leads to %s, or it is not there", p.Field)
		}
	}
	if n := strings.Count(body, `class="error"`); n != 5 {
		t.Errorf("%d problems stand at their fields, want 5", n)
	}
}

// Every field of the table is in the form, with a label, so that a problem has a place.
func TestFormHasEveryField(t *testing.T) {
	t.Parallel()
	f := connectorForm{section: enterpriseSection, ID: "conn_X", Icon: "/v1/connectors/conn_X/icon", Settings: connector.Settings{Scope: connector.Organization}}
	f.Tools = []toolChoice{{Name: "echo"}}
	w := httptest.NewRecorder()
	if err := pages.RenderPart(w, "connector_edit", "sheet", f); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for name := range inputs {
		if !strings.Contains(body, `name="`+name+`"`) || !strings.Contains(body, `<label for="`+fieldID(name)+`"`) {
			t.Errorf("%s is not in the form, or has no label", name)
		}
	}
	for name := range choices {
		if !strings.Contains(body, `id="`+fieldID(name)+`"`) {
			t.Errorf("%s has no place in the form", name)
		}
	}
	for _, name := range secretFields {
		if !strings.Contains(body, `name="`+string(name)+`" type="password"`) {
			t.Errorf("%s is shown while it is typed", name)
		}
	}
}
