package responses_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// wire renders a response and takes it apart again.
func wire(t *testing.T, r *responses.Response) (map[string]json.RawMessage, string) {
	t.Helper()
	body, err := r.MarshalWire(responses.DialectAgent)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("rendered as %s: %v", body, err)
	}
	return members, string(body)
}

// output returns the items of a rendered response as they stand in it.
func output(t *testing.T, r *responses.Response) []json.RawMessage {
	t.Helper()
	return outputIn(t, r, responses.DialectAgent)
}

func outputIn(t *testing.T, r *responses.Response, d responses.Dialect) []json.RawMessage {
	t.Helper()
	body, err := r.MarshalWire(d)
	if err != nil {
		t.Fatal(err)
	}
	var members struct {
		Output []json.RawMessage `json:"output"`
	}
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	return members.Output
}

// What each key of the response object may be, so that the strictest client accepts it.
const (
	text = 1 << iota
	number
	boolean
	object
	list
	null
)

func kindOf(data json.RawMessage) int {
	switch data[0] {
	case '"':
		return text
	case '{':
		return object
	case '[':
		return list
	case 't', 'f':
		return boolean
	case 'n':
		return null
	default:
		return number
	}
}

var responseKeys = map[string]int{
	"id": text, "object": text, "created_at": number, "completed_at": number | null, "status": text, "background": boolean,
	"store": boolean, "model": text, "error": object | null, "incomplete_details": object | null, "instructions": text | null,
	"metadata": object, "previous_response_id": text | null, "output": list, "tools": list, "tool_choice": text | object,
	"parallel_tool_calls": boolean, "max_output_tokens": number | null, "max_tool_calls": number | null, "reasoning": object | null,
	"text": object, "temperature": number, "top_p": number, "presence_penalty": number, "frequency_penalty": number,
	"top_logprobs": number, "truncation": text, "service_tier": text, "safety_identifier": text | null,
	"prompt_cache_key": text | null, "usage": object | null,
}

func TestResponseHasEveryKey(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*responses.Response{"zero value": {}, "full": fullResponse()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members, body := wire(t, r)
			for key, kinds := range responseKeys {
				value, ok := members[key]
				if !ok {
					t.Errorf("%q is missing", key)
				} else if kindOf(value)&kinds == 0 {
					t.Errorf("%q is %s", key, value)
				}
			}
			for key := range members {
				if _, ok := responseKeys[key]; !ok && key != "max_steps" && key != "conversation" {
					t.Errorf("%q is not in the contract", key)
				}
			}
			if strings.Contains(body, "output_text\":") {
				t.Errorf("output_text is the SDKs' to compute: %s", body)
			}
		})
	}
}

func TestResponseOnTheWire(t *testing.T) {
	t.Parallel()
	r := &responses.Response{
		ID: "resp_1", Object: "response", CreatedAt: 1795250770, CompletedAt: ptr(int64(1795250771)), Status: responses.ResponseCompleted,
		Store: true, Model: "openai/gpt-5.5", ParallelToolCalls: true, Temperature: 1, TopP: 0.5, Truncation: "disabled", ServiceTier: "default",
		Tools: []responses.ToolEcho{
			responses.MCPToolEcho{Type: "mcp", ServerLabel: "s", ServerURL: "https://h", RequireApproval: responses.ApprovalPolicy{Mode: responses.ApproveNever}, AllowedTools: &responses.ToolFilter{Names: []string{"a"}}},
			responses.FunctionToolEcho{Type: "function", Name: "f"},
		},
		Output: []responses.Item{&responses.Message{ID: "msg_1", Role: "assistant", Status: "completed", Content: []responses.Part{responses.OutputText("a < b & c")}}},
		Usage: &responses.Usage{
			InputTokens: 1, OutputTokens: 2, TotalTokens: 3, InputTokensDetails: responses.InputTokensDetails{CachedTokens: 4, CacheWriteTokens: 5},
			OutputDetails: responses.OutputTokenDetails{ReasoningTokens: 6}, ToolCalls: responses.ToolCallsDetails{MCP: responses.Invocations{Invocation: 7}},
		},
	}
	const want = `{"id":"resp_1","object":"response","created_at":1795250770,"completed_at":1795250771,"status":"completed",` +
		`"background":false,"store":true,"model":"openai/gpt-5.5","error":null,"incomplete_details":null,"instructions":null,"metadata":{},` +
		`"previous_response_id":null,"output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed",` +
		`"content":[{"type":"output_text","text":"a < b & c","annotations":[],"logprobs":[]}]}],` +
		`"tools":[{"type":"mcp","server_label":"s","server_url":"https://h","server_description":null,"allowed_tools":["a"],"headers":null,` +
		`"require_approval":"never"},{"type":"function","name":"f","description":null,"parameters":null,"strict":false}],` +
		`"tool_choice":"auto","parallel_tool_calls":true,"max_output_tokens":null,"max_tool_calls":null,` +
		`"reasoning":{"effort":null,"summary":null},"text":{"format":{"type":"text"}},"temperature":1,"top_p":0.5,"presence_penalty":0,` +
		`"frequency_penalty":0,"top_logprobs":0,"truncation":"disabled","service_tier":"default","safety_identifier":null,` +
		`"prompt_cache_key":null,"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":5},` +
		`"output_tokens":2,"output_tokens_details":{"reasoning_tokens":6},"total_tokens":3,"tool_calls_details":{"mcp":{"invocation":7}}}}`
	_, body := wire(t, r)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("response differs (-want +got):\n%s", diff)
	}
}

// Rendering must leave the response as it was: another goroutine may be rendering it, too.
func TestMarshalWireChangesNothing(t *testing.T) {
	t.Parallel()
	tools := []responses.MCPToolInfo{{Name: "a", InputSchema: responses.Schema(`{ }`)}}
	r := &responses.Response{Output: []responses.Item{&responses.MCPListTools{Tools: tools}}}
	wire(t, r)
	want := &responses.Response{Output: []responses.Item{&responses.MCPListTools{
		Tools: []responses.MCPToolInfo{{Name: "a", InputSchema: responses.Schema(`{ }`)}},
	}}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("response differs (-want +got):\n%s", diff)
	}
}

func TestUsageAdd(t *testing.T) {
	t.Parallel()
	turn := responses.Usage{
		InputTokens: 1, OutputTokens: 2, TotalTokens: 3, InputTokensDetails: responses.InputTokensDetails{CachedTokens: 4, CacheWriteTokens: 5},
		OutputDetails: responses.OutputTokenDetails{ReasoningTokens: 6}, ToolCalls: responses.ToolCallsDetails{MCP: responses.Invocations{Invocation: 7}},
	}
	sum := turn
	sum.Add(turn)
	want := responses.Usage{
		InputTokens: 2, OutputTokens: 4, TotalTokens: 6, InputTokensDetails: responses.InputTokensDetails{CachedTokens: 8, CacheWriteTokens: 10},
		OutputDetails: responses.OutputTokenDetails{ReasoningTokens: 12}, ToolCalls: responses.ToolCallsDetails{MCP: responses.Invocations{Invocation: 14}},
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum differs (-want +got):\n%s", diff)
	}
}
