package mcpclient_test

import (
	"net/http"
	"strings"
	"testing"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// newStateless is a server of the version that has headers for arguments, with one tool of this schema.
func newStateless(t *testing.T, schema string) (*mcptest.Hostile, mcpclient.Server) {
	t.Helper()
	h := newHostile(t)
	h.On("server/discover", mcptest.Result(
		`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"},"resultType":"complete","ttlMs":0,"cacheScope":"private"}`))
	h.On("tools/list", mcptest.Result(
		`{"tools":[{"name":"t","inputSchema":`+schema+`},{"name":"plain","inputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`))
	h.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"ok"}],"resultType":"complete"}`))
	s := at(h.URL())
	s.Version = "2026-07-28"
	return h, s
}

const mirrored = `{"type":"object","properties":{
	"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"Count"},
	"on":{"type":"boolean","x-mcp-header":"On"},"other":{"type":"string"},
	"inner":{"type":"object","properties":{"deep":{"type":"string","x-mcp-header":"Deep"}}}}}`

func TestArgumentsInHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct{ arguments, want string }{
		{`{"region":"eu west","n":42,"on":false,"other":"x","inner":{"deep":"d"}}`, "Count=42 Deep=d On=false Region=eu west"},
		{`{"region":null}`, ""},
		{`{}`, ""},
		{`{"region":""}`, "Region="},
		{`{"region":"ü"}`, "Region==?base64?w7w=?="},
		{`{"region":" x"}`, "Region==?base64?IHg=?="},
		{`{"region":"a\r\nX-Evil: 1"}`, "Region==?base64?YQ0KWC1FdmlsOiAx?="},
		{`{"region":"=?base64?eA==?="}`, "Region==?base64?PT9iYXNlNjQ/ZUE9PT89?="},
		{`{"n":1.5}`, ""},
		{`{"n":9007199254740993}`, ""},
		{`{"n":1e3}`, "Count=1000"},
		{`{"region":{"a":1},"inner":"no object"}`, ""},
	}
	for _, test := range tests {
		h, s := newStateless(t, mirrored)
		c := newClient(t, mcpclient.Options{})
		// No list before: this worker may not be the one that discovered the tools.
		result, err := c.CallTool(t.Context(), "run", s, mcpclient.Call{Name: "t", Arguments: []byte(test.arguments)})
		if err != nil || result.Output != "ok" {
			t.Errorf("%s: %+v, %v", test.arguments, result, err)
			continue
		}
		var got []string
		requests := h.Requests()
		header := requests[len(requests)-1].Header
		for _, name := range []string{"Count", "Deep", "On", "Region"} {
			if values, ok := header["Mcp-Param-"+name]; ok {
				got = append(got, name+"="+strings.Join(values, "|"))
			}
		}
		if text := strings.Join(got, " "); text != test.want || header.Get("Mcp-Param-Other") != "" {
			t.Errorf("%s: headers %q, want %q", test.arguments, text, test.want)
		}
	}
}

// A session that has listed the tools does not do so again, and one of an older version needs no list.
func TestArgumentsInHeadersListOnce(t *testing.T) {
	t.Parallel()
	h, s := newStateless(t, mirrored)
	c := newClient(t, mcpclient.Options{})
	for range 3 {
		if _, err := c.CallTool(t.Context(), "run", s, callT); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.Count("tools/list"); n != 1 {
		t.Errorf("the tools were listed %d times, want once", n)
	}
	old := newHostile(t)
	if _, err := c.CallTool(t.Context(), "run", at(old.URL()), callT); err != nil || old.Count("tools/list") != 0 {
		t.Errorf("%d lists, %v", old.Count("tools/list"), err)
	}
	// A list that fails is not a call that failed.
	h, s = newStateless(t, mirrored)
	h.On("tools/list", mcptest.Status(http.StatusServiceUnavailable))
	_, err := c.CallTool(t.Context(), "run", s, callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Sent: mcpclient.NotSent, Temporary: true})
}

func TestInvalidHeaderAnnotations(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"empty":      `{"properties":{"a":{"type":"string","x-mcp-header":""}}}`,
		"null":       `{"properties":{"a":{"type":"string","x-mcp-header":null}}}`,
		"a number":   `{"properties":{"a":{"type":"string","x-mcp-header":5}}}`,
		"an object":  `{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`,
		"no type":    `{"properties":{"a":{"x-mcp-header":"A"}}}`,
		"two types":  `{"properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}`,
		"a space":    `{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}`,
		"line break": `{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}`,
		"twice":      `{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"properties":{"c":{"type":"string","x-mcp-header":"a"}}}}}`,
		"long":       `{"properties":{"a":{"type":"string","x-mcp-header":"` + strings.Repeat("a", 65) + `"}}}`,
	} {
		_, s := newStateless(t, schema)
		listing, err := newClient(t, mcpclient.Options{}).ListTools(t.Context(), "run", s)
		if err != nil || len(listing.Tools) != 1 || len(listing.Dropped) != 1 || !strings.Contains(listing.Dropped[0].Reason, "x-mcp-header") {
			t.Errorf("%s: %+v, %v", name, listing, err)
		}
	}
	_, s := newStateless(t, mirrored)
	_, err := newClient(t, mcpclient.Options{}).CallTool(t.Context(), "run", s, mcpclient.Call{Name: "t", Arguments: []byte(`{"region":"` + strings.Repeat("x", 9000) + `"}`)})
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.NotSent})
}
