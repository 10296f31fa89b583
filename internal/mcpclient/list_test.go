package mcpclient_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func TestListToolsOfARealServer(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{}), newClient(t, mcpclient.Options{})
	listing, err := c.ListTools(t.Context(), "run", at(s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	readOnly := make(map[string]bool)
	for _, tool := range listing.Tools {
		names = append(names, tool.Name)
		readOnly[tool.Name] = tool.ReadOnly != nil && *tool.ReadOnly
		if !json.Valid(tool.InputSchema) || tool.Description == "" {
			t.Errorf("tool %+v is incomplete", tool)
		}
	}
	if diff := cmp.Diff([]string{"add", "append", "echo", "fail", "lookup", "slow"}, names); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if !readOnly["lookup"] || readOnly["append"] {
		t.Errorf("read-only: %v", readOnly)
	}
	if listing.ServerName != "mcptest" || listing.ServerVersion != "1.0.0" || listing.ProtocolVersion != "2025-11-25" {
		t.Errorf("got server %q %q, version %q", listing.ServerName, listing.ServerVersion, listing.ProtocolVersion)
	}
}

func schemasPassThroughByteForByte(t *testing.T) {
	t.Parallel()
	schemas := []string{
		`{"type":"object","properties":{"zeta":{"maximum":9223372036854775807},"alpha":{"const":9007199254740993}},"required":["zeta"]}`,
		"{ \"type\" : \"object\",  \"\\u0061\":\t[1, 2.50, 1E2, -0] }",
		`{"x":"<&>\u2028é","$ref":"https://example.com/schema","a":1,"a":2}`,
		`{}`,
	}
	for _, events := range []bool{false, true} {
		h, c := newHostile(t), newClient(t, mcpclient.Options{})
		for _, schema := range schemas {
			result := `{"tools":[{"name":"t","inputSchema": ` + schema + ` ,"annotations":{"readOnlyHint":false,"idempotentHint":true}}]}`
			h.On("tools/list", mcptest.Result(result))
			if events {
				h.On("tools/list", mcptest.Events(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`, mcptest.ResultEvent(result)))
			}
			listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
			if err != nil || len(listing.Tools) != 1 {
				t.Fatalf("got %+v, %v", listing, err)
			}
			tool := listing.Tools[0]
			if diff := cmp.Diff(schema, string(tool.InputSchema)); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
			if tool.ReadOnly == nil || *tool.ReadOnly || tool.Idempotent == nil || !*tool.Idempotent || tool.Destructive != nil {
				t.Errorf("got hints %v %v %v", tool.ReadOnly, tool.Idempotent, tool.Destructive)
			}
		}
	}
}

func TestEventOverSeveralLines(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", mcptest.Body(200, "text/event-stream; charset=utf-8",
		": comment\r\nid: 1\r\ndata:\r\n\r\nevent: other\ndata: no JSON\n\nretry: 1\nnonsense\n"+
			"data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":$ID,\ndata: \"result\":{\"content\":[],\ndata:\"structuredContent\":{ \"a\":\ndata: 1}}}\n"))
	result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	if err != nil || result.Output != "{ \"a\":\n1}" {
		t.Errorf("got %q, %v", result.Output, err)
	}
}

// One broken tool never fails the list.
func brokenTools(t *testing.T) {
	t.Parallel()
	good := `{"name":"good","inputSchema":{"type":"object"}}`
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + `{}` + strings.Repeat(`}`, n-1) }
	tests := map[string]struct {
		tool       string
		wantName   string
		wantReason string // part of it; "" if the tool is fine
	}{
		"schema missing":         {`{"name":"x"}`, "x", "no input schema"},
		"schema null":            {`{"name":"x","inputSchema":null}`, "x", "no input schema"},
		"schema true":            {`{"name":"x","inputSchema":true}`, "x", "not an object"},
		"schema an array":        {`{"name":"x","inputSchema":[]}`, "x", "not an object"},
		"schema a string":        {`{"name":"x","inputSchema":"{}"}`, "x", "not an object"},
		"schema with 1e400":      {`{"name":"x","inputSchema":{"maximum":1e400}}`, "x", "too large"},
		"schema too large":       {`{"name":"x","inputSchema":{"t":"` + strings.Repeat("x", 64<<10) + `"}}`, "x", "65536"},
		"schema just fits":       {`{"name":"x","inputSchema":{"t":"` + strings.Repeat("x", 64<<10-8) + `"}}`, "x", ""},
		"schema too deep":        {`{"name":"x","inputSchema":` + deep(33) + `}`, "x", "32 levels"},
		"schema just not deep":   {`{"name":"x","inputSchema":` + deep(32) + `}`, "x", ""},
		"schema not UTF-8":       {"{\"name\":\"x\",\"inputSchema\":{\"a\":\"\xff\"}}", "x", "UTF-8"},
		"name missing":           {`{"inputSchema":{}}`, "", "no name"},
		"name empty":             {`{"name":"","inputSchema":{}}`, "", "no name"},
		"name null":              {`{"name":null,"inputSchema":{}}`, "", "no name"},
		"name a number":          {`{"name":1,"inputSchema":{}}`, "", "no name"},
		"name in another member": {`{"Name":"x","inputSchema":{}}`, "", "no name"},
		"name too long":          {`{"name":"` + strings.Repeat("é", 129) + `","inputSchema":{}}`, strings.Repeat("é", 64), "128"},
		"name just fits":         {`{"name":"` + strings.Repeat("é", 128) + `","inputSchema":{}}`, "", ""},
		"name with line break":   {`{"name":"a\nb","inputSchema":{}}`, "a b", "printed"},
		"name with bidi":         {`{"name":"a\u202eb","inputSchema":{}}`, "ab", "printed"},
		"name with zero width":   {`{"name":"a\u200bb","inputSchema":{}}`, "ab", "printed"},
		"name not UTF-8":         {"{\"name\":\"a\xff\",\"inputSchema\":{}}", "a", "printed"},
		"name with space around": {`{"name":" a","inputSchema":{}}`, "a", "space"},
		"name twice":             {`{"name":"good","inputSchema":{}}`, "good", "same name"},
		"description a number":   {`{"name":"x","description":1,"inputSchema":{}}`, "x", "description"},
		"description null":       {`{"name":"x","description":null,"inputSchema":{}}`, "x", ""},
		"annotations a string":   {`{"name":"x","annotations":"","inputSchema":{}}`, "x", ""},
		"hint a string":          {`{"name":"x","annotations":{"readOnlyHint":"yes"},"inputSchema":{}}`, "x", ""},
		"invalid x-mcp-header":   {`{"name":"x","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}}`, "x", ""},
		"tool a string":          {`"x"`, "", "not an object"},
		"tool null":              {`null`, "", "not an object"},
		"tool an array":          {`[]`, "", "not an object"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("tools/list", mcptest.Result(`{"tools":[`+good+`,`+test.tool+`]}`))
			listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
			if err != nil {
				t.Fatal(err)
			}
			if len(listing.Tools) == 0 || listing.Tools[0].Name != "good" {
				t.Fatalf("the good tool is missing in %+v", listing)
			}
			if test.wantReason == "" {
				if len(listing.Tools) != 2 || len(listing.Dropped) != 0 {
					t.Errorf("dropped %+v, want nothing", listing.Dropped)
				}
				return
			}
			if len(listing.Tools) != 1 || len(listing.Dropped) != 1 {
				t.Fatalf("got %d tools and dropped %+v, want 1 and 1", len(listing.Tools), listing.Dropped)
			}
			if got := listing.Dropped[0]; got.Name != test.wantName || !strings.Contains(got.Reason, test.wantReason) {
				t.Errorf("dropped %+v, want %q because of %q", got, test.wantName, test.wantReason)
			}
		})
	}
}

func unusableLists(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	for _, result := range []string{`"tools"`, `[]`, `{}`, `{"tools":null}`, `{"tools":{}}`, `{"Tools":[]}`, `{"tools":[],"nextCursor":1}`} {
		h.On("tools/list", mcptest.Result(result))
		_, err := c.ListTools(t.Context(), "run", at(h.URL()))
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageList, Sent: mcpclient.Answered})
	}
}

func TestReportOfBrokenToolsIsBounded(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/list", mcptest.Result(`{"tools":[`+strings.Repeat(`{},`, 5000)+`{}]}`))
	listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
	if err != nil || len(listing.Dropped) != 101 {
		t.Errorf("got a report of %d tools, %v", len(listing.Dropped), err)
	}
}

func TestLongDescriptionIsCut(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/list", mcptest.Result(`{"tools":[{"name":"t","description":"`+strings.Repeat("é", 4000)+`","inputSchema":{}}]}`))
	listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
	if err != nil || len(listing.Tools) != 1 || listing.Tools[0].Description != strings.Repeat("é", 2048) {
		t.Errorf("got a description of %d bytes, %v", len(listing.Tools[0].Description), err)
	}
}
