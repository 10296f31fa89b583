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
		req, err := responses.DecodeRequest(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if !json.Valid(body) {
			t.Fatalf("accepted what is not JSON")
		}
		if len(req.Input) == 0 {
			t.Fatal("accepted without input")
		}
		first := render(t, req.Input)
		again, err := responses.DecodeRequest(append(append([]byte(`{"input":`), first...), '}'))
		if err != nil {
			t.Fatalf("refused what it had accepted, %s: %v", first, err)
		}
		if diff := cmp.Diff(string(first), string(render(t, again.Input))); diff != "" {
			t.Fatalf("items change when they are sent again (-first +second):\n%s", diff)
		}
		for _, item := range req.Input {
			checkKept(t, item)
		}
	})
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
