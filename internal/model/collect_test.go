package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perdure/internal/responses"
)

// sse writes each of the chunks' choices as an event.
func sse(choices ...string) string {
	var b strings.Builder
	for _, c := range choices {
		fmt.Fprintf(&b, "data: {\"model\":\"m-1\",\"choices\":[%s]}\n\n", c)
	}
	return b.String()
}

func tools(fragments string) string { return `{"index":0,"delta":{"tool_calls":[` + fragments + `]}}` }

const (
	stop  = `{"index":0,"delta":{},"finish_reason":"stop"}`
	calls = `{"index":0,"delta":{},"finish_reason":"tool_calls"}`
	done  = "data: [DONE]\n\n"
)

func collect(stream string) (Answer, []Delta, error) {
	var deltas []Delta
	c := &collector{onDelta: func(d Delta) error { deltas = append(deltas, d); return nil }}
	p := &Provider{Name: "p"}
	if err := p.collect(c, newEventReader(strings.NewReader(stream))); err != nil {
		return Answer{}, deltas, err
	}
	answer, err := c.finished()
	return answer, deltas, err
}

func TestCollectCalls(t *testing.T) {
	t.Parallel()
	a1 := Call{ID: "a", Name: "f", Arguments: `{"x":1}`}
	b2 := Call{ID: "b", Name: "g", Arguments: `{"y":"}"}`}
	for name, test := range map[string]struct {
		stream string
		want   []Call // an empty ID stands for one of our own
	}{
		"as OpenAI": {
			sse(tools(`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`), tools(`{"index":0,"function":{"arguments":"{\"x\""}}`),
				tools(`{"index":1,"id":"b","function":{"name":"g","arguments":""}}`), tools(`{"index":1,"function":{"arguments":"{\"y\":\"}"}}`),
				tools(`{"index":0,"function":{"arguments":":1}"}}`), tools(`{"index":1,"function":{"arguments":"\"}"}}`), calls) + done,
			[]Call{a1, b2},
		},
		"whole, without numbers": {
			sse(tools(`{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","function":{"name":"g","arguments":"{\"y\":\"}\"}"}}`), calls) + done,
			[]Call{a1, b2},
		},
		"all with number 0": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), tools(`{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\":\"}\"}"}}`), calls) + done,
			[]Call{a1, b2},
		},
		"number 0 and no ID": {
			sse(tools(`{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}}`), tools(`{"index":0,"function":{"name":"f","arguments":"{\"x\":2}"}}`), calls) + done,
			[]Call{{Name: "f", Arguments: `{"x":1}`}, {Name: "f", Arguments: `{"x":2}`}},
		},
		"the ID in every piece": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), tools(`{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}`), calls) + done,
			[]Call{a1},
		},
		"the ID in every piece, without numbers": {
			sse(tools(`{"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), tools(`{"id":"a","function":{"arguments":":1}"}}`), calls) + done,
			[]Call{a1},
		},
		"neither numbers nor IDs": {
			sse(tools(`{"function":{"name":"f","arguments":""}}`), tools(`{"function":{"arguments":"{}"}}`), tools(`{"function":{"name":"g","arguments":"{}"}}`), calls) + done,
			[]Call{{Name: "f", Arguments: "{}"}, {Name: "g", Arguments: "{}"}},
		},
		"one ID for two calls": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":1,"id":"a","function":{"name":"f","arguments":"{}"}}`), calls) + done,
			[]Call{a1, {Name: "f", Arguments: "{}"}},
		},
		"arguments as an object": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}`), calls) + done, []Call{a1},
		},
		"arguments repeated at the end": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}`), tools(`{"index":0,"function":{"arguments":"1}"}}`), tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), calls) + done,
			[]Call{a1},
		},
		"no arguments": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":null}}`), calls) + done, []Call{{ID: "a", Name: "f", Arguments: "{}"}},
		},
		"arguments before the name": {
			sse(tools(`{"index":0,"id":"a","function":{"arguments":"{\"x\""}}`), tools(`{"index":0,"function":{"name":"f","arguments":":1}"}}`), calls) + done, []Call{a1},
		},
		"thought signature": {
			sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"},"extra_content":{"google":{"thought_signature":"sig"}}}`), calls) + done,
			[]Call{{ID: "a", Name: "f", Arguments: `{"x":1}`, ThoughtSignature: "sig"}},
		},
		"ended by stop":  {sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), stop) + done, []Call{a1}},
		"ended by DONE":  {sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`)) + done, []Call{a1}},
		"ended by close": {sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), calls), []Call{a1}},
		"in one object":  {`{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}]}`, []Call{a1}},
	} {
		answer, deltas, err := collect(test.stream)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if answer.Finish != FinishToolCalls {
			t.Errorf("%s: finish %q", name, answer.Finish)
		}
		got := append([]Call{}, answer.Calls...)
		for i := range got {
			if i < len(test.want) && test.want[i].ID == "" && len(got[i].ID) > 20 {
				got[i].ID = ""
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		// The deltas tell the same as the answer.
		told := make([]Call, len(answer.Calls))
		for _, d := range deltas {
			switch d.Kind {
			case DeltaCall:
				told[d.Index] = Call{ID: d.ID, Name: d.Name}
			case DeltaArguments:
				told[d.Index].Arguments += d.Text
			case DeltaText, DeltaRefusal, DeltaReasoning:
				t.Errorf("%s: unexpected %+v", name, d)
			}
		}
		for i := range told {
			if told[i].Arguments == "" {
				told[i].Arguments = "{}"
			}
		}
		if diff := cmp.Diff(answer.Calls, told, cmpopts.IgnoreFields(Call{}, "ThoughtSignature")); diff != "" {
			t.Errorf("%s: deltas (-answer +deltas):\n%s", name, diff)
		}
	}
}

func TestCollectText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stream string
		want   Answer
	}{
		"text":             {sse(`{"delta":{"content":"a"}}`, `{"delta":{"content":"b"}}`, stop) + done, Answer{Text: "ab", Finish: FinishStop}},
		"refusal":          {sse(`{"delta":{"refusal":"no"}}`, stop) + done, Answer{Refusal: "no", Finish: FinishStop}},
		"reasoning":        {sse(`{"delta":{"reasoning_content":"hm"}}`, `{"delta":{"reasoning":"m"}}`, `{"delta":{"content":"a"}}`, stop) + done, Answer{Reasoning: "hmm", Text: "a", Finish: FinishStop}},
		"reasoning twice":  {sse(`{"delta":{"reasoning_content":"hm","reasoning":"hm","content":"a"}}`, stop) + done, Answer{Reasoning: "hm", Text: "a", Finish: FinishStop}},
		"parts":            {sse(`{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}`, `{"delta":{"content":[{"type":"text","text":"a"}]}}`, stop) + done, Answer{Reasoning: "hm", Text: "a", Finish: FinishStop}},
		"length":           {sse(`{"delta":{"content":"a"}}`, `{"delta":{},"finish_reason":"length"}`) + done, Answer{Text: "a", Finish: FinishLength}},
		"length, no text":  {sse(`{"delta":{},"finish_reason":"length"}`) + done, Answer{Finish: FinishLength}},
		"filtered":         {sse(`{"delta":{"content":"a"}}`, `{"delta":{},"finish_reason":"content_filter"}`) + done, Answer{Text: "a", Finish: FinishContentFilter}},
		"cut call":         {sse(`{"delta":{"content":"a"}}`, tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}`), `{"delta":{},"finish_reason":"length"}`) + done, Answer{Text: "a", Finish: FinishLength}},
		"other choices":    {sse(`{"index":1,"delta":{"content":"b"},"finish_reason":"length"}`, `{"delta":{"content":"a"}}`, stop) + done, Answer{Text: "a", Finish: FinishStop}},
		"no finish reason": {sse(`{"delta":{"content":"a"}}`) + done, Answer{Text: "a", Finish: FinishStop}},
		"null members":     {sse(`{"index":0,"delta":{"role":"assistant","content":null,"refusal":null,"tool_calls":null},"logprobs":null,"finish_reason":null}`, `{"delta":{"content":"a"}}`, stop) + done, Answer{Text: "a", Finish: FinishStop}},
		"null error":       {"data: {\"error\":null,\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" + done, Answer{Text: "a", Finish: FinishStop}},
		"usage": {
			sse(`{"delta":{"content":"a"}}`, stop) + `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,` +
				`"prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":4}}}` + "\n\n" + done,
			Answer{Text: "a", Finish: FinishStop, Usage: responses.Usage{
				InputTokens: 9, OutputTokens: 5, TotalTokens: 14,
				InputTokensDetails: responses.InputTokensDetails{CachedTokens: 3, CacheWriteTokens: 2},
				OutputDetails:      responses.OutputTokenDetails{ReasoningTokens: 4},
			}},
		},
		"odd usage": {
			sse(`{"delta":{"content":"a"}}`, stop) + `data: {"choices":[],"usage":"none"}` + "\n\n" + `data: {"usage":{"prompt_tokens":2,"completion_tokens":1,"prompt_tokens_details":null}}` + "\n\n",
			Answer{Text: "a", Finish: FinishStop, Usage: responses.Usage{InputTokens: 2, OutputTokens: 1, TotalTokens: 3}},
		},
	} {
		answer, _, err := collect(test.stream)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		test.want.Model = "m-1"
		if diff := cmp.Diff(test.want, answer); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCollectFaults(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(tools(`{"index":%d,"id":"c%[1]d","function":{"name":"f","arguments":"{}"}}`)+"\n", 129)
	var flood []string
	for i, format := range strings.Split(strings.TrimSpace(many), "\n") {
		flood = append(flood, fmt.Sprintf(format, i))
	}
	huge := tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\"` + strings.Repeat("x", 600<<10) + `"}}`)
	for name, test := range map[string]struct {
		stream    string
		kind      Kind
		temporary bool
	}{
		"cut text":           {sse(`{"delta":{"content":"a"}}`), KindTruncated, true},
		"cut call":           {sse(tools(`{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}`)), KindTruncated, true},
		"nothing":            {"", KindMalformed, true},
		"only DONE":          {done, KindMalformed, true},
		"a page":             {"<html>\nlogin\n</html>\n", KindMalformed, true},
		"not JSON":           {"data: oops\n\n", KindMalformed, true},
		"another JSON":       {"data: [1]\n\n", KindMalformed, true},
		"cut JSON":           {`{"choices":[{"message":`, KindMalformed, true},
		"a call of no name":  {sse(tools(`{"index":0,"id":"a","function":{"arguments":"{}"}}`), calls) + done, KindMalformed, true},
		"empty":              {sse(stop) + done, KindEmpty, true},
		"empty, one object":  {`{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}`, KindEmpty, true},
		"only thoughts":      {sse(`{"delta":{"reasoning":"hm"}}`, stop) + done, KindEmpty, true},
		"calls of nothing":   {sse(calls) + done, KindEmpty, true},
		"error":              {sse(`{"delta":{"content":"a"}}`) + `data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n", KindServer, true},
		"error as text":      {`data: {"error":"out of memory"}` + "\n\n", KindServer, true},
		"error with a code":  {`data: {"error":{"message":"slow down","code":429}}` + "\n\n", KindRateLimited, true},
		"error of request":   {`data: {"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}` + "\n\n", KindContextLength, false},
		"error as finish":    {sse(`{"delta":{"content":"a"},"finish_reason":"error"}`) + done, KindServer, true},
		"too many calls":     {sse(flood...), KindTooLarge, false},
		"too many arguments": {sse(huge, huge), KindTooLarge, false},
	} {
		_, _, err := collect(test.stream)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v, want an *Error", name, err)
			continue
		}
		if e.Kind != test.kind || e.Temporary != test.temporary {
			t.Errorf("%s: %s, temporary %v (%v); want %s, %v", name, e.Kind, e.Temporary, e, test.kind, test.temporary)
		}
	}
}
