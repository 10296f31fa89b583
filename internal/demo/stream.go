package demo

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

type wireChunk struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []wireUpdate `json:"choices"`
	Usage   *wireUsage   `json:"usage,omitempty"`
}

type wireUpdate struct {
	Index        int       `json:"index"`
	Delta        wireDelta `json:"delta"`
	FinishReason *string   `json:"finish_reason"`
}

type wireDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []wireCall `json:"tool_calls,omitempty"`
}

// stream writes the answer as server-sent events, one piece each, until it is complete or the client has gone.
func (c *completion) stream(ctx context.Context, w http.ResponseWriter, delay time.Duration, withUsage bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	created := time.Now().Unix()
	flush := http.NewResponseController(w)
	for _, chunk := range c.chunks(withUsage) {
		if !pause(ctx, delay) {
			return
		}
		chunk.ID, chunk.Object, chunk.Created, chunk.Model = c.id, "chat.completion.chunk", created, c.model
		data, err := marshal(chunk)
		if err != nil {
			return
		}
		if writeEvent(w, data) != nil || flush.Flush() != nil {
			return
		}
	}
	_ = writeEvent(w, []byte("[DONE]")) // nothing follows that could fail
}

// chunks lists the answer's pieces in order.
func (c *completion) chunks(withUsage bool) []wireChunk {
	var out []wireChunk
	add := func(d wireDelta, finish *string) {
		out = append(out, wireChunk{Choices: []wireUpdate{{Delta: d, FinishReason: finish}}})
	}
	add(wireDelta{Role: "assistant"}, nil)
	if len(c.calls) == 0 {
		for _, piece := range pieces(c.text) {
			add(wireDelta{Content: &piece}, nil)
		}
	}
	for i, call := range c.calls {
		start := call
		start.Index, start.Function.Arguments = &i, ""
		add(wireDelta{ToolCalls: []wireCall{start}}, nil)
		for _, piece := range pieces(call.Function.Arguments) {
			add(wireDelta{ToolCalls: []wireCall{{Index: &i, Function: wireFunction{Arguments: piece}}}}, nil)
		}
	}
	add(wireDelta{}, &c.finish)
	if withUsage {
		out = append(out, wireChunk{Choices: []wireUpdate{}, Usage: &c.usage})
	}
	return out
}

// pieces cuts text after each space: words are the tokens of a script.
func pieces(text string) []string { return strings.SplitAfter(text, " ") }

func writeEvent(w io.Writer, data []byte) error {
	_, err := w.Write(append(append([]byte("data: "), data...), "\n\n"...))
	return err
}

// pause waits and reports whether the client is still there.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
