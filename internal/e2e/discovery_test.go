package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"perdure/internal/mcptest"
)

// TestServersThatCannotBeListed: the run ends before the model is asked, and the error names the server and how far we came,
// but no secret of the request and nothing that the server said.
func TestServersThatCannotBeListed(t *testing.T) {
	t.Parallel()
	patient := refusalStack(t, "timeout: 1m, attempts: 2") // a server that has to wait for its turn is no server that hangs
	hasty := refusalStack(t, "timeout: 3s, attempts: 2")
	hostile := func(method string, answer mcptest.Answer) func(t *testing.T) string {
		return func(t *testing.T) string {
			h := mcptest.NewHostile()
			t.Cleanup(func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
			h.On(method, answer)
			return h.URL()
		}
	}
	var sent atomic.Int64
	tests := []struct {
		name  string
		url   func(t *testing.T) string
		stage string
	}{
		{"no such host", func(*testing.T) string { return "https://nowhere.invalid/mcp" }, "dns"},
		{"connection refused", closedPort, "connect"},
		{"unknown certificate authority", func(t *testing.T) string {
			h := mcptest.NewHostileTLS()
			t.Cleanup(func() { h.Close() })
			return h.URL()
		}, "tls"},
		{"no TLS", func(t *testing.T) string {
			return strings.Replace(hostile("initialize", mcptest.Silent())(t), "http:", "https:", 1)
		}, "tls"},
		{"unauthorized", hostile("initialize", mcptest.Status(401, "WWW-Authenticate", `Bearer realm="canary-of-the-server"`)), "auth"},
		{"forbidden", hostile("tools/list", mcptest.Status(403)), "auth"},
		{"redirect", hostile("initialize", mcptest.Status(302, "Location", "http://127.0.0.1:1/canary-of-the-server")), "status"},
		{"server error", hostile("tools/list", mcptest.Body(500, "text/plain", "canary-of-the-server")), "status"},
		{"not MCP", func(t *testing.T) string {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "<html>canary-of-the-server</html>")
			}))
			t.Cleanup(web.Close)
			return web.URL
		}, "protocol"},
		{"error to tools/list", hostile("tools/list", mcptest.Error(-32000, "canary-of-the-server")), "list"},
		{"list that is none", hostile("tools/list", mcptest.Result(`{"tools": "canary-of-the-server"}`)), "list"},
		{"list without end", hostile("tools/list", mcptest.HugeJSON(64<<20, &sent)), "size"},
		{"hanging", hostile("tools/list", mcptest.Silent()), "timeout"},
	}
	checkRuns(t, patient, int64(len(tests)-1))
	checkRuns(t, hasty, 1)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := patient
			if test.stage == "timeout" {
				s = hasty
			}
			body := fmt.Sprintf(`{"input": "x", "tools": [{"type": "mcp", "server_label": "github", "server_url": "%s?token=%s",
				"authorization": "%s", "headers": {"X-Token": "%[3]s"}}]}`, test.url(t), escape(canary), canary)
			a, err := s.respond(t.Context(), body)
			if err != nil {
				t.Fatal(err)
			}
			p := readProblem(t, a)
			if a.status != http.StatusFailedDependency || p.Error.Type != "external_connector_error" || p.Error.Param != "tools" {
				t.Errorf("got %d %s, param %q", a.status, p.Error.Type, p.Error.Param)
			}
			want := `MCP server "github" could not be initialized (stage ` + test.stage + `)`
			if !strings.HasPrefix(p.Error.Message, want) {
				t.Errorf("got message %q, want one that begins with %q", p.Error.Message, want)
			}
			if strings.Contains(string(a.body), "canary") || strings.Contains(string(a.body), "token=") {
				t.Errorf("the error tells too much: %s", a.body)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("http://127.0.0.1:%d/mcp", freePort(t))
}
