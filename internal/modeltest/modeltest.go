// Package modeltest is a double of an OpenAI-compatible model provider: /v1/chat/completions and /v1/models over HTTP.
//
// [New] plays a script, one reply per request, in order. [NewFunc] asks a function, which suits runs that are concurrent or
// killed in the middle. Both are strict: a request that OpenAI would refuse, with a tool call that is not answered, say, is
// refused with the same status and is a fault; so are a request after the end of the script and a reply that nobody asked for.
// [Server.Close] reports them.
//
// The package does not import testing, so that other programs can use it too.
package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

const maxRequestBytes = 64 << 20

// Server is a running double.
type Server struct {
	reply func(Request) (Reply, error)
	left  func() int // replies that were not asked for
	http  *httptest.Server
	done  chan struct{} // closed by Close
	once  sync.Once

	mu       sync.Mutex
	arrived  chan struct{} // closed and replaced whenever a request arrives
	requests []Request
	forgets  bool
	faults   []error
}

// New starts a server that gives the replies in order.
func New(script ...Reply) *Server {
	var mu sync.Mutex
	next := func(r Request) (Reply, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(script) == 0 {
			return Reply{}, fmt.Errorf("request %d has no reply in the script", r.N)
		}
		reply := script[0]
		script = script[1:]
		return reply, nil
	}
	left := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(script)
	}
	return start(next, left)
}

// NewFunc starts a server whose replies depend on the request. The function may be called concurrently. Returning the zero
// [Reply] says that the request was not expected.
func NewFunc(reply func(Request) Reply) *Server {
	return start(func(r Request) (Reply, error) {
		out := reply(r)
		if out.kind == unset {
			return out, fmt.Errorf("request %d was not expected", r.N)
		}
		return out, nil
	}, func() int { return 0 })
}

func start(reply func(Request) (Reply, error), left func() int) *Server {
	s := &Server{reply: reply, left: left, done: make(chan struct{}), arrived: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fault(fmt.Errorf("unexpected %s %s", r.Method, r.URL.Path))
		writeError(w, http.StatusNotFound, "invalid_request_error", "Unknown request URL")
	})
	s.http = httptest.NewServer(mux)
	return s
}

// URL is the base URL to configure a provider with. It ends in /v1.
func (s *Server) URL() string { return s.http.URL + "/v1" }

// Close stops the server, releases replies that are held, and returns what went against the script.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := slices.Clone(s.faults)
	if n := s.left(); n > 0 {
		faults = append(faults, fmt.Errorf("modeltest: %d of the replies were not asked for", n))
	}
	return errors.Join(faults...)
}

// Forget has the server keep nothing of the requests to come but their number: a test of large ones has no memory for them.
func (s *Server) Forget() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgets = true
	return s
}

// Requests returns the requests so far, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// WaitRequest waits for the n-th request to arrive, counted from 0. It fails when ctx ends before that.
func (s *Server) WaitRequest(ctx context.Context, n int) (Request, error) {
	for {
		s.mu.Lock()
		arrived := s.arrived
		if n < len(s.requests) {
			defer s.mu.Unlock()
			return s.requests[n], nil
		}
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return Request{}, fmt.Errorf("modeltest: waiting for request %d: %w", n, context.Cause(ctx))
		}
	}
}

func (s *Server) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Errorf("modeltest: %w", err))
}

func (s *Server) record(r Request) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.N = len(s.requests)
	if s.forgets {
		s.requests = append(s.requests, Request{N: r.N})
	} else {
		s.requests = append(s.requests, r)
	}
	close(s.arrived)
	s.arrived = make(chan struct{})
	return r
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		return // the client went away, or is far out of bounds
	}
	req, fault := readRequest(r.Header, body)
	req = s.record(req)
	if fault != nil {
		s.fault(fmt.Errorf("request %d: %w", req.N, fault))
		writeError(w, http.StatusBadRequest, "invalid_request_error", fault.Error())
		return
	}
	reply, err := s.reply(req)
	if err != nil {
		s.fault(err)
		writeError(w, http.StatusInternalServerError, "server_error", err.Error())
		return
	}
	out := &writer{w: w, request: r, done: s.done}
	out.reply(req, reply)
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list",
		"data":   []any{map[string]any{"id": "scripted", "object": "model", "created": created, "owned_by": "modeltest"}},
	})
}

func writeError(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": nil}})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that went away is its own problem
}
