package mcptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
)

// A Hostile is a server that answers each JSON-RPC method as it is told, with
// no regard for MCP or HTTP. Until told otherwise it completes a handshake,
// accepts notifications and the end of a session, lists one tool named "t" and
// answers every call of it with the text "ok". Anything else is a problem that
// Close reports.
type Hostile struct {
	http *httptest.Server

	mu       sync.Mutex
	answers  map[string]Answer
	requests []Request
	conns    map[string]bool
	problems []error
	changed  chan struct{} // closed and replaced with each request

	closed    chan struct{}
	closeOnce sync.Once
}

// An Answer answers one HTTP request that carried m.
type Answer func(w http.ResponseWriter, r *http.Request, m Message)

// A Message is the JSON-RPC message of a request. Method is empty for a
// response to a request of the server.
type Message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// Keys of [Hostile.On] for requests without a JSON-RPC method.
const (
	OnGet      = "GET"
	OnDelete   = "DELETE"
	OnResponse = "response"
)

// NewHostile starts a server over plain HTTP.
func NewHostile() *Hostile {
	h := newHostile()
	h.http = httptest.NewServer(http.HandlerFunc(h.serve))
	return h
}

// NewHostileTLS starts a server over HTTPS, with HTTP/2; its certificate is
// that of [Hostile.HTTP].
func NewHostileTLS() *Hostile {
	h := newHostile()
	h.http = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	h.http.EnableHTTP2 = true
	h.http.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused handshake is no news here
	h.http.StartTLS()
	return h
}

func newHostile() *Hostile {
	return &Hostile{
		conns:   make(map[string]bool),
		changed: make(chan struct{}),
		closed:  make(chan struct{}),
		answers: map[string]Answer{
			"initialize":                Result(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"hostile","version":"1"}}`),
			"notifications/initialized": Status(http.StatusAccepted),
			"notifications/cancelled":   Status(http.StatusAccepted),
			"tools/list":                Result(`{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}`),
			"tools/call":                Result(`{"content":[{"type":"text","text":"ok"}]}`),
			OnDelete:                    Status(http.StatusNoContent),
		},
	}
}

// URL is the MCP endpoint.
func (h *Hostile) URL() string { return h.http.URL + "/mcp" }

// HTTP gives access to the server beneath, for its certificate and connections.
func (h *Hostile) HTTP() *httptest.Server { return h.http }

// On sets the answer to a JSON-RPC method, or to OnGet, OnDelete, OnResponse.
func (h *Hostile) On(method string, a Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[method] = a
}

// Requests returns all requests so far, in the order of their arrival.
func (h *Hostile) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.requests...)
}

// Count returns how many requests with this method, or key of On, arrived.
func (h *Hostile) Count(method string) int {
	n := 0
	for _, r := range h.Requests() {
		if r.key() == method {
			n++
		}
	}
	return n
}

// Connections returns how many TCP connections carried requests.
func (h *Hostile) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// Await waits until n requests with this method, or key of On, have arrived.
func (h *Hostile) Await(ctx context.Context, method string, n int) error {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if h.Count(method) >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close stops the server, ends all answers that still hold on, and reports
// requests that were not expected.
func (h *Hostile) Close() error {
	h.closeOnce.Do(func() { close(h.closed) })
	h.http.CloseClientConnections()
	h.http.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.problems...)
}

func (h *Hostile) serve(w http.ResponseWriter, r *http.Request) {
	// Answers that hold on end with the server, whatever the client does.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-h.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var m Message
	problem := error(nil)
	if len(body) > 0 {
		if err := json.Unmarshal(body, &m); err != nil {
			problem = errors.New("mcptest: a request is not a JSON-RPC message")
		}
	}
	req := Request{Proto: r.Proto, HTTPMethod: r.Method, Method: m.Method, Header: r.Header.Clone(), Body: body}

	h.mu.Lock()
	answer := h.answers[req.key()]
	if answer == nil && problem == nil {
		problem = fmt.Errorf("mcptest: unexpected request %q", req.key())
	}
	if problem != nil {
		h.problems = append(h.problems, problem)
	}
	h.requests = append(h.requests, req)
	h.conns[r.RemoteAddr] = true
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()

	if problem != nil {
		http.Error(w, "unexpected request", http.StatusNotImplemented)
		return
	}
	answer(w, r, m)
}

// key is the name under which On knows the request.
func (r Request) key() string {
	switch {
	case r.Method != "":
		return r.Method
	case r.HTTPMethod != http.MethodPost:
		return r.HTTPMethod
	default:
		return OnResponse
	}
}
