package starter

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"perdure/internal/responses"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	mcp := func(rest string) string {
		return `{"input":"hi","tools":[{"type":"mcp","server_label":"a",` + rest + `}]}`
	}
	function := `{"type":"function","name":"`
	var functions []string
	for _, c := range "abcdefghijk" {
		functions = append(functions, function+string(c)+`"}`)
	}
	server := func(label string) string {
		return `{"type":"mcp","server_label":"` + label + `","server_url":"https://h.example"}`
	}
	tests := []struct{ name, body, param, message string }{
		{"unknown model", `{"input":"hi","model":"nobody/x"}`, "model", `unknown model "nobody/x"; available: p/m`},
		{"model that its provider does not list", `{"input":"hi","model":"p/x"}`, "model", `unknown model "p/x"`},
		{"unknown fallback model", `{"input":"hi","models":["p/m","p/x"]}`, "models[1]", `unknown model "p/x"`},
		{"too many steps", `{"input":"hi","max_steps":101}`, "max_steps", "between 1 and 100"},
		{"too many servers", `{"input":"hi","tools":[` + server("a") + `,` + server("b") + `,` + server("c") + `]}`, "tools", "2 MCP servers at most"},
		{"too many functions", `{"input":"hi","tools":[` + strings.Join(functions, ",") + `]}`, "tools", "10 function tools at most"},
		{"plain http", mcp(`"server_url":"http://h.example"`), "tools[0].server_url", "https://"},
		{"private address", mcp(`"server_url":"https://10.0.0.1"`), "tools[0].server_url", "not public"},
		{"this machine", mcp(`"server_url":"https://localhost/x"`), "tools[0].server_url", "this machine"},
		{"password in the URL", mcp(`"server_url":"https://u:canary@h.example"`), "tools[0].server_url", "user name or password"},
		{"broken URL", mcp(`"server_url":"https://h.example/%zzcanary"`), "tools[0].server_url", "cannot be parsed"},
		{
			"reserved header", mcp(`"server_url":"https://h.example","headers":{"Host":"canary"}`),
			"tools[0].headers", `"Host" is set by the client itself`,
		},
		{
			"line break in a header", mcp(`"server_url":"https://h.example","headers":{"X-A":"canary\r\nX-B: 1"}`),
			"tools[0].headers", `"X-A" has a value with a character`,
		},
		{
			"line break in the token", mcp(`"server_url":"https://h.example","authorization":"canary\nX"`),
			"tools[0].authorization", "not a valid token",
		},
		{
			"endless token", mcp(`"server_url":"https://h.example","authorization":"canary` + strings.Repeat("x", 9000) + `"`),
			"tools[0].authorization", "8 KiB at most",
		},
		{
			"two credentials", mcp(`"server_url":"https://h.example","authorization":"canary","headers":{"authorization":"Bearer canary"}`),
			"tools[0].headers", "send one of them",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTestStarter(t)
			req, err := responses.DecodeRequest([]byte(tt.body), responses.DialectOpenAI)
			if err == nil {
				err = s.validate(req)
			}
			var shown *responses.Error
			if !errors.As(err, &shown) {
				t.Fatalf("error %v", err)
			}
			if shown.Status != http.StatusBadRequest || shown.Type != responses.ErrInvalidRequest || shown.Param != tt.param ||
				!strings.Contains(shown.Message, tt.message) {
				t.Errorf("got %+v, want %s with %q", shown, tt.param, tt.message)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	for _, body := range []string{
		`{"input":"hi","max_steps":100}`,
		`{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"https://h.example/x?y=1","authorization":"token"}]}`,
		`{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"https://h.example","headers":{"Authorization":"Basic x"}}]}`,
		`{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:9999/allowed"}]}`,
	} {
		accepted(t, s, body)
	}
}
