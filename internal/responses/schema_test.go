package responses_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// schemas that encoding/json would change, each in its own way, and some that it would not.
var schemas = []string{
	`{"type":"object","properties":{"repoName":{"type":"string"}},"required":["repoName"]}`,
	`{}`,
	"{ \"z\" : 1,\n\t\"a\":\r\n[ ] }",
	`{"pattern":"^<a href=\"x\">&amp;$"}`,
	"{\"description\":\"line\u2028separator\u2029\"}",
	`{"description":"caf\u00e9 \ud83d\ude00 \/"}`,
	`{"description":"lone surrogate \ud800"}`,
	`{"maximum":123456789012345678901234567890,"minimum":-9007199254740993,"multipleOf":1.0,"default":1e400,"const":1E+2}`,
	`{"b":1,"a":2,"b":3}`,
	`{"description":"schema:0 \"schema:1\" {\"schema\":\"\"}"}`,
	`{"$comment":"` + strings.Repeat("<", 1000) + `"}`,
	`true`, `null`, `"text"`, `"{}"`, ` {}`, `[1, 2]`,
}

// keep passes a value through a history: encoded for the store, then as a part of a larger payload, and back.
func keep(t *testing.T, v, out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{"json": json.RawMessage(data)})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		JSON json.RawMessage `json:"json"`
	}
	if err := json.Unmarshal(payload, &back); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(back.JSON, out); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaIsKeptByteForByte(t *testing.T) {
	t.Parallel()
	for _, schema := range schemas {
		list := &responses.MCPListTools{Tools: []responses.MCPToolInfo{{Name: "t", InputSchema: responses.Schema(schema)}}}
		var got responses.MCPListTools
		keep(t, list, &got)
		if diff := cmp.Diff(schema, string(got.Tools[0].InputSchema)); diff != "" {
			t.Errorf("schema differs (-want +got):\n%s", diff)
		}
	}
}

func TestSchemaIsOnTheWireByteForByte(t *testing.T) {
	t.Parallel()
	r := &responses.Response{}
	for i, schema := range schemas {
		r.Output = append(r.Output, &responses.MCPListTools{Tools: []responses.MCPToolInfo{
			{Name: "plain", InputSchema: responses.Schema(`{"type":"object"}`)},
			{Name: strconv.Itoa(i), InputSchema: responses.Schema(schema)},
		}})
	}
	_, body := wire(t, r)
	for i, schema := range schemas {
		want := `"tools":[{"name":"plain","description":"","input_schema":{"type":"object"}},{"name":"` + strconv.Itoa(i) +
			`","description":"","input_schema":` + schema + `}]`
		if !strings.Contains(body, want) {
			t.Errorf("schema %d is not in the response as it was: %s", i, schema)
		}
	}
}

// A schema that is not JSON can only be a mistake of ours. The rest of the response must survive it.
func TestBrokenSchemaDoesNotBreakTheResponse(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{`{`, `{}{}`, `{"a":1,}`, "{\"a\":\"\xff\"}", `,`, ``} {
		wire(t, &responses.Response{Output: []responses.Item{
			&responses.MCPListTools{Tools: []responses.MCPToolInfo{{InputSchema: responses.Schema(broken)}}},
		}})
	}
}

func FuzzSchema(f *testing.F) {
	for _, schema := range schemas {
		f.Add([]byte(schema))
	}
	f.Add([]byte("{\"a\":\"\xff\"}"))
	f.Add([]byte(`{"a":`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		list := &responses.MCPListTools{Tools: []responses.MCPToolInfo{{Name: "t", InputSchema: schema}}}
		items := output(t, &responses.Response{Output: []responses.Item{list, list}})
		if !json.Valid(schema) || !bytes.Equal(schema, bytes.ToValidUTF8(schema, nil)) {
			return
		}
		var kept responses.MCPListTools
		keep(t, list, &kept)
		if got := kept.Tools[0].InputSchema; !bytes.Equal(got, schema) {
			t.Errorf("kept as %q, want %q", got, schema)
		}
		for _, item := range items {
			var on struct {
				Tools []struct {
					Schema json.RawMessage `json:"input_schema"`
				} `json:"tools"`
			}
			if err := json.Unmarshal(item, &on); err != nil {
				t.Fatal(err)
			}
			// A decoder drops the white space around a value.
			if got, want := on.Tools[0].Schema, bytes.Trim(schema, " \t\r\n"); !bytes.Equal(got, want) && string(want) != "null" {
				t.Errorf("on the wire %q, want %q", got, want)
			}
		}
	})
}
