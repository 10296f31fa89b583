package responses_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

func tools(list string) string { return with(`"tools":[` + list + `]`) }

func TestDecodeTools(t *testing.T) {
	t.Parallel()
	mcp := func(allowed responses.ToolFilter) responses.Tool {
		return &responses.MCPTool{ServerLabel: "s", ServerURL: "https://h/mcp", Allowed: allowed}
	}
	const least = `"type":"mcp","server_label":"s","server_url":"https://h/mcp"`
	tests := []struct {
		name, list string
		want       []responses.Tool
	}{
		{"least", `{` + least + `}`, []responses.Tool{mcp(responses.ToolFilter{})}},
		{
			"everything",
			`{"type":"mcp","server_label":"git-Hub_1","server_url":"https://h/mcp","authorization":"token","headers":{"X-B":"b","X-A":""},
			  "server_description":"d","allowed_tools":["b","a"],"require_approval":"always","defer_loading":true,
			  "connector_id":"connector_gmail","allowed_callers":["direct"],"tunnel_id":null}`,
			[]responses.Tool{&responses.MCPTool{
				ServerLabel: "git-Hub_1", ServerURL: "https://h/mcp", Authorization: "token", Headers: map[string]string{"X-A": "", "X-B": "b"},
				Description: "d", Allowed: responses.ToolFilter{Names: []string{"b", "a"}},
				Approval: responses.ApprovalPolicy{Mode: responses.ApproveAlways},
			}},
		},
		{
			"nulls",
			`{` + least + `,"authorization":null,"headers":null,"server_description":null,"allowed_tools":null,"require_approval":null,
			  "defer_loading":null,"connector_id":null,"allowed_callers":null}`,
			[]responses.Tool{mcp(responses.ToolFilter{})},
		},
		{
			"saved connector", `{"type":"mcp","server_label":"s","connector_id":"conn_1","server_url":null,"authorization":null,"headers":{},"allowed_tools":["a"]}`,
			[]responses.Tool{&responses.MCPTool{ServerLabel: "s", ConnectorID: "conn_1", Headers: map[string]string{}, Allowed: responses.ToolFilter{Names: []string{"a"}}}},
		},
		{"no names", `{` + least + `,"allowed_tools":[]}`, []responses.Tool{mcp(responses.ToolFilter{Names: []string{}})}},
		{"filter object", `{` + least + `,"allowed_tools":{"tool_names":["a"],"read_only":true}}`, []responses.Tool{mcp(responses.ToolFilter{Names: []string{"a"}, ReadOnly: true})}},
		{"filter of nulls", `{` + least + `,"allowed_tools":{"tool_names":null,"read_only":null}}`, []responses.Tool{mcp(responses.ToolFilter{})}},
		{
			"function",
			`{"type":"function","name":"f","description":"d","parameters":{"type": "object"},"strict":false,"defer_loading":true,"allowed_callers":["direct"],"async":false,"output_schema":{}},
			 {"type":"function","name":"s","description":null,"parameters":null,"strict":null}`,
			[]responses.Tool{
				&responses.FunctionTool{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type": "object"}`), Strict: ptr(false)},
				&responses.FunctionTool{Name: "s"},
			},
		},
		{
			"a function may have the name of a server", `{` + least + `},{"type":"function","name":"s"}`,
			[]responses.Tool{mcp(responses.ToolFilter{}), &responses.FunctionTool{Name: "s"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := decode(t, tools(tt.list))
			if diff := cmp.Diff(tt.want, req.Tools); diff != "" {
				t.Errorf("tools differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeApproval(t *testing.T) {
	t.Parallel()
	named := func(names ...string) *responses.ToolFilter { return &responses.ToolFilter{Names: names} }
	for shape, want := range map[string]responses.ApprovalPolicy{
		`null`:                            {},
		`{}`:                              {},
		`{"always":null,"never":null}`:    {},
		`"always"`:                        {Mode: responses.ApproveAlways},
		`"never"`:                         {Mode: responses.ApproveNever},
		`{"never":{"tool_names":["a"]}}`:  {Never: named("a")},
		`{"always":{"tool_names":["a"]}}`: {Always: named("a")},
		`{"never":{"read_only":true}}`:    {Never: &responses.ToolFilter{ReadOnly: true}},
		`{"never":{"read_only":false}}`:   {Never: &responses.ToolFilter{}},
		`{"never":{}}`:                    {Never: &responses.ToolFilter{}},
		`{"always":{"tool_names":["a","b"],"read_only":true},"never":{"tool_names":["c"],"read_only":null}}`: {
			Always: &responses.ToolFilter{Names: []string{"a", "b"}, ReadOnly: true}, Never: named("c"),
		},
	} {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			req := decode(t, tools(`{"type":"mcp","server_label":"s","server_url":"https://h","require_approval":`+shape+`}`))
			if diff := cmp.Diff(want, req.MCPTools()[0].Approval); diff != "" {
				t.Errorf("policy differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecodeApprovalThatDoesNotCount: in the Agent API the member has no effect, so nothing that it says is wrong.
func TestDecodeApprovalThatDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`"always"`, `"auto"`, `7`, `{"sometimes":{}}`, `{"never":{"tool_names":"a"}}`, `null`} {
		body := []byte(`{"input":"hi","tools":[{"type":"mcp","server_label":"s","server_url":"https://h","require_approval":` + value + `}]}`)
		req, err := responses.DecodeRequest(body, responses.DialectAgent)
		if err != nil {
			t.Errorf("require_approval %s is refused: %v", value, err)
			continue
		}
		if diff := cmp.Diff(responses.ApprovalPolicy{}, req.MCPTools()[0].Approval); diff != "" {
			t.Errorf("require_approval %s (-want +got):\n%s", value, diff)
		}
	}
}

func TestApprovalPolicyJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		policy responses.ApprovalPolicy
		want   string
		kept   responses.ApprovalPolicy
	}{
		{responses.ApprovalPolicy{}, `"always"`, responses.ApprovalPolicy{Mode: "always"}},
		{responses.ApprovalPolicy{Mode: "always"}, `"always"`, responses.ApprovalPolicy{Mode: "always"}},
		{responses.ApprovalPolicy{Mode: "never"}, `"never"`, responses.ApprovalPolicy{Mode: "never"}},
		{
			responses.ApprovalPolicy{Always: &responses.ToolFilter{Names: []string{"a"}}, Never: &responses.ToolFilter{ReadOnly: true}},
			`{"always":{"tool_names":["a"]},"never":{"read_only":true}}`,
			responses.ApprovalPolicy{Always: &responses.ToolFilter{Names: []string{"a"}}, Never: &responses.ToolFilter{ReadOnly: true}},
		},
		{responses.ApprovalPolicy{Never: &responses.ToolFilter{}}, `{"never":{}}`, responses.ApprovalPolicy{Never: &responses.ToolFilter{}}},
	}
	for _, tt := range tests {
		data, err := json.Marshal(tt.policy)
		if err != nil || string(data) != tt.want {
			t.Errorf("%+v is %s, %v; want %s", tt.policy, data, err, tt.want)
		}
		got := responses.ApprovalPolicy{Mode: "x", Always: &responses.ToolFilter{}}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.kept, got); diff != "" {
			t.Errorf("through %s (-want +got):\n%s", data, diff)
		}
	}
	var got responses.ApprovalPolicy
	if err := json.Unmarshal([]byte(`[]`), &got); err == nil {
		t.Errorf("[] was read as %+v", got)
	}
}

func TestApprovalPolicyRequires(t *testing.T) {
	t.Parallel()
	named := func(names ...string) *responses.ToolFilter { return &responses.ToolFilter{Names: names} }
	readOnly := &responses.ToolFilter{ReadOnly: true}
	tests := []struct {
		name     string
		policy   responses.ApprovalPolicy
		readOnly bool
		want     bool // for the tool "t"
	}{
		{"default", responses.ApprovalPolicy{}, true, true},
		{"always", responses.ApprovalPolicy{Mode: "always"}, true, true},
		{"never", responses.ApprovalPolicy{Mode: "never"}, false, false},
		{"never by name", responses.ApprovalPolicy{Never: named("s", "t")}, false, false},
		{"never another", responses.ApprovalPolicy{Never: named("s")}, true, true},
		{"never what only reads", responses.ApprovalPolicy{Never: readOnly}, true, false},
		{"never what only reads, but it writes", responses.ApprovalPolicy{Never: readOnly}, false, true},
		{"never, both conditions", responses.ApprovalPolicy{Never: &responses.ToolFilter{Names: []string{"t"}, ReadOnly: true}}, false, true},
		{"never nothing", responses.ApprovalPolicy{Never: &responses.ToolFilter{}}, true, true},
		{"always another", responses.ApprovalPolicy{Always: named("s")}, true, true},
		{"both filters", responses.ApprovalPolicy{Always: named("t"), Never: named("t")}, true, true},
		{"always another, never this", responses.ApprovalPolicy{Always: named("s"), Never: named("t")}, false, false},
	}
	for _, tt := range tests {
		if got := tt.policy.Requires("t", tt.readOnly); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestDecodeToolsRefuses(t *testing.T) {
	t.Parallel()
	mcp := func(members string) string {
		return tools(`{"type":"mcp","server_label":"s","server_url":"https://h/mcp",` + members + `}`)
	}
	saved := func(members string) string {
		return tools(`{"type":"mcp","server_label":"s","connector_id":"conn_1",` + members + `}`)
	}
	function := func(members string) string { return tools(`{"type":"function","name":"f",` + members + `}`) }
	label := func(s string) string {
		return tools(`{"type":"mcp","server_label":"` + s + `","server_url":"https://h/mcp"}`)
	}
	checkRefused(t, []refused{
		{"not a list", with(`"tools":{}`), "tools", "array"},
		{"not an object", tools(`"mcp"`), "tools[0]", "object"},
		{"no type", tools(`{"name":"f"}`), "tools[0].type", "required"},
		{"unknown type", tools(`{"type":"web_search"}`), "tools[0].type", `unsupported tool type "web_search"`},
		{"many", tools(many(513, `{"type":"function","name":"f%d"}`)), "tools", "more than 512"},
		{"unknown", mcp(`"foo":1`), "tools[0].foo", `unknown field "tools[0].foo"`},
		{"no label", tools(`{"type":"mcp","server_url":"https://h"}`), "tools[0].server_label", "required"},
		{"empty label", label(""), "tools[0].server_label", "empty"},
		{"label with a space", label("a b"), "tools[0].server_label", "must match"},
		{"label with a line feed", label(`a\n`), "tools[0].server_label", "must match"},
		{"label of 65", label(strings.Repeat("a", 65)), "tools[0].server_label", "must match"},
		{"label not ASCII", label("é"), "tools[0].server_label", "must match"},
		{"label twice", tools(`{"type":"function","name":"s"},` + many(2, `{"type":"mcp","server_label":"s","server_url":"https://h%d"}`)), "tools[2].server_label", `"s" is already the server_label of tools[1]`},
		{"no url", tools(`{"type":"mcp","server_label":"s"}`), "tools[0].server_url", "required"},
		{"connector without url", tools(`{"type":"mcp","server_label":"s","connector_id":"connector_gmail"}`), "tools[0].server_url", "required"},
		{"saved connector with a URL", mcp(`"connector_id":"conn_1"`), "tools[0].server_url", "brings its own"},
		{"saved connector with a token", saved(`"authorization":"t"`), "tools[0].authorization", "brings its own"},
		{"saved connector with headers", saved(`"headers":{"X-A":"a"}`), "tools[0].headers", "brings its own"},
		{"tunnel", mcp(`"tunnel_id":"t"`), "tools[0].tunnel_id", "not supported yet"},
		{"caller", mcp(`"allowed_callers":["direct","programmatic"]`), "tools[0].allowed_callers[1]", "not supported yet"},
		{"authorization", mcp(`"authorization":{"token":"x"}`), "tools[0].authorization", "must be a string"},
		{"headers list", mcp(`"headers":["A: b"]`), "tools[0].headers", "object"},
		{"header number", mcp(`"headers":{"X-A":"a","X-B":1}`), "tools[0].headers.X-B", "must be a string"},
		{"header null", mcp(`"headers":{"X-A":null}`), "tools[0].headers.X-A", "must be a string"},
		{"many headers", mcp(`"headers":{` + many(65, `"X-%d":""`) + `}`), "tools[0].headers", "65 entries; at most 64"},
		{"allowed_tools string", mcp(`"allowed_tools":"a"`), "tools[0].allowed_tools", "array of tool names or an object"},
		{"allowed_tools number", mcp(`"allowed_tools":["a",1]`), "tools[0].allowed_tools[1]", "must be a string"},
		{"allowed_tools many", mcp(`"allowed_tools":[` + many(1025, `"%d"`) + `]`), "tools[0].allowed_tools", "more than 1024"},
		{"allowed_tools long", mcp(`"allowed_tools":["` + strings.Repeat("a", 129) + `"]`), "tools[0].allowed_tools[0]", "128 characters"},
		{"filter unknown", mcp(`"allowed_tools":{"names":["a"]}`), "tools[0].allowed_tools.names", "unknown field"},
		{"filter names", mcp(`"allowed_tools":{"tool_names":"a"}`), "tools[0].allowed_tools.tool_names", "array"},
		{"filter read_only", mcp(`"allowed_tools":{"read_only":"yes"}`), "tools[0].allowed_tools.read_only", "true or false"},
		{"approval word", mcp(`"require_approval":"sometimes"`), "tools[0].require_approval", `must be "always", "never" or an object`},
		{"approval number", mcp(`"require_approval":7`), "tools[0].require_approval", "must be"},
		{"approval true", mcp(`"require_approval":true`), "tools[0].require_approval", "must be"},
		{"approval list", mcp(`"require_approval":[]`), "tools[0].require_approval", "must be"},
		{"approval unknown", mcp(`"require_approval":{"sometimes":{}}`), "tools[0].require_approval.sometimes", "unknown field"},
		{"approval filter list", mcp(`"require_approval":{"never":["a"]}`), "tools[0].require_approval.never", "object"},
		{"approval filter unknown", mcp(`"require_approval":{"always":{"names":[]}}`), "tools[0].require_approval.always.names", "unknown field"},
		{"approval filter name", mcp(`"require_approval":{"always":{"tool_names":["a",1]}}`), "tools[0].require_approval.always.tool_names[1]", "must be a string"},
		{"approval filter many", mcp(`"require_approval":{"never":{"tool_names":[` + many(1025, `"%d"`) + `]}}`), "tools[0].require_approval.never.tool_names", "more than 1024"},
		{"approval filter read_only", mcp(`"require_approval":{"never":{"read_only":"yes"}}`), "tools[0].require_approval.never.read_only", "true or false"},
		{"function no name", tools(`{"type":"function"}`), "tools[0].name", "required"},
		{"function name", tools(`{"type":"function","name":"a.b"}`), "tools[0].name", "must match"},
		{"function twice", tools(many(2, `{"type":"function","name":"f","description":"%d"}`)), "tools[1].name", `"f" is already the name of tools[0]`},
		{"function unknown", function(`"function":{}`), "tools[0].function", "unknown field"},
		{"function parameters", function(`"parameters":[]`), "tools[0].parameters", "object"},
		{"function strict", function(`"strict":"yes"`), "tools[0].strict", "true or false"},
		{"function async", function(`"async":true`), "tools[0].async", "not supported yet"},
		{"function caller", function(`"allowed_callers":["programmatic"]`), "tools[0].allowed_callers[0]", "not supported yet"},
	})
}

const threeTools = `"tools":[{"type":"mcp","server_label":"s","server_url":"https://h"},{"type":"function","name":"f"},{"type":"function","name":"g"}]`

func TestDecodeToolChoice(t *testing.T) {
	t.Parallel()
	required := func(refs ...responses.ToolRef) responses.ToolChoice {
		return responses.ToolChoice{Mode: responses.ToolChoiceRequired, Only: refs}
	}
	tests := []struct {
		choice string
		want   responses.ToolChoice
	}{
		{`"none"`, responses.ToolChoice{Mode: responses.ToolChoiceNone}},
		{`"auto"`, responses.ToolChoice{Mode: responses.ToolChoiceAuto}},
		{`"required"`, required()},
		{`{"type":"none"}`, responses.ToolChoice{Mode: responses.ToolChoiceNone}},
		{`{"type":"auto"}`, responses.ToolChoice{Mode: responses.ToolChoiceAuto}},
		{`{"type":"required"}`, required()},
		{`{"type":"function","name":"f"}`, required(responses.ToolRef{Name: "f"})},
		{`{"name":"g"}`, required(responses.ToolRef{Name: "g"})},
		{`{"type":"mcp","server_label":"s"}`, required(responses.ToolRef{Server: "s"})},
		{`{"type":"mcp","server_label":"s","name":null}`, required(responses.ToolRef{Server: "s"})},
		{`{"type":"mcp","server_label":"s","name":"t"}`, required(responses.ToolRef{Server: "s", Name: "t"})},
		{
			`{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"mcp","server_label":"s"},{"type":"mcp","server_label":"s","name":"t"}]}`,
			required(responses.ToolRef{Name: "f"}, responses.ToolRef{Server: "s"}, responses.ToolRef{Server: "s", Name: "t"}),
		},
		{`{"type":"allowed_tools","mode":"auto","tools":[{"name":"f"}]}`, responses.ToolChoice{Mode: "auto", Only: []responses.ToolRef{{Name: "f"}}}},
		{`{"type":"allowed_tools","tools":[{"type":"mcp","server_label":"s"}]}`, responses.ToolChoice{Mode: "auto", Only: []responses.ToolRef{{Server: "s"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.choice, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			want.Raw = json.RawMessage(tt.choice)
			got := decode(t, with(threeTools+`,"tool_choice":`+tt.choice)).ToolChoice
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tool choice differs (-want +got):\n%s", diff)
			}
		})
	}
	choice := func(s string) string { return with(threeTools + `,"tool_choice":` + s) }
	checkRefused(t, []refused{
		{"unknown word", choice(`"any"`), "tool_choice", `"required"`},
		{"number", choice(`1`), "tool_choice", "string or an object"},
		{"list", choice(`[]`), "tool_choice", "string or an object"},
		{"no tools", with(`"tool_choice":"required"`), "tool_choice", "the request has none"},
		{"unknown type", choice(`{"type":"web_search"}`), "tool_choice.type", `unsupported tool choice "web_search"`},
		{"unknown field", choice(`{"type":"auto","foo":1}`), "tool_choice.foo", "unknown field"},
		{"empty object", choice(`{}`), "tool_choice.name", "required"},
		{"function without name", choice(`{"type":"function"}`), "tool_choice.name", "required"},
		{"unknown function", choice(`{"type":"function","name":"h"}`), "tool_choice.name", `no function of the request has the name "h"`},
		{"mcp without label", choice(`{"type":"mcp"}`), "tool_choice.server_label", "required"},
		{"unknown label", choice(`{"type":"mcp","server_label":"x"}`), "tool_choice.server_label", `has the label "x"`},
		{"no list", choice(`{"type":"allowed_tools","mode":"auto"}`), "tool_choice.tools", "required"},
		{"empty list", choice(`{"type":"allowed_tools","tools":[]}`), "tool_choice.tools", "at least one tool"},
		{"mode none", choice(`{"type":"allowed_tools","mode":"none","tools":[{"name":"f"}]}`), "tool_choice.mode", `"auto"`},
		{"unknown in list", choice(`{"type":"allowed_tools","tools":[{"name":"f"},{"type":"function","name":"x"}]}`), "tool_choice.tools[1].name", `"x"`},
		{"unknown label in list", choice(`{"type":"allowed_tools","tools":[{"type":"mcp","server_label":"x"}]}`), "tool_choice.tools[0].server_label", `"x"`},
		{"unknown type in list", choice(`{"type":"allowed_tools","tools":[{"type":"image_generation"}]}`), "tool_choice.tools[0].type", "unsupported"},
		{"unknown field in list", choice(`{"type":"allowed_tools","tools":[{"name":"f","foo":1}]}`), "tool_choice.tools[0].foo", "unknown field"},
	})
}

func TestToolChoiceAllows(t *testing.T) {
	t.Parallel()
	only := []responses.ToolRef{{Name: "f"}, {Server: "all"}, {Server: "some", Name: "t"}}
	tests := []struct {
		choice       responses.ToolChoice
		server, name string
		want         bool
	}{
		{responses.ToolChoice{Mode: "auto"}, "", "f", true},
		{responses.ToolChoice{Mode: "required"}, "s", "t", true},
		{responses.ToolChoice{Mode: "none"}, "s", "t", false},
		{responses.ToolChoice{Mode: "none", Only: only}, "", "f", false},
		{responses.ToolChoice{Mode: "auto", Only: []responses.ToolRef{}}, "", "f", false},
		{responses.ToolChoice{Mode: "auto", Only: only}, "", "f", true},
		{responses.ToolChoice{Mode: "auto", Only: only}, "", "g", false},
		{responses.ToolChoice{Mode: "auto", Only: only}, "all", "f", true},
		{responses.ToolChoice{Mode: "auto", Only: only}, "some", "t", true},
		{responses.ToolChoice{Mode: "auto", Only: only}, "some", "f", false},
		{responses.ToolChoice{Mode: "auto", Only: only}, "", "all", false},
	}
	for _, tt := range tests {
		if got := tt.choice.Allows(tt.server, tt.name); got != tt.want {
			t.Errorf("%+v allows %q %q: %v, want %v", tt.choice, tt.server, tt.name, got, tt.want)
		}
	}
}

// A choice travels through a run's history, and a limit must not get lost there.
func TestToolChoiceKeepsItsLimit(t *testing.T) {
	t.Parallel()
	for _, only := range [][]responses.ToolRef{nil, {}, {{Server: "s"}}} {
		data, err := json.Marshal(responses.ToolChoice{Mode: "auto", Only: only})
		if err != nil {
			t.Fatal(err)
		}
		var got responses.ToolChoice
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(only, got.Only); diff != "" {
			t.Errorf("through %s (-want +got):\n%s", data, diff)
		}
	}
}

func TestToolFilterJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		filter responses.ToolFilter
		want   string
	}{
		{responses.ToolFilter{Names: []string{}}, `[]`},
		{responses.ToolFilter{Names: []string{"b", "a"}}, `["b","a"]`},
		{responses.ToolFilter{ReadOnly: true}, `{"read_only":true}`},
		{responses.ToolFilter{Names: []string{"a"}, ReadOnly: true}, `{"tool_names":["a"],"read_only":true}`},
	}
	for _, tt := range tests {
		data, err := json.Marshal(&tt.filter)
		if err != nil || string(data) != tt.want {
			t.Errorf("%+v is %s, %v; want %s", tt.filter, data, err, tt.want)
		}
		var got responses.ToolFilter
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.filter, got); diff != "" {
			t.Errorf("through %s (-want +got):\n%s", data, diff)
		}
	}
	// Histories hold the object form of an empty filter, too.
	got := responses.ToolFilter{ReadOnly: true}
	if err := json.Unmarshal([]byte(`{}`), &got); err != nil || got.ReadOnly || got.Names != nil {
		t.Errorf("{} decodes to %+v, %v", got, err)
	}
}

func TestToolsOfOneKind(t *testing.T) {
	t.Parallel()
	req := decode(t, with(threeTools))
	if mcp, functions := req.MCPTools(), req.FunctionTools(); len(mcp) != 1 || mcp[0].ServerLabel != "s" || len(functions) != 2 || functions[1].Name != "g" {
		t.Errorf("MCP tools %v, functions %v", mcp, functions)
	}
}

// A log line that renders a request must not have the secrets in it.
func TestMCPToolJSONHasNoSecrets(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(&responses.MCPTool{ServerLabel: "s", Authorization: "secret1", Headers: map[string]string{"X": "secret2"}})
	if err != nil || strings.Contains(string(data), "secret") {
		t.Errorf("rendered as %s, %v", data, err)
	}
}
