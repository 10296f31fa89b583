package main

import (
	"bytes"
	"testing"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

// TestThoughtsEndOnTheirOwnStream: a line of thoughts that is left in the middle is ended on standard error. Standard output may be a pipe that
// nobody reads any more, and a newline there is part of the answer.
func TestThoughtsEndOnTheirOwnStream(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	s := &session{out: terminal.Out{Writer: &out}, err: terminal.Out{Writer: &errs, Terminal: true}}
	v := newRunView(s, false)
	thought := apiclient.Event{Type: "response.reasoning_text.delta", Data: []byte(`{"delta":"hm"}`)}
	if _, err := v.add(thought); err != nil {
		t.Fatal(err)
	}
	if err := v.endLine(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "" || errs.String() != "hm\n" {
		t.Errorf("standard output has %q, standard error %q", &out, &errs)
	}
	if err := v.endLine(); err != nil || errs.String() != "hm\n" {
		t.Errorf("a line was ended twice: %q, %v", &errs, err)
	}
}

// TestOneLineAtATime: on a terminal that shows both streams, neither goes on in a line of the other.
func TestOneLineAtATime(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	both := terminal.Out{Writer: &screen, Terminal: true}
	v := newRunView(&session{out: both, err: both}, false)
	for _, e := range [][2]string{
		{"response.reasoning_text.delta", `{"delta":"hm"}`},
		{"response.output_text.delta", `{"item_id":"m","delta":"well"}`},
		{"response.reasoning_text.delta", `{"delta":"hm"}`},
		{"response.output_item.done", `{"item":{"type":"message","id":"m","content":[{"type":"output_text","text":"well, yes"}]}}`},
	} {
		if _, err := v.add(apiclient.Event{Type: e[0], Data: []byte(e[1])}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := screen.String(), "hm\nwell\nhm\n, yes\n"; got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
}
