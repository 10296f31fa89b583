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
