package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/sync/errgroup"

	"perdure/internal/mcptest"
)

// adminAuth adds an admin's key to the configuration: only admins may save connectors.
const adminAuth = "    - {name: admin, key_env: E2E_ADMIN_KEY, organization: " + organization + ", role: admin}\n"

// driveConnectors saves connectors with a secret in each place that takes one, whose servers tell what they know when they are probed and
// when a run calls them.
func (s *secretStack) driveConnectors(t *testing.T) {
	t.Helper()
	lists, calls := indiscreet()
	var group errgroup.Group
	group.SetLimit(8)
	for name, answer := range lists {
		group.Go(func() error { return s.driveList(t, name, answer) })
	}
	for name, answer := range calls {
		group.Go(func() error { return s.driveCall(t, name, answer) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.refuseConnectors(t)
	for _, path := range []string{"/connectors", "/organization/audit_log", "/organization/api_keys"} {
		if a, err := s.admin(t, http.MethodGet, path, ""); err != nil || a.status != http.StatusOK {
			t.Errorf("GET %s: got status %d, %v: %s", path, a.status, err, a.body)
		}
	}
}

// driveList does to a connector what can be done to one whose server tells what it knows when it is asked for its tools.
func (s *secretStack) driveList(t *testing.T, name string, answer mcptest.Answer) error {
	id, err := s.saveConnector(t, s.connectorServer(t, "tools/list", answer))
	if err != nil {
		return err
	}
	s.call(t, http.MethodPost, "/responses", `{"input":"`+content+`","tools":[`+savedTool(id)+`]}`)
	for _, action := range []string{"probe", "enable", "share", "unshare", "disable"} {
		if _, err := s.admin(t, http.MethodPost, "/connectors/"+id+"/"+action, ""); err != nil {
			return err
		}
	}
	a, err := s.admin(t, http.MethodDelete, "/connectors/"+id, "")
	if a.status != http.StatusOK {
		t.Errorf("list %s: deleting has status %d: %s", name, a.status, a.body)
	}
	return err
}

// driveCall calls a tool of a saved connector.
func (s *secretStack) driveCall(t *testing.T, name string, answer mcptest.Answer) error {
	server := s.connectorServer(t, "tools/call", answer)
	id, err := s.saveConnector(t, server)
	if err != nil {
		return err
	}
	if _, err := s.admin(t, http.MethodPost, "/connectors/"+id+"/enable", ""); err != nil {
		return err
	}
	a, err := s.admin(t, http.MethodPost, "/responses", `{"input":"please call `+content+`","tools":[`+savedTool(id)+`]}`)
	if a.status != http.StatusOK || server.Count("tools/call") == 0 {
		t.Errorf("call %s: got status %d: %s", name, a.status, a.body)
	}
	return err
}

// connectorServer is one that is saved. A probe that is refused looks for its authorization server.
func (s *secretStack) connectorServer(t *testing.T, method string, answer mcptest.Answer) *mcptest.Hostile {
	const peer = "MCP server of a connector"
	server := s.peer(t, peer, method, answer)
	server.On(mcptest.OnGet, plainText(http.StatusNotFound))
	return server
}

func savedTool(id string) string {
	return `{"type":"mcp","server_label":"s","connector_id":"` + id + `"}`
}

// saveConnector saves one with an API key behind Cloudflare Access, and returns its ID.
func (s *secretStack) saveConnector(t *testing.T, server *mcptest.Hostile) (string, error) {
	body, err := json.Marshal(map[string]any{
		"name": "Canary", "url": server.HTTP().URL + "/mcp", "acknowledged": true,
		"auth":    map[string]any{"type": "api_key", "header": "X-Api-Key", "api_key": canaries["API key of a connector"]},
		"network": map[string]any{"type": "cloudflare_access", "client_id": canaries["ID of Cloudflare Access"], "client_secret": canaries["secret of Cloudflare Access"]},
	})
	if err != nil {
		return "", err
	}
	var saved savedConnector
	a, err := s.admin(t, http.MethodPost, "/connectors", string(body))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(a.body, &saved); err != nil || saved.ID == "" {
		return "", fmt.Errorf("status %d, %w: %s", a.status, err, a.body)
	}
	return saved.ID, nil
}

// refuseConnectors sends secrets where none belong, and a client secret for an authorization that nobody ever gives.
func (s *secretStack) refuseConnectors(t *testing.T) {
	t.Helper()
	secret := jsonEscape(canaries["API key of a connector"], false)
	for members, want := range map[string]int{
		`"name":"x","url":"https://user:` + secret + `@mcp.example.com"`:                                                                                                                                   http.StatusBadRequest,
		`"name":"x","url":"https://mcp.example.com","auth":{"type":"api_key","header":"` + secret + `","api_key":"` + secret + `"}`:                                                                        http.StatusBadRequest,
		`"name":"x","url":"https://mcp.example.com","auth":{"type":"api_key","api_key":{"` + secret + `":true}}`:                                                                                           http.StatusBadRequest,
		`"name":"x","url":"https://mcp.example.com","auth":{"type":"api_key","api_key":"` + secret + `\n"}`:                                                                                                http.StatusBadRequest,
		`"name":"x","url":"https://mcp.example.com","network":{"type":"cloudflare_access","client_secret":"` + secret + `"}`:                                                                               http.StatusBadRequest,
		`"name":"x","url":"https://mcp.example.com","headers":{"Host":"` + secret + `"}`:                                                                                                                   http.StatusBadRequest,
		`"name":"x","url":"http://127.0.0.1:1/mcp","auth":{"type":"oauth","oauth":{"client_id":"c","issuer":"http://127.0.0.1:1","client_secret":"` + jsonEscape(canaries["client secret"], false) + `"}}`: http.StatusOK,
	} {
		if a, err := s.admin(t, http.MethodPost, "/connectors", `{"acknowledged":true,`+members+`}`); err != nil || a.status != want {
			t.Errorf("%s: got status %d, %v: %s", members, a.status, err, a.body)
		}
	}
}

// admin makes a request with an admin's key and keeps the answer.
func (s *secretStack) admin(t *testing.T, method, path, body string) (answer, error) {
	a, err := send(t.Context(), method, s.url+"/v1"+path, canaries["admin's API key"], body)
	if err != nil {
		return a, err
	}
	return s.haul.answer(a), nil
}
