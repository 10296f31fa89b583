package model

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

// streams are bodies that providers send, well-formed and not.
var streams = []string{
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
	": alive\r\n\r\ndata:{\"choices\":[]}\r\ndata: [DONE]",
	"data: {\ndata: \"choices\":[{\"delta\":{\"reasoning_content\":\"r\",\"refusal\":\"no\"}}]}\n\n",
	"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}},{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\ndata: [DONE]\n\n",
	"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},{\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},\"finish_reason\":\"length\"}]}\n",
	"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1e9,\"completion_tokens\":-1}}\n\n",
	"data: {\"error\":{\"message\":\"sk-secret-secret-secret\",\"code\":429}}\n\n",
	`{"choices":[{"message":{"role":"assistant","content":"whole","tool_calls":[{"id":"x","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"error"}],"model":"m"}`,
	"event: error\ndata: \"just text\"\n\nid: 1\nretry: 5\n\ndata\n\n", "", "\n\n\r", "data: [DONE]\n\n", "data: \ndata: \n\ndata:  {}\n\n", "<html>",
}

// FuzzEvents checks that events do not depend on how their bytes arrive, that they hold nothing but what was sent, and that they can be
// written and read again without change.
func FuzzEvents(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		read := func(stream io.Reader) []string {
			all, err := readEvents(stream)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("no input of this size passes a bound: %v", err)
			}
			return all
		}
		whole := read(bytes.NewReader(body))
		if diff := cmp.Diff(whole, read(iotest.OneByteReader(bytes.NewReader(body)))); diff != "" {
			t.Fatalf("read byte by byte, the events are others (-whole +bytes):\n%s", diff)
		}
		var again bytes.Buffer
		size := 0
		for _, data := range whole {
			size += len(data)
			for line := range strings.SplitSeq(data, "\n") {
				again.WriteString("data: " + line + "\n")
			}
			again.WriteByte('\n')
		}
		if size > len(body) {
			t.Fatalf("%d bytes of events from %d bytes", size, len(body))
		}
		if diff := cmp.Diff(whole, read(&again)); diff != "" {
			t.Fatalf("written and read again, the events are others (-before +after):\n%s", diff)
		}
	})
}

// FuzzAnswer checks that an answer does not depend on how its bytes arrive, that its deltas add up to it, and that failures are of the
// kinds that the rest of Perdure knows, bounded, and without the provider's key.
func FuzzAnswer(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s))
	}
	const key = "the-key-of-the-provider"
	f.Add([]byte("data: {\"error\":{\"message\":\"" + key + "\",\"code\":\"" + key + "\"}}\n\n"))
	p := &Provider{Name: "p", APIKey: secret.New(key)}
	f.Fuzz(func(t *testing.T, body []byte) {
		var told Answer
		answer, err := p.read(&http.Response{Body: io.NopCloser(bytes.NewReader(body))}, func(d Delta) error { return tell(&told, d) })
		again, errAgain := p.read(&http.Response{Body: io.NopCloser(iotest.OneByteReader(bytes.NewReader(body)))}, nil)
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("error %v, byte by byte %v", err, errAgain)
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind == "" || len(e.Message) > maxMessageBytes || !utf8.ValidString(e.Message) {
				t.Fatalf("error %#v", err)
			}
			if strings.Contains(e.Error()+e.Code, key) {
				t.Fatalf("error %v shows the key", e)
			}
			return
		}
		if diff := cmp.Diff(withoutMadeIDs(answer), withoutMadeIDs(again)); diff != "" {
			t.Fatalf("read byte by byte, the answer is another (-whole +bytes):\n%s", diff)
		}
		if told.Text != answer.Text || told.Refusal != answer.Refusal || told.Reasoning != answer.Reasoning {
			t.Fatalf("told %+v, answered %+v", told, answer)
		}
		ids := map[string]bool{}
		for i, call := range answer.Calls {
			if call.ID == "" || ids[call.ID] || call.Name == "" || strings.TrimSpace(call.Arguments) == "" {
				t.Fatalf("call %d: %+v", i, call)
			}
			ids[call.ID] = true
			if told.Calls[i].ID != call.ID || told.Calls[i].Name != call.Name || told.Calls[i].Arguments != call.Arguments && call.Arguments != "{}" {
				t.Fatalf("call %d: told %+v, answered %+v", i, told.Calls[i], call)
			}
		}
		if len(answer.Calls) > maxCalls || answer.Finish == "" || answer.Usage.InputTokens < 0 || answer.Usage.OutputTokens < 0 {
			t.Fatalf("got %+v", answer)
		}
	})
}

// tell adds a delta as a client that follows a stream does.
func tell(a *Answer, d Delta) error {
	switch d.Kind {
	case DeltaText:
		a.Text += d.Text
	case DeltaRefusal:
		a.Refusal += d.Text
	case DeltaReasoning:
		a.Reasoning += d.Text
	case DeltaCall:
		if d.Index != len(a.Calls) {
			return errors.New("a call begins out of its turn")
		}
		a.Calls = append(a.Calls, Call{ID: d.ID, Name: d.Name})
	case DeltaArguments:
		if d.Index >= len(a.Calls) {
			return errors.New("arguments of a call that has not begun")
		}
		a.Calls[d.Index].Arguments += d.Text
	}
	return nil
}

// withoutMadeIDs leaves out the IDs that are made where a provider gives none: they are random.
func withoutMadeIDs(a Answer) Answer {
	a.Calls = slices.Clone(a.Calls)
	for i := range a.Calls {
		if strings.HasPrefix(a.Calls[i].ID, "call_") {
			a.Calls[i].ID = ""
		}
	}
	return a
}
