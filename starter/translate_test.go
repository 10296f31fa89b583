package starter

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/transcript"
	"perdure/workflows"
)

func newTestStarter(t *testing.T) *Starter {
	t.Helper()
	o, _ := newOptions(t)
	return newStarter(t.Context(), t.Context(), o)
}

// accepted decodes and validates a request as a handler does.
func accepted(t *testing.T, s *Starter, body string) *responses.Request {
	t.Helper()
	req, err := responses.DecodeRequest([]byte(body), responses.DialectOpenAI)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.validate(req); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestRunInput(t *testing.T) {
	t.Parallel()
	number := func(n int) *int { return &n }
	tests := []struct {
		name, body string
		change     func(*Starter)
		want       func(*workflows.ResponseInput)
	}{
		{"defaults", `{"input":"hi"}`, nil, func(*workflows.ResponseInput) {}},
		{"model by its short name", `{"input":"hi","model":"n"}`, nil, func(in *workflows.ResponseInput) { in.Models = []string{"p/n"} }},
		{
			"fallback models", `{"input":"hi","models":["p/n","q/any/thing"]}`, nil,
			func(in *workflows.ResponseInput) { in.Models = []string{"p/n", "q/any/thing"} },
		},
		{
			"limits of the request", `{"input":"hi","max_steps":3,"max_tool_calls":4,"max_output_tokens":500,"parallel_tool_calls":false}`, nil,
			func(in *workflows.ResponseInput) {
				in.MaxSteps, in.MaxToolCalls, in.MaxOutputTokens, in.SequentialCalls = 3, number(4), number(500), true
			},
		},
		{
			"limit of the deployment", `{"input":"hi","parallel_tool_calls":true}`, func(s *Starter) { s.Limits.MaxToolCalls = 7 },
			func(in *workflows.ResponseInput) { in.MaxToolCalls = number(7) },
		},
		{
			"the request's own limit wins", `{"input":"hi","max_tool_calls":0}`, func(s *Starter) { s.Limits.MaxToolCalls = 7 },
			func(in *workflows.ResponseInput) { in.MaxToolCalls = number(0) },
		},
		{
			"functions take places of tools", `{"input":"hi","tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}]}`, nil,
			func(in *workflows.ResponseInput) { in.Limits.Tools = 8 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTestStarter(t)
			if tt.change != nil {
				tt.change(s)
			}
			limits := s.Limits.Run
			got, err := s.runInput(t.Context(), alice, "resp_1", accepted(t, s, tt.body), before{}, responses.DialectAgent)
			if err != nil {
				t.Fatal(err)
			}
			want := workflows.ResponseInput{ResponseID: "resp_1", Organization: "acme", Models: []string{"p/m"}, MaxSteps: 10, Limits: limits}
			tt.want(&want)
			ignore := cmpopts.IgnoreFields(workflows.ResponseInput{}, "Input", "Settings", "Servers")
			if diff := cmp.Diff(want, got, ignore); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Limits.Run != limits {
				t.Error("the starter's own limits have changed")
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	in, err := s.runInput(t.Context(), alice, "resp_1", accepted(t, s, `{"input":"hi","instructions":"`+strings.Repeat("Be brief. ", 200)+`",
		"temperature":0,"top_p":0.5,"presence_penalty":0.1,"frequency_penalty":0.2,"reasoning":{"effort":"low"},"parallel_tool_calls":true,
		"text":{"format":{"type":"json_object"},"verbosity":"high"},"tool_choice":"required",
		"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}]}`), before{}, responses.DialectAgent)
	if err != nil {
		t.Fatal(err)
	}
	if in.Settings.Ref == "" {
		t.Error("2 KB of settings are inline in every step")
	}
	var got activities.Settings
	if err := s.Blobs.For("resp_1").Unpack(t.Context(), in.Settings, &got); err != nil {
		t.Fatal(err)
	}
	number := func(v float64) *float64 { return &v }
	yes := true
	want := activities.Settings{
		Instructions: strings.Repeat("Be brief. ", 200),
		Functions: []*responses.FunctionTool{
			{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type":"object"}`), Strict: &yes},
		},
		Choice: responses.ToolChoice{Mode: responses.ToolChoiceRequired}, ParallelToolCalls: &yes,
		Temperature: number(0), TopP: number(0.5), PresencePenalty: number(0.1), FrequencyPenalty: number(0.2),
		Effort: "low", Verbosity: "high", Format: responses.Format{Type: responses.FormatJSONObject},
		Organization: "acme",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServersAreSealed(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	in, err := s.runInput(t.Context(), alice, "resp_1", accepted(t, s, `{"input":"hi","tools":[{"type":"mcp","server_label":"docs",
		"server_url":"https://mcp.example.com:8443/path-canary?key=query-canary","authorization":"token-canary",
		"headers":{"X-Key":"header-canary"},"allowed_tools":{"tool_names":["read"],"read_only":true}}]}`), before{}, responses.DialectAgent)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(must(json.Marshal(in))); strings.Contains(text, "canary") {
		t.Errorf("the run's input shows a secret: %s", text)
	}
	got := in.Servers[0]
	var sealed secret.Sealed
	var allowed responses.ToolFilter
	if err := errors.Join(s.Blobs.For("resp_1").Unpack(t.Context(), got.Endpoint, &sealed), s.Blobs.For("resp_1").Unpack(t.Context(), got.Allowed, &allowed)); err != nil {
		t.Fatal(err)
	}
	plain, err := s.Sealer.Open(sealed, secret.Binding{Purpose: "mcp endpoint", ResponseID: "resp_1", ServerLabel: "docs"})
	if err != nil {
		t.Fatal(err)
	}
	var endpoint activities.Endpoint
	if err := json.Unmarshal(plain, &endpoint); err != nil {
		t.Fatal(err)
	}
	want := activities.Endpoint{
		URL: "https://mcp.example.com:8443/path-canary?key=query-canary", Authorization: "token-canary",
		Headers: map[string]string{"X-Key": "header-canary"},
	}
	if diff := cmp.Diff(want, endpoint); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	if got.Label != "docs" || got.Origin != "https://mcp.example.com:8443" {
		t.Errorf("server %+v", got)
	}
	if diff := cmp.Diff(responses.ToolFilter{Names: []string{"read"}, ReadOnly: true}, allowed); diff != "" {
		t.Errorf("allowed tools (-want +got):\n%s", diff)
	}
}

func TestLongInputIsStoredByReference(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	long := strings.Repeat("long ", 200_000)
	body := must(json.Marshal(map[string]any{"input": []map[string]string{
		{"role": "user", "content": long}, {"role": "assistant", "content": "short"}, {"role": "user", "content": "and?"},
	}}))
	in, err := s.runInput(t.Context(), alice, "resp_1", accepted(t, s, string(body)), before{}, responses.DialectAgent)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(must(json.Marshal(in))); size > 4000 {
		t.Errorf("history would keep %d bytes", size)
	}
	items, err := transcript.Load(t.Context(), s.Blobs.For("resp_1"), in.Input, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := items[0].(*responses.Message); len(items) != 3 || !ok || m.Content[0].Text != long {
		t.Errorf("%d items, the first is a %T", len(items), items[0])
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	created, ended := time.Unix(100, 0), time.Unix(107, 0)
	completed := int64(107)
	tests := []struct {
		name string
		out  workflows.Outcome
		want func(*responses.Response)
	}{
		{
			"completed",
			workflows.Outcome{Status: responses.ResponseCompleted},
			func(r *responses.Response) { r.CompletedAt = &completed },
		},
		{
			"incomplete",
			workflows.Outcome{Status: responses.ResponseIncomplete, Reason: responses.IncompleteMaxSteps},
			func(r *responses.Response) {
				r.IncompleteDetails = &responses.IncompleteDetails{Reason: responses.IncompleteMaxSteps}
			},
		},
		{
			"failed",
			workflows.Outcome{Status: responses.ResponseFailed, Error: &responses.RunError{Code: "c", Message: "m", Type: "t"}},
			func(r *responses.Response) { r.Error = &responses.RunError{Code: "c", Message: "m", Type: "t"} },
		},
		{"cancelled", workflows.Outcome{Status: responses.ResponseCancelled}, func(*responses.Response) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTestStarter(t)
			req := accepted(t, s, `{"input":"hi"}`)
			message := &responses.Message{
				ID: "msg_1_1", Role: responses.RoleAssistant, Status: responses.StatusCompleted,
				Content: []responses.Part{responses.OutputText("answer")},
			}
			values, err := transcript.Pack(t.Context(), s.Blobs.For("resp_1"), req.Input[0], message)
			if err != nil {
				t.Fatal(err)
			}
			tt.out.Conversation.Append(values...)
			tt.out.OutputFrom, tt.out.Model, tt.out.CompletedAt = 1, "p/n", ended
			tt.out.Usage = responses.Usage{InputTokens: 3, OutputTokens: 4, TotalTokens: 7}
			got, err := s.complete(t.Context(), newResponse(req, responses.DialectAgent, "resp_1", created), &tt.out, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := newResponse(req, responses.DialectAgent, "resp_1", created)
			want.Model, want.Status = "p/n", tt.out.Status
			want.Output, want.Usage = []responses.Item{message}, &tt.out.Usage
			tt.want(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	const plain = `"background":false,"store":true,"completed_at":null,"created_at":100,"error":null,"id":"resp_1","incomplete_details":null,` +
		`"model":"p/m","object":"response","output":[],"previous_response_id":null,"status":"in_progress","top_logprobs":0,"truncation":"disabled","usage":null`
	tests := []struct{ name, body, want string }{
		{
			"defaults", `{"input":"hi"}`,
			`{` + plain + `,"instructions":null,"metadata":{},"tools":[],"tool_choice":"auto","parallel_tool_calls":true,
			"max_output_tokens":null,"max_tool_calls":null,"reasoning":{"effort":null,"summary":null},"text":{"format":{"type":"text"}},
			"temperature":1,"top_p":1,"presence_penalty":0,"frequency_penalty":0,"service_tier":"default","safety_identifier":null,
			"prompt_cache_key":null}`,
		},
		{
			"everything", `{"input":"hi","instructions":"i","metadata":{"a":"b"},"tool_choice":{"type":"function","name":"f"},
			"parallel_tool_calls":false,"max_steps":3,"max_output_tokens":99,"max_tool_calls":4,"reasoning":{"effort":"low","summary":"auto"},
			"text":{"format":{"type":"json_object"},"verbosity":"low"},"temperature":0,"top_p":0.5,"presence_penalty":0.1,
			"frequency_penalty":0.2,"service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k",
			"tools":[{"type":"function","name":"f"},{"type":"mcp","server_label":"l","server_url":"https://h.example/p?q=canary",
			"authorization":"canary","headers":{"X-A":"canary"},"server_description":"d","allowed_tools":["t"],"require_approval":"always"}]}`,
			`{` + plain + `,"instructions":"i","metadata":{"a":"b"},"tool_choice":{"type":"function","name":"f"},
			"parallel_tool_calls":false,"max_steps":3,"max_output_tokens":99,"max_tool_calls":4,"reasoning":{"effort":"low","summary":"auto"},
			"text":{"format":{"type":"json_object"},"verbosity":"low"},"temperature":0,"top_p":0.5,"presence_penalty":0.1,
			"frequency_penalty":0.2,"service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k",
			"tools":[{"type":"function","name":"f","description":null,"parameters":null,"strict":false},
			{"type":"mcp","server_label":"l","server_url":"https://h.example/<redacted>","server_description":"d",
			"allowed_tools":["t"],"headers":null,"require_approval":"never"}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want, got map[string]any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			wire, err := newResponse(accepted(t, s, tt.body), responses.DialectAgent, "resp_1", time.Unix(100, 0)).MarshalWire(responses.DialectAgent)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(wire, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(string(wire), "canary") {
				t.Error("the echo shows a secret")
			}
		})
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://h.example":            "https://h.example",
		"https://h.example:8443":       "https://h.example:8443",
		"https://h.example/":           "https://h.example/<redacted>",
		"https://h.example/key/mcp":    "https://h.example/<redacted>",
		"https://h.example?key=1":      "https://h.example/<redacted>",
		"https://user:pw@h.example/x":  "https://h.example/<redacted>",
		"https://h.example/%zz?secret": "",
	} {
		if got := redactURL(url); got != want {
			t.Errorf("%s becomes %q, want %q", url, got, want)
		}
	}
}
