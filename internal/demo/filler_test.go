package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

const testPrompt = `Add 2 and 40.5 to "the list" in a/b, please, with high priority; see https://example.org/x?y=1`

func TestFillerValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, schema, want string }{
		{"empty", `{}`, `"the list"`},
		{
			"numbers in order", `{"type":"object","properties":{"b":{"type":"number"},"a":{"type":"integer"},"c":{"type":"integer"}},"required":["a","b","c"]}`,
			`{"a":2,"b":40.5,"c":1}`,
		},
		{"bounds", `{"type":"array","items":{"type":"integer","exclusiveMinimum":2,"maximum":9},"minItems":3}`, `[3,9,3]`},
		{"step", `{"type":"number","multipleOf":5}`, `5`},
		{
			"strings", `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string","maxLength":3}},"required":["a","b"]}`,
			`{"a":"the list","b":"tex"}`,
		},
		{"minimum length", `{"type":"object","properties":{"a":{"type":"string","minLength":10}},"required":["a"]}`, `{"a":"the list.."}`},
		{
			"repository", `{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"}},"required":["repo"]}`,
			`{"owner":"a","repo":"b"}`,
		},
		{"full repository", `{"type":"object","properties":{"repo_name":{"type":"string"}},"required":["repo_name"]}`, `{"repo_name":"a/b"}`},
		{
			"string or list", `{"type":"object","properties":{"repoName":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}},"required":["repoName"]}`,
			`{"repoName":"a/b"}`,
		},
		{"URL", `{"type":"object","properties":{"url":{"type":"string"}},"required":["url"]}`, `{"url":"https://example.org/x?y=1"}`},
		{
			"enums", `{"type":"object","properties":{"p":{"enum":["LOW","HIGH"]},"q":{"enum":["x","y"]},"r":{"enum":["x","y"],"default":"y"},"s":{"enum":["x"]}},"required":["p","q","r"]}`,
			`{"p":"HIGH","q":"x","r":"y"}`,
		},
		{"optional enum", `{"type":"object","properties":{"p":{"enum":["LOW","HIGH"]}}}`, `{"p":"HIGH"}`},
		{"constant", `{"const":{"a":[1]}}`, `{"a":[1]}`},
		{"nullable", `{"type":["null","boolean"]}`, `false`},
		{"null option", `{"anyOf":[{"type":"null"},{"type":"integer"}]}`, `2`},
		{
			"nested", `{"type":"object","properties":{"o":{"type":"object","properties":{"l":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}},"required":["l"]}},"required":["o"]}`,
			`{"o":{"l":[{"n":2}]}}`,
		},
		{"reference", `{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"],"$defs":{"n":{"type":"integer"}}}`, `{"a":2}`},
		{
			"all of", `{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"boolean"}},"required":["b"]}]}`,
			`{"a":2,"b":false}`,
		},
		{"date", `{"type":"string","format":"date-time"}`, `"2026-01-01T00:00:00Z"`},
		{"default", `{"type":"string","default":"main"}`, `"main"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s schema
			if err := json.Unmarshal([]byte(tt.schema), &s); err != nil {
				t.Fatal(err)
			}
			got := fillJSON(t, s)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			mustBeValid(t, tt.schema, got)
		})
	}
}

func fillJSON(t testing.TB, s schema) string {
	t.Helper()
	f := filler{root: s, prompt: readPrompt(testPrompt), repo: repo{"a", "b"}, text: "text", rest: "rest"}
	data, err := marshal(f.value(s, nil, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustBeValid(t *testing.T, schemaText, value string) {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(schemaText), &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(v); err != nil {
		t.Errorf("%s is not valid: %v", value, err)
	}
}

// TestFillerEndsOnHostileSchemas has no values to compare: it must end, and with a value of bounded size.
func TestFillerEndsOnHostileSchemas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"$ref":"#"}`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`,
		`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}},"required":["a","b","c"]}`,
		`{"type":"array","minItems":1000000000,"items":{"$ref":"#"}}`,
		`{"allOf":[{"$ref":"#"}]}`,
		`{"anyOf":[{"$ref":"#"}]}`,
		`{"type":"string","minLength":2000000000}`,
		`{"type":"number","minimum":9,"maximum":1,"multipleOf":0}`,
		`{"type":{},"properties":7,"required":[{}],"enum":{},"items":[true]}`,
	} {
		var s schema
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if got := fillJSON(t, s); len(got) > 1<<20 {
			t.Errorf("%s gave %d bytes", text, len(got))
		}
	}
}

func TestStructuredAnswers(t *testing.T) {
	t.Parallel()
	const s = `{"type":"object","properties":{"summary":{"type":"string"},"repo":{"type":"string"},"stars":{"type":"integer","minimum":0},` +
		`"tags":{"type":"array","items":{"type":"string"}},"risk":{"enum":["low","high"]}},"required":["summary","repo","stars","tags","risk"],` +
		`"additionalProperties":false}`
	body := `{"model":"m","messages":[{"role":"user","content":"Summarize a/b"},` +
		`{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"w__ask"}}]},{"role":"tool","tool_call_id":"1","content":"It is good."}],` +
		`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":` + s + `}}}`
	r, err := decodeChat([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := respond(r)
	if err != nil {
		t.Fatal(err)
	}
	mustBeValid(t, s, got.text)
	var answer struct{ Summary, Repo string }
	if err := json.Unmarshal([]byte(got.text), &answer); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer.Summary, "> It is good.") || !strings.HasSuffix(answer.Summary, notice) || answer.Repo != "a/b" {
		t.Errorf("answer %+v", answer)
	}

	r.ResponseFormat.Type = "json_object"
	if got, err = respond(r); err != nil || !json.Valid([]byte(got.text)) || !strings.HasPrefix(got.text, `{"answer":"I asked`) {
		t.Errorf("json_object: %v: %s", err, got.text)
	}
}

func TestReadPrompt(t *testing.T) {
	t.Parallel()
	p := readPrompt("Compare `a/b`, https://github.com/c/d.git, (e/f) and a/b's tests and/or I/O on 10/12; see #7, -1.5, 3 and src/x/y.")
	if diff := cmp.Diff("[a/b c/d e/f] [7 -1.5 3]", fmt.Sprint(p.repos, p.numbers)); diff != "" {
		t.Error(diff)
	}
	if p.both || !readPrompt("Both, please").both {
		t.Error(`"both" was not told apart`)
	}
	p = readPrompt(`Say "hello" and “good bye” to "a/b"`)
	if diff := cmp.Diff([]string{"hello", "good bye"}, p.quoted); diff != "" {
		t.Error(diff)
	}
	if cut := clip("añb", 2); cut != "a" {
		t.Errorf("clip cut a character: %q", cut)
	}
}

func TestTrackerIsBounded(t *testing.T) {
	t.Parallel()
	tr := tracker{created: map[string][]issue{}}
	for i := range maxCreated {
		if _, err := tr.add(repo{"a", fmt.Sprint(i % 3)}, "t", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tr.add(repo{"a", "b"}, "t", ""); err == nil {
		t.Error("one issue too many was kept")
	}
}

func FuzzRespond(f *testing.F) {
	f.Add(`{"model":"m","messages":[{"role":"user","content":"Use x to find a/b"}],"tools":[{"type":"function","function":{"name":"x__find","parameters":{"type":"object","properties":{"q":{"$ref":"#"}},"required":["q"]}}}]}`)
	f.Add(`{"model":"m","messages":[{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"x"}]}],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array"}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		r, err := decodeChat([]byte(body))
		if err != nil {
			return
		}
		got, err := respond(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got.calls {
			if !strings.HasPrefix(c.arguments, "{") || !json.Valid([]byte(c.arguments)) {
				t.Errorf("arguments %q", c.arguments)
			}
		}
		if len(got.calls) == 0 && got.text == "" {
			t.Error("an empty answer")
		}
	})
}
