package starter

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"perdure/internal/connector"
	"perdure/internal/egress"
	"perdure/internal/mcptest"
)

// count is how many connectors there are in ann's organization.
func (m *managed) count(t *testing.T) int {
	t.Helper()
	return len(decoded[listOf[shownConnector]](t, m.as(t, "ann", http.MethodGet, connectorsPath+"?limit=100", "")).Data)
}

// TestBadConnector: what was entered wrongly is refused with its place and the remedy, and nothing is stored.
func TestBadConnector(t *testing.T) { //nolint:tparallel // what is stored is counted after them
	t.Parallel()
	m := newManaged(t)
	good := "https://mcp.example.com/mcp"
	for _, tt := range []struct{ name, body, param, says string }{
		{"http URL", connectorJSON("http://mcp.example.com/mcp"), "url", "https"},
		{"private address", connectorJSON("https://10.0.0.1/mcp"), "url", "not public"},
		{"this machine, elsewhere", connectorJSON("https://127.0.0.1/mcp"), "url", "not public"},
		{"no URL", connectorJSON(""), "url", "https://mcp.example.com/mcp"},
		{"no name", connectorJSON(good, object{"name": " "}), "name", "give the connector a name"},
		{"not acknowledged", connectorJSON(good, object{"acknowledged": false}), "acknowledged", "risks"},
		{"long name", connectorJSON(good, object{"name": strings.Repeat("n", 101)}), "name", "100"},
		{"half of a pair", connectorJSON(good, object{"network": object{"type": "cloudflare_access", "client_id": "id.access"}}), "network.client_secret", "both"},
		{"the other half", connectorJSON(good, object{"network": object{"type": "cloudflare_access", "client_secret": "s"}}), "network.client_id", "both"},
		{"no API key", connectorJSON(good, object{"auth": object{"type": "api_key"}}), "auth.api_key", "needs the key"},
		{"a key with a line break", connectorJSON(good, object{"auth": object{"type": "api_key", "api_key": "a\nb"}}), "auth.api_key", "visible ASCII"},
		{"a key that is none", connectorJSON(good, object{"auth": object{"type": "api_key", "api_key": 7}}), "auth.api_key", "to keep the one that is stored"},
		{"unknown transport", connectorJSON(good, object{"transport": "stdio"}), "transport", "streamable_http or sse"},
		{"unknown member", connectorJSON(good, object{"colour": "red"}), "colour", "unknown parameter"},
		{"unknown member inside", connectorJSON(good, object{"auth": object{"typ": "none"}}), "auth.typ", "known are type"},
		{"another case", connectorJSON(good, object{"Name": "x"}), "Name", "unknown parameter"},
		{"wrong type", connectorJSON(good, object{"allowed_tools": "all"}), "allowed_tools", "must be an array"},
		{"two of a name", `{"name":"a","name":"b"}`, "name", "twice"},
		{"no JSON", `name=a`, "", "not valid JSON"},
		{"no object", `[]`, "", "must be a JSON object"},
		{"a header of the protocol", connectorJSON(good, object{"headers": object{"Mcp-Session-Id": "x"}}), "headers.Mcp-Session-Id", ""},
		{"a header of Cloudflare Access", connectorJSON(good, object{"headers": object{"CF-Access-Client-Id": "x"}}), "headers.Cf-Access-Client-Id", "network.type"},
		{"a header in two spellings", connectorJSON(good, object{"headers": object{"X-Key": "a", "x-key": "b"}}), "headers.x-key", "twice"},
		{"one grant of one user", connectorJSON(good, object{"auth": object{"type": "oauth", "oauth": object{"grants": "shared"}}}), "auth.oauth.grants", "only one user"},
		{"half of the endpoints", connectorJSON(good, object{"auth": object{"type": "oauth", "oauth": object{"endpoints": object{"token": good}}}}), "auth.oauth.endpoints", "together"},
		{"too long", connectorJSON(good, object{"description": strings.Repeat("d", connectorBody)}), "-", "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := m.as(t, "ann", http.MethodPost, connectorsPath, tt.body)
			status := http.StatusBadRequest
			if tt.param == "-" {
				status, tt.param = http.StatusRequestEntityTooLarge, ""
			}
			a.want(t, status, tt.says)
			if shown := a.failed(t); shown.Param != tt.param {
				t.Errorf("%s is for %q, want %q", a.body, shown.Param, tt.param)
			}
		})
	}
	if n := m.count(t); n != 0 {
		t.Errorf("%d connectors are stored", n)
	}
}

// TestBadServer: a server that cannot be used leaves a connector with an error tag that says at which stage, and what to do.
func TestBadServer(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) }))
	t.Cleanup(page.Close)
	gone := "http://" + deadAddress(t) + "/mcp"
	streamable := mcpServer(t, mcptest.ServerOptions{JSONResponse: true})
	sse := mcpServer(t, mcptest.ServerOptions{SSE: true})
	locked := mcpServer(t, mcptest.ServerOptions{Bearer: "the-right-one"})
	for _, tt := range []struct {
		name, body  string
		stage, says string
	}{
		{"unreachable", connectorJSON(gone), "connect", "check that the server is running"},
		{"not MCP", connectorJSON(page.URL), "protocol", "MCP endpoint"},
		{"SSE URL with Streamable", connectorJSON(sse), "transport", "set the transport to SSE"},
		{"Streamable URL with SSE", connectorJSON(streamable, object{"transport": "sse"}), "transport", "set the transport to Streamable HTTP"},
		{"no credentials", connectorJSON(locked), "auth", "choose API key or OAuth"},
		{"wrong key", connectorJSON(locked, object{"auth": object{"type": "api_key", "api_key": "the-wrong-one"}}), "auth", "check the credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := m.as(t, "ann", http.MethodPost, connectorsPath, tt.body)
			c := decoded[shownConnector](t, a)
			if c.Status.State != connector.Failed || c.Status.Stage != tt.stage || !strings.Contains(c.Status.Message, tt.says) {
				t.Errorf("status %+v, want an error of stage %s that says %q", c.Status, tt.stage, tt.says)
			}
			if c.Server != nil {
				t.Errorf("found %+v", c.Server)
			}
		})
	}
	path := m.add(t, "ann", locked, object{"auth": object{"type": "api_key", "api_key": "the-right-one"}})
	found := decoded[shownConnector](t, m.as(t, "ann", http.MethodPost, path+"/probe", ""))
	if found.Status.State != connector.Connected || found.Server == nil || len(found.Server.Tools) == 0 {
		t.Errorf("with the right key: %+v, %+v", found.Status, found.Server)
	}
}

func TestConnectorNeedsPublicAddress(t *testing.T) {
	t.Parallel()
	m := newManaged(t, func(o *Options) { o.Network = egress.NetworkPolicy{} })
	m.as(t, "ann", http.MethodPost, connectorsPath, connectorJSON("http://127.0.0.1:9/mcp")).want(t, http.StatusBadRequest, "https")
	if n := m.count(t); n != 0 {
		t.Errorf("%d connectors are stored", n)
	}
}

func TestConnectorIcon(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	path := m.add(t, "ann", mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})) + "/icon"
	m.as(t, "ann", http.MethodGet, path, "").want(t, http.StatusNotFound)
	m.as(t, "ann", http.MethodPut, path, strings.Repeat("x", 129<<10)).want(t, http.StatusRequestEntityTooLarge, "128 KB")
	m.as(t, "ann", http.MethodPut, path, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`).want(t, http.StatusBadRequest, "icon", "PNG")
	m.as(t, "ann", http.MethodPut, path, "").want(t, http.StatusBadRequest, "send the file")
	m.as(t, "ann", http.MethodGet, path, "").want(t, http.StatusNotFound)

	picture := image.NewRGBA(image.Rect(0, 0, 8, 8))
	picture.Set(1, 1, color.RGBA{R: 200, A: 255})
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	c := decoded[shownConnector](t, m.as(t, "ann", http.MethodPut, path, file.String()+"<script>"))
	if c.Icon == nil || !strings.HasPrefix(*c.Icon, path+"?v=") {
		t.Fatalf("icon %v", c.Icon)
	}
	got := m.as(t, "ann", http.MethodGet, *c.Icon, "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "image/png" || got.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(got.body, "<script>") {
		t.Errorf("HTTP %d with %v", got.status, got.header)
	}
	if again := as(t, m.keys["ann"], http.MethodGet, m.URL+path, "", "If-None-Match", got.header.Get("Etag")); again.status != http.StatusNotModified {
		t.Errorf("HTTP %d for what has not changed", again.status)
	}
	m.as(t, "ann", http.MethodDelete, path, "").want(t, http.StatusOK, `"icon":null`)
}
