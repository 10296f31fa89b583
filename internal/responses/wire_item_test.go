package responses_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// rendering is an item as each dialect shows it.
type rendering struct {
	name          string
	item          responses.Item
	agent, openAI string
}

func checkRenderings(t *testing.T, render func(responses.Item, responses.Dialect) ([]byte, error), tests []rendering) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := mustMarshal(t, tt.item)
			for dialect, want := range map[responses.Dialect]string{responses.DialectAgent: tt.agent, responses.DialectOpenAI: tt.openAI} {
				got, err := render(tt.item, dialect)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("%s differs (-want +got):\n%s", dialect, diff)
				}
			}
			if diff := cmp.Diff(before, mustMarshal(t, tt.item)); diff != "" {
				t.Errorf("rendering changed the item (-before +after):\n%s", diff)
			}
		})
	}
}

func mustMarshal(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// same is a rendering that both dialects have.
func same(name string, item responses.Item, want string) rendering {
	return rendering{name, item, want, want}
}

func TestMarshalItem(t *testing.T) {
	t.Parallel()
	checkRenderings(t, responses.MarshalItem, []rendering{
		{
			"call", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`, Output: "<o>"},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"{}","output":"<o>","error":null}`,
			`{"type":"mcp_call","id":"i","status":"completed","approval_request_id":null,"server_label":"s","name":"t","arguments":"{}","output":"<o>","error":null}`,
		},
		{
			"call without output", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"{}","output":"","error":null}`,
			`{"type":"mcp_call","id":"i","status":"completed","approval_request_id":null,"server_label":"s","name":"t","arguments":"{}","output":"","error":null}`,
		},
		{
			"approved call", &responses.MCPCall{
				ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`, Output: "o", ApprovalRequestID: "mcpr_1", ThoughtSignature: "sig",
			},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"{}","output":"o","error":null,"thought_signature":"sig"}`,
			`{"type":"mcp_call","id":"i","status":"completed","approval_request_id":"mcpr_1","server_label":"s","name":"t","arguments":"{}",` +
				`"output":"o","error":null,"thought_signature":"sig"}`,
		},
		{
			"failed call", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`, Error: ptr("boom")},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"{}","output":"","error":"boom"}`,
			`{"type":"mcp_call","id":"i","status":"failed","approval_request_id":null,"server_label":"s","name":"t","arguments":"{}","output":null,"error":"boom"}`,
		},
		{
			"abandoned call", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{"`, Status: responses.StatusIncomplete},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"{\"","output":"","error":null}`,
			`{"type":"mcp_call","id":"i","status":"incomplete","approval_request_id":null,"server_label":"s","name":"t","arguments":"{\"","output":null,"error":null}`,
		},
		same(
			"approval request", &responses.MCPApprovalRequest{ID: "mcpr_1", ServerLabel: "s", Name: "t", Arguments: `{}`},
			`{"type":"mcp_approval_request","id":"mcpr_1","server_label":"s","name":"t","arguments":"{}"}`,
		),
		same(
			"list", &responses.MCPListTools{ID: "i", ServerLabel: "s", Tools: []responses.MCPToolInfo{
				{Name: "a", InputSchema: responses.Schema("{ \"b\":1e400,\n\"a\":\"<\" }")}, {Name: "b", InputSchema: responses.Schema(`{"x": 1}`)},
			}},
			`{"type":"mcp_list_tools","id":"i","server_label":"s","tools":[{"name":"a","description":"","input_schema":{ "b":1e400,`+"\n"+
				`"a":"<" }},{"name":"b","description":"","input_schema":{"x": 1}}],"error":null}`,
		),
		same("message", &responses.Message{ID: "m", Role: "user"}, `{"type":"message","id":"m","role":"user","content":[]}`),
	})
}

func TestMarshalStarted(t *testing.T) {
	t.Parallel()
	checkRenderings(t, responses.MarshalStarted, []rendering{
		same(
			"list", &responses.MCPListTools{ID: "i", ServerLabel: "s", Tools: []responses.MCPToolInfo{{Name: "a"}}, Error: ptr("boom")},
			`{"type":"mcp_list_tools","id":"i","server_label":"s","tools":[]}`,
		),
		{
			"call", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`, Output: "o", Error: ptr("boom"), ThoughtSignature: "sig"},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"","output":null,"error":null}`,
			`{"type":"mcp_call","id":"i","status":"in_progress","approval_request_id":null,"server_label":"s","name":"t","arguments":"","output":null,"error":null}`,
		},
		{
			"approved call", &responses.MCPCall{ID: "i", ServerLabel: "s", Name: "t", Arguments: `{}`, ApprovalRequestID: "mcpr_1"},
			`{"type":"mcp_call","id":"i","server_label":"s","name":"t","arguments":"","output":null,"error":null}`,
			`{"type":"mcp_call","id":"i","status":"in_progress","approval_request_id":"mcpr_1","server_label":"s","name":"t","arguments":"","output":null,"error":null}`,
		},
		same(
			"message", &responses.Message{ID: "m", Role: "assistant", Status: "completed", Content: []responses.Part{responses.OutputText("x")}},
			`{"type":"message","id":"m","role":"assistant","status":"in_progress","content":[]}`,
		),
		same(
			"message of a phase", &responses.Message{ID: "m", Role: "assistant", Phase: "commentary"},
			`{"type":"message","id":"m","role":"assistant","status":"in_progress","phase":"commentary","content":[]}`,
		),
		same(
			"reasoning", &responses.Reasoning{
				ID: "r", Summary: []responses.Part{{Type: "summary_text", Text: "x"}}, Content: []responses.Part{{Type: "reasoning_text"}},
				EncryptedContent: "e", Status: "completed",
			},
			`{"type":"reasoning","id":"r","summary":[]}`,
		),
		same(
			"function call", &responses.FunctionCall{ID: "f", CallID: "c", Name: "n", Arguments: "{}", Status: "completed", ThoughtSignature: "sig"},
			`{"type":"function_call","id":"f","call_id":"c","name":"n","arguments":"","status":"in_progress"}`,
		),
		// It is never seen but whole.
		same(
			"approval request", &responses.MCPApprovalRequest{ID: "mcpr_1", ServerLabel: "s", Name: "t", Arguments: `{"a":1}`},
			`{"type":"mcp_approval_request","id":"mcpr_1","server_label":"s","name":"t","arguments":"{\"a\":1}"}`,
		),
	})
}

// An item that a stream shows is the item that the response has.
func TestMarshalItemIsTheResponses(t *testing.T) {
	t.Parallel()
	for _, dialect := range []responses.Dialect{responses.DialectAgent, responses.DialectOpenAI} {
		for i, got := range outputIn(t, &responses.Response{Output: everyOutput()}, dialect) {
			want, err := responses.MarshalItem(everyOutput()[i], dialect)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s: item %d differs (-alone +in a response):\n%s", dialect, i, diff)
			}
		}
	}
}
