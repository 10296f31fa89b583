package mcpclient_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func streamHeldOpenAfterAnswer(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", mcptest.EventsHeldOpen(mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`)))
	call := func() {
		result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		if err != nil || result.Output != "ok" {
			t.Errorf("got %v, %v; want ok", result, err)
		}
	}
	call()
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(call)
	}
	wg.Wait()
	awaitGoroutines(t, before+5) // while the server and the session are still there
}

func streamHeldOpenAfterGarbage(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	h.On("tools/call", mcptest.EventsHeldOpen(`garbage`))
	for range 20 {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageProtocol})
	}
	awaitGoroutines(t, before+5)
}

func initializeStreamHeldOpen(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.EventsHeldOpen(mcptest.ResultEvent(`{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"n","version":"1"}}`)))
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Error(err)
	}
}

func noGetStreamIsOpened(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On(mcptest.OnGet, mcptest.Silent()) // accepts and sends no header
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Fatal(err)
	}
	if got := h.Count(mcptest.OnGet); got != 0 {
		t.Errorf("got %d GET requests, want none", got)
	}
}

func blackHole(t *testing.T) {
	checkGoroutines(t)
	for _, method := range []string{"initialize", "notifications/initialized", "tools/list"} {
		opts := mcpclient.Options{ConnectTimeout: 3 * time.Second}
		want := mcpclient.Error{Stage: mcpclient.StageTimeout, Sent: mcpclient.NotSent, Temporary: true}
		if method == "tools/list" {
			opts, want.Sent = mcpclient.Options{ListTimeout: 3 * time.Second}, mcpclient.Unknown
		}
		h, c := newHostile(t), newClient(t, opts)
		if method == "tools/list" {
			if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil { // opens the session, however long that takes
				t.Fatal(err)
			}
		}
		h.On(method, mcptest.Silent())
		h.On("notifications/cancelled", mcptest.Silent())
		start := time.Now()
		_, err := c.ListTools(t.Context(), "run", at(h.URL()))
		wantError(t, err, want)
		if took := time.Since(start); took > 7*time.Second { // the SDK alone would take 8
			t.Errorf("%s: returned after %v", method, took)
		}
	}
}

func callTimeout(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{CallTimeout: 3 * time.Second})
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil { // opens the session, however long that takes
		t.Fatal(err)
	}
	h.On("tools/call", mcptest.Silent())
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTimeout, Temporary: true})
	if err := h.Await(t.Context(), "notifications/cancelled", 1); err != nil {
		t.Error("the server was not told that the call is canceled")
	}
}

func callCanceled(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", mcptest.Silent())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if err := h.Await(ctx, "tools/call", 1); err == nil {
			cancel()
		}
	}()
	_, err := c.CallTool(ctx, "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCanceled})
}

func requestsOfTheServerAreDeclined(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On(mcptest.OnResponse, mcptest.Status(http.StatusAccepted))
	var events []string
	methods := []string{"sampling/createMessage", "elicitation/create", "roots/list", "ping", "no/such"}
	for i, method := range methods {
		events = append(events, fmt.Sprintf(`{"jsonrpc":"2.0","id":"s%d","method":%q,"params":{"messages":[]}}`, i, method))
	}
	events = append(events, `{"jsonrpc":"2.0","id":{},"method":"ping"}`, // no valid ID: not answered
		mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`))
	h.On("tools/call", mcptest.Events(events...))
	if result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil || result.Output != "ok" {
		t.Fatalf("got %v, %v; want ok", result, err)
	}
	if err := h.Await(t.Context(), mcptest.OnResponse, len(methods)); err != nil {
		t.Fatal("not every request of the server was answered")
	}
	for _, r := range h.Requests() {
		if r.Method != "" || r.HTTPMethod != http.MethodPost {
			continue
		}
		ok := strings.Contains(string(r.Body), `"s2"`) || strings.Contains(string(r.Body), `"s3"`)
		if got := strings.Contains(string(r.Body), `"result"`); got != ok {
			t.Errorf("unexpected answer %s", r.Body)
		}
	}
}

func floodOfServerRequests(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On(mcptest.OnResponse, mcptest.Status(http.StatusAccepted))
	var events []string
	for i := range 1500 {
		events = append(events, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i))
	}
	events = append(events, mcptest.ResultEvent(`{"content":[]}`))
	h.On("tools/call", mcptest.Events(events...))
	if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := h.Count(mcptest.OnResponse); got > 200 {
		t.Errorf("%d answers were sent, want some 100 at most", got)
	}
}

func answersToServerRequestsHang(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On(mcptest.OnResponse, mcptest.Silent())
	h.On("tools/call", mcptest.Events(`{"jsonrpc":"2.0","id":1000,"method":"ping"}`, mcptest.ResultEvent(`{"content":[]}`)))
	if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // waits for the answer's own deadline
		t.Error(err)
	}
}

func hangingDelete(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.WithHeader("Mcp-Session-Id", "s-1", mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{}}`)))
	h.On(mcptest.OnDelete, mcptest.Silent())
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c.CloseRun("run")
	if took := time.Since(start); took > time.Second {
		t.Errorf("CloseRun took %v", took)
	}
	if err := h.Await(t.Context(), mcptest.OnDelete, 1); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
