package mcpclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"perdure/internal/egress"
	"perdure/internal/mcptest"
)

// The SDK might be led to another URL, for example by an endpoint event of the
// older transport. The guard goes nowhere but to its origin.
func TestGuardPinsTheOrigin(t *testing.T) {
	t.Parallel()
	h := mcptest.NewHostile()
	defer h.Close()
	u, err := url.Parse(h.URL())
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{base: http.DefaultTransport, origin: egress.OriginOf(u), header: http.Header{"Authorization": {"secret"}}}
	const ping = `{"jsonrpc":"2.0","id":1,"result":{}}`
	for _, to := range []string{
		strings.Replace(h.URL(), "127.0.0.1", "localhost", 1), strings.Replace(h.URL(), "http:", "https:", 1), "http://127.0.0.1:1/",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(ping))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		var e *Error
		if !errors.As(err, &e) || e.Stage != StagePolicy || e.Sent != NotSent {
			t.Errorf("%s: got error %v", to, err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
		t.Error("a GET request was sent")
	}
	if n := len(h.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// A session that broke inside the SDK is opened again, and the call, which
// never left, is made in the new one.
func TestBrokenSessionIsRebuilt(t *testing.T) {
	t.Parallel()
	h := mcptest.NewHostile()
	defer h.Close()
	c, err := New(Options{Network: egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server := Server{Label: "srv", URL: h.URL()}
	for i := range 2 {
		result, err := c.CallTool(t.Context(), "run", server, Call{Name: "t"})
		if err != nil || result.Output != "ok" {
			t.Fatalf("call %d: got %v, %v", i, result, err)
		}
		c.mu.Lock()
		for _, s := range c.sessions {
			if err := s.mcp.Close(); err != nil {
				t.Error(err)
			}
		}
		c.mu.Unlock()
	}
	if n := h.Count("initialize"); n != 2 {
		t.Errorf("%d sessions were opened, want 2", n)
	}
	if e := sdkError(fmt.Errorf("x: %w", mcp.ErrConnectionClosed)); !e.stale {
		t.Error("a closed connection is not taken for a stale session")
	}
}
