package demo_test

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModelStreams(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for _, tt := range []struct{ name, prompt string }{
		{"text", "Good morning!"},
		{"calls", `Use deepwiki to answer "why not?" for a/b and c/d`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			more := `,"tools":` + tools
			want, wantFinish, _ := complete(t, url, request(t, tt.prompt, more))
			resp := post(t, url+"/v1/chat/completions", request(t, tt.prompt, more+`,"stream":true,"stream_options":{"include_usage":true}`))
			if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
				t.Errorf("content type %q", got)
			}
			got, finish, usage, chunks := collect(t, resp.Body)
			for i := range got.ToolCalls { // IDs depend on the request, which is another
				got.ToolCalls[i].ID, want.ToolCalls[i].ID = "", ""
				got.ToolCalls[i].Index = 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if finish != wantFinish || usage == nil || usage.Total == 0 || chunks < 8 {
				t.Errorf("finish_reason %q, usage %v, %d chunks", finish, usage, chunks)
			}
		})
	}
}

// collect puts a stream together.
func collect(t *testing.T, body io.Reader) (m message, finish string, u *usage, chunks int) {
	t.Helper()
	lines := bufio.NewScanner(body)
	done := false
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case lines.Text() == "":
			continue
		case !ok || done:
			t.Fatalf("unexpected line %q", lines.Text())
		case data == "[DONE]":
			done = true
			continue
		}
		var c completion
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatal(err)
		}
		chunks++
		if c.Usage != nil {
			u = c.Usage
			continue
		}
		d := c.Choices[0].Delta
		if finish != "" {
			t.Fatalf("a chunk after the last: %q", data)
		}
		if c.Choices[0].FinishReason != nil {
			finish = *c.Choices[0].FinishReason
		}
		m.Role += d.Role
		if d.Content != nil {
			if m.Content == nil {
				m.Content = new(string)
			}
			*m.Content += *d.Content
		}
		for _, call := range d.ToolCalls {
			if call.Index == len(m.ToolCalls) {
				m.ToolCalls = append(m.ToolCalls, call)
				continue
			}
			m.ToolCalls[call.Index].Function.Arguments += call.Function.Arguments
		}
	}
	if err := lines.Err(); err != nil || !done {
		t.Fatalf("the stream ended early: %v", err)
	}
	return m, finish, u, chunks
}
