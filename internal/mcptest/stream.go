package mcptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

// A Stream is a server of the SSE transport of 2024-11-05 that sends what it is told. Until told otherwise it completes a handshake, accepts
// notifications, lists one tool named "t" and answers every call of it with the text "ok".
type Stream struct {
	http *httptest.Server

	mu       sync.Mutex
	endpoint string
	replies  map[string]Reply
	counts   map[string]int
	problems []error
	events   chan string // of the newest stream, to which all messages go
	closed   chan struct{}
}

// A Reply says what comes of a message: the status of its POST, and what it calls send with, each of which is one event on the stream. "$ID"
// in a message stands for the request's ID. A status of 0 ends the stream.
type Reply func(send func(message string), m Message) (status int)

// Sends is the reply that sends these messages.
func Sends(messages ...string) Reply {
	return func(send func(string), _ Message) int {
		for _, m := range messages {
			send(m)
		}
		return http.StatusAccepted
	}
}

// NewStream starts a server over plain HTTP.
func NewStream() *Stream {
	s := &Stream{
		endpoint: "/messages?session=1", counts: make(map[string]int), closed: make(chan struct{}),
		replies: map[string]Reply{
			"initialize":                Sends(ResultEvent(`{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"stream","version":"1"}}`)),
			"notifications/initialized": Sends(),
			"notifications/cancelled":   Sends(),
			"tools/list":                Sends(ResultEvent(`{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}`)),
			"tools/call":                Sends(ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`)),
			OnResponse:                  Sends(),
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sse", s.stream)
	mux.HandleFunc("POST /messages", s.message)
	s.http = httptest.NewServer(mux)
	return s
}

// URL is the address of the stream.
func (s *Stream) URL() string { return s.http.URL + "/sse" }

// On sets the reply to a JSON-RPC method, or to OnResponse.
func (s *Stream) On(method string, r Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[method] = r
}

// SetEndpoint sets where clients are told to send messages.
func (s *Stream) SetEndpoint(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = endpoint
}

// Count returns how many messages with this method arrived, or streams for OnGet.
func (s *Stream) Count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[method]
}

// Close stops the server and reports messages that were not expected.
func (s *Stream) Close() error {
	close(s.closed)
	s.http.CloseClientConnections()
	s.http.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.problems...)
}

func (s *Stream) stream(w http.ResponseWriter, r *http.Request) {
	events := make(chan string)
	s.mu.Lock()
	s.events = events
	s.counts[OnGet]++
	endpoint := s.endpoint
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "event: endpoint\ndata: %s\n\n", endpoint)
	flush(w)
	for {
		select {
		case e := <-events:
			if e == "" {
				return
			}
			fmt.Fprintf(w, "event: message\ndata: %s\n\n", e)
			flush(w)
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

func (s *Stream) message(w http.ResponseWriter, r *http.Request) {
	var m Message
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	key := m.Method
	if key == "" {
		key = OnResponse
	}
	s.mu.Lock()
	s.counts[key]++
	reply, events := s.replies[key], s.events
	if reply == nil || err != nil || r.URL.RawQuery != "session=1" {
		s.problems = append(s.problems, fmt.Errorf("mcptest: unexpected message %q", key))
	}
	s.mu.Unlock()
	if reply == nil || err != nil {
		http.Error(w, "unexpected message", http.StatusNotImplemented)
		return
	}
	send := func(e string) {
		select {
		case events <- e:
		case <-r.Context().Done():
		case <-s.closed:
		}
	}
	status := reply(func(message string) { send(withID(message, m)) }, m)
	if status == 0 {
		send("") // ends the stream
		status = http.StatusAccepted
	}
	w.WriteHeader(status)
}
