package model

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

func ptr[T any](v T) *T { return &v }

func TestRequest(t *testing.T) {
	t.Parallel()
	hi := []responses.Item{say(responses.RoleUser, "hi")}
	tool := Tool{Ref: responses.ToolRef{Server: "gh", Name: "list"}, Description: "Lists.", Schema: json.RawMessage(`{"type":"object"}`)}
	fn := Tool{Ref: responses.ToolRef{Name: "f"}, Schema: json.RawMessage(`{"type":"object","properties":{}}`), Strict: true}
	const head = `"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]`
	const usage = `,"stream_options":{"include_usage":true}`
	const ghList = `{"type":"function","function":{"name":"gh__list","description":"Lists.","parameters":{"type":"object","properties":{}}}}`
	schema := responses.Format{Type: "json_schema", Name: "n", Schema: json.RawMessage(`{"type":"object","title":"T"}`), Strict: ptr(true)}
	for name, test := range map[string]struct {
		turn   Turn
		quirks Quirks
		want   string
	}{
		"plain":    {Turn{}, Quirks{}, head + usage},
		"no usage": {Turn{}, Quirks{NoStreamUsage: true}, head},
		"zeros are sent": {
			Turn{Temperature: ptr(0.0), TopP: ptr(0.0), PresencePenalty: ptr(0.0), FrequencyPenalty: ptr(-0.1)},
			Quirks{},
			head + usage + `,"temperature":0,"top_p":0,"presence_penalty":0,"frequency_penalty":-0.1`,
		},
		"limits": {
			Turn{MaxOutputTokens: ptr(100), Effort: "low", Verbosity: "high"},
			Quirks{},
			head + usage + `,"max_completion_tokens":100,"reasoning_effort":"low","verbosity":"high"`,
		},
		"older limit": {Turn{MaxOutputTokens: ptr(100)}, Quirks{MaxTokensField: MaxTokens}, head + usage + `,"max_tokens":100`},
		"tools": {
			Turn{Tools: []Tool{tool, fn}, ParallelToolCalls: ptr(false), Choice: responses.ToolChoice{Mode: "required"}},
			Quirks{StrictSchemas: true},
			head + usage + `,"tools":[` + ghList + `,{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{}}}}],` +
				`"parallel_tool_calls":false,"tool_choice":"required"`,
		},
		"one tool": {
			Turn{Tools: []Tool{fn}, Choice: responses.ToolChoice{Mode: "required"}, ParallelToolCalls: ptr(true)},
			Quirks{NoParallelToolCalls: true},
			head + usage + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],` +
				`"tool_choice":{"type":"function","function":{"name":"f"}}`,
		},
		"auto": {Turn{Tools: []Tool{tool}, Choice: responses.ToolChoice{Mode: "auto"}}, Quirks{}, head + usage + `,"tools":[` + ghList + `]`},
		"none": {Turn{Tools: []Tool{tool}, Choice: responses.ToolChoice{Mode: "none"}}, Quirks{}, head + usage + `,"tools":[` + ghList + `],"tool_choice":"none"`},
		"a choice of nothing": {
			Turn{ParallelToolCalls: ptr(true), Choice: responses.ToolChoice{Mode: "required"}}, Quirks{}, head + usage,
		},
		"text":        {Turn{Format: responses.Format{Type: "text"}}, Quirks{}, head + usage},
		"JSON object": {Turn{Format: responses.Format{Type: "json_object"}}, Quirks{}, head + usage + `,"response_format":{"type":"json_object"}`},
		"JSON schema": {
			Turn{Format: schema},
			Quirks{},
			head + usage + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","title":"T"},"strict":true}}`,
		},
		"JSON schema in words": {
			Turn{Instructions: "Be kind.", Format: schema},
			Quirks{NoJSONSchema: true},
			`"model":"m","stream":true,"messages":[{"role":"system","content":"Be kind.\nAnswer with a JSON object that matches this JSON Schema, ` +
				`and with nothing else:\n{\"type\":\"object\",\"title\":\"T\"}"},{"role":"user","content":"hi"}]` + usage + `,"response_format":{"type":"json_object"}`,
		},
	} {
		test.turn.Model = Ref{Provider: "p", Model: "m"}
		test.turn.Items = hi
		body, err := json.Marshal(newRequest(test.turn, test.quirks, slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte("{"+test.want+"}"), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
