package mcpclient_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	for _, sse := range []bool{false, true} {
		s, c := newServer(t, mcptest.ServerOptions{SSE: sse}), newClient(t, mcpclient.Options{})
		server := at(s.URL())
		if sse {
			server = atSSE(s.URL())
		}
		listing, err := c.Probe(t.Context(), server)
		if err != nil || len(listing.Tools) != 6 || listing.ServerName != "mcptest" || listing.ServerVersion != "1.0.0" || listing.ProtocolVersion == "" {
			t.Errorf("sse %v: %+v, %v", sse, listing, err)
		}
	}
}

// Whoever picks the wrong transport is told which is right.
func TestProbeWrongTransport(t *testing.T) {
	t.Parallel()
	for _, bearer := range []string{"", canary} {
		for _, sse := range []bool{false, true} {
			s, c := newServer(t, mcptest.ServerOptions{SSE: sse, Bearer: bearer}), newClient(t, mcpclient.Options{})
			server := at(s.URL())
			if !sse {
				server = atSSE(s.URL())
			}
			if bearer != "" {
				server.Header = http.Header{"Authorization": {"Bearer " + bearer}}
			}
			_, err := c.Probe(t.Context(), server)
			e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTransport})
			want := map[bool]string{true: "set the transport to SSE", false: "set the transport to Streamable HTTP"}[sse]
			if !strings.Contains(e.Remedy, want) {
				t.Errorf("sse %v: %v; %s", sse, e, e.Remedy)
			}
		}
	}
}

// unresolvable is a name with a label that is too long for the DNS: no server is asked for it.
var unresolvable = strings.Repeat("x", 64) + ".invalid"

func TestProbeFailures(t *testing.T) {
	t.Parallel()
	access := http.Header{"Cf-Access-Client-Id": {"id"}, "Cf-Access-Client-Secret": {"wrong"}}
	login := mcptest.Status(302, "Location", "https://team.cloudflareaccess.com/cdn-cgi/access/login/x?"+canary)
	page := mcptest.Body(200, "text/html", "<html>"+canary)
	tests := []struct {
		name    string
		url     string
		header  http.Header
		answer  mcptest.Answer
		stage   mcpclient.Stage
		message string
		remedy  string
	}{
		{name: "http", url: "http://mcp.example.com/mcp", stage: mcpclient.StagePolicy, message: "https", remedy: "https"},
		{name: "private", url: "https://10.0.0.1/mcp", stage: mcpclient.StagePolicy, message: "not public", remedy: "public"},
		{name: "unreachable", url: "http://127.0.0.1:1/mcp", stage: mcpclient.StageConnect, remedy: "is running"},
		{name: "no such host", url: "https://" + unresolvable + "/mcp", stage: mcpclient.StageDNS, remedy: "host name"},
		{name: "not MCP", answer: page, stage: mcpclient.StageProtocol, remedy: "MCP endpoint"},
		{name: "not there", answer: mcptest.Status(404), stage: mcpclient.StageStatus, message: "404", remedy: "/mcp"},
		{name: "busy", answer: mcptest.Status(503), stage: mcpclient.StageStatus, message: "503", remedy: "later"},
		{name: "moved", answer: mcptest.Status(301, "Location", "https://other.example/"+canary), stage: mcpclient.StageStatus, message: "redirects", remedy: "endpoint"},
		{name: "401", answer: mcptest.Status(401), stage: mcpclient.StageAuth, message: "401", remedy: "wants credentials"},
		{name: "401 with a key", header: http.Header{"X-Api-Key": {"k"}}, answer: mcptest.Status(401), stage: mcpclient.StageAuth, message: "401", remedy: "does not accept"},
		{name: "403", answer: mcptest.Status(403), stage: mcpclient.StageAuth, message: "403", remedy: "may use"},
		{name: "Access without token", answer: login, stage: mcpclient.StageAuth, message: "guards this server", remedy: "network access"},
		{name: "Access with a wrong token", header: access, answer: login, stage: mcpclient.StageAuth, message: "the Cloudflare Access token was refused", remedy: "network access"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{ConnectTimeout: 15 * time.Second})
			server := at(test.url)
			if test.answer != nil {
				server.URL = h.URL()
				h.On("initialize", test.answer)
				h.On("server/discover", test.answer)
				h.On(mcptest.OnGet, test.answer)
			}
			server.Header = test.header
			_, err := c.Probe(t.Context(), server)
			var e *mcpclient.Error
			if !errors.As(err, &e) || e.Stage != test.stage || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Remedy, test.remedy) || e.Remedy == "" {
				t.Fatalf("got %v, remedy %q", err, e.Remedy)
			}
			if strings.Contains(e.Error()+e.Remedy, canary) {
				t.Errorf("%v repeats the server", e)
			}
			if test.stage == mcpclient.StageAuth && h.Count(mcptest.OnGet) != 0 {
				t.Error("another transport was tried after a refusal")
			}
		})
	}
}

// A stream that says nothing does not hold a probe for ever, and may be no stream of SSE at all.
func TestProbeSilentStream(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{ConnectTimeout: 3 * time.Second})
	h.On(mcptest.OnGet, mcptest.EventsHeldOpen())
	_, err := c.Probe(t.Context(), atSSE(h.URL()))
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTransport})
	if !strings.Contains(e.Remedy, "Streamable") {
		t.Errorf("remedy %q", e.Remedy)
	}
}
