package responses_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// FuzzDecodeRequest checks that no body makes the decoder panic, that every refusal is fit for a client, and that what is
// accepted can be rendered, kept and sent again without change.
func FuzzDecodeRequest(f *testing.F) {
	for _, body := range []string{
		`{"input":"hi"}`,
		with(threeTools + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"s","name":"t"}]}`),
		with(`"tools":[{"type":"mcp","server_label":"s","server_url":"https://h","headers":{"X":"y"},"allowed_tools":{"tool_names":["a"],"read_only":true}}]`),
		with(`"text":{"format":{"type":"json_schema","name":"n","schema":{"a":[{"b":1e400}]}},"verbosity":"low"}`),
		with(`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"metadata":{"a":"b"},"max_tool_calls":0,"temperature":0.5`),
		items(`{"role":"user","content":[{"type":"input_text","text":"\ud800\u0000"},{"type":"input_image","image_url":"https://h"}]}`),
		items(`{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":[]}`),
		items(`{"type":"mcp_call","name":"n","error":{"type":"http_error","code":1,"message":"m"}}`),
		items(`{"type":"mcp_list_tools","server_label":"s","tools":[{"name":"n","input_schema":{ "<":"\u2028" },"annotations":{"read_only":true}}]}`),
		items(`{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"r"}]}`),
		items(`{"role":"assistant","content":[{"type":"output_text","text":"t","annotations":[{ "a" : 1 }]},{"type":"refusal","refusal":"r"}]}`),
		items(`{"type":"mcp_approval_request","id":"r","server_label":"s","name":"n"},{"type":"mcp_approval_response","approval_request_id":"r","approve":false,"reason":"<"}`),
		items(`{"type":"mcp_call","name":"n","approval_request_id":"r","thought_signature":"t"},{"type":"compaction","encrypted_content":"AA=="}`),
		items(`{"id":"fc_1"},{"type":"item_reference","id":"msg_1"},{"type":"function_call_output","call_id":"c","output":""}`),
		`{"previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c","output":""}]}`,
		`{"conversation":{"id":"conv_1"},"stream":true,"background":true,"store":false,"truncation":"auto","include":["reasoning.encrypted_content"]}`,
		with(`"tools":[{"type":"mcp","server_label":"s","server_url":"https://h","require_approval":{"always":{"tool_names":["a"]},"never":{"read_only":true}}}]`),
		`{"input":"a","input":"b"}`, `{"input":"\"}`, `{"input":[}`, `[`, ``, "{\"input\":\"\xff\"}", strings.Repeat("[", 200),
	} {
		f.Add([]byte(body))
	}
	examples, err := os.ReadFile("testdata/agent_api_examples.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte(`{"input":`), examples...), '}'))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := responses.DecodeRequest(body, responses.DialectOpenAI)
		if err != nil {
			checkError(t, err)
			return
		}
		if !json.Valid(body) {
			t.Fatalf("accepted what is not JSON")
		}
		if _, err := responses.DecodeRequest(body, responses.DialectAgent); err != nil {
			t.Fatalf("refused in the other dialect, which has fewer rules: %v", err)
		}
		if len(req.Input) == 0 && req.PreviousResponseID == "" && req.Conversation == "" {
			t.Fatal("accepted without input")
		}
		first := render(t, req.Input)
		// Without its calls, an output must go on with something.
		again, err := responses.DecodeRequest(append(append([]byte(`{"previous_response_id":"resp_1","input":`), first...), '}'), responses.DialectOpenAI)
		if err != nil {
			t.Fatalf("refused what it had accepted, %s: %v", first, err)
		}
		if diff := cmp.Diff(string(first), string(render(t, again.Input))); diff != "" {
			t.Fatalf("items change when they are sent again (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(req.OuterOutputs(), again.OuterOutputs()); diff != "" {
			t.Fatalf("outputs answer other calls (-first +second):\n%s", diff)
		}
		for _, item := range req.Input {
			checkKept(t, item)
		}
		checkReadBack(t, &responses.Response{Output: req.Input, Text: responses.TextEcho{Format: req.Format}, Tools: echo(req)})
	})
}

// echo repeats the tools of a request, their secrets left out.
func echo(req *responses.Request) []responses.ToolEcho {
	var tools []responses.ToolEcho
	for _, tool := range req.MCPTools() {
		tools = append(tools, responses.MCPToolEcho{Type: "mcp", ServerLabel: tool.ServerLabel, AllowedTools: &tool.Allowed, RequireApproval: tool.Approval})
	}
	for _, tool := range req.FunctionTools() {
		tools = append(tools, responses.FunctionToolEcho{Type: "function", Name: tool.Name, Parameters: tool.Parameters})
	}
	return tools
}

func checkReadBack(t *testing.T, r *responses.Response) {
	t.Helper()
	for _, dialect := range []responses.Dialect{responses.DialectAgent, responses.DialectOpenAI} {
		want, err := r.MarshalWire(dialect)
		if err != nil {
			t.Fatal(err)
		}
		back, err := responses.UnmarshalResponse(want)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		got, err := back.MarshalWire(dialect)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Fatalf("read back as %s, was %s", got, want)
		}
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *responses.Error
	if !errors.As(err, &e) || e.Status != 400 || e.Type != responses.ErrInvalidRequest || e.Message == "" {
		t.Fatalf("error is %#v", err)
	}
	if len(e.Message) > 2000 || len(e.Param) > 2000 {
		t.Fatalf("message of %d and param of %d bytes", len(e.Message), len(e.Param))
	}
	if _, err := json.Marshal(e); err != nil {
		t.Fatal(err)
	}
}

// render returns the items as a client would get and replay them.
func render(t *testing.T, items []responses.Item) []byte {
	t.Helper()
	list, err := json.Marshal(output(t, &responses.Response{Output: items}))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func checkKept(t *testing.T, item responses.Item) {
	t.Helper()
	data, err := json.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := responses.UnmarshalItem(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	again, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again) {
		t.Fatalf("kept as %s, was %s", again, data)
	}
}
