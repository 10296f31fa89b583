package responses_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perdure/internal/responses"
)

// everyOutput has an item of every type that a run may output, with and without what may be missing.
func everyOutput() []responses.Item {
	return []responses.Item{
		&responses.MCPListTools{ID: "mcpl_1", ServerLabel: "s", Tools: []responses.MCPToolInfo{
			{Name: "a", Description: "d", InputSchema: responses.Schema(`{ "x":"<" }`), Annotations: &responses.ToolAnnotations{ReadOnly: true, Idempotent: true}},
			{Name: "b", InputSchema: responses.Schema(`{}`), Annotations: &responses.ToolAnnotations{}},
		}},
		&responses.MCPListTools{ID: "mcpl_2", ServerLabel: "empty", Tools: []responses.MCPToolInfo{}},
		&responses.Reasoning{ID: "rs_1", Summary: []responses.Part{{Type: responses.PartSummaryText, Text: "<think>"}}},
		&responses.Reasoning{
			ID: "rs_2", Summary: []responses.Part{}, Content: []responses.Part{{Type: responses.PartReasoningText, Text: "r"}},
			EncryptedContent: "e", Status: responses.StatusCompleted,
		},
		&responses.MCPCall{ID: "call_1", ServerLabel: "s", Name: "a", Arguments: `{"x":1}`, Output: "out\n\"</script>\u2028\x00"},
		&responses.MCPCall{ID: "call_2", ServerLabel: "s", Name: "a", Arguments: `{`, Error: ptr("failed")},
		&responses.MCPCall{ID: "call_3", Name: strings.Repeat("nobody offered this ", 100), Arguments: `{}`, Error: ptr("")},
		&responses.Message{
			ID: "msg_1", Role: responses.RoleAssistant, Status: responses.StatusIncomplete, Phase: "commentary",
			Content: []responses.Part{
				{Type: responses.PartOutputText, Text: "t", Annotations: []json.RawMessage{json.RawMessage(`{"type":"url_citation","url":"u"}`)}},
				responses.OutputText(""),
				{Type: responses.PartRefusal, Text: "no"},
			},
		},
		&responses.Message{ID: "msg_2", Role: responses.RoleAssistant, Status: responses.StatusCompleted, Content: []responses.Part{}},
		&responses.MCPCall{ID: "mcp_4", ServerLabel: "s", Name: "a", Arguments: `{}`, ThoughtSignature: "sig", Output: "o"},
		&responses.MCPApprovalRequest{ID: "mcpr_1", ServerLabel: "s", Name: "a", Arguments: `{"x":"<"}`, ThoughtSignature: "sig"},
		&responses.FunctionCall{ID: "fc_1", CallID: "c", Name: "f", Arguments: "{}", Status: responses.StatusCompleted, ThoughtSignature: "sig"},
	}
}

// A client continues a conversation by sending back what it got.
func TestOutputIsAcceptedAsInput(t *testing.T) {
	t.Parallel()
	want := everyOutput()
	for _, dialect := range []responses.Dialect{responses.DialectAgent, responses.DialectOpenAI} {
		var list []string
		for _, item := range outputIn(t, &responses.Response{Output: want}, dialect) {
			list = append(list, string(item))
		}
		list = append(list, `{"type":"function_call_output","call_id":"c","output":"done"}`)
		got := decode(t, items(strings.Join(list, ","))).Input
		if diff := cmp.Diff(want, got[:len(got)-1], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: input differs from output (-want +got):\n%s", dialect, diff)
		}
	}
}

func TestItemsAreKept(t *testing.T) {
	t.Parallel()
	all := append(everyOutput(),
		&responses.FunctionCallOutput{ID: "o", CallID: "c", Status: "completed", Output: []responses.Part{
			responses.InputText("x"), {Type: responses.PartInputImage, ImageURL: "https://h", Detail: "low"},
		}},
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("<&>")}},
		&responses.MCPCall{ID: "mcp_5", Name: "a", ApprovalRequestID: "mcpr_1", Status: responses.StatusIncomplete},
		&responses.MCPApprovalResponse{ID: "a", ApprovalRequestID: "mcpr_1", Approve: true, Reason: "r"},
		&responses.MCPApprovalResponse{ApprovalRequestID: "mcpr_1"},
		&responses.ItemReference{ID: "msg_1"},
		&responses.Compaction{ID: "cmp_1", EncryptedContent: "AA=="},
	)
	for _, want := range all {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := responses.UnmarshalItem(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("through %s (-want +got):\n%s", data, diff)
		}
	}
	for _, broken := range []string{``, `{}`, `[]`, `{"type":"x"}`, `{"type":"message","content":1}`} {
		if item, err := responses.UnmarshalItem([]byte(broken)); err == nil || item != nil {
			t.Errorf("UnmarshalItem(%s) is %v, %v", broken, item, err)
		}
	}
}

// No list of an item is null on the wire, and an absent image detail or phase is left out: null fails strict clients.
func TestZeroItemsOnTheWire(t *testing.T) {
	t.Parallel()
	for want, item := range map[string]responses.Item{
		`{"type":"message","role":"","content":[]}`:                                                                         &responses.Message{},
		`{"type":"function_call","call_id":"","name":"","arguments":""}`:                                                    &responses.FunctionCall{},
		`{"type":"function_call_output","call_id":"","output":[]}`:                                                          &responses.FunctionCallOutput{},
		`{"type":"reasoning","summary":[]}`:                                                                                 &responses.Reasoning{},
		`{"type":"mcp_list_tools","server_label":"","tools":[],"error":null}`:                                               &responses.MCPListTools{},
		`{"type":"mcp_call","server_label":"","name":"","arguments":"","output":"","error":null}`:                           &responses.MCPCall{},
		`{"type":"mcp_approval_request","server_label":"","name":"","arguments":""}`:                                        &responses.MCPApprovalRequest{},
		`{"type":"mcp_approval_response","approval_request_id":"","approve":false}`:                                         &responses.MCPApprovalResponse{},
		`{"type":"item_reference","id":""}`:                                                                                 &responses.ItemReference{},
		`{"type":"compaction","encrypted_content":""}`:                                                                      &responses.Compaction{},
		`{"type":"message","role":"user","content":[{"type":"input_image","image_url":"u"}]}`:                               &responses.Message{Role: "user", Content: []responses.Part{{Type: "input_image", ImageURL: "u"}}},
		`{"type":"reasoning","summary":[{"type":"summary_text","text":""}]}`:                                                &responses.Reasoning{Summary: []responses.Part{{Type: "summary_text"}}},
		`{"type":"message","role":"a","content":[{"type":"refusal","refusal":"r"}]}`:                                        &responses.Message{Role: "a", Content: []responses.Part{{Type: "refusal", Text: "r"}}},
		`{"type":"mcp_list_tools","server_label":"","tools":[{"name":"","description":"","input_schema":{}}],"error":null}`: &responses.MCPListTools{Tools: []responses.MCPToolInfo{{}}},
	} {
		got := output(t, &responses.Response{Output: []responses.Item{item}})
		if diff := cmp.Diff(want, string(got[0])); diff != "" {
			t.Errorf("%T differs (-want +got):\n%s", item, diff)
		}
	}
}

// Outputs with the keys that the Agent API documents: what we render of them has every key, with the same value.
func TestExamplesOfTheAgentAPI(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/agent_api_examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Output []json.RawMessage `json:"output"`
		Usage  *json.RawMessage  `json:"usage"`
	}
	if err := json.Unmarshal(data, &examples); err != nil {
		t.Fatal(err)
	}
	if len(examples) != 2 {
		t.Fatalf("%d examples, want 2", len(examples))
	}
	for _, example := range examples {
		list, err := json.Marshal(example.Output)
		if err != nil {
			t.Fatal(err)
		}
		r := &responses.Response{Output: decode(t, `{"input":`+string(list)+`}`).Input}
		if example.Usage != nil {
			r.Usage = &responses.Usage{}
			if err := json.Unmarshal(*example.Usage, r.Usage); err != nil {
				t.Fatal(err)
			}
		}
		got := output(t, r)
		if len(got) != len(example.Output) {
			t.Fatalf("%d items, want %d", len(got), len(example.Output))
		}
		for i := range got {
			contains(t, "output", example.Output[i], got[i])
		}
		if example.Usage != nil {
			members, _ := wire(t, r)
			contains(t, "usage", *example.Usage, members["usage"])
		}
	}
	// These keys are OpenAI's; the document says that they are absent.
	for i, item := range output(t, &responses.Response{Output: everyOutput()}) {
		if t := everyOutput()[i].Type(); t != responses.TypeMCPCall && t != responses.TypeMCPListTools {
			continue
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(item, &members); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"status", "approval_request_id"} {
			if _, ok := members[key]; ok {
				t.Errorf("%s has %q", item, key)
			}
		}
	}
}

// contains checks that got has every member and element of want.
func contains(t *testing.T, path string, want, got json.RawMessage) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	containsValue(t, path, w, g)
}

func containsValue(t *testing.T, path string, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for key, value := range w {
			if _, ok := g[key]; !ok {
				t.Errorf("%s.%s is missing", path, key)
				continue
			}
			containsValue(t, path+"."+key, value, g[key])
		}
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			t.Errorf("%s has %d elements, want %d", path, len(g), len(w))
			return
		}
		for i := range w {
			containsValue(t, path+"[]", w[i], g[i])
		}
	default:
		if want != got {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}
