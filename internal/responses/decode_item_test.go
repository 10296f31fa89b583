package responses_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

func items(list string) string { return `{"model":"m","input":[` + list + `]}` }

func TestDecodeItems(t *testing.T) {
	t.Parallel()
	text := func(s string) []responses.Part { return []responses.Part{responses.InputText(s)} }
	const answered = `{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},`
	call := &responses.FunctionCall{CallID: "c", Name: "f", Arguments: "{}"}
	tests := []struct {
		name, list string
		want       []responses.Item
	}{
		{
			"messages of every role",
			`{"role":"user","content":"a"},{"type":"message","role":"system","content":"b"},{"type":null,"role":"developer","content":"c"},
			 {"type":"message","id":"msg_1","status":"completed","role":"assistant","content":"d","phase":"final_answer"}`,
			[]responses.Item{
				&responses.Message{Role: "user", Content: text("a")},
				&responses.Message{Role: "system", Content: text("b")},
				&responses.Message{Role: "developer", Content: text("c")},
				&responses.Message{ID: "msg_1", Status: "completed", Role: "assistant", Phase: "final_answer", Content: []responses.Part{responses.OutputText("d")}},
			},
		},
		{
			"parts",
			`{"role":"user","content":[{"type":"input_text","text":""},{"type":"input_text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}},
			  {"type":"input_image","image_url":"HTTPS://h/i.png","detail":"low","file_id":null},{"type":"input_image","image_url":"data:image/png;base64,AA=="}]},
			 {"role":"assistant","phase":null,"content":[{"type":"output_text","text":"t","annotations":[{"type":"url_citation", "url":"u"}],"logprobs":[]},
			  {"type":"output_text","text":"u"},{"type":"refusal","refusal":"no"}]},
			 {"role":"user","content":[]}`,
			[]responses.Item{
				&responses.Message{Role: "user", Content: []responses.Part{
					responses.InputText(""), responses.InputText("x"),
					{Type: "input_image", ImageURL: "HTTPS://h/i.png", Detail: "low"},
					{Type: "input_image", ImageURL: "data:image/png;base64,AA=="},
				}},
				&responses.Message{Role: "assistant", Content: []responses.Part{
					{Type: "output_text", Text: "t", Annotations: []json.RawMessage{json.RawMessage(`{"type":"url_citation", "url":"u"}`)}},
					responses.OutputText("u"),
					{Type: "refusal", Text: "no"},
				}},
				&responses.Message{Role: "user", Content: []responses.Part{}},
			},
		},
		{
			"function call and output",
			`{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"","status":"completed","thought_signature":"sig",
			  "async":false,"caller":{"type":"direct"},"namespace":null},
			 {"type":"function_call_output","id":null,"call_id":"c","output":"out","status":null,"name":"f","thought_signature":"sig","caller":null,"namespace":null}`,
			[]responses.Item{
				&responses.FunctionCall{ID: "fc_1", CallID: "c", Name: "f", Arguments: "{}", Status: "completed", ThoughtSignature: "sig"},
				&responses.FunctionCallOutput{CallID: "c", Output: text("out")},
			},
		},
		{
			"output as parts",
			answered + `{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"https://h/i","detail":null}]}`,
			[]responses.Item{call, &responses.FunctionCallOutput{CallID: "c", Output: []responses.Part{
				responses.InputText("a"), {Type: "input_image", ImageURL: "https://h/i"},
			}}},
		},
		{
			"reasoning",
			`{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"r"}],
			  "encrypted_content":"e","status":"completed"},
			 {"type":"reasoning","id":null,"summary":[],"content":null,"encrypted_content":null}`,
			[]responses.Item{
				&responses.Reasoning{
					ID: "rs_1", Status: "completed", EncryptedContent: "e", Summary: []responses.Part{{Type: "summary_text", Text: "s"}},
					Content: []responses.Part{{Type: "reasoning_text", Text: "r"}},
				},
				&responses.Reasoning{Summary: []responses.Part{}, Content: []responses.Part{}},
			},
		},
		{
			"mcp_list_tools",
			`{"type":"mcp_list_tools","id":"mcpl_1","server_label":"s","status":"completed","connector_id":"c","error":null,"tools":[
			   {"name":"a","description":"d","input_schema":{"type": "object"},"annotations":{"read_only":true,"title":"x"}},
			   {"name":"b","description":null,"input_schema":null,"annotations":null},{"name":"c","annotations":"?"}]},
			 {"type":"mcp_list_tools","server_label":"t","tools":[],"error":"no"}`,
			[]responses.Item{
				&responses.MCPListTools{ID: "mcpl_1", ServerLabel: "s", Tools: []responses.MCPToolInfo{
					{Name: "a", Description: "d", InputSchema: responses.Schema(`{"type": "object"}`), Annotations: &responses.ToolAnnotations{ReadOnly: true}},
					{Name: "b"},
					{Name: "c"},
				}},
				&responses.MCPListTools{ServerLabel: "t", Tools: []responses.MCPToolInfo{}, Error: ptr("no")},
			},
		},
		{
			"mcp_call",
			`{"type":"mcp_call","id":"call_1","server_label":"s","name":"t","arguments":"{}","output":"o","error":null,"status":"completed","approval_request_id":null,"connector_id":"c"},
			 {"type":"mcp_call","id":"mcp_1","server_label":"s","name":"t","arguments":"{}","output":"o","approval_request_id":"mcpr_1","thought_signature":"sig"},
			 {"type":"mcp_call","server_label":"s","name":"t","arguments":"{}","output":null,"error":"boom"},
			 {"type":"mcp_call","server_label":"s","name":"t","arguments":"{}","error":{"type":"http_error","code":503,"message":"away"}},
			 {"type":"mcp_call","server_label":"s","name":"t","arguments":"{}","error":{"type":"mcp_tool_execution_error","content":[1]}},
			 {"type":"mcp_call","server_label":"","name":"","arguments":""}`,
			[]responses.Item{
				&responses.MCPCall{ID: "call_1", ServerLabel: "s", Name: "t", Arguments: "{}", Output: "o"},
				&responses.MCPCall{
					ID: "mcp_1", ServerLabel: "s", Name: "t", Arguments: "{}", Output: "o", ApprovalRequestID: "mcpr_1", ThoughtSignature: "sig",
				},
				&responses.MCPCall{ServerLabel: "s", Name: "t", Arguments: "{}", Error: ptr("boom")},
				&responses.MCPCall{ServerLabel: "s", Name: "t", Arguments: "{}", Error: ptr("away")},
				&responses.MCPCall{ServerLabel: "s", Name: "t", Arguments: "{}", Error: ptr(`{"type":"mcp_tool_execution_error","content":[1]}`)},
				&responses.MCPCall{Arguments: "{}"},
			},
		},
		{
			"approvals",
			`{"type":"mcp_approval_request","id":"mcpr_1","server_label":"s","name":"t","arguments":"","thought_signature":"sig"},
			 {"type":"mcp_approval_request","id":"mcpr_2","server_label":"s","name":"t","arguments":"{\"a\":1}"},
			 {"type":"mcp_approval_response","approval_request_id":"mcpr_1","approve":true},
			 {"type":"mcp_approval_response","id":"x","approval_request_id":"mcpr_2","approve":false,"reason":"no"},
			 {"type":"mcp_approval_response","id":null,"approval_request_id":"mcpr_3","approve":true,"reason":null}`,
			[]responses.Item{
				&responses.MCPApprovalRequest{ID: "mcpr_1", ServerLabel: "s", Name: "t", Arguments: "{}", ThoughtSignature: "sig"},
				&responses.MCPApprovalRequest{ID: "mcpr_2", ServerLabel: "s", Name: "t", Arguments: `{"a":1}`},
				&responses.MCPApprovalResponse{ApprovalRequestID: "mcpr_1", Approve: true},
				&responses.MCPApprovalResponse{ID: "x", ApprovalRequestID: "mcpr_2", Reason: "no"},
				&responses.MCPApprovalResponse{ApprovalRequestID: "mcpr_3", Approve: true},
			},
		},
		{
			"references",
			`{"type":"item_reference","id":"msg_1"},{"id":"msg_1"},{"type":null,"id":"msg_2"}`,
			[]responses.Item{&responses.ItemReference{ID: "msg_1"}, &responses.ItemReference{ID: "msg_1"}, &responses.ItemReference{ID: "msg_2"}},
		},
		{
			"compaction",
			`{"type":"compaction","id":"cmp_1","encrypted_content":"AA==","created_by":"x"},{"type":"compaction","id":null,"encrypted_content":"AQ=="}`,
			[]responses.Item{&responses.Compaction{ID: "cmp_1", EncryptedContent: "AA=="}, &responses.Compaction{EncryptedContent: "AQ=="}},
		},
		{
			"replayed twice",
			`{"type":"mcp_call","id":"call_1","name":"t"},{"type":"mcp_call","id":"call_1","name":"t"},
			 {"role":"user","id":"msg_1","content":[]},{"role":"user","id":"msg_1","content":[]}`,
			[]responses.Item{
				&responses.MCPCall{ID: "call_1", Name: "t", Arguments: "{}"}, &responses.MCPCall{ID: "call_1", Name: "t", Arguments: "{}"},
				&responses.Message{ID: "msg_1", Role: "user", Content: []responses.Part{}}, &responses.Message{ID: "msg_1", Role: "user", Content: []responses.Part{}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, decode(t, items(tt.list)).Input); diff != "" {
				t.Errorf("items differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeItemsRefuses(t *testing.T) {
	t.Parallel()
	const ok = `{"role":"user","content":"a"},`
	part := func(s string) string {
		return items(ok + `{"role":"user","content":[{"type":"input_text","text":""},` + s + `]}`)
	}
	call := func(id string) string {
		return `{"type":"function_call","call_id":"` + id + `","name":"f","arguments":"{}"},`
	}
	const output = `{"type":"function_call_output","call_id":"a","output":""}`
	const asked = `{"type":"mcp_approval_request","id":"mcpr_1","server_label":"s","name":"t","arguments":"{}"}`
	answer := func(id string) string {
		return `{"type":"mcp_approval_response","approval_request_id":"` + id + `","approve":true}`
	}
	tests := []refused{
		{"not an object", items(ok + `"hi"`), "input[1]", "object"},
		{"null", items(ok + `null`), "input[1]", "object"},
		{"neither type nor role", items(`{"content":"a"}`), "input[0].type", "required"},
		{"type number", items(`{"type":1,"role":"user","content":"a"}`), "input[0].type", "must be a string"},
		{"type empty", items(`{"type":"","role":"user","content":"a"}`), "input[0].type", "unknown item type"},
		{"type unknown", items(ok + `{"type":"massage","role":"user","content":"a"}`), "input[1].type", `unknown item type "massage"`},
		{"role missing", items(`{"type":"message","content":"a"}`), "input[0].role", "required"},
		{"role null", items(`{"role":null,"content":"a"}`), "input[0].role", "required"},
		{"role unknown", items(`{"role":"tool","content":"a"}`), "input[0].role", `"developer"`},
		{"content missing", items(`{"role":"user"}`), "input[0].content", "required"},
		{"content null", items(`{"role":"user","content":null}`), "input[0].content", "required"},
		{"content number", items(`{"role":"user","content":1}`), "input[0].content", "string or an array"},
		{"phase", items(`{"role":"assistant","content":"a","phase":"draft"}`), "input[0].phase", "commentary"},
		{"unknown in a message", items(ok + `{"role":"user","content":"a","name":"x"}`), "input[1].name", "unknown field"},
		{"id number", items(`{"role":"user","content":"a","id":1}`), "input[0].id", "must be a string"},
		{"status number", items(`{"role":"user","content":"a","status":1}`), "input[0].status", "must be a string"},
		{"unknown in a part", part(`{"type":"input_text","text":"","bar":1}`), "input[1].content[1].bar", `unknown field "input[1].content[1].bar"`},
		{"part not an object", part(`"x"`), "input[1].content[1]", "object"},
		{"part without type", part(`{"text":"x"}`), "input[1].content[1].type", "required"},
		{"part type unknown", part(`{"type":"text","text":"x"}`), "input[1].content[1].type", `use one of "input_text"`},
		{"part of a reasoning", part(`{"type":"summary_text","text":"x"}`), "input[1].content[1].type", "may stand here"},
		{"part without text", part(`{"type":"input_text"}`), "input[1].content[1].text", "required"},
		{"part text null", part(`{"type":"input_text","text":null}`), "input[1].content[1].text", "required"},
		{"part text number", part(`{"type":"input_text","text":1}`), "input[1].content[1].text", "must be a string"},
		{"refusal without text", part(`{"type":"refusal","text":"no"}`), "input[1].content[1].refusal", "required"},
		{"file", part(`{"type":"input_file","file_id":"f"}`), "input[1].content[1].type", "not supported yet"},
		{"audio", part(`{"type":"input_audio"}`), "input[1].content[1].type", "not supported yet"},
		{"image without url", part(`{"type":"input_image"}`), "input[1].content[1].image_url", "required"},
		{"image of a file", part(`{"type":"input_image","file_id":"f"}`), "input[1].content[1].file_id", "not supported yet"},
		{"image url object", part(`{"type":"input_image","image_url":{"url":"https://h"}}`), "input[1].content[1].image_url", "must be a string"},
		{"image url http", part(`{"type":"input_image","image_url":"http://h/i.png"}`), "input[1].content[1].image_url", "https"},
		{"image url file", part(`{"type":"input_image","image_url":"file:///etc/passwd"}`), "input[1].content[1].image_url", "https"},
		{"image of no image", part(`{"type":"input_image","image_url":"data:text/html,x"}`), "input[1].content[1].image_url", "https"},
		{"image detail", part(`{"type":"input_image","image_url":"https://h","detail":"huge"}`), "input[1].content[1].detail", `"low"`},
		{"annotations", part(`{"type":"output_text","text":"","annotations":{}}`), "input[1].content[1].annotations", "array"},
		{"annotation", part(`{"type":"output_text","text":"","annotations":[{},1]}`), "input[1].content[1].annotations[1]", "object"},
		{"call without id", items(`{"type":"function_call","name":"f","arguments":""}`), "input[0].call_id", "required"},
		{"call id empty", items(`{"type":"function_call","call_id":"","name":"f","arguments":""}`), "input[0].call_id", "empty"},
		{"call without name", items(`{"type":"function_call","call_id":"c","arguments":""}`), "input[0].name", "required"},
		{"arguments object", items(`{"type":"function_call","call_id":"c","name":"f","arguments":{}}`), "input[0].arguments", "must be a string"},
		{"call async", items(`{"type":"function_call","call_id":"c","name":"f","async":true}`), "input[0].async", "not supported yet"},
		{"call of a program", items(`{"type":"function_call","call_id":"c","name":"f","caller":{"type":"program","caller_id":"x"}}`), "input[0].caller.type", "not supported yet"},
		{"call in a namespace", items(`{"type":"function_call","call_id":"c","name":"f","namespace":"n"}`), "input[0].namespace", "not supported yet"},
		{"output missing", items(call("a") + `{"type":"function_call_output","call_id":"a"}`), "input[1].output", "required"},
		{"output number", items(call("a") + `{"type":"function_call_output","call_id":"a","output":1}`), "input[1].output", "string or an array"},
		{"output before its call", items(output + "," + strings.TrimSuffix(call("a"), ",")), "input[0].call_id", "no earlier function_call"},
		{"output of no call", items(call("b") + output), "input[1].call_id", `no earlier function_call has the call_id "a"`},
		{"two outputs", items(call("a") + output + "," + output), "input[2].call_id", "answered twice"},
		{"two calls of one id", items(call("a") + call("a") + output), "input[1].call_id", "two function calls"},
		{"call without output", items(call("b") + call("a") + output), "input[0].call_id", `no function_call_output answers the call "b"`},
		{"reasoning summary", items(`{"type":"reasoning","summary":"s"}`), "input[0].summary", "array"},
		{"reasoning part", items(`{"type":"reasoning","summary":[{"type":"input_text","text":""}]}`), "input[0].summary[0].type", `use one of "summary_text"`},
		{"reasoning content part", items(`{"type":"reasoning","summary":[],"content":[{"type":"summary_text","text":""}]}`), "input[0].content[0].type", "reasoning_text"},
		{"list without label", items(`{"type":"mcp_list_tools","tools":[]}`), "input[0].server_label", "required"},
		{"list without tools", items(`{"type":"mcp_list_tools","server_label":"s"}`), "input[0].tools", "required"},
		{"tool without name", items(`{"type":"mcp_list_tools","server_label":"s","tools":[{}]}`), "input[0].tools[0].name", "required"},
		{"tool schema", items(`{"type":"mcp_list_tools","server_label":"s","tools":[{"name":"t","input_schema":"{}"}]}`), "input[0].tools[0].input_schema", "object"},
		{"tool unknown", items(`{"type":"mcp_list_tools","server_label":"s","tools":[{"name":"t","foo":1}]}`), "input[0].tools[0].foo", "unknown field"},
		{"mcp call without name", items(`{"type":"mcp_call","server_label":"s"}`), "input[0].name", "required"},
		{"mcp call error", items(`{"type":"mcp_call","server_label":"s","name":"t","error":1}`), "input[0].error", "string, an object or null"},
		{"mcp call error message", items(`{"type":"mcp_call","server_label":"s","name":"t","error":{"message":1}}`), "input[0].error.message", "must be a string"},
		{"mcp call output", items(`{"type":"mcp_call","server_label":"s","name":"t","output":{}}`), "input[0].output", "must be a string"},
		{"mcp call unknown", items(`{"type":"mcp_call","server_label":"s","name":"t","foo":1}`), "input[0].foo", "unknown field"},
		{"mcp call approval", items(`{"type":"mcp_call","server_label":"s","name":"t","approval_request_id":1}`), "input[0].approval_request_id", "must be a string"},
		{"approval request without id", items(`{"type":"mcp_approval_request","server_label":"s","name":"t"}`), "input[0].id", "required"},
		{"approval request long", items(`{"type":"mcp_approval_request","id":"` + strings.Repeat("m", 1100) + `","server_label":"s","name":"t"}`), "input[0].id", "longer than 256"},
		{"approval request long in bytes", items(`{"type":"mcp_approval_request","id":"` + strings.Repeat("é", 200) + `","server_label":"s","name":"t"}`), "input[0].id", "longer than 256 bytes"},
		{"approval of a long request", items(answer(strings.Repeat("m", 1100))), "input[0].approval_request_id", "longer than 256"},
		{"approval request without label", items(`{"type":"mcp_approval_request","id":"m","name":"t"}`), "input[0].server_label", "required"},
		{"approval request without name", items(`{"type":"mcp_approval_request","id":"m","server_label":"s","name":""}`), "input[0].name", "must not be empty"},
		{"approval request unknown", items(`{"type":"mcp_approval_request","id":"m","server_label":"s","name":"t","approve":true}`), "input[0].approve", "unknown field"},
		{"approval request twice", items(ok + asked + "," + answer("mcpr_2") + "," + asked), "input[3].id", "Duplicate item found with id mcpr_1."},
		{"approval without request", items(`{"type":"mcp_approval_response","approve":true}`), "input[0].approval_request_id", "required"},
		{"approval without answer", items(`{"type":"mcp_approval_response","approval_request_id":"m"}`), "input[0].approve", "required"},
		{"approval null", items(`{"type":"mcp_approval_response","approval_request_id":"m","approve":null}`), "input[0].approve", "required"},
		{"approval word", items(`{"type":"mcp_approval_response","approval_request_id":"m","approve":"yes"}`), "input[0].approve", "true or false"},
		{"approval reason", items(`{"type":"mcp_approval_response","approval_request_id":"m","approve":true,"reason":1}`), "input[0].reason", "must be a string"},
		{"two approvals", items(asked + "," + answer("mcpr_1") + "," + answer("mcpr_2") + "," + answer("mcpr_1")), "input[3].approval_request_id", `"mcpr_1" is answered twice`},
		{"reference without id", items(`{"type":"item_reference"}`), "input[0].id", "required"},
		{"reference empty", items(`{"id":""}`), "input[0].id", "must not be empty"},
		{"reference long", items(`{"id":"` + strings.Repeat("x", 513) + `"}`), "input[0].id", "longer than 512"},
		{"reference unknown", items(`{"type":"item_reference","id":"x","foo":1}`), "input[0].foo", "unknown field"},
		{"neither type nor role nor only an id", items(`{"id":"x","foo":1}`), "input[0].type", "required"},
		{"compaction without content", items(`{"type":"compaction"}`), "input[0].encrypted_content", "required"},
		{"compaction empty", items(`{"type":"compaction","encrypted_content":""}`), "input[0].encrypted_content", "must not be empty"},
		{"compaction long", items(`{"type":"compaction","encrypted_content":"` + strings.Repeat("A", 8*mib+1) + `"}`), "input[0].encrypted_content", "longer than 8388608"},
		{"many items", items(strings.Repeat(ok, 20_000) + strings.TrimSuffix(ok, ",")), "input", "more than 20000"},
	}
	for _, foreign := range []string{"compaction_trigger", "web_search_call", "custom_tool_call", "search_results"} {
		tests = append(tests, refused{foreign, items(`{"type":"` + foreign + `","id":"x","whatever":[]}`), "input[0].type", "an item of type " + foreign + " is not supported yet"})
	}
	checkRefused(t, tests)
}

// Which calls an output may answer, beyond those of the input, is known only to who has read what the input goes on with.
func TestOuterOutputs(t *testing.T) {
	t.Parallel()
	call := func(id string) string { return `{"type":"function_call","call_id":"` + id + `","name":"f"},` }
	answer := func(id string) string { return `{"type":"function_call_output","call_id":"` + id + `","output":""},` }
	const end = `{"role":"user","content":"go on"}`
	list := `[` + answer("outer1") + call("inner") + answer("inner") + answer("outer2") + end + `]`
	for name, body := range map[string]string{
		"previous response": `{"previous_response_id":"resp_1","input":` + list + `}`,
		"conversation":      `{"conversation":"conv_1","input":` + list + `}`,
		"reference":         `{"input":` + strings.TrimSuffix(list, "]") + `,{"id":"fc_1"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := []responses.CallOutput{{CallID: "outer1", Place: "input[0].call_id"}, {CallID: "outer2", Place: "input[3].call_id"}}
			if diff := cmp.Diff(want, decode(t, body).OuterOutputs()); diff != "" {
				t.Errorf("outputs differ (-want +got):\n%s", diff)
			}
		})
	}
	if outer := decode(t, items(call("a")+answer("a")+end)).OuterOutputs(); outer != nil {
		t.Errorf("all calls are in the input, but these outputs are not: %v", outer)
	}
	chained := func(list string) string { return `{"previous_response_id":"resp_1","input":[` + list + end + `]}` }
	checkRefused(t, []refused{
		{"two outputs of an outer call", chained(answer("a") + answer("a")), "input[1].call_id", "answered twice"},
		{"inner call without output", chained(answer("a") + call("b")), "input[1].call_id", `no function_call_output answers the call "b"`},
		{"output before its call", chained(answer("a") + call("a")), "input[1].call_id", `"a" stands after its function_call_output`},
		{"two calls of one id", chained(call("a") + answer("a") + call("a")), "input[2].call_id", "two function calls"},
	})
}

// Some providers pack a model's state into the ID of a call, and clients must send it back.
func TestDecodeLongCallID(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("s", 60_000)
	req := decode(t, items(`{"type":"function_call","call_id":"`+id+`","name":"f"},{"type":"function_call_output","call_id":"`+id+`","output":""}`))
	if got := req.Input[0].(*responses.FunctionCall).CallID; got != id {
		t.Errorf("call_id of %d bytes, want %d", len(got), len(id))
	}
}
