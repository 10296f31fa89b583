package responses_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"perdure/internal/responses"
)

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	nest := func(n int) string {
		return with(`"tools":[{"type":"function","name":"f","parameters":{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}]`)
	}
	checkRefused(t, []refused{
		{"nothing", ``, "", "ends early, at byte 0"},
		{"blank", " \n", "", "ends early, at byte 2"},
		{"cut in an object", `{"input":"hi"`, "", "ends early, at byte 13"},
		{"cut in a string", `{"input":"hi`, "", "ends early, at byte 12"},
		{"cut after a backslash", `{"input":"hi\`, "", "ends early, at byte 13"},
		{"cut after an escaped quote", `{"input":"hi\"`, "", "ends early, at byte 14"},
		{"cut in an array", `{"input":[`, "", "ends early"},
		{"not JSON", `input=hi`, "", "not valid JSON: error at byte 1"},
		{"byte order mark", "\ufeff{}", "", "not valid JSON: error at byte 1"},
		{"comma at the end", `{"input":"hi",}`, "", "not valid JSON: error at byte 15"},
		{"comma at the end of an array", `{"input":["hi",]}`, "", "not valid JSON"},
		{"wrong bracket", `{"input":["hi"}}`, "", "not valid JSON"},
		{"closing brackets only", `}}]]`, "", "not valid JSON: error at byte 1"},
		{"single quotes", `{'input':'hi'}`, "", "not valid JSON"},
		{"comment", `{"input":"hi"/**/}`, "", "not valid JSON"},
		{"NaN", with(`"temperature":NaN`), "", "not valid JSON"},
		{"leading zero", with(`"max_steps":01`), "", "not valid JSON"},
		{"line feed in a string", "{\"input\":\"a\nb\"}", "", "not valid JSON"},
		{"a second value", `{"input":"hi"} {}`, "", "something after its JSON value, at byte 14"},
		{"trailing bytes", `{"input":"hi"}x`, "", "something after its JSON value"},
		{"NUL at the end", "{\"input\":\"hi\"}\x00", "", "something after its JSON value"},
		{"not UTF-8", "{\"input\":\"\xff\"}", "", "UTF-8"},
		{"half a character", "{\"input\":\"\xe2\x82\"}", "", "UTF-8"},
		{"surrogate in UTF-8", "{\"input\":\"\xed\xa0\x80\"}", "", "UTF-8"},
		{"deep", nest(97), "", "more than 100 levels deep, at byte"},
		{"deep and never closed", strings.Repeat("[", 1<<20), "", "more than 100 levels deep, at byte 100"},
		{"deep objects", strings.Repeat(`{"a":`, 1<<18), "", "more than 100 levels deep"},
		{"twice", `{"input":"hi","model":"a","model":"b"}`, "model", `"model" twice`},
		{"twice, spelled differently", `{"input":"hi","model":"a","\u006dodel":"a"}`, "model", "twice"},
		{"twice in an item", `{"input":[{"role":"user","content":"a"},{"role":"user","role":"system","content":"b"}]}`, "input[1].role", "twice"},
		{"twice in a part", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}`, "input[0].content[0].text", "twice"},
		{"twice in headers", with(`"tools":[{"type":"mcp","headers":{"A":"1","A":"2"}}]`), "tools[0].headers.A", "twice"},
		{"twice in a schema", with(`"tools":[{"type":"function","name":"f","parameters":{"x":[[{"y":1,"y":2}]]}}]`), "tools[0].parameters.x[0][0].y", "twice"},
		{"twice in what is ignored", with(`"tools":[{"type":"mcp","require_approval":{"always":1,"always":2}}]`), "tools[0].require_approval.always", "twice"},
		{"many members", `{` + many(10_001, `"%d":0`) + `}`, "", "more than 10000 members"},
		{"many members below", with(`"metadata":{` + many(10_001, `"%d":0`) + `}`), "metadata", "more than 10000 members"},
	})
	if _, err := responses.DecodeRequest([]byte(nest(96)), responses.DialectOpenAI); err != nil {
		t.Errorf("a body that nests exactly 100 levels deep was refused: %v", err)
	}
}

// A server's own schema comes back from clients as it was sent to them: what is strange in it is not the client's fault.
func TestReplayedSchemaMayRepeatMembers(t *testing.T) {
	t.Parallel()
	schema := `{"type":"object","type": "object","x":"\"}]"}`
	req := decode(t, `{"input":[{"type":"mcp_list_tools","server_label":"s","tools":[{"name":"t","input_schema":`+schema+`}]}]}`)
	if got := string(req.Input[0].(*responses.MCPListTools).Tools[0].InputSchema); got != schema {
		t.Errorf("schema is %s, want %s", got, schema)
	}
}

// An error repeats what the client wrote, but not megabytes of it.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	long := "x" + strings.Repeat("é", 1<<16) // cut where it is convenient, this would not be UTF-8
	for name, body := range map[string]string{
		"unknown field":     with(`"` + long + `":1`),
		"twice":             `{"` + long + `":1,"` + long + `":2}`,
		"twice below":       `{"` + long + `":{"a":1,"a":2}}`,
		"metadata":          with(`"metadata":{"` + long + `":1}`),
		"header":            with(`"tools":[{"type":"mcp","server_label":"s","server_url":"https://h","headers":{"` + long + `":1}}]`),
		"item type":         `{"input":[{"type":"` + long[:501] + `"}]}`,
		"tool type":         with(`"tools":[{"type":"` + long[:501] + `"}]`),
		"part type":         `{"input":[{"role":"user","content":[{"type":"` + long[:501] + `"}]}]}`,
		"tool choice":       with(`"tool_choice":{"type":"` + long[:501] + `"}`),
		"tool choice name":  with(`"tool_choice":{"name":"` + long[:501] + `"}`),
		"tool choice label": with(`"tool_choice":{"type":"mcp","server_label":"` + long[:501] + `"}`),
		"call_id":           `{"input":[{"type":"function_call_output","call_id":"` + long[:1001] + `","output":""}]}`,
	} {
		_, err := responses.DecodeRequest([]byte(body), responses.DialectOpenAI)
		var e *responses.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: not refused", name)
			continue
		}
		if !utf8.ValidString(e.Message) || !utf8.ValidString(e.Param) {
			t.Errorf("%s: %q and %q are not UTF-8", name, e.Message, e.Param)
		}
		if len(e.Message) > 600 || len(e.Param) > 600 {
			t.Errorf("%s: message of %d and param of %d bytes", name, len(e.Message), len(e.Param))
		}
	}
}
