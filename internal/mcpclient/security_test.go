package mcpclient_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perdure/internal/egress"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// canary stands for every secret; no error and no log may show it.
const canary = "canary-5f2b9c41d7"

func crossOriginRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	thief, h, c := newHostile(t), newHostile(t), newClient(t, mcpclient.Options{})
	server := at(h.URL())
	server.Header = http.Header{"Cf-Access-Client-Secret": {canary}, "Authorization": {"Bearer " + canary}}
	for _, status := range []int{301, 302, 303, 307, 308} {
		redirect := mcptest.Status(status, "Location", thief.URL())
		h.On("tools/call", redirect)
		_, err := c.CallTool(t.Context(), "run", server, callT)
		var e *mcpclient.Error
		if !errors.As(err, &e) || e.Stage != mcpclient.StageStatus || e.Status != status {
			t.Errorf("%d: got error %v", status, err)
		}
		h.On("initialize", redirect)
		if _, err := c.ListTools(t.Context(), fmt.Sprint(status), server); !errors.As(err, &e) || e.Stage != mcpclient.StageStatus {
			t.Errorf("%d: got error %v", status, err)
		}
		h.On("initialize", mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{}}`))
	}
	if got := thief.Requests(); len(got) != 0 {
		t.Errorf("the other origin got %d requests", len(got))
	}
}

func TestCloudflareAccessLoginIsRecognized(t *testing.T) {
	t.Parallel()
	answers := map[string]mcptest.Answer{
		"redirect to team": mcptest.Status(302, "Location", "https://team.cloudflareaccess.com/cdn-cgi/access/login/x?"+canary),
		"redirect on host": mcptest.Status(302, "Location", "/cdn-cgi/access/login/x"),
		"challenge": mcptest.Status(401, "WWW-Authenticate",
			`Bearer resource_metadata="https://x/.well-known/cloudflare-access-protected-resource/mcp"`),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("initialize", answer)
			_, err := c.ListTools(t.Context(), "run", at(h.URL()))
			var e *mcpclient.Error
			if !errors.As(err, &e) || e.Stage != mcpclient.StageAuth || !strings.Contains(e.Error(), "CF-Access-Client-Id") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func secretsStayOutOfErrorsAndLogs(t *testing.T) {
	t.Parallel()
	echo := func(status int, contentType string) mcptest.Answer { // the server repeats our credentials
		return mcptest.WithHeader("Www-Authenticate", canary,
			mcptest.WithHeader("Location", "https://other/"+canary, mcptest.Body(status, contentType, canary)))
	}
	answers := map[string]mcptest.Answer{
		"401":                echo(401, "text/plain"),
		"404":                echo(404, "text/plain"),
		"500":                echo(500, "text/plain"),
		"302":                echo(302, "text/plain"),
		"not JSON":           echo(200, "application/json"),
		"content type":       echo(200, "text/"+canary),
		"event":              mcptest.Events(canary),
		"JSON-RPC error":     mcptest.Error(-32000, canary),
		"JSON-RPC error 400": mcptest.ErrorStatus(400, -32000, canary),
		"session id":         mcptest.WithHeader("Mcp-Session-Id", canary, mcptest.Error(-1, canary)),
		"version":            mcptest.Result(`{"protocolVersion":"` + canary + `","capabilities":{},"tools":"` + canary + `","content":"` + canary + `"}`),
		"malformed HTTP": func(w http.ResponseWriter, _ *http.Request, _ mcptest.Message) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s\r\n\r\n", canary, canary)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			h := newHostile(t)
			c := newClient(t, mcpclient.Options{Logger: slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			server := mcpclient.Server{
				Label: "srv", URL: h.URL() + "?key=" + canary,
				Header: http.Header{"Authorization": {"Bearer " + canary}, "X-Api-Key": {canary}},
			}
			check := func(method string, err error) {
				t.Helper()
				if err == nil {
					t.Fatalf("%s: got no error", method)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, canary) {
						t.Errorf("%s: error shows the secret: %s", method, text)
					}
				}
				var e *mcpclient.Error
				if errors.As(err, &e) && strings.Contains(e.ServerMessage, canary) {
					t.Errorf("%s: ServerMessage shows the secret", method)
				}
			}
			h.On("tools/call", answer)
			_, err := c.CallTool(t.Context(), "run", server, callT)
			check("tools/call", err)
			h.On("tools/list", answer)
			_, err = c.ListTools(t.Context(), "run", server)
			check("tools/list", err)
			h.On("initialize", answer)
			h.On("server/discover", answer)
			_, err = c.ListTools(t.Context(), "another run", server)
			check("initialize", err)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if strings.Contains(logs.String(), canary) {
				t.Errorf("logs show the secret: %s", &logs)
			}
		})
	}
}

func TestServerFormatsAsItsLabel(t *testing.T) {
	t.Parallel()
	s := mcpclient.Server{Label: "srv", URL: "https://x/?" + canary, Header: http.Header{"Authorization": {canary}}}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "s", s, "p", &s)
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %q %v", s, s, s, s, s, &s) + b.String() + string(encoded)
	if strings.Contains(text, canary) || !strings.Contains(text, "srv") {
		t.Errorf("got %s", text)
	}
}

func TestAnswersThatRepeatCredentials(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	server := at(h.URL())
	server.Header = http.Header{"Authorization": {"Bearer " + canary}, "X-Region": {"eu"}}
	h.On("initialize", mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"`+canary+`","version":"`+canary+`"}}`))
	h.On("tools/list", mcptest.Result(`{"tools":[
		{"name":"a","description":"eu `+canary+`","inputSchema":{}},
		{"name":"b","inputSchema":{"title":"`+canary+`"}},
		{"name":"`+canary+`","inputSchema":{}}]}`))
	h.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"eu Bearer `+canary+`"}]}`))
	listing, err := c.ListTools(t.Context(), "run", server)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(mustJSON(t, listing)); strings.Contains(text, canary) || len(listing.Tools) != 1 || !strings.Contains(text, "eu [redacted]") {
		t.Errorf("got listing %s", text)
	}
	result, err := c.CallTool(t.Context(), "run", server, callT)
	if err != nil || result.Output != "eu [redacted]" {
		t.Errorf("got %v, %v", result, err)
	}
	// A bound that cuts through a credential must not leave its beginning.
	almost := strings.Repeat("x", 512-len(canary)+1)
	for _, part := range []string{
		`{"type":"image","mimeType":"` + almost + canary + `"}`, `{"type":"` + almost + canary + `"}`, `{"type":"resource_link","uri":"` + almost + canary + `"}`,
		`{"type":"resource","resource":{"uri":"` + almost + canary + `","blob":""}}`,
	} {
		h.On("tools/call", mcptest.Result(`{"content":[`+part+`]}`))
		if result, err := c.CallTool(t.Context(), "run", server, callT); err != nil || strings.Contains(result.Output, canary[:10]) {
			t.Errorf("got %v, %v", result, err)
		}
	}
	h.On("tools/call", mcptest.Result(`{"structuredContent":{"a":"`+strings.Replace(canary, "c", `\u0063`, 1)+`"}}`))
	if result, err := c.CallTool(t.Context(), "run", server, callT); err != nil || result.Output != `{"a":"[redacted]"}` {
		t.Errorf("got %v, %v", result, err)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	h := mcptest.NewHostileTLS()
	defer h.Close()
	network := egress.NetworkPolicy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowOrigins: []string{}}
	c := newClient(t, mcpclient.Options{Network: network})
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTLS, Sent: mcpclient.NotSent})
	if n := len(h.Requests()); n != 0 {
		t.Errorf("the server got %d requests", n)
	}

	roots := x509.NewCertPool()
	roots.AddCert(h.HTTP().Certificate())
	c = newClient(t, mcpclient.Options{Network: network, RootCAs: roots})
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Error(err)
	}
}

func TestHTTP2(t *testing.T) {
	checkGoroutines(t)
	h := mcptest.NewHostileTLS()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(h.HTTP().Certificate())
	c := newClient(t, mcpclient.Options{
		RootCAs: roots, Network: egress.NetworkPolicy{AllowOrigins: []string{"https://127.0.0.1:*"}},
	})
	h.On("tools/call", mcptest.InTurn(
		mcptest.EventsHeldOpen(mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`)),
		mcptest.Cut("", ""),
		mcptest.Result(`{"content":[{"type":"text","text":"ok"}]}`)))
	for _, want := range []string{"ok", "", "ok"} {
		result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		if want == "" {
			wantError(t, err, mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true})
		} else if err != nil || result.Output != want {
			t.Errorf("got %v, %v", result, err)
		}
	}
	if n := h.Count("tools/call"); n != 3 {
		t.Errorf("%d calls were sent, want 3", n)
	}
	for _, r := range h.Requests() {
		if r.Proto != "HTTP/2.0" {
			t.Errorf("%s went over %s", r.Method, r.Proto)
		}
	}
}

func TestTLSToPlainServer(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	c := newClient(t, mcpclient.Options{Network: egress.NetworkPolicy{AllowOrigins: []string{"https://127.0.0.1:*"}}})
	_, err := c.ListTools(t.Context(), "run", at("https"+strings.TrimPrefix(h.URL(), "http")))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTLS, Sent: mcpclient.NotSent})
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c := newClient(t, mcpclient.Options{})
	_, err := c.CallTool(t.Context(), "run", at(s.URL), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageConnect, Sent: mcpclient.NotSent, Temporary: true})
}

func TestTLSHandshakeHangs(t *testing.T) {
	checkGoroutines(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newClient(t, mcpclient.Options{
		ConnectTimeout: 200 * time.Millisecond,
		Network:        egress.NetworkPolicy{AllowOrigins: []string{"https://127.0.0.1:*"}},
	})
	_, err = c.CallTool(t.Context(), "run", at("https://"+l.Addr().String()), callT)
	var e *mcpclient.Error
	if !errors.As(err, &e) || e.Stage != mcpclient.StageTimeout && e.Stage != mcpclient.StageTLS || e.Sent != mcpclient.NotSent {
		t.Errorf("got error %v", err)
	}
}

func TestPolicyIsAppliedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	tests := map[string]struct {
		policy egress.NetworkPolicy
		server mcpclient.Server
	}{
		"http":            {egress.NetworkPolicy{AllowOrigins: []string{}}, mcpclient.Server{URL: h.URL()}},
		"private address": {egress.NetworkPolicy{AllowOrigins: []string{}}, mcpclient.Server{URL: "https://10.0.0.1/"}},
		"other port":      {egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:1"}}, mcpclient.Server{URL: h.URL()}},
		"user info":       {loopback, mcpclient.Server{URL: strings.Replace(h.URL(), "://", "://user:"+canary+"@", 1)}},
		"reserved header": {loopback, mcpclient.Server{URL: h.URL(), Header: http.Header{"Mcp-Session-Id": {canary}}}},
		"line break":      {loopback, mcpclient.Server{URL: h.URL(), Header: http.Header{"X-A": {canary + "\r\nX-B: 1"}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, mcpclient.Options{Network: test.policy})
			test.server.Label = "srv"
			_, err := c.ListTools(t.Context(), "run", test.server)
			e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StagePolicy, Sent: mcpclient.NotSent})
			if strings.Contains(e.Error(), canary) {
				t.Errorf("error %q shows the secret", e)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(h.Requests()); n != 0 {
			t.Errorf("the server got %d requests", n)
		}
	})
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
