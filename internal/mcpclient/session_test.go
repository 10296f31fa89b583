package mcpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

const hello = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}`

func withSession(id string) mcptest.Answer {
	return mcptest.WithHeader("Mcp-Session-Id", id, mcptest.Result(hello))
}

func TestStaleSession(t *testing.T) {
	t.Parallel()
	ok := mcptest.Result(`{"content":[{"type":"text","text":"ok"}],"tools":[]}`)
	stale := map[string]mcptest.Answer{
		"404":                    mcptest.Status(404),
		"404 with JSON-RPC body": mcptest.Body(404, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`),
		"400":                    mcptest.Status(400),
		"400 with JSON-RPC body": mcptest.Body(400, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request"}}`),
	}
	for name, answer := range stale {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("initialize", mcptest.InTurn(withSession("s-1"), withSession("s-2")))
			h.On("tools/call", mcptest.InTurn(ok, answer, ok))
			hooks := 0
			call := callT
			call.BeforeSend = func(context.Context) error { hooks++; return nil }
			for range 2 {
				result, err := c.CallTool(t.Context(), "run", at(h.URL()), call)
				if err != nil || result.Output != "ok" {
					t.Errorf("got %v, %v", result, err)
				}
			}
			if n := h.Count("tools/call"); n != 3 || hooks != 3 {
				t.Errorf("%d calls were sent, the hook ran %d times, want 3", n, hooks)
			}
			if n := h.Count("initialize"); n != 2 {
				t.Errorf("%d sessions were opened, want 2", n)
			}
			var last string
			for _, r := range h.Requests() {
				if r.Method == "tools/call" {
					last = r.Header.Get("Mcp-Session-Id")
				}
			}
			if last != "s-2" {
				t.Errorf("the call was repeated in session %q, want s-2", last)
			}

			h.On("tools/list", mcptest.InTurn(answer, ok))
			if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStaleSessionIsRebuiltOnce(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", withSession("s"))
	h.On("tools/call", mcptest.Status(404))
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageStatus, Status: 404, Sent: mcpclient.Refused})
	if n := h.Count("tools/call"); n != 2 {
		t.Errorf("%d calls were sent, want 2", n)
	}
}

func TestErrorThatAnswersTheCallIsNoStaleSession(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", withSession("s"))
	h.On("tools/call", mcptest.ErrorStatus(400, -32000, "half done"))
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Status: 400, Sent: mcpclient.Answered})
	if n := h.Count("tools/call"); n != 1 {
		t.Errorf("%d calls were sent, want 1", n)
	}
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	for i := range 3 {
		key := fmt.Sprintf("key-%d", i)
		if _, err := c.CallTool(t.Context(), "run", at(s.URL()), mcpclient.Call{Name: "append", Arguments: []byte(`{"line":"x"}`), IdempotencyKey: key}); err != nil {
			t.Fatal(err)
		}
		s.ForgetSessions()
	}
	for key, n := range s.Appends() {
		if n != 1 {
			t.Errorf("%s was executed %d times", key, n)
		}
	}
	if n := len(s.Lines()); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}

func TestForeignSessionIDInAnswer(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", withSession("s-1"))
	h.On("tools/call", mcptest.WithHeader("Mcp-Session-Id", "s-2", mcptest.Result(`{"content":[]}`)))
	for range 2 {
		if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil {
			t.Error(err)
		}
	}
	if n := h.Count("initialize"); n != 1 {
		t.Errorf("%d sessions were opened, want 1", n)
	}
}

func TestSessionsAreSharedByRunServerAndCredentials(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	alice := http.Header{"Authorization": {"Bearer alice"}}
	bob := http.Header{"Authorization": {"Bearer bob"}}
	steps := []struct {
		run    string
		header http.Header
		path   string
		want   int // sessions so far
	}{
		{"run-1", alice, "", 1},
		{"run-1", alice, "", 1},
		{"run-1", bob, "", 2},
		{"run-2", alice, "", 3},
		{"run-1", alice, "?other", 4},
		{"run-1", alice.Clone(), "", 4},
		{"run-1", http.Header{"authorization": {"Bearer alice"}}, "", 4},
	}
	for i, step := range steps {
		server := mcpclient.Server{Label: fmt.Sprint(i), URL: h.URL() + step.path, Header: step.header}
		if _, err := c.ListTools(t.Context(), step.run, server); err != nil {
			t.Fatal(err)
		}
		if got := h.Count("initialize"); got != step.want {
			t.Errorf("step %d: %d sessions, want %d", i, got, step.want)
		}
	}
}

func sessionOutlivesTheCallThatOpenedIt(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	first, cancel := context.WithCancel(t.Context())
	if _, err := c.ListTools(first, "run", at(s.URL())); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := c.CallTool(t.Context(), "run", at(s.URL()), mcpclient.Call{Name: "echo", Arguments: []byte(`{"text":"x"}`)}); err != nil {
		t.Error(err)
	}
}

func TestSessionIsOpenedForThoseWhoWait(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	release := make(chan struct{})
	h.On("initialize", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		<-release
		mcptest.Result(hello)(w, r, m)
	})
	first, cancel := context.WithCancel(t.Context())
	firstDone, secondDone := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.ListTools(first, "run", at(h.URL())); firstDone <- err }()
	if err := h.Await(t.Context(), "initialize", 1); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := c.ListTools(t.Context(), "run", at(h.URL())); secondDone <- err }()
	cancel()
	wantError(t, <-firstDone, mcpclient.Error{Stage: mcpclient.StageCanceled, Sent: mcpclient.NotSent})
	close(release)
	if err := <-secondDone; err != nil {
		t.Error(err)
	}
	if n := h.Count("initialize"); n != 1 {
		t.Errorf("%d sessions were opened, want 1", n)
	}
}

func TestFailedSessionIsNotKept(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.InTurn(mcptest.Status(503), mcptest.Result(hello)))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Sent: mcpclient.NotSent, Temporary: true})
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Error(err)
	}
}

func TestSessionsEnd(t *testing.T) {
	tests := map[string]struct {
		opts mcpclient.Options
		end  func(*testing.T, *mcpclient.Client, string)
	}{
		"idle": {mcpclient.Options{SessionIdle: 20 * time.Millisecond}, func(*testing.T, *mcpclient.Client, string) {}},
		"run":  {mcpclient.Options{}, func(_ *testing.T, c *mcpclient.Client, _ string) { c.CloseRun("run") }},
		"least recently used": {mcpclient.Options{MaxSessions: 1}, func(t *testing.T, c *mcpclient.Client, url string) {
			if _, err := c.ListTools(t.Context(), "other", at(url)); err != nil {
				t.Error(err)
			}
		}},
		"close": {mcpclient.Options{}, func(t *testing.T, c *mcpclient.Client, _ string) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			h, c := newHostile(t), newClient(t, test.opts)
			h.On("initialize", mcptest.InTurn(withSession("s-1"), withSession("s-2")))
			if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
				t.Fatal(err)
			}
			test.end(t, c, h.URL())
			if err := h.Await(t.Context(), mcptest.OnDelete, 1); err != nil {
				t.Fatal("the session was not ended at the server")
			}
			for _, r := range h.Requests() {
				if r.HTTPMethod == http.MethodDelete && r.Header.Get("Mcp-Session-Id") != "s-1" {
					t.Errorf("session %q was ended, want s-1", r.Header.Get("Mcp-Session-Id"))
				}
			}
		})
	}
}

func TestCloseRunLetsCallsFinish(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	done := make(chan error)
	go func() {
		_, err := c.CallTool(t.Context(), "run", at(s.URL()), mcpclient.Call{Name: "slow"})
		done <- err
	}()
	if err := s.AwaitCalls(t.Context(), "slow", 1); err != nil {
		t.Fatal(err)
	}
	c.CloseRun("run")
	s.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.AwaitRequests(t.Context(), http.MethodDelete, 1); err != nil {
		t.Error("the session was not ended after the call")
	}
}

func TestCloseInterruptsCalls(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", mcptest.Silent())
	done := make(chan error)
	go func() {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		done <- err
	}()
	if err := h.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, <-done, mcpclient.Error{Stage: mcpclient.StageCanceled})
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCanceled, Sent: mcpclient.NotSent})
}

// A server of the era after initialize: pinned first, asked freely second.
func TestModernServer(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]mcptest.Answer{
		"error -32022, HTTP 400": mcptest.ErrorStatus(400, -32022, "unsupported protocol version"),
		"error -32022, HTTP 200": mcptest.Error(-32022, "unsupported protocol version"),
		"plain HTTP 400":         mcptest.Status(400),
		"method not found":       mcptest.ErrorStatus(404, -32601, "method not found"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("initialize", refusal)
			h.On("server/discover", mcptest.Result(`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete"}`))
			h.On("tools/call", mcptest.InTurn(
				mcptest.Result(`{"content":[{"type":"text","text":"ok"}],"resultType":"complete"}`),
				mcptest.Result(`{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{}}}}`)))
			for range 2 { // the SDK would cache an answer that allows it
				h.On("tools/list", mcptest.Result(`{"tools":[{"name":"t","inputSchema":{}}],"resultType":"complete","ttlMs":60000}`))
				listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
				if err != nil || len(listing.Tools) != 1 || listing.ProtocolVersion != "2026-07-28" {
					t.Fatalf("got %+v, %v", listing, err)
				}
			}
			if result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil || result.Output != "ok" {
				t.Errorf("got %v, %v", result, err)
			}
			_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
			wantError(t, err, mcpclient.Error{Stage: mcpclient.StageProtocol, Sent: mcpclient.Answered})
			if n := h.Count("initialize"); n != 1 {
				t.Errorf("%d initialize requests, want 1", n)
			}
		})
	}
}

func TestHandshakeIsTriedTwiceAtMost(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.Status(400))
	h.On("server/discover", mcptest.Status(400))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	var e *mcpclient.Error
	if !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("got error %v", err)
	}
	if i, d := h.Count("initialize"), h.Count("server/discover"); i != 2 || d != 1 {
		t.Errorf("got %d initialize and %d server/discover requests, want 2 and 1", i, d)
	}
}
