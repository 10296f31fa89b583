package responses_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

func decode(t *testing.T, body string) *responses.Request {
	t.Helper()
	req, err := responses.DecodeRequest([]byte(body), responses.DialectOpenAI)
	if err != nil {
		t.Fatalf("DecodeRequest(%.300s) failed: %v", body, err)
	}
	return req
}

// refused is a body that must be refused.
type refused struct {
	name, body string
	param      string
	message    string // a part of the message
}

func checkRefused(t *testing.T, tests []refused) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := responses.DecodeRequest([]byte(tt.body), responses.DialectOpenAI)
			var got *responses.Error
			if !errors.As(err, &got) {
				t.Fatalf("error is %v, want an *Error", err)
			}
			if req != nil {
				t.Errorf("a request was returned beside the error")
			}
			if got.Status != 400 || got.Type != responses.ErrInvalidRequest {
				t.Errorf("status and type are %d %s, want 400 %s", got.Status, got.Type, responses.ErrInvalidRequest)
			}
			if got.Param != tt.param {
				t.Errorf("param is %q, want %q (message: %s)", got.Param, tt.param, got.Message)
			}
			if tt.message == "" || !strings.Contains(got.Message, tt.message) {
				t.Errorf("message is %q, want it to contain %q", got.Message, tt.message)
			}
		})
	}
}

// with returns a request that is complete but for the given members.
func with(members string) string { return `{"model":"m","input":"hi",` + members + `}` }

func ptr[T any](v T) *T { return &v }

func userSays(text string) []responses.Item {
	return []responses.Item{&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText(text)}}}
}

// usual returns the request with what is so where the client says nothing.
func usual(r responses.Request) responses.Request {
	r.Store, r.Truncation = true, responses.TruncationDisabled
	return r
}

func TestDecodeRequest(t *testing.T) {
	t.Parallel()
	auto := responses.ToolChoice{Mode: responses.ToolChoiceAuto}
	tests := []struct {
		name, body string
		want       responses.Request
	}{
		{"least", `{"input":"hi"}`, usual(responses.Request{Input: userSays("hi"), ToolChoice: auto})},
		{
			"every scalar", `{
				"model":"openai/gpt-5.5", "input":"hi", "instructions":"", "max_steps":100, "max_tool_calls":0, "max_output_tokens":16,
				"temperature":0, "top_p":1, "presence_penalty":-2, "frequency_penalty":2.0e0,
				"reasoning":{"effort":"xhigh","summary":"auto","generate_summary":"auto","context":"auto","mode":"standard"},
				"text":{"verbosity":"low"}, "parallel_tool_calls":false, "metadata":{"a":"1","ключ":""},
				"prompt_cache_key":"k", "safety_identifier":"s", "service_tier":"flex"
			}`,
			usual(responses.Request{
				Models: []string{"openai/gpt-5.5"}, Input: userSays("hi"), Instructions: ptr(""), MaxSteps: ptr(100), MaxToolCalls: ptr(0),
				MaxOutputTokens: ptr(16), Temperature: ptr(0.0), TopP: ptr(1.0), PresencePenalty: ptr(-2.0), FrequencyPenalty: ptr(2.0),
				Reasoning: responses.Reasons{Effort: "xhigh", Summary: "auto"}, Verbosity: "low", ParallelToolCalls: ptr(false),
				Metadata: map[string]string{"a": "1", "ключ": ""}, PromptCacheKey: ptr("k"), SafetyIdentifier: ptr("s"), ServiceTier: "flex",
				ToolChoice: auto,
			}),
		},
		{
			"null is absent", `{
				"model":null, "models":null, "input":"hi", "instructions":null, "max_steps":null, "max_tool_calls":null,
				"max_output_tokens":null, "temperature":null, "top_p":null, "presence_penalty":null, "frequency_penalty":null,
				"reasoning":null, "text":null, "response_format":null, "tools":null, "tool_choice":null, "parallel_tool_calls":null,
				"metadata":null, "prompt_cache_key":null, "safety_identifier":null, "service_tier":null, "stream":null,
				"stream_options":null, "background":null, "store":null, "truncation":null, "include":null, "top_logprobs":null,
				"previous_response_id":null, "conversation":null, "prompt":null, "preset":null, "profile":null, "skills":null,
				"context_management":null, "moderation":null, "access_programs":null, "image":null, "user":null,
				"prompt_cache_options":null, "prompt_cache_retention":null, "language_preference":null
			}`,
			usual(responses.Request{Input: userSays("hi"), ToolChoice: auto}),
		},
		{
			"what asks for nothing", with(`"stream":false,"background":false,"store":true,"truncation":"disabled","include":[],
				"top_logprobs":0,"user":"u","stream_options":{"include_usage":true,"include_obfuscation":false},"prompt_cache_options":{"x":1},
				"prompt_cache_retention":"24h","language_preference":"de","tools":[],"reasoning":{"effort":null,"summary":null}`),
			usual(responses.Request{Models: []string{"m"}, Input: userSays("hi"), ToolChoice: auto}),
		},
		{
			"what is delivered how", with(`"stream":true,"background":true,"store":false,"truncation":"auto"`),
			responses.Request{
				Models: []string{"m"}, Input: userSays("hi"), ToolChoice: auto, Stream: true, Background: true, Truncation: responses.TruncationAuto,
			},
		},
		{
			"what is there to include", with(`"stream_options":{"include_usage":null},"include":["file_search_call.results",
				"web_search_call.results","web_search_call.action.sources","message.input_image.image_url","computer_call_output.output.image_url",
				"code_interpreter_call.outputs","reasoning.encrypted_content"]`),
			usual(responses.Request{Models: []string{"m"}, Input: userSays("hi"), ToolChoice: auto}),
		},
		{
			"models win over model", `{"model":"a","models":["b","c"],"input":"hi"}`,
			usual(responses.Request{Models: []string{"b", "c"}, Input: userSays("hi"), ToolChoice: auto}),
		},
		{
			"empty models", `{"model":"a","models":[],"input":"hi"}`,
			usual(responses.Request{Models: []string{"a"}, Input: userSays("hi"), ToolChoice: auto}),
		},
		{"white space around", " \n\t{\r\n\"input\" : \"hi\" } \n", usual(responses.Request{Input: userSays("hi"), ToolChoice: auto})},
		{"escaped names and text", `{"\u0069nput":"\"\\\u00e9\ud83d\ude00\n"}`, usual(responses.Request{Input: userSays("\"\\é😀\n"), ToolChoice: auto})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&tt.want, decode(t, tt.body)); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	t.Parallel()
	tests := []refused{
		{"null", `null`, "", "JSON object"},
		{"array", `[]`, "", "JSON object"},
		{"no input", `{"model":"m"}`, "input", "required"},
		{"input null", `{"input":null}`, "input", "required"},
		{"input empty", `{"input":""}`, "input", "empty"},
		{"input no items", `{"input":[]}`, "input", "empty"},
		{"input number", `{"input":7}`, "input", "string or an array"},
		{"unknown", with(`"temprature":1`), "temprature", `unknown field "temprature"`},
		{"unknown that is null", with(`"temprature":null`), "temprature", "unknown field"},
		{"the first of many unknowns", with(`"zz":1,"aa":2`), "aa", "unknown field"},
		{"case counts", with(`"Model":"m"`), "Model", "unknown field"},
		{"model number", `{"model":1,"input":"hi"}`, "model", "must be a string"},
		{"model blank", `{"model":" ","input":"hi"}`, "model", "must not be empty"},
		{"model long", `{"model":"` + strings.Repeat("m", 257) + `","input":"hi"}`, "model", "256 characters"},
		{"models not a list", with(`"models":"a"`), "models", "must be an array"},
		{"models blank", with(`"models":["a",""]`), "models[1]", "must not be empty"},
		{"models number", with(`"models":["a",1]`), "models[1]", "must be a string"},
		{"six models", with(`"models":["a","b","c","d","e","f"]`), "models", "more than 5"},
		{"instructions", with(`"instructions":["a"]`), "instructions", "must be a string"},
		{"max_steps low", with(`"max_steps":0`), "max_steps", "between 1 and 100"},
		{"max_steps high", with(`"max_steps":101`), "max_steps", "between 1 and 100"},
		{"max_steps fraction", with(`"max_steps":1.5`), "max_steps", "integer"},
		{"max_steps string", with(`"max_steps":"1"`), "max_steps", "integer"},
		{"max_tool_calls negative", with(`"max_tool_calls":-1`), "max_tool_calls", "between 0"},
		{"max_tool_calls beyond int", with(`"max_tool_calls":99999999999999999999`), "max_tool_calls", "between 0"},
		{"max_output_tokens low", with(`"max_output_tokens":15`), "max_output_tokens", "between 16"},
		{"temperature high", with(`"temperature":2.1`), "temperature", "between 0 and 2"},
		{"temperature huge", with(`"temperature":1e400`), "temperature", "between 0 and 2"},
		{"temperature string", with(`"temperature":"1"`), "temperature", "number"},
		{"top_p", with(`"top_p":-0.1`), "top_p", "between 0 and 1"},
		{"presence_penalty", with(`"presence_penalty":3`), "presence_penalty", "between -2 and 2"},
		{"frequency_penalty", with(`"frequency_penalty":true`), "frequency_penalty", "number"},
		{"parallel_tool_calls", with(`"parallel_tool_calls":"false"`), "parallel_tool_calls", "true or false"},
		{"reasoning not an object", with(`"reasoning":"high"`), "reasoning", "object"},
		{"effort", with(`"reasoning":{"effort":"much"}`), "reasoning.effort", `"minimal"`},
		{"summary", with(`"reasoning":{"summary":"long"}`), "reasoning.summary", `"concise"`},
		{"reasoning unknown", with(`"reasoning":{"budget":1}`), "reasoning.budget", "unknown field"},
		{"reasoning context", with(`"reasoning":{"context":"all_turns"}`), "reasoning.context", "not supported yet"},
		{"reasoning mode", with(`"reasoning":{"mode":"pro"}`), "reasoning.mode", "not supported yet"},
		{"metadata many", with(`"metadata":{` + many(17, `"k%d":""`) + `}`), "metadata", "17 entries; at most 16"},
		{"metadata key", with(`"metadata":{"` + strings.Repeat("é", 65) + `":""}`), "metadata", "64 characters"},
		{"metadata value", with(`"metadata":{"k":"` + strings.Repeat("é", 513) + `"}`), "metadata.k", "512 characters"},
		{"metadata number", with(`"metadata":{"k":1}`), "metadata.k", "must be a string"},
		{"metadata null", with(`"metadata":{"k":null}`), "metadata.k", "must be a string"},
		{"prompt_cache_key", with(`"prompt_cache_key":"` + strings.Repeat("k", 513) + `"`), "prompt_cache_key", "512 characters"},
		{"service_tier", with(`"service_tier":"gold"`), "service_tier", `"priority"`},
		{"service_tier number", with(`"service_tier":1`), "service_tier", "must be a string"},
		{"text not an object", with(`"text":"low"`), "text", "object"},
		{"text unknown", with(`"text":{"tone":"kind"}`), "text.tone", "unknown field"},
		{"verbosity", with(`"text":{"verbosity":"chatty"}`), "text.verbosity", `"medium"`},
		{"stream string", with(`"stream":"yes"`), "stream", "true or false"},
		{"stream_options list", with(`"stream_options":[]`), "stream_options", "object"},
		{"stream_options word", with(`"stream_options":{"include_usage":"yes"}`), "stream_options.include_usage", "true or false"},
		{"stream_options number", with(`"stream_options":{"include_obfuscation":1}`), "stream_options.include_obfuscation", "true or false"},
		{"stream_options unknown", with(`"stream_options":{"heartbeat":true}`), "stream_options.heartbeat", "unknown field"},
		{"background number", with(`"background":1`), "background", "true or false"},
		{"store string", with(`"store":"no"`), "store", "true or false"},
		{"truncation unknown", with(`"truncation":"last"`), "truncation", `"disabled"`},
		{"truncation number", with(`"truncation":1`), "truncation", "must be a string"},
		{"include string", with(`"include":"reasoning.encrypted_content"`), "include", "array"},
		{"include number", with(`"include":["reasoning.encrypted_content",1]`), "include[1]", "must be a string"},
		{"include unknown", with(`"include":["reasoning.encrypted_content","all"]`), "include[1]", `"reasoning.encrypted_content"`},
		// What one of the three APIs has and this server does not.
		{"include logprobs", with(`"include":["reasoning.encrypted_content","message.output_text.logprobs"]`), "include[1]", "not supported yet"},
		{"top_logprobs", with(`"top_logprobs":5`), "top_logprobs", "not supported yet"},
		{"top_logprobs range", with(`"top_logprobs":21`), "top_logprobs", "between 0 and 20"},
	}
	for _, name := range []string{
		"preset", "profile", "skills", "prompt", "context_management", "moderation",
		"access_programs", "image",
	} {
		tests = append(tests, refused{name, with(`"` + name + `":"x"`), name, `"` + name + `" is not supported yet`})
	}
	checkRefused(t, tests)
}

func TestDecodeContinuation(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 256)
	tests := []struct {
		name, members          string
		previous, conversation string
	}{
		{"previous response", `"previous_response_id":"resp_0b3e6b0c-52a3-4be5-9d0a-0c2a2f8d8f11"`, "resp_0b3e6b0c-52a3-4be5-9d0a-0c2a2f8d8f11", ""},
		{"previous response of another server", `"previous_response_id":"' OR 1=1"`, "' OR 1=1", ""},
		{"longest previous response", `"previous_response_id":"` + long + `"`, long, ""},
		{"conversation", `"conversation":"conv_1"`, "", "conv_1"},
		{"conversation object", `"conversation":{"id":"conv_1"}`, "", "conv_1"},
		{"conversation beside null", `"conversation":"conv_1","previous_response_id":null`, "", "conv_1"},
		{"previous response beside null", `"previous_response_id":"resp_1","conversation":null`, "resp_1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, input := range []string{``, `"input":null,`, `"input":"",`, `"input":[],`, `"input":"hi",`} {
				req := decode(t, `{`+input+tt.members+`}`)
				if req.PreviousResponseID != tt.previous || req.Conversation != tt.conversation {
					t.Errorf("goes on with %q and %q, want %q and %q", req.PreviousResponseID, req.Conversation, tt.previous, tt.conversation)
				}
				if want := strings.Count(input, "hi"); len(req.Input) != want {
					t.Errorf("input %s has %d items, want %d", input, len(req.Input), want)
				}
			}
		})
	}
	checkRefused(t, []refused{
		{"previous response empty", with(`"previous_response_id":""`), "previous_response_id", "must not be empty"},
		{"previous response number", with(`"previous_response_id":1`), "previous_response_id", "must be a string"},
		{"previous response object", with(`"previous_response_id":{"id":"resp_1"}`), "previous_response_id", "must be a string"},
		{"previous response long", with(`"previous_response_id":"` + long + `x"`), "previous_response_id", "longer than 256 characters"},
		{"conversation empty", with(`"conversation":""`), "conversation", "must not be empty"},
		{"conversation number", with(`"conversation":1`), "conversation", "ID or an object"},
		{"conversation list", with(`"conversation":["conv_1"]`), "conversation", "ID or an object"},
		{"conversation long", with(`"conversation":"` + long + `x"`), "conversation", "longer than 256 characters"},
		{"conversation without id", with(`"conversation":{}`), "conversation.id", "required"},
		{"conversation of null", with(`"conversation":{"id":null}`), "conversation.id", "required"},
		{"conversation id empty", with(`"conversation":{"id":""}`), "conversation.id", "must not be empty"},
		{"conversation id long", with(`"conversation":{"id":"` + long + `x"}`), "conversation.id", "longer than 256 characters"},
		{"conversation unknown", with(`"conversation":{"id":"conv_1","name":"x"}`), "conversation.name", "unknown field"},
		{"both", with(`"previous_response_id":"resp_1","conversation":"conv_1"`), "conversation", "previous_response_id"},
		{"both, as an object", with(`"conversation":{"id":"conv_1"},"previous_response_id":"resp_1"`), "conversation", "previous_response_id"},
		{"input of a wrong kind", `{"previous_response_id":"resp_1","input":7}`, "input", "string or an array"},
	})
}

// many joins n renderings of format, each with its number.
func many(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestDecodeMetadataCountsCharacters(t *testing.T) {
	t.Parallel()
	key, value := strings.Repeat("ü", 64), strings.Repeat("字", 512)
	req := decode(t, with(`"metadata":{"`+key+`":"`+value+`"}`))
	if req.Metadata[key] != value {
		t.Errorf("metadata is %v", req.Metadata)
	}
}

func TestDecodeFormat(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"b": 1e400, "a": "<"}`)
	full := responses.Format{Type: responses.FormatJSONSchema, Name: "answer", Description: "d", Schema: schema, Strict: ptr(true)}
	flat := `{"type":"json_schema","name":"answer","description":"d","strict":true,"schema":{"b": 1e400, "a": "<"}}`
	nested := `{"type":"json_schema","json_schema":{"name":"answer","description":"d","strict":true,"schema":{"b": 1e400, "a": "<"}}}`
	tests := []struct {
		name, members string
		want          responses.Format
	}{
		{"text.format", `"text":{"format":` + flat + `}`, full},
		{"response_format", `"response_format":` + nested, full},
		{"response_format, flat", `"response_format":` + flat, full},
		{"both, the same", `"text":{"format":` + flat + `},"response_format":` + nested, full},
		{"text", `"text":{"format":{"type":"text"}}`, responses.Format{Type: responses.FormatText}},
		{"response_format text", `"response_format":{"type":"text"}`, responses.Format{Type: responses.FormatText}},
		{"json_object", `"text":{"format":{"type":"json_object"}}`, responses.Format{Type: responses.FormatJSONObject}},
		{"format null", `"text":{"format":null}`, responses.Format{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, decode(t, with(tt.members)).Format); diff != "" {
				t.Errorf("format differs (-want +got):\n%s", diff)
			}
		})
	}
	format := func(s string) string { return with(`"text":{"format":` + s + `}`) }
	response := func(s string) string { return with(`"response_format":` + s) }
	checkRefused(t, []refused{
		{"no type", format(`{"name":"a","schema":{}}`), "text.format.type", "required"},
		{"unknown type", format(`{"type":"xml"}`), "text.format.type", `"json_schema"`},
		{"no name", format(`{"type":"json_schema","schema":{}}`), "text.format.name", "required"},
		{"bad name", format(`{"type":"json_schema","name":"a b","schema":{}}`), "text.format.name", "must match"},
		{"no schema", format(`{"type":"json_schema","name":"a"}`), "text.format.schema", "required"},
		{"schema not an object", format(`{"type":"json_schema","name":"a","schema":[]}`), "text.format.schema", "object"},
		{"strict", format(`{"type":"json_schema","name":"a","schema":{},"strict":1}`), "text.format.strict", "true or false"},
		{"unknown field", format(`{"type":"json_schema","name":"a","schema":{},"foo":1}`), "text.format.foo", "unknown field"},
		{"schema of a text", format(`{"type":"text","schema":{}}`), "text.format.schema", "unknown field"},
		{"nested in text.format", format(`{"type":"json_schema","json_schema":{"name":"a","schema":{}}}`), "text.format.name", "required"},
		{"response no type", response(`{"json_schema":{"name":"a","schema":{}}}`), "response_format.type", "required"},
		{"response no json_schema", response(`{"type":"json_schema"}`), "response_format.json_schema", "required"},
		{"response no name", response(`{"type":"json_schema","json_schema":{"schema":{}}}`), "response_format.json_schema.name", "required"},
		{"response inner type", response(`{"type":"json_schema","json_schema":{"type":"x","name":"a","schema":{}}}`), "response_format.json_schema.type", "unknown field"},
		{"response text with schema", response(`{"type":"text","json_schema":{}}`), "response_format.json_schema", "unknown field"},
		{"both, different", with(`"text":{"format":{"type":"text"}},"response_format":{"type":"json_object"}`), "response_format", "differs from text.format"},
	})
}
