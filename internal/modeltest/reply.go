package modeltest

import (
	"net/http"
	"slices"
	"strconv"
)

// Call is a tool call.
type Call struct {
	// ID may be empty in a reply, which then gives the call an ID of its own.
	ID        string
	Name      string
	Arguments string
	// ThoughtSignature is Gemini's; usually empty.
	ThoughtSignature string
}

type replyKind int

const (
	unset replyKind = iota
	answer
	status
	raw
)

// Reply is what the server does with a request. Build one with [Text], [Calls], [Empty], [Status] or [Raw], and refine it with
// its methods, each of which returns a changed copy.
type Reply struct {
	kind replyKind

	// an answer
	text, refusal, reasoning string
	calls                    []Call
	finish                   string
	input, output, cached    int
	wholeJSON                bool

	// a status, or raw
	code   int
	header http.Header
	body   string

	truncateAt int // chunks; -1 for never
	gates      []gate
}

// gate holds a reply before its n-th chunk, or before anything when n is -1.
type gate struct {
	n    int
	open <-chan struct{}
}

func newReply(kind replyKind) Reply { return Reply{kind: kind, truncateAt: -1, input: 11, output: 7} }

// Text replies with a message.
func Text(text string) Reply {
	r := newReply(answer)
	r.text, r.finish = text, "stop"
	return r
}

// Calls replies with tool calls.
func Calls(calls ...Call) Reply {
	r := newReply(answer)
	r.calls, r.finish = slices.Clone(calls), "tool_calls"
	return r
}

// Empty replies with an answer that has neither text nor calls.
func Empty() Reply { return Text("") }

// Truncated replies with the first n chunks of an answer and then cuts the connection.
func Truncated(n int) Reply {
	r := Text("This answer is cut off before its end, so nobody should ever see it as a whole.")
	r.truncateAt = n
	return r
}

// Status replies with an HTTP status. The body is sent as JSON unless the header says otherwise.
func Status(code int, header http.Header, body string) Reply {
	r := newReply(status)
	r.code, r.header, r.body = code, header, body
	return r
}

// RateLimited replies with 429 and a Retry-After of so many seconds.
func RateLimited(seconds int) Reply {
	return Status(http.StatusTooManyRequests, http.Header{"Retry-After": {strconv.Itoa(seconds)}},
		`{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`)
}

// Raw replies with these bytes as the event stream.
func Raw(stream string) Reply {
	r := newReply(raw)
	r.body = stream
	return r
}

// WithText adds a message, as models write one before they call tools.
func (r Reply) WithText(text string) Reply { r.text = text; return r }

// WithRefusal adds a refusal.
func (r Reply) WithRefusal(text string) Reply { r.refusal = text; return r }

// WithReasoning adds thoughts, which come before everything else.
func (r Reply) WithReasoning(text string) Reply { r.reasoning = text; return r }

// WithFinish sets the finish_reason.
func (r Reply) WithFinish(reason string) Reply { r.finish = reason; return r }

// WithUsage sets the tokens that are reported; cached ones are part of the input.
func (r Reply) WithUsage(input, cached, output int) Reply {
	r.input, r.cached, r.output = input, cached, output
	return r
}

// AsJSON answers with one JSON object even when a stream was asked for, as some providers do.
func (r Reply) AsJSON() Reply { r.wholeJSON = true; return r }

// TruncateAfter cuts the connection after n chunks.
func (r Reply) TruncateAfter(n int) Reply { r.truncateAt = n; return r }

// Hold keeps the reply back, headers included, until the channel is closed, the client goes away or the server is closed.
func (r Reply) Hold(until <-chan struct{}) Reply { return r.gated(gate{-1, until}) }

// HoldAfter keeps the rest of the reply back after n chunks.
func (r Reply) HoldAfter(n int, until <-chan struct{}) Reply { return r.gated(gate{n, until}) }

func (r Reply) gated(g gate) Reply {
	r.gates = append(slices.Clone(r.gates), g)
	return r
}
