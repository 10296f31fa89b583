package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// upstream is a model and an MCP server that answer at once. They are written by hand, so that their own work hardly counts.
type upstream struct {
	origin   string
	server   *http.Server
	client   *http.Client // of the plain loop
	readOnly bool
}

const (
	toolName   = "lookup"
	toolOutput = "The lighthouse was built in 1811."
	answerText = "It was built in 1811."
)

func startUpstream(readOnly bool) (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{origin: "http://" + l.Addr().String(), client: &http.Client{Timeout: 10 * time.Second}, readOnly: readOnly}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", u.model)
	mux.HandleFunc("/mcp", u.mcp)
	u.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go u.server.Serve(l) //nolint:errcheck // it ends with close
	return u, nil
}

func (u *upstream) close() { u.server.Close() }

// model asks for the tool, and answers once it has seen the tool's output.
func (u *upstream) model(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Messages []struct{ Role string }
		Tools    []struct{ Function struct{ Name string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Tools) != 1 {
		http.Error(w, "unexpected request", http.StatusBadRequest)
		return
	}
	delta, finish := fmt.Sprintf(`{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function",`+
		`"function":{"name":%q,"arguments":"{\"q\":\"lighthouse\"}"}}]}`, in.Tools[0].Function.Name), "tool_calls"
	if in.Messages[len(in.Messages)-1].Role == "tool" {
		delta, finish = fmt.Sprintf(`{"role":"assistant","content":%q}`, answerText), "stop"
	}
	w.Header().Set("Content-Type", "text/event-stream")
	const head = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":`
	fmt.Fprintf(w, "data: %s[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n", head, delta)
	fmt.Fprintf(w, "data: %s[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\n", head, finish)
	fmt.Fprintf(w, "data: %s[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\ndata: [DONE]\n\n", head)
}

func (u *upstream) mcp(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID     json.RawMessage
		Method string
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&in) != nil || in.ID == nil {
		w.WriteHeader(http.StatusAccepted) // a notification, or the end of a session
		return
	}
	annotations := ""
	if u.readOnly {
		annotations = `"annotations":{"readOnlyHint":true},`
	}
	result := map[string]string{
		"initialize": `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`,
		"tools/list": `{"tools":[{"name":"` + toolName + `","description":"Looks something up.",` + annotations +
			`"inputSchema":{"type":"object","properties":{"q":{"type":"string"}}}}]}`,
		"tools/call": `{"content":[{"type":"text","text":"` + toolOutput + `"}]}`,
	}[in.Method]
	if result == "" {
		http.Error(w, "unexpected method", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if in.Method == "initialize" {
		w.Header().Set("Mcp-Session-Id", "s")
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, in.ID, strings.TrimSpace(result))
}
