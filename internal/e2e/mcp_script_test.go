package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"perdure/internal/mcptest"
)

// mcpScript is an MCP server of a scenario: mcp/LABEL.json.
type mcpScript struct {
	// Bearer is the token that every request must carry.
	Bearer string `json:"bearer"`
	// Tools is the list of tools, which goes over the wire byte for byte.
	Tools json.RawMessage `json:"tools"`
	// Calls are all calls that are expected, each once. Their order does not matter.
	Calls []*mcpCall `json:"calls"`
}

// mcpCall is a call and what comes of it: exactly one of Text, Error, Result and Status.
type mcpCall struct {
	Tool string `json:"tool"`
	// Arguments, if given, are what the call must have.
	Arguments json.RawMessage `json:"arguments"`
	Text      string          `json:"text"`
	Error     string          `json:"error"`  // the text of a tool that failed
	Result    json.RawMessage `json:"result"` // the result as a whole
	Status    int             `json:"status"` // of HTTP
	// Times repeats the text.
	Times int `json:"times"`
	// After names a tool whose call must be answered before this one is.
	After string `json:"after"`

	made     bool
	answered chan struct{}
}

// mcpServer plays a script, strictly.
type mcpServer struct {
	*mcptest.Hostile
	script mcpScript

	mu       sync.Mutex
	problems []error
}

func newMCPServer(script mcpScript) *mcpServer {
	s := &mcpServer{Hostile: mcptest.NewHostile(), script: script}
	for _, call := range script.Calls {
		call.answered = make(chan struct{})
	}
	s.On("tools/list", mcptest.Result(`{"tools":`+string(script.Tools)+`}`))
	s.On("tools/call", s.call)
	return s
}

func (s *mcpServer) call(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
	var params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(m.Params, &params); err != nil {
		s.problem(err)
	}
	call := s.expected(params.Name, params.Arguments)
	if call == nil {
		s.problem(fmt.Errorf("unexpected call of %s with %s", params.Name, params.Arguments))
		http.Error(w, "unexpected call", http.StatusNotImplemented)
		return
	}
	if call.After != "" {
		select {
		case <-s.answered(call.After):
		case <-r.Context().Done():
			return
		}
	}
	call.answer()(w, r, m)
	close(call.answered)
}

// expected takes the script's next call of this kind.
func (s *mcpServer) expected(tool string, arguments json.RawMessage) *mcpCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.script.Calls {
		if !c.made && c.Tool == tool && (c.Arguments == nil || bytes.Equal(c.Arguments, arguments)) {
			c.made = true
			return c
		}
	}
	return nil
}

func (s *mcpServer) answered(tool string) <-chan struct{} {
	for _, c := range s.script.Calls {
		if c.Tool == tool {
			return c.answered
		}
	}
	s.problem(fmt.Errorf("the script has no call of %s", tool))
	return nil
}

func (c *mcpCall) answer() mcptest.Answer {
	text, failed := c.Text, false
	if c.Error != "" {
		text, failed = c.Error, true
	}
	switch {
	case c.Status != 0:
		return mcptest.Status(c.Status)
	case c.Result != nil:
		return mcptest.Result(string(c.Result))
	default:
		content, err := json.Marshal(strings.Repeat(text, max(c.Times, 1)))
		if err != nil {
			panic(err) // a string can be encoded
		}
		return mcptest.Result(fmt.Sprintf(`{"content":[{"type":"text","text":%s}],"isError":%t}`, content, failed))
	}
}

func (s *mcpServer) problem(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, err)
}

// Close stops the server and reports what did not go by the script.
func (s *mcpServer) Close() error {
	err := s.Hostile.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.script.Calls {
		if !c.made {
			s.problems = append(s.problems, fmt.Errorf("%s was not called with %s", c.Tool, c.Arguments))
		}
	}
	if s.script.Bearer != "" {
		for _, r := range s.Requests() {
			if r.Header.Get("Authorization") != "Bearer "+s.script.Bearer {
				s.problems = append(s.problems, fmt.Errorf("a request %s has no bearer token", r.Method))
			}
		}
	}
	return errors.Join(append(s.problems, err)...)
}
