package mcpclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func TestCallTool(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]mcptest.ServerOptions{
		"event streams": {},
		"JSON":          {JSONResponse: true},
		"stateless":     {Stateless: true},
		"bearer":        {Bearer: "token-0123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newServer(t, opts), newClient(t, mcpclient.Options{})
			server := at(s.URL())
			if opts.Bearer != "" {
				server.Header = http.Header{"Authorization": {"Bearer " + opts.Bearer}}
			}
			tests := []struct {
				tool, arguments string
				want            mcpclient.Result
			}{
				{"echo", `{"text":"a < b & \"c\"\nü"}`, mcpclient.Result{Output: "a < b & \"c\"\nü"}},
				{"echo", `{"text":""}`, mcpclient.Result{}},
				{"add", `{"a":2,"b":9007199254740991}`, mcpclient.Result{Output: "9007199254740993"}},
				{"lookup", `{"key":"k"}`, mcpclient.Result{Output: "value of k"}},
				{"append", `{"line":"l"}`, mcpclient.Result{Output: "appended"}},
				{"fail", `{}`, mcpclient.Result{Output: "the tool failed, as it always does", IsError: true}},
			}
			for _, test := range tests {
				got, err := c.CallTool(t.Context(), "run", server, mcpclient.Call{
					Name: test.tool, Arguments: json.RawMessage(test.arguments), IdempotencyKey: "call-" + test.tool,
				})
				if err != nil {
					t.Errorf("%s: %v", test.tool, err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", test.tool, diff)
				}
				if n := s.Calls(test.tool); n < 1 {
					t.Errorf("%s was called %d times", test.tool, n)
				}
			}
			if diff := cmp.Diff(map[string]int{"call-append": 1}, s.Appends()); diff != "" {
				t.Errorf("appends (-want +got):\n%s", diff)
			}
			_, err := c.CallTool(t.Context(), "run", server, mcpclient.Call{Name: "none"})
			e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.Answered})
			if !strings.Contains(e.ServerMessage, "none") {
				t.Errorf("ServerMessage is %q", e.ServerMessage)
			}
		})
	}
}

func TestArgumentsAreSentByteForByte(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	for _, arguments := range []string{
		`{"z":1,"a":9007199254740993,"e":1e400,"s":"<\u003c\u2028é&\/"}`,
		"{ \"b\" : [ 1 , 2 ],\n\t\"a\":{} }",
		`{"a":"\"arguments\":{ }","a":{ }}`,
		` {"a":1} `,
		`{}`,
	} {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), mcpclient.Call{Name: `"arguments":{}`, Arguments: json.RawMessage(arguments), IdempotencyKey: "k"})
		if err != nil {
			t.Fatal(err)
		}
		requests := h.Requests()
		body := string(requests[len(requests)-1].Body)
		if !strings.Contains(body, `"arguments":`+arguments) {
			t.Errorf("arguments %s were sent as %s", arguments, body)
		}
	}
}

func TestBadCallIsNotSent(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	for _, call := range []mcpclient.Call{
		{Name: "t", Arguments: json.RawMessage(`[]`)},
		{Name: "t", Arguments: json.RawMessage(`{"a":`)},
		{Name: "t", Arguments: json.RawMessage(``)},
		{Name: "t", Arguments: json.RawMessage(`null`)},
		{Name: "t", IdempotencyKey: "a\r\nb"},
		{Name: "t", IdempotencyKey: strings.Repeat("k", 256)},
	} {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), call)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.NotSent})
	}
	if n := len(h.Requests()); n != 0 {
		t.Errorf("the server got %d requests", n)
	}
}

func TestHeadersOnTheWire(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{Version: "1.2.3"})
	server := at(h.URL())
	server.Header = http.Header{"Authorization": {"Bearer abc"}, "x-team": {"a"}}
	if _, err := c.CallTool(t.Context(), "run", server, callT); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.Requests() {
		key := ""
		if r.Method == "tools/call" {
			key = callT.IdempotencyKey
			if !strings.Contains(string(r.Body), `"_meta":{"perdure.dev/idempotency-key":"key-1"}`) {
				t.Errorf("the key is not in _meta: %s", r.Body)
			}
		}
		want := map[string]string{
			"Authorization": "Bearer abc", "X-Team": "a", "User-Agent": "perdure/1.2.3",
			"Idempotency-Key": key, "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: header %s is %q, want %q", r.Method, name, got, value)
			}
		}
		if r.Method != "initialize" && r.Header.Get("Mcp-Protocol-Version") != "2025-11-25" {
			t.Errorf("%s: no protocol version", r.Method)
		}
	}
}

// net/http would send a POST with an Idempotency-Key again by itself.
func TestBrokenKeptConnectionDoesNotRepeatTheCall(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", mcptest.Cut("", ""))
	if _, err := c.ListTools(t.Context(), "run", at(h.URL())); err != nil { // leaves a connection to reuse
		t.Fatal(err)
	}
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageConnect, Sent: mcpclient.Unknown, Temporary: true})
	if n := h.Connections(); n != 1 {
		t.Errorf("the test used %d connections, want 1 that is reused", n)
	}
	if n := h.Count("tools/call"); n != 1 {
		t.Errorf("the call was sent %d times, want once", n)
	}
}

func TestConnectionIsReusedAfterEventStreams(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	ended := make(chan bool)
	events := mcptest.Events(mcptest.ResultEvent(`{"content":[]}`))
	h.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		events(w, r, m)
		select { // the end of the stream comes after the answer
		case <-r.Context().Done():
			ended <- false
		case <-time.After(50 * time.Millisecond):
			ended <- true
		}
	})
	for range 3 {
		if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil {
			t.Fatal(err)
		}
		if !<-ended {
			t.Fatal("the client cut the connection right after the answer")
		}
	}
}

func TestBeforeSend(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var n atomic.Int64
	call := callT
	call.BeforeSend = func(context.Context) error {
		n.Add(1)
		if got := h.Count("tools/call"); got != 0 {
			t.Errorf("the hook ran after %d requests had been sent", got)
		}
		if got := h.Count("initialize"); got != 1 {
			t.Errorf("the hook ran before the session was open")
		}
		return nil
	}
	if _, err := c.CallTool(t.Context(), "run", at(h.URL()), call); err != nil {
		t.Fatal(err)
	}
	if n.Load() != 1 {
		t.Errorf("the hook ran %d times, want once", n.Load())
	}

	broken := errors.New("store is away")
	call.BeforeSend = func(context.Context) error { return broken }
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), call)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.NotSent, Temporary: true})
	if !errors.Is(err, broken) {
		t.Errorf("error %v does not wrap the hook's", err)
	}
	if got := h.Count("tools/call"); got != 1 {
		t.Errorf("%d calls were sent, want only the first", got)
	}
}

func TestParallelCallsShareASession(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{PerServerConcurrency: 3})
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := c.CallTool(t.Context(), "run", at(s.URL()), mcpclient.Call{Name: "slow"})
			done <- err
		}()
	}
	if err := s.AwaitCalls(t.Context(), "slow", 3); err != nil {
		t.Fatal(err)
	}
	// The other two wait for a slot; a call with little patience gives up.
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.CallTool(impatient, "run", at(s.URL()), mcpclient.Call{Name: "slow"})
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCanceled, Sent: mcpclient.NotSent})
	if n := s.Calls("slow"); n != 3 {
		t.Errorf("%d calls run at once, want 3", n)
	}
	s.Release()
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	sessions := 0
	for _, r := range s.Requests() {
		if r.Method == "initialize" {
			sessions++
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions were opened, want 1", sessions)
	}
}
