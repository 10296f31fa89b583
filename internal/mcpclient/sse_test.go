package mcpclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func newStream(t *testing.T) *mcptest.Stream {
	t.Helper()
	s := mcptest.NewStream()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func atSSE(url string) mcpclient.Server {
	return mcpclient.Server{Label: "srv", URL: url, Transport: mcpclient.SSE}
}

// The SSE transport does what Streamable HTTP does.
func TestSSE(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{SSE: true, Bearer: canary}), newClient(t, mcpclient.Options{})
	server := atSSE(s.URL())
	server.Header = http.Header{"Authorization": {"Bearer " + canary}}
	listing, err := c.ListTools(t.Context(), "run", server)
	if err != nil || len(listing.Tools) != 6 || listing.ServerName != "mcptest" || listing.ProtocolVersion == "" {
		t.Fatalf("got %+v, %v", listing, err)
	}
	result, err := c.CallTool(t.Context(), "run", server, mcpclient.Call{Name: "add", Arguments: json.RawMessage(`{ "a": 2, "b": 40 }`)})
	if err != nil || result.Output != "42" {
		t.Fatalf("got %+v, %v", result, err)
	}
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			text := fmt.Sprint("text ", i)
			args, _ := json.Marshal(map[string]string{"text": text})
			result, err := c.CallTool(t.Context(), "run", server, mcpclient.Call{Name: "echo", Arguments: args})
			if err != nil || result.Output != text {
				t.Errorf("got %+v, %v; want %q", result, err, text)
			}
		})
	}
	calls.Wait()
	streams := 0
	for _, r := range s.Requests() {
		if r.HTTPMethod == http.MethodGet {
			streams++
		}
		if r.Method == "tools/call" && strings.Contains(string(r.Body), "40") && !strings.Contains(string(r.Body), `{ "a": 2, "b": 40 }`) {
			t.Errorf("the arguments arrived as %s", r.Body)
		}
	}
	if streams != 1 {
		t.Errorf("%d streams were opened, want 1", streams)
	}
}

// The result keeps its bytes on this way, too.
func TestSSEKeepsBytes(t *testing.T) {
	t.Parallel()
	s, c := newStream(t), newClient(t, mcpclient.Options{})
	const schema = `{"type":"object","properties":{"n":{"maximum":9223372036854775807}},"z":1,"a":2}`
	s.On("tools/list", mcptest.Sends(mcptest.ResultEvent(`{"tools":[{"name":"t","inputSchema":`+schema+`}]}`)))
	listing, err := c.ListTools(t.Context(), "run", atSSE(s.URL()))
	if err != nil || len(listing.Tools) != 1 || string(listing.Tools[0].InputSchema) != schema {
		t.Errorf("got %+v, %v", listing, err)
	}
}

func TestSSEHostileCalls(t *testing.T) {
	t.Parallel()
	opts := mcpclient.Options{MaxCallBytes: 64 << 10, MaxListBytes: 64 << 10}
	huge := mcptest.ResultEvent(`{"content":[{"type":"text","text":"` + strings.Repeat("x", 80<<10) + `"}]}`)
	status := func(code int) mcptest.Reply { return func(func(string), mcptest.Message) int { return code } }
	tests := []struct {
		name     string
		reply    mcptest.Reply
		want     mcpclient.Error
		sameOnce bool // the session survives: the next call needs no second stream
	}{
		{"an error", mcptest.Sends(`{"jsonrpc":"2.0","id":$ID,"error":{"code":-32602,"message":"` + canary + `"}}`), mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.Answered}, true},
		{"too large", mcptest.Sends(huge), mcpclient.Error{Stage: mcpclient.StageSize}, true},
		{"no content", mcptest.Sends(mcptest.ResultEvent(`{"content":"` + canary + `"}`)), mcpclient.Error{Stage: mcpclient.StageProtocol, Sent: mcpclient.Answered}, true},
		{"never", mcptest.Sends(), mcpclient.Error{Stage: mcpclient.StageTimeout, Temporary: true}, true},
		{"another's answer", mcptest.Sends(`{"jsonrpc":"2.0","id":999999,"result":{}}`), mcpclient.Error{Stage: mcpclient.StageTimeout, Temporary: true}, true},
		{"not a message", mcptest.Sends(`"` + canary + `"`), mcpclient.Error{Stage: mcpclient.StageProtocol}, false},
		{"the stream ends", status(0), mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true}, false},
		{"429", status(429), mcpclient.Error{Stage: mcpclient.StageStatus, Status: 429, Sent: mcpclient.Refused, Temporary: true}, true},
		{"500", status(500), mcpclient.Error{Stage: mcpclient.StageStatus, Status: 500, Temporary: true}, true},
		{"401", status(401), mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.Refused}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, c := newStream(t), newClient(t, opts)
			if _, err := c.ListTools(t.Context(), "run", atSSE(s.URL())); err != nil {
				t.Fatal(err)
			}
			s.On("tools/call", test.reply)
			ctx := t.Context()
			if test.want.Stage == mcpclient.StageTimeout {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
			}
			_, err := c.CallTool(ctx, "run", atSSE(s.URL()), callT)
			e := wantError(t, err, test.want)
			if strings.Contains(e.Error(), canary) {
				t.Errorf("%q repeats the server", e)
			}
			if n := s.Count("tools/call"); n != 1 {
				t.Errorf("the call was sent %d times", n)
			}
			s.On("tools/call", mcptest.Sends(mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`)))
			result, err := c.CallTool(t.Context(), "run", atSSE(s.URL()), callT)
			if err != nil || result.Output != "ok" {
				t.Errorf("the next call: %+v, %v", result, err)
			}
			if n := s.Count(mcptest.OnGet); (n == 1) != test.sameOnce {
				t.Errorf("%d streams were opened", n)
			}
		})
	}
}

// A stream that ended while nobody used it is opened again, unnoticed.
func TestSSEReopens(t *testing.T) {
	t.Parallel()
	s, c := newStream(t), newClient(t, mcpclient.Options{})
	if _, err := c.ListTools(t.Context(), "run", atSSE(s.URL())); err != nil {
		t.Fatal(err)
	}
	// The list's answer is the last thing on this stream.
	s.On("tools/list", func(send func(string), _ mcptest.Message) int {
		send(mcptest.ResultEvent(`{"tools":[]}`))
		return 0
	})
	if _, err := c.ListTools(t.Context(), "run", atSSE(s.URL())); err != nil {
		t.Fatal(err)
	}
	// A call that is sent before the end is seen may have been made, and is not sent again.
	<-mcpclient.StreamEnded(c)
	for range 3 {
		result, err := c.CallTool(t.Context(), "run", atSSE(s.URL()), callT)
		if err != nil || result.Output != "ok" {
			t.Fatalf("got %+v, %v", result, err)
		}
	}
	if n := s.Count(mcptest.OnGet); n != 2 {
		t.Errorf("%d streams were opened, want 2", n)
	}
	if n := s.Count("tools/call"); n != 3 {
		t.Errorf("%d calls were sent, want 3", n)
	}
}

// Credentials go to the origin that they are for, wherever the server sends messages.
func TestSSEEndpointAtAnotherOrigin(t *testing.T) {
	t.Parallel()
	thief := newHostile(t)
	for _, endpoint := range []string{thief.URL(), "//evil.example/messages", "https://evil.example", ":", strings.Repeat("x", 3000)} {
		s, c := newStream(t), newClient(t, mcpclient.Options{})
		s.SetEndpoint(endpoint)
		server := atSSE(s.URL())
		server.Header = http.Header{"X-Api-Key": {canary}}
		_, err := c.ListTools(t.Context(), "run", server)
		if err == nil || strings.Contains(err.Error(), "evil") {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
		if len(thief.Requests()) != 0 {
			t.Errorf("endpoint %q: another origin got %d requests", endpoint, len(thief.Requests()))
		}
	}
}

// What a server sends unasked is bounded, over the life of a session.
func TestSSEFlood(t *testing.T) {
	t.Parallel()
	opts := mcpclient.Options{MaxCallBytes: 64 << 10, MaxListBytes: 64 << 10, CallTimeout: 30 * time.Second}
	flood := func(event string, want mcpclient.Error) {
		s, c := newStream(t), newClient(t, opts)
		s.On("tools/call", func(send func(string), _ mcptest.Message) int {
			for range 100_000 {
				send(event)
			}
			return http.StatusAccepted
		})
		_, err := c.CallTool(t.Context(), "run", atSSE(s.URL()), callT)
		wantError(t, err, want)
	}
	flood(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"`+strings.Repeat("x", 10<<10)+`"}}`, mcpclient.Error{Stage: mcpclient.StageSize})
	flood(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, mcpclient.Error{Stage: mcpclient.StageProtocol})
}

// The answer on the stream counts, whatever becomes of the request that asked for it.
func TestSSEAnswersWithoutAcceptance(t *testing.T) {
	t.Parallel()
	s, c := newStream(t), newClient(t, mcpclient.Options{})
	done := make(chan struct{})
	s.On("tools/call", func(send func(string), _ mcptest.Message) int {
		send(mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`))
		<-done
		return http.StatusInternalServerError
	})
	defer close(done)
	result, err := c.CallTool(t.Context(), "run", atSSE(s.URL()), callT)
	if err != nil || result.Output != "ok" {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestSSELeavesNothingBehind(t *testing.T) {
	checkGoroutines(t)
	s := newServer(t, mcptest.ServerOptions{SSE: true})
	c := newClient(t, mcpclient.Options{})
	for i := range 5 {
		if _, err := c.ListTools(t.Context(), fmt.Sprint("run ", i), atSSE(s.URL())); err != nil {
			t.Fatal(err)
		}
	}
}
