package modeltest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const (
	created    = 1_750_000_000
	textPiece  = 12 // characters of a text's delta
	argsPiece  = 9  // characters of an argument's delta
	doneMarker = "data: [DONE]\n\n"
)

// writer sends one reply.
type writer struct {
	w       http.ResponseWriter
	request *http.Request
	done    <-chan struct{}
	sent    int // chunks
}

type wireCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	ExtraContent *extraContent `json:"extra_content,omitempty"`
}

type extraContent struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

func (c wireCall) call() Call {
	out := Call{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments}
	if c.ExtraContent != nil {
		out.ThoughtSignature = c.ExtraContent.Google.ThoughtSignature
	}
	return out
}

func newWireCall(c Call) wireCall {
	out := wireCall{ID: c.ID, Type: "function"}
	out.Function.Name, out.Function.Arguments = c.Name, c.Arguments
	if c.ThoughtSignature != "" {
		out.ExtraContent = &extraContent{}
		out.ExtraContent.Google.ThoughtSignature = c.ThoughtSignature
	}
	return out
}

type object = map[string]any

func (w *writer) reply(req Request, r Reply) {
	w.pass(r, -1)
	switch {
	case r.kind == status:
		w.w.Header().Set("Content-Type", "application/json")
		for name, values := range r.header {
			w.w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.w.WriteHeader(r.code)
		w.write(r.body)
	case r.kind == raw:
		w.w.Header().Set("Content-Type", "text/event-stream")
		w.write(r.body)
	case !req.Stream || r.wholeJSON:
		writeJSON(w.w, http.StatusOK, w.completion(req, r))
	default:
		w.w.Header().Set("Content-Type", "text/event-stream")
		w.w.WriteHeader(http.StatusOK)
		w.flush()
		w.stream(req, r)
		w.write(doneMarker)
	}
}

// pass waits at the reply's gates before chunk n. It ends the handler when nobody will read on.
func (w *writer) pass(r Reply, n int) {
	for _, g := range r.gates {
		if g.n != n {
			continue
		}
		select {
		case <-g.open:
		case <-w.request.Context().Done():
			panic(http.ErrAbortHandler)
		case <-w.done:
			panic(http.ErrAbortHandler)
		}
	}
	if n >= 0 && n == r.truncateAt {
		panic(http.ErrAbortHandler)
	}
}

func (w *writer) stream(req Request, r Reply) {
	send := func(delta object) { w.chunk(req, r, delta, nil) }
	send(object{"role": "assistant", "content": ""})
	for _, piece := range pieces(r.reasoning, textPiece) {
		send(object{"reasoning_content": piece})
	}
	for _, piece := range pieces(r.text, textPiece) {
		send(object{"content": piece})
	}
	for _, piece := range pieces(r.refusal, textPiece) {
		send(object{"refusal": piece})
	}
	for i, c := range w.calls(req, r) {
		arguments := c.Function.Arguments
		c.Index, c.Function.Arguments = &i, ""
		send(object{"tool_calls": []wireCall{c}})
		for _, piece := range pieces(arguments, argsPiece) {
			next := wireCall{Index: &i}
			next.Function.Arguments = piece
			send(object{"tool_calls": []wireCall{next}})
		}
	}
	w.chunk(req, r, object{}, r.finish)
	if req.includeUsage {
		w.event(r, w.envelope(req, "chat.completion.chunk", []object{}, r.usage()))
	}
	w.pass(r, w.sent)
}

func (w *writer) chunk(req Request, r Reply, delta object, finish any) {
	choice := object{"index": 0, "delta": delta, "finish_reason": finish}
	w.event(r, w.envelope(req, "chat.completion.chunk", []object{choice}, nil))
}

func (w *writer) completion(req Request, r Reply) object {
	message := object{"role": "assistant", "content": r.text, "refusal": nil}
	if r.refusal != "" {
		message["refusal"] = r.refusal
	}
	if r.reasoning != "" {
		message["reasoning_content"] = r.reasoning
	}
	if calls := w.calls(req, r); len(calls) > 0 {
		message["tool_calls"] = calls
	}
	choice := object{"index": 0, "message": message, "finish_reason": r.finish}
	return w.envelope(req, "chat.completion", []object{choice}, r.usage())
}

func (w *writer) envelope(req Request, kind string, choices []object, usage object) object {
	out := object{
		"id": fmt.Sprintf("chatcmpl-%d", req.N), "object": kind, "created": created, "model": req.Model, "choices": choices,
	}
	if usage != nil {
		out["usage"] = usage
	}
	return out
}

func (w *writer) calls(req Request, r Reply) []wireCall {
	var out []wireCall
	for i, c := range r.calls {
		if c.ID == "" {
			c.ID = fmt.Sprintf("call_%d_%d", req.N, i)
		}
		out = append(out, newWireCall(c))
	}
	return out
}

func (r Reply) usage() object {
	return object{
		"prompt_tokens": r.input, "completion_tokens": r.output, "total_tokens": r.input + r.output,
		"prompt_tokens_details": object{"cached_tokens": r.cached}, "completion_tokens_details": object{"reasoning_tokens": 0},
	}
}

func (w *writer) event(r Reply, value any) {
	w.pass(r, w.sent)
	data, err := json.Marshal(value)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.write("data: " + string(data) + "\n\n")
	w.sent++
}

func (w *writer) write(text string) {
	_, _ = io.WriteString(w.w, text) // a client that went away is its own problem
	w.flush()
}

func (w *writer) flush() { _ = http.NewResponseController(w.w).Flush() }

// pieces cuts text into deltas of n characters.
func pieces(text string, n int) []string {
	var out []string
	runes := []rune(text)
	for len(runes) > 0 {
		k := min(n, len(runes))
		out = append(out, string(runes[:k]))
		runes = runes[k:]
	}
	return out
}
