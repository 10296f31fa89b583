package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// problem is the body of every error.
type problem struct {
	Error struct {
		Code    int
		Type    string
		Param   string
		Message string
	}
}

// readProblem checks what holds for every error.
func readProblem(t *testing.T, a answer) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("status %d: the body is not JSON: %v: %s", a.status, err, a.body)
	}
	if p.Error.Code != a.status || p.Error.Type == "" || p.Error.Message == "" {
		t.Errorf("status %d: the body lacks the code, type or message: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got content type %q", got)
	}
	if !strings.HasPrefix(a.header.Get("X-Request-Id"), "req_") {
		t.Errorf("got request ID %q", a.header.Get("X-Request-Id"))
	}
	if a.status == http.StatusInternalServerError {
		t.Errorf("got an internal error: %s", a.body)
	}
	return p
}

// refusalStack has a model that is asked once, by [checkRuns], and limits of its own for discovery.
func refusalStack(t *testing.T, discovery string) *stack {
	t.Helper()
	model := modeltest.New(modeltest.Text("the last"))
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	return ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: model.URL(),
		OneModel: true,
		Settings: "limits:\n  discovery: {" + discovery + "}\n",
	})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := refusalStack(t, "attempts: 2")
	checkRuns(t, s, 0)
	mcp := func(members string) string {
		return `{"input": "x", "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://example.com/mcp"` + members + `}]}`
	}
	url := func(url string) string {
		return `{"input": "x", "tools": [{"type": "mcp", "server_label": "s", "server_url": "` + url + `"}]}`
	}
	tests := []struct {
		name, body string
		status     int
		kind       string
		param      string
	}{
		{"not JSON", `input=x`, 400, "invalid_request", ""},
		{"nothing", ``, 400, "invalid_request", ""},
		{"cut off", `{"input": "x"`, 400, "invalid_request", ""},
		{"not UTF-8", "{\"input\": \"\xff\"}", 400, "invalid_request", ""},
		{"not an object", `["x"]`, 400, "invalid_request", ""},
		{"two values", `{"input": "x"} {}`, 400, "invalid_request", ""},
		{"33 MiB", `{"input": "` + strings.Repeat("x", 33<<20) + `"}`, 413, "payload_too_large", ""},
		{"nested deeply", `{"input": ` + strings.Repeat("[", 100_000), 400, "invalid_request", ""},
		{"nested deeply in a schema", `{"input":"x","tools":[{"type":"function","name":"f","parameters":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200) + `}]}`, 400, "invalid_request", ""},
		{"a member twice", `{"input": "x", "input": "y"}`, 400, "invalid_request", "input"},
		{"unknown field", `{"input": "x", "temprature": 1}`, 400, "invalid_request", "temprature"},
		{"unknown field in a tool", mcp(`, "server_lable": "x"`), 400, "invalid_request", "tools[0].server_lable"},
		{"no input", `{}`, 400, "invalid_request", "input"},
		{"empty input", `{"input": []}`, 400, "invalid_request", "input"},
		{"wrong type", `{"input": 7}`, 400, "invalid_request", "input"},
		{"unknown item type", `{"input": [{"type": "thought"}]}`, 400, "invalid_request", "input[0].type"},
		{"output without its call", `{"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}`, 400, "invalid_request", "input[0].call_id"},
		{"image over http", `{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://example.com/a.png"}]}]}`, 400, "invalid_request", "input[0].content[0].image_url"},
		{"out of range", `{"input": "x", "temperature": 3}`, 400, "invalid_request", "temperature"},
		{"max_steps over the limit", `{"input": "x", "max_steps": 101}`, 400, "invalid_request", "max_steps"},
		{"unknown model", `{"input": "x", "model": "nobody/gpt"}`, 400, "invalid_request", "model"},
		{"unknown model in the chain", `{"input": "x", "models": ["openai/gpt-5.5", "nobody/gpt"]}`, 400, "invalid_request", "models[1]"},
		{"unknown tool type", `{"input": "x", "tools": [{"type": "web_search"}]}`, 400, "invalid_request", "tools[0].type"},
		{"bad label", `{"input": "x", "tools": [{"type": "mcp", "server_label": "a b", "server_url": "https://example.com"}]}`, 400, "invalid_request", "tools[0].server_label"},
		{"long label", `{"input": "x", "tools": [{"type": "mcp", "server_label": "` + strings.Repeat("a", 65) + `", "server_url": "https://example.com"}]}`, 400, "invalid_request", "tools[0].server_label"},
		{"label twice", `{"input": "x", "tools": [{"type": "mcp", "server_label": "a", "server_url": "https://example.com"}, {"type": "mcp", "server_label": "a", "server_url": "https://example.com"}]}`, 400, "invalid_request", "tools[1].server_label"},
		{"function twice", `{"input": "x", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "f"}]}`, 400, "invalid_request", "tools[1].name"},
		{"too many servers", `{"input": "x", "tools": [` + servers(17) + `]}`, 400, "invalid_request", "tools"},
		{"no URL", `{"input": "x", "tools": [{"type": "mcp", "server_label": "s"}]}`, 400, "invalid_request", "tools[0].server_url"},
		{"http", url("http://example.com/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"another scheme", url("file:///etc/passwd"), 400, "invalid_request", "tools[0].server_url"},
		{"private address", url("https://10.0.0.1/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"link-local address", url("https://169.254.169.254/latest/meta-data"), 400, "invalid_request", "tools[0].server_url"},
		{"private IPv6 address", url("https://[fd00::1]/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"mapped IPv6 address", url("https://[::ffff:10.0.0.1]/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"this machine by name", url("https://localhost/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"password in the URL", url("https://user:canary-password@example.com/mcp"), 400, "invalid_request", "tools[0].server_url"},
		{"CR and LF in a header", mcp(`, "headers": {"X-A": "b\r\nX-C: canary"}`), 400, "invalid_request", "tools[0].headers"},
		{"LF in a header's name", mcp(`, "headers": {"X-A\nX-B": "canary"}`), 400, "invalid_request", "tools[0].headers"},
		{"CR and LF in the token", mcp(`, "authorization": "canary\r\nX-C: d"`), 400, "invalid_request", "tools[0].authorization"},
		{"reserved header", mcp(`, "headers": {"mcp-session-id": "canary"}`), 400, "invalid_request", "tools[0].headers"},
		{"header of the protocol", mcp(`, "headers": {"Host": "canary.example.com"}`), 400, "invalid_request", "tools[0].headers"},
		{"authorization twice", mcp(`, "authorization": "canary", "headers": {"authorization": "Bearer canary"}`), 400, "invalid_request", "tools[0].headers"},
		{"header that is no text", mcp(`, "headers": {"X-A": 1}`), 400, "invalid_request", "tools[0].headers.X-A"},
		{"choice of an unknown server", `{"input": "x", "tool_choice": {"type": "mcp", "server_label": "t"}}`, 400, "invalid_request", "tool_choice.server_label"},
		{"choice without tools", `{"input": "x", "tool_choice": "required"}`, 400, "invalid_request", "tool_choice"},
		{"schema without a name", `{"input": "x", "text": {"format": {"type": "json_schema", "schema": {}}}}`, 400, "invalid_request", "text.format"},
		{"two formats", `{"input": "x", "text": {"format": {"type": "text"}}, "response_format": {"type": "json_object"}}`, 400, "invalid_request", "response_format"},
		{"metadata that is too long", `{"input": "x", "metadata": {"k": "` + strings.Repeat("v", 513) + `"}}`, 400, "invalid_request", "metadata.k"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := s.respond(t.Context(), test.body)
			if err != nil {
				t.Fatal(err)
			}
			p := readProblem(t, a)
			if a.status != test.status || p.Error.Type != test.kind || !strings.HasPrefix(p.Error.Param, test.param) || (test.param == "") != (p.Error.Param == "") {
				t.Errorf("got status %d, type %q, param %.100q, want %d, %q, %q: %s",
					a.status, p.Error.Type, p.Error.Param, test.status, test.kind, test.param, p.Error.Message)
			}
			if strings.Contains(string(a.body), "canary") {
				t.Errorf("the error repeats what may be secret: %s", a.body)
			}
		})
	}
}

func servers(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"type": "mcp", "server_label": "s%d", "server_url": "https://example.com"}`, i))
	}
	return strings.Join(list, ", ")
}

// checkRuns checks, at the end of a test, that so many runs were started on the stack's task queue and that none still runs.
func checkRuns(t *testing.T, s *stack, want int64) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startTimeout)
		defer cancel()
		// Visibility is written in order, a moment after the fact: one more run shows that the others would be seen.
		a, err := s.respond(ctx, `{"input": "x"}`)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("a good request gets status %d, %v: %s", a.status, err, a.body)
		}
		s.awaitCount(ctx, t, want+1, "")
		s.awaitCount(ctx, t, 0, "ExecutionStatus = 'Running'")
	})
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	tests := []struct {
		method, path, key string
		status            int
		kind              string
	}{
		{http.MethodPost, "/v1/responses", "", 401, "unauthorized"},
		{http.MethodPost, "/v1/responses", "pd_another_key", 401, "unauthorized"},
		{http.MethodPost, "/v1/agent", "", 401, "unauthorized"},
		{http.MethodPost, "/v1/agent", apiKey, 400, "invalid_request"},
		{http.MethodDelete, "/v1/responses", apiKey, 405, "method_not_allowed"},
		{http.MethodPut, "/v1/agent", apiKey, 405, "method_not_allowed"},
		{http.MethodPost, "/v1/models", apiKey, 405, "method_not_allowed"},
		{http.MethodGet, "/v1", "", 404, "not_found"},
		{http.MethodGet, "/v1/response", apiKey, 404, "not_found"},
		{http.MethodPost, "/v1/responses/x", apiKey, 405, "method_not_allowed"},
		{http.MethodPost, "/v1/responses/x/y", apiKey, 404, "not_found"},
	}
	for _, test := range tests {
		t.Run(test.method+test.path+" "+test.key, func(t *testing.T) {
			t.Parallel()
			a, err := request(t.Context(), test.method, s.url+test.path, test.key, "{}")
			if err != nil {
				t.Fatal(err)
			}
			p := readProblem(t, a)
			if a.status != test.status || p.Error.Type != test.kind {
				t.Errorf("got %d %s, want %d %s", a.status, p.Error.Type, test.status, test.kind)
			}
			if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			if a.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

func TestModelsAndHealth(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	for path, want := range map[string]string{
		"/healthz":   `{"status":"ok"}`,
		"/readyz":    `{"status":"ready"}`,
		"/v1/models": `{"object":"list","data":[{"id":"openai/gpt-5.5","object":"model","created":0,"owned_by":"openai"}]}`,
	} {
		a, err := request(t.Context(), http.MethodGet, s.url+path, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, strings.TrimSpace(string(a.body))); diff != "" || a.status != http.StatusOK {
			t.Errorf("%s: status %d (-want +got):\n%s", path, a.status, diff)
		}
	}
}
