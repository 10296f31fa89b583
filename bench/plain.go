package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// plainLoop makes the HTTP exchanges of a run and nothing else: a new MCP session, the list, two model turns and the call.
func (u *upstream) plainLoop(ctx context.Context) error {
	const rpc = `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`
	tools := `"tools":[{"type":"function","function":{"name":"bench__lookup","parameters":{"type":"object"}}}]`
	steps := []struct{ path, body, want string }{
		{"/mcp", fmt.Sprintf(rpc, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"plain","version":"1"}}`), "serverInfo"},
		{"/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
		{"/mcp", fmt.Sprintf(rpc, "tools/list", "{}"), toolName},
		{"/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user"}],` + tools + "}", "tool_calls"},
		{"/mcp", fmt.Sprintf(rpc, "tools/call", `{"name":"lookup","arguments":{"q":"lighthouse"}}`), toolOutput},
		{"/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"tool"}],` + tools + "}", answerText},
	}
	for _, s := range steps {
		answer, err := u.post(ctx, s.path, s.body)
		if err != nil {
			return err
		}
		if !strings.Contains(answer, s.want) {
			return fmt.Errorf("%s answered %q", s.path, answer)
		}
	}
	return nil
}

func (u *upstream) post(ctx context.Context, path, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.origin+path, bytes.NewBufferString(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := u.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
