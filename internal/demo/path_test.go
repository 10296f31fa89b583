package demo_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestNewcomersPath takes the way of a whole run by hand: list the tools, ask the model, call what it asks for, let it answer.
func TestNewcomersPath(t *testing.T) {
	t.Parallel()
	url := serve(t)
	sessions := map[string]*mcp.ClientSession{
		"deepwiki": connect(t, url+"/mcp", ""),
		"github":   connect(t, url+"/github/mcp", "Bearer x"),
	}
	offered := offer(t, sessions)
	for _, tt := range []struct{ prompt, call, answer string }{
		{
			askPrompt, `deepwiki__ask_question {"question":"` + askPrompt + `","repoName":"perplexityai/perplexity-py"}`,
			"> This is Perdure's demo server. It has no documentation of `perplexityai/perplexity-py`",
		},
		{
			issuesPrompt, `github__list_issues {"owner":"perplexityai","repo":"perplexity-py","state":"OPEN"}`,
			`> {"issues":[{"number":3,"title":"Document the authentication header","state":"OPEN"}`,
		},
		{
			"Use DeepWiki to explain what perdure/perdure does.",
			`deepwiki__ask_question {"question":"Use DeepWiki to explain what perdure/perdure does.","repoName":"perdure/perdure"}`,
			"> Perdure is a self-hosted Agent API",
		},
		{
			"Use GitHub to read issue 2 of perdure/perdure.",
			`github__issue_read {"issue_number":2,"method":"get","owner":"perdure","repo":"perdure"}`,
			`> {"number":2,"title":"Retry requests`,
		},
		{
			"Use GitHub to read issue 99 of perdure/perdure.",
			`github__issue_read {"issue_number":99,"method":"get","owner":"perdure","repo":"perdure"}`,
			"failed, so I cannot answer from it. It said:\n\n> The tool call failed: perdure/perdure has no issue #99",
		},
		{
			`Use GitHub to create an issue "It rains" in perdure/examples.`,
			`github__create_issue {"owner":"perdure","repo":"examples","title":"It rains"}`,
			`> {"number":4,"title":"It rains","state":"OPEN"`,
		},
	} {
		t.Run(tt.prompt, func(t *testing.T) {
			t.Parallel()
			m, _, _ := complete(t, url, request(t, tt.prompt, `,"tools":`+offered))
			if len(m.ToolCalls) != 1 || callsOf(m.ToolCalls)[0] != tt.call {
				t.Fatalf("calls %q, want %q", callsOf(m.ToolCalls), tt.call)
			}
			f := m.ToolCalls[0].Function
			label, tool, _ := strings.Cut(f.Name, "__")
			output, failed := call(t, sessions[label], tool, f.Arguments)
			if failed {
				output = "The tool call failed: " + output
			}
			m, _, _ = complete(t, url, encode(t, map[string]any{
				"model": "m",
				"tools": json.RawMessage(offered),
				"messages": []any{
					map[string]any{"role": "user", "content": tt.prompt},
					map[string]any{"role": "assistant", "content": nil, "tool_calls": m.ToolCalls},
					map[string]any{"role": "tool", "tool_call_id": m.ToolCalls[0].ID, "content": output},
				},
			}))
			if m.Content == nil || !strings.Contains(*m.Content, tt.answer) || !strings.HasSuffix(*m.Content, notice) {
				t.Errorf("message %v, want an answer with %q in it", encode(t, m), tt.answer)
			}
		})
	}
}

// offer lists the servers' tools as functions for a model, named label__tool.
func offer(t *testing.T, sessions map[string]*mcp.ClientSession) string {
	t.Helper()
	var functions []any
	for _, label := range []string{"deepwiki", "github"} {
		for _, tool := range listTools(t, sessions[label]) {
			functions = append(functions, map[string]any{"type": "function", "function": map[string]any{
				"name": label + "__" + tool.Name, "description": tool.Description, "parameters": tool.InputSchema,
			}})
		}
	}
	return encode(t, functions)
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
