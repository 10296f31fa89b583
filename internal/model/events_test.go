package model

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readEvents(stream io.Reader) ([]string, error) {
	events := newEventReader(stream)
	var got []string
	for {
		data, err := events.next()
		if err != nil {
			return got, err
		}
		got = append(got, string(data))
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", 100<<10) + `"`
	for name, test := range map[string]struct {
		stream string
		want   []string
	}{
		"plain":             {"data: {\"a\":1}\n\ndata: [DONE]\n\n", []string{`{"a":1}`, "[DONE]"}},
		"no space":          {"data:{}\n\n", []string{"{}"}},
		"CRLF":              {"data: {}\r\n\r\ndata: []\r\n\r\n", []string{"{}", "[]"}},
		"comments":          {": keep-alive\n\n: keep-alive\n\n" + strings.Repeat(": PROCESSING\n\n", 1000) + "data: {}\n\n", []string{"{}"}},
		"other fields":      {"event: x\nid: 1\nretry: 5\ndata: {}\n\n", []string{"{}"}},
		"no empty line":     {"data: {}\ndata: 1\ndata: [DONE]\n", []string{"{}", "1", "[DONE]"}},
		"no end":            {"data: {}\n\ndata: [DONE]", []string{"{}", "[DONE]"}},
		"several lines":     {"data: {\ndata: \"a\":1\ndata: }\n\ndata: {}\n\n", []string{"{\n\"a\":1\n}", "{}"}},
		"several, no end":   {"data: {\ndata: }", []string{"{\n}"}},
		"not JSON":          {"data: oops\n\n", []string{"oops"}},
		"longer than a buf": {"data: " + long + "\n\n", []string{long}},
		"nothing":           {"", nil},
	} {
		for _, reader := range []io.Reader{strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream))} {
			got, err := readEvents(reader)
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s: error %v, want io.EOF", name, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// endless repeats its text for ever.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stream io.Reader
		want   error
	}{
		"a line without end":   {endless{"data: x"}, errEventTooLong},
		"an event without end": {io.MultiReader(strings.NewReader("data: [\n"), endless{"data: 1,\n"}), errEventTooLong},
		"a stream without end": {endless{": comment\n"}, errAnswerTooLong},
		"a broken connection":  {iotest.ErrReader(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF},
	} {
		if _, err := readEvents(test.stream); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
}

// FuzzAnswer feeds any bytes to the reader of answers, which must end, and end in an answer that keeps its promises or in an
// error that says what kind it is.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]}}]}\n\ndata: [DONE]"))
	f.Add([]byte("data: {\"error\":{\"message\":\"x\",\"code\":429}}\n\n"))
	f.Add([]byte(`{"choices":[{"message":{"content":[{"type":"text","text":"hi"}]},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}`))
	f.Add([]byte("data: {\ndata: }\n\n: x\r\n\r\ndata:null"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		p := &Provider{Name: "p"}
		var text string
		calls := map[int]string{}
		c := &collector{onDelta: func(d Delta) error {
			switch d.Kind {
			case DeltaText:
				text += d.Text
			case DeltaCall:
				if _, ok := calls[d.Index]; ok || d.ID == "" || d.Name == "" {
					t.Fatalf("a call begins twice or has no ID or name: %+v", d)
				}
				calls[d.Index] = ""
			case DeltaArguments:
				if _, ok := calls[d.Index]; !ok {
					t.Fatalf("arguments before the call begins: %+v", d)
				}
				calls[d.Index] += d.Text
			case DeltaRefusal, DeltaReasoning:
			}
			return nil
		}}
		err := p.collect(c, newEventReader(strings.NewReader(string(stream))))
		var answer Answer
		if err == nil {
			answer, err = c.finished()
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind == "" || len(e.Message) > maxMessageBytes {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if answer.Finish == "" || answer.Text != text {
			t.Fatalf("answer %+v, deltas %q", answer, text)
		}
		ids := map[string]bool{}
		for i, call := range answer.Calls {
			if call.ID == "" || call.Name == "" || call.Arguments == "" || ids[call.ID] {
				t.Fatalf("call %+v", call)
			}
			ids[call.ID] = true
			if sent := calls[i]; sent != call.Arguments && strings.TrimSpace(sent) != "" {
				t.Fatalf("arguments %q, deltas %q", call.Arguments, sent)
			}
		}
	})
}
