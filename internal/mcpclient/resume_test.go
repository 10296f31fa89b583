package mcpclient_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

const okEvent = `{"content":[{"type":"text","text":"ok"}]}`

// priming answers with an event that has an ID and a time to wait, and nothing else.
func priming(id string, retry int) mcptest.Answer {
	return mcptest.Body(http.StatusOK, "text/event-stream", fmt.Sprintf("id: %s\nretry: %d\ndata: \n\n", id, retry))
}

// A server may close the stream while a tool works. The answer comes on another one, for one call.
func TestStreamIsResumed(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var requestID string
	h.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		requestID = string(m.ID)
		priming("one", 1)(w, r, m)
	})
	h.On(mcptest.OnGet, mcptest.InTurn(priming("two", 1), func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		m.ID = []byte(requestID)
		mcptest.Events(mcptest.ResultEvent(okEvent))(w, r, m)
	}))
	result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	if err != nil || result.Output != "ok" {
		t.Fatalf("got %+v, %v", result, err)
	}
	if n := h.Count("tools/call"); n != 1 {
		t.Errorf("the call was sent %d times", n)
	}
	var asked []string
	for _, r := range h.Requests() {
		if r.HTTPMethod == http.MethodGet {
			asked = append(asked, r.Header.Get("Last-Event-Id"))
			if r.Header.Get("Mcp-Protocol-Version") != "2025-11-25" || r.Header.Get("Accept") != "text/event-stream" {
				t.Errorf("a stream was asked for with %v", r.Header)
			}
		}
	}
	if got := strings.Join(asked, " "); got != "one two" {
		t.Errorf("streams were resumed behind %q, want one and two", got)
	}
}

func TestStreamIsNotResumed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		call  mcptest.Answer
		again mcptest.Answer // nil: nothing may be asked
		want  mcpclient.Error
		asked int
	}{
		{"no ID", mcptest.Events(), nil, mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}, 0},
		{"an ID that is no header", priming("a\tb", 1), nil, mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}, 0},
		{"a long ID", priming(strings.Repeat("x", 2000), 1), nil, mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}, 0},
		{"gone", priming("a", 1), mcptest.Status(404), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 404, Temporary: true}, 1},
		{"not allowed", priming("a", 1), mcptest.Status(405), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 405, Temporary: true}, 1},
		{"refused", priming("a", 1), mcptest.Status(401), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 401, Temporary: true}, 1},
		{"elsewhere", priming("a", 1), mcptest.Status(302, "Location", "https://evil.example/"), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 302, Temporary: true}, 1},
		{"a page", priming("a", 1), mcptest.Body(200, "text/html", canary), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 200, Temporary: true}, 1},
		{"never anything new", priming("a", 1), priming("a", 1), mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}, 20},
		{"a long wait", priming("a", 60_000), nil, mcpclient.Error{Stage: mcpclient.StageTimeout, Temporary: true}, 0},
		{"huge", priming("a", 1), mcptest.Body(200, "text/event-stream", "data: "+strings.Repeat("x", 80<<10)+"\n\n"), mcpclient.Error{Stage: mcpclient.StageSize}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if test.name == "a long wait" {
				timeout = 3 * time.Second // in which the call must be sent
			}
			h, c := newHostile(t), newClient(t, mcpclient.Options{MaxCallBytes: 64 << 10, CallTimeout: timeout})
			if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
				t.Fatal(err)
			}
			h.On("tools/call", test.call)
			if test.again != nil {
				h.On(mcptest.OnGet, test.again)
			}
			_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
			e := wantError(t, err, test.want)
			if e.Sent != mcpclient.Unknown || h.Count("tools/call") != 1 || h.Count(mcptest.OnGet) != test.asked {
				t.Errorf("%d calls, %d streams, %v", h.Count("tools/call"), h.Count(mcptest.OnGet), e)
			}
		})
	}
}
