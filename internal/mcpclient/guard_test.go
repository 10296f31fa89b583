package mcpclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// Each request that the SDK sees costs a goroutine and a message, so that a flood must not come as far, whichever answers of the session
// it comes with. Time gives a server leave to send more.
func TestFloodOfServerRequestsStopsBeforeTheSDK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &guard{serverRequests: newServerRequests()}
		seen := func(requests int) int {
			var body strings.Builder
			for i := range requests {
				fmt.Fprintf(&body, "data: {\"jsonrpc\":\"2.0\",\"id\":\"s%d\",\"method\":\"ping\"}\n\n", i)
			}
			body.WriteString("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
			ex := &exchange{methods: []string{methodCall}, maxBytes: 1 << 20, cancel: func(error) {}}
			stream := g.newEventStream(t.Context(), io.NopCloser(strings.NewReader(body.String())), ex, json.RawMessage("1"), nil)
			all, err := io.ReadAll(stream)
			if err != nil || string(ex.result) != "{}" {
				t.Fatalf("the answer is %s, %v; want {}", ex.result, err)
			}
			return strings.Count(string(all), "ping")
		}
		first, second := seen(serverRequestsAtOnce-10), seen(5000)
		<-time.After(30 * time.Second) // of the bubble
		if third := seen(5000); first != serverRequestsAtOnce-10 || second != 10 || third != 30*serverRequestsPerSecond {
			t.Errorf("the SDK saw %d, %d and %d requests, want %d, 10 and %d", first, second, third, serverRequestsAtOnce-10, 30*serverRequestsPerSecond)
		}
	})
}
