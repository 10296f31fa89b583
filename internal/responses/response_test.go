package responses_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// fullResponse has a value in every member.
func fullResponse() *responses.Response {
	return &responses.Response{
		ID: "resp_1", Object: "response", CreatedAt: 1795250770, CompletedAt: ptr(int64(1795250771)), Status: responses.ResponseFailed,
		Background: true, Store: true, Model: "m", Error: &responses.RunError{Code: "server_error", Message: "x <&> y", Type: "t", Param: "tools"},
		IncompleteDetails: &responses.IncompleteDetails{Reason: responses.IncompleteMaxSteps}, Instructions: ptr("\u2028<i>"),
		Metadata: map[string]string{"b": "2", "a": "1"}, PreviousResponseID: ptr("resp_0"), Conversation: &responses.ConversationRef{ID: "conv_1"},
		Output: everyOutput(),
		Tools: []responses.ToolEcho{
			responses.MCPToolEcho{Type: "mcp", ServerLabel: "a", ServerURL: "https://h", RequireApproval: responses.ApprovalPolicy{Mode: "never"}},
			responses.MCPToolEcho{
				Type: "mcp", ServerLabel: "b", ServerURL: "https://h/<redacted>", ServerDescription: ptr("d"),
				AllowedTools: &responses.ToolFilter{Names: []string{"<x>", "y"}},
				RequireApproval: responses.ApprovalPolicy{
					Always: &responses.ToolFilter{Names: []string{"x"}}, Never: &responses.ToolFilter{Names: []string{"y"}, ReadOnly: true},
				},
			},
			responses.MCPToolEcho{Type: "mcp", ServerLabel: "d", ConnectorID: "conn_1"},
			responses.MCPToolEcho{Type: "mcp", ServerLabel: "c", AllowedTools: &responses.ToolFilter{ReadOnly: true}},
			responses.FunctionToolEcho{Type: "function", Name: "f", Description: ptr("d"), Parameters: json.RawMessage(`{ "z": 1e400, "a": "<" }`), Strict: true},
			responses.FunctionToolEcho{Type: "function", Name: "g"},
		},
		ToolChoice: json.RawMessage(`{ "type":"function", "name":"f" }`), ParallelToolCalls: true, MaxSteps: ptr(3), MaxOutputTokens: ptr(16),
		MaxToolCalls: ptr(0), Reasoning: responses.ReasonsEcho{Effort: ptr("low"), Summary: ptr("auto")},
		Text: responses.TextEcho{Verbosity: "low", Format: responses.Format{
			Type: responses.FormatJSONSchema, Name: "n", Description: "d", Schema: json.RawMessage(`{"b": 12345678901234567890, "a": "\u003c<"}`), Strict: ptr(false),
		}},
		Temperature: 0.1, TopP: 1e-9, PresencePenalty: -2, FrequencyPenalty: 1.5, TopLogprobs: 1, Truncation: "auto", ServiceTier: "default",
		SafetyIdentifier: ptr("s"), PromptCacheKey: ptr(""),
		Usage: &responses.Usage{
			InputTokens: 1, OutputTokens: 2, TotalTokens: 3, InputTokensDetails: responses.InputTokensDetails{CachedTokens: 4, CacheWriteTokens: 5},
			OutputDetails: responses.OutputTokenDetails{ReasoningTokens: 6}, ToolCalls: responses.ToolCallsDetails{MCP: responses.Invocations{Invocation: 7}},
		},
	}
}

// A response that one process has rendered is rendered by another as it was.
func TestUnmarshalResponse(t *testing.T) {
	t.Parallel()
	full := fullResponse()
	full.Output = append(full.Output,
		&responses.MCPCall{ID: "mcp_9", Name: "t", ApprovalRequestID: "mcpr_1", Output: "o"},
		&responses.MCPCall{ID: "mcp_10", Name: "t", Status: responses.StatusIncomplete},
	)
	envelope := fullResponse()
	envelope.Output, envelope.Usage, envelope.CompletedAt, envelope.Error, envelope.IncompleteDetails = nil, nil, nil, nil, nil
	for name, r := range map[string]*responses.Response{"zero value": {}, "full": full, "without output": envelope} {
		for _, dialect := range []responses.Dialect{responses.DialectAgent, responses.DialectOpenAI} {
			t.Run(name+" "+string(dialect), func(t *testing.T) {
				t.Parallel()
				want, err := r.MarshalWire(dialect)
				if err != nil {
					t.Fatal(err)
				}
				kept, err := responses.UnmarshalResponse(want)
				if err != nil {
					t.Fatal(err)
				}
				got, err := kept.MarshalWire(dialect)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("response differs (-want +got):\n%s", diff)
				}
			})
		}
	}
	for _, broken := range []string{
		``, `[]`, `{"id":1}`, `{"output":[{"type":"x"}]}`, `{"output":{}}`, `{"tools":[{"type":"x"}]}`, `{"tools":[1]}`,
		`{"tools":[{"type":"mcp","server_url":1}]}`, `{"tools":[{"type":"function","name":1}]}`,
	} {
		if r, err := responses.UnmarshalResponse([]byte(broken)); err == nil || r != nil {
			t.Errorf("UnmarshalResponse(%s) is %+v, %v", broken, r, err)
		}
	}
}

// What the response keeps must not be the buffer that it was read from, which its owner may use again.
func TestUnmarshalResponseCopies(t *testing.T) {
	t.Parallel()
	want, err := fullResponse().MarshalWire(responses.DialectOpenAI)
	if err != nil {
		t.Fatal(err)
	}
	buffer := append([]byte{}, want...)
	r, err := responses.UnmarshalResponse(buffer)
	if err != nil {
		t.Fatal(err)
	}
	clear(buffer)
	got, err := r.MarshalWire(responses.DialectOpenAI)
	if err != nil || string(got) != string(want) {
		t.Errorf("rendered as %s, %v", got, err)
	}
}

func TestMCPToolEchoOnTheWire(t *testing.T) {
	t.Parallel()
	for want, policy := range map[string]responses.ApprovalPolicy{
		`"always"`:                       {},
		`"never"`:                        {Mode: responses.ApproveNever},
		`{"never":{"tool_names":["a"]}}`: {Never: &responses.ToolFilter{Names: []string{"a"}}},
	} {
		want := `[{"type":"mcp","server_label":"s","server_url":"https://h","server_description":null,"allowed_tools":null,"headers":null,"require_approval":` + want + `}]`
		members, _ := wire(t, &responses.Response{Tools: []responses.ToolEcho{
			responses.MCPToolEcho{Type: "mcp", ServerLabel: "s", ServerURL: "https://h", RequireApproval: policy},
		}})
		if diff := cmp.Diff(want, string(members["tools"])); diff != "" {
			t.Errorf("tools differ (-want +got):\n%s", diff)
		}
	}
}
