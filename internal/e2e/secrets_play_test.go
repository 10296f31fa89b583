package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// drivePlayground does at the playground what can be done there, as a person whose token each form has. What it answers is looked at like
// all answers.
func (s *secretStack) drivePlayground(t *testing.T) {
	t.Helper()
	session := signInAs(t, s.stack, organization, user)
	at := func(method, path, accept string, form url.Values) answer {
		a, err := send(t.Context(), method, s.url+path, "", form.Encode(),
			"Cookie", sessionCookie+"="+session, "Content-Type", "application/x-www-form-urlencoded", "Accept", accept)
		if err != nil {
			t.Error(err)
		}
		return s.haul.answer(a)
	}
	nonce := regexp.MustCompile(`name="nonce" value="([A-Z2-7]+)"`).FindSubmatch(at(http.MethodGet, "/playground", "text/html", nil).body)
	if nonce == nil {
		t.Fatal("the playground has no form")
	}
	lists, calls := indiscreet()
	form := func(server string, more ...string) url.Values {
		f := url.Values{
			"nonce": {string(nonce[1])}, "input": {"please call " + content}, "store": {"1"},
			"server-0-label": {"s"}, "server-0-url": {server}, "server-0-authorization": {canaries["authorization of the playground"]},
		}
		for i := 0; i+1 < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	called := s.peer(t, "MCP server of the playground", "tools/call", calls["text"]).HTTP().URL
	for _, accept := range []string{"application/json", "text/html"} {
		for _, more := range [][]string{
			nil,
			{"action", "code"},
			{"action", "add-server"},
			{"action", "remove-server-1"},
			{"max_steps", "many"},
			{"model", "none/none"},
			{"server-0-url", "https://10.0.0.1"},
			{"server-0-label", "not a label"},
			{"nonce", "short"},
			{"previous_response_id", "resp_nobodys"},
			{"server-0-authorization", "\n" + canaries["authorization of the playground"] + "\x00"},
		} {
			at(http.MethodPost, "/playground", accept, form(called, more...))
		}
	}
	for name, list := range lists {
		at(http.MethodPost, "/playground", "application/json", form(s.peer(t, "MCP server of the playground", "tools/list", list).HTTP().URL, "input", name+" "+content))
	}
	var started struct{ ID, Events, Stop, Again string }
	a := at(http.MethodPost, "/playground", "application/json", form(called, "input", "please call once more "+content))
	if err := json.Unmarshal(a.body, &started); err != nil || started.ID == "" {
		t.Fatalf("no run: status %d: %s", a.status, a.body)
	}
	if a := at(http.MethodGet, started.Events, "text/event-stream", nil); !strings.Contains(string(a.body), "response.completed") {
		t.Errorf("the run does not complete: status %d: %s", a.status, a.body)
	}
	for _, path := range []string{started.Again, "/playground?from=" + started.ID} {
		if a := at(http.MethodGet, path, "text/html", nil); a.status != http.StatusOK {
			t.Errorf("GET %s: status %d", path, a.status)
		}
	}
	at(http.MethodPost, started.Stop, "application/json", nil)
}
