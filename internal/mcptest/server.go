package mcptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Where [Server] expects a call's idempotency key.
const (
	idempotencyMetaKey = "perdure.dev/idempotency-key"
	idempotencyHeader  = "Idempotency-Key"
)

// ServerOptions configures a [Server]. The zero value is a stateful server over
// plain HTTP that answers with event streams and asks for no credentials.
type ServerOptions struct {
	Bearer       string // if set, requests without this bearer token get 401
	JSONResponse bool   // answer with JSON documents in place of event streams
	Stateless    bool   // keep no sessions
	SSE          bool   // speak the transport of 2024-11-05, and only that
}

// A Server is a well-behaved MCP server with these tools:
//
//	echo    returns its "text"
//	add     returns the sum of the integers "a" and "b"
//	lookup  returns a fixed text for "key"; read-only
//	append  appends "line" to a log, once for each idempotency key; a write
//	fail    reports a tool error
//	slow    returns when [Server.Release] has been called
type Server struct {
	http *httptest.Server
	opts ServerOptions

	mu       sync.Mutex
	handler  http.Handler
	requests []Request
	calls    map[string]int
	appends  map[string]int
	lines    []string
	problems []error
	changed  chan struct{} // closed and replaced whenever something is recorded

	release     chan struct{}
	releaseOnce sync.Once
}

// A Request is one HTTP request that a server saw.
type Request struct {
	Proto      string // "HTTP/1.1" or "HTTP/2.0"
	HTTPMethod string
	Method     string // JSON-RPC method; "" for a response or no message
	Header     http.Header
	Body       []byte
}

// NewServer starts a server.
func NewServer(opts ServerOptions) *Server {
	s := &Server{
		opts:    opts,
		calls:   make(map[string]int),
		appends: make(map[string]int),
		changed: make(chan struct{}),
		release: make(chan struct{}),
	}
	s.ForgetSessions()
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// URL is the MCP endpoint.
func (s *Server) URL() string { return s.http.URL + "/mcp" }

// Close stops the server and reports what clients did that they should not.
func (s *Server) Close() error {
	s.Release()
	s.http.CloseClientConnections()
	s.http.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.problems...)
}

// Calls returns how often a tool was called.
func (s *Server) Calls(tool string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[tool]
}

// Appends returns how often append was called with each idempotency key.
func (s *Server) Appends() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.appends)
}

// Lines returns what append has written.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Requests returns all requests so far, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// AwaitCalls waits until a tool has been called n times.
func (s *Server) AwaitCalls(ctx context.Context, tool string, n int) error {
	return s.await(ctx, func() bool { return s.calls[tool] >= n })
}

// AwaitRequests waits until n requests with this HTTP method have arrived.
func (s *Server) AwaitRequests(ctx context.Context, httpMethod string, n int) error {
	return s.await(ctx, func() bool {
		seen := 0
		for _, r := range s.requests {
			if r.HTTPMethod == httpMethod {
				seen++
			}
		}
		return seen >= n
	})
}

// Release lets all calls of slow return, now and later.
func (s *Server) Release() { s.releaseOnce.Do(func() { close(s.release) }) }

// ForgetSessions makes all sessions unknown, as a restart does.
func (s *Server) ForgetSessions() {
	server := s.newMCP()
	get := func(*http.Request) *mcp.Server { return server }
	var handler http.Handler = mcp.NewSSEHandler(get, nil)
	if !s.opts.SSE {
		handler = mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{JSONResponse: s.opts.JSONResponse, Stateless: s.opts.Stateless})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func (s *Server) await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// record runs f under the lock and wakes those who wait.
func (s *Server) record(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var m struct {
		Method string `json:"method"`
	}
	if len(body) > 0 && json.Unmarshal(body, &m) != nil {
		s.record(func() { s.problems = append(s.problems, errors.New("mcptest: a request is not a JSON-RPC message")) })
	}
	s.record(func() {
		s.requests = append(s.requests, Request{Proto: r.Proto, HTTPMethod: r.Method, Method: m.Method, Header: r.Header.Clone(), Body: body})
	})
	if s.opts.Bearer != "" && r.Header.Get("Authorization") != "Bearer "+s.opts.Bearer {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	handler.ServeHTTP(w, r)
}

func (s *Server) newMCP() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "mcptest", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(s.countCalls)
	type text struct {
		Text string `json:"text"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Returns its text."},
		func(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, any, error) {
			return textResult(in.Text), nil, nil
		})
	type sum struct {
		A int64 `json:"a"`
		B int64 `json:"b"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Adds two integers."},
		func(_ context.Context, _ *mcp.CallToolRequest, in sum) (*mcp.CallToolResult, any, error) {
			return textResult(fmt.Sprint(in.A + in.B)), nil, nil
		})
	type key struct {
		Key string `json:"key"`
	}
	mcp.AddTool(server, &mcp.Tool{
		Name: "lookup", Description: "Looks a key up.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	},
		func(_ context.Context, _ *mcp.CallToolRequest, in key) (*mcp.CallToolResult, any, error) {
			return textResult("value of " + in.Key), nil, nil
		})
	type line struct {
		Line string `json:"line"`
	}
	destructive := true
	mcp.AddTool(server, &mcp.Tool{
		Name: "append", Description: "Appends a line to the log.",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &destructive},
	},
		func(_ context.Context, req *mcp.CallToolRequest, in line) (*mcp.CallToolResult, any, error) {
			s.append(req, in.Line)
			return textResult("appended"), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "fail", Description: "Fails."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, errors.New("the tool failed, as it always does")
		})
	mcp.AddTool(server, &mcp.Tool{Name: "slow", Description: "Returns when it is released."},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			select {
			case <-s.release:
				return textResult("released"), nil, nil
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		})
	return server
}

// countCalls counts calls by tool, before the tool runs.
func (s *Server) countCalls(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if params, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok {
			s.record(func() { s.calls[params.Name]++ })
		}
		return next(ctx, method, req)
	}
}

func (s *Server) append(req *mcp.CallToolRequest, line string) {
	key, _ := req.Params.Meta[idempotencyMetaKey].(string)
	inHeader := ""
	if req.Extra != nil {
		inHeader = req.Extra.Header.Get(idempotencyHeader)
	}
	s.record(func() {
		if key == "" || key != inHeader {
			s.problems = append(s.problems, fmt.Errorf("mcptest: append: idempotency key is %q in _meta and %q in the header", key, inHeader))
		}
		s.appends[key]++
		if s.appends[key] == 1 {
			s.lines = append(s.lines, line)
		}
	})
}

func textResult(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}
