package stream

import (
	"strconv"
	"unicode/utf8"

	"perdure/internal/responses"
)

// object is the data of an event while it is written. Deltas are most of what a server does, so that it goes without reflection.
type object []byte

// begin starts the data of the next event. The size is what is expected of its members.
func (r *Renderer) begin(kind string, size int) object {
	o := make(object, 0, size+len(kind)+64)
	o = append(o, `{"type":"`...)
	o = append(o, kind...)
	o = append(o, `","sequence_number":`...)
	return strconv.AppendInt(o, int64(r.sequence), 10)
}

// end finishes an event.
func (r *Renderer) end(kind string, o object) {
	r.out = append(r.out, Event{Sequence: r.sequence, Type: kind, Data: append(o, '}')})
	r.sequence++
}

func (o object) key(name string) object {
	o = append(o, `,"`...)
	o = append(o, name...)
	return append(o, `":`...)
}

func (o object) number(name string, n int) object {
	return strconv.AppendInt(o.key(name), int64(n), 10)
}

func (o object) string(name, s string) object { return appendString(o.key(name), s) }

func (o object) raw(name string, data []byte) object { return append(o.key(name), data...) }

// lifecycle says how far the response has come.
func (r *Renderer) lifecycle(kind string, response *responses.Response, status string) {
	now := *response
	now.Status = status
	body, err := now.MarshalWire(r.o.Dialect)
	r.fail(err)
	r.end(kind, r.begin(kind, len(body)).raw("response", body))
}

func (r *Renderer) itemEvent(kind string, p *place, body []byte) {
	r.end(kind, r.begin(kind, len(body)+32).number("output_index", p.index).raw("item", body))
}

// progress tells of an MCP item's.
func (r *Renderer) progress(kind string, p *place) {
	r.end(kind, r.begin(kind, len(p.id)+40).number("output_index", p.index).string("item_id", p.id))
}

func (r *Renderer) callArguments(p *place, arguments string) {
	const delta, done = "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done"
	size := len(p.id) + len(arguments) + len(arguments)/8 + 80
	if arguments != "" {
		r.end(delta, r.begin(delta, size).number("output_index", p.index).string("item_id", p.id).
			string("delta", arguments).string("obfuscation", ""))
	}
	r.end(done, r.begin(done, size).number("output_index", p.index).string("item_id", p.id).string("arguments", arguments))
}

// beginPart begins the next part of an item and returns its number.
func (r *Renderer) beginPart(p *place, kind string) int {
	k := len(p.shown.parts)
	p.shown.parts = append(p.shown.parts, part{kind: kind})
	r.partEvent("added", p, k, responses.Part{Type: kind})
	return k
}

// addText adds to a part.
func (r *Renderer) addText(p *place, k int, text string) {
	part := &p.shown.parts[k]
	part.text = append(part.text, text...)
	names := namesOf(part.kind)
	o := r.ofPart(names.delta, p, k, len(text)+len(text)/8).string("delta", text)
	if part.kind == responses.PartOutputText {
		o = o.raw("logprobs", []byte("[]"))
	}
	r.end(names.delta, o)
}

// endPart ends a part, which is final.
func (r *Renderer) endPart(p *place, k int, final responses.Part) {
	p.shown.parts[k].done = true
	names := namesOf(final.Type)
	o := r.ofPart(names.done, p, k, len(final.Text)+len(final.Text)/8)
	if call, ok := p.shown.item.(*responses.FunctionCall); ok {
		o = o.string("name", call.Name)
	}
	o = o.string(names.text, final.Text)
	if final.Type == responses.PartOutputText {
		o = o.raw("logprobs", []byte("[]"))
	}
	r.end(names.done, o)
	r.partEvent("done", p, k, final)
}

// endParts ends the open parts of an open item with what was shown of them.
func (r *Renderer) endParts(p *place) {
	if p.shown == nil {
		return
	}
	for k, part := range p.shown.parts {
		if !part.done {
			r.endPart(p, k, responses.Part{Type: part.kind, Text: string(part.text)})
		}
	}
}

// partEvent tells that a part begins or ends. A function call's arguments are no part to clients.
func (r *Renderer) partEvent(what string, p *place, k int, part responses.Part) {
	kind := "response.content_part." + what
	switch part.Type {
	case partArguments:
		return
	case responses.PartSummaryText:
		kind = "response.reasoning_summary_part." + what
	}
	body, err := part.MarshalJSON()
	r.fail(err)
	r.end(kind, r.ofPart(kind, p, k, len(body)).raw("part", body))
}

// ofPart begins an event that is about a part.
func (r *Renderer) ofPart(kind string, p *place, k, size int) object {
	o := r.begin(kind, size+len(p.id)+112).string("item_id", p.id).number("output_index", p.index)
	switch p.kind {
	case responses.TypeMessage:
		return o.number("content_index", k)
	case responses.TypeReasoning:
		return o.number("summary_index", k)
	default:
		return o
	}
}

// partNames are the events of one kind of part, and the member of the last in which its text stands.
type partNames struct{ delta, done, text string }

func namesOf(kind string) partNames {
	switch kind {
	case partArguments:
		return partNames{"response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"}
	case responses.PartRefusal:
		return partNames{"response.refusal.delta", "response.refusal.done", "refusal"}
	case responses.PartSummaryText:
		return partNames{"response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "text"}
	default:
		return partNames{"response.output_text.delta", "response.output_text.done", "text"}
	}
}

// whole renders a finished item.
func (r *Renderer) whole(item responses.Item) []byte {
	body, err := responses.MarshalItem(item, r.o.Dialect)
	r.fail(err)
	return body
}

// startedForm renders an item as it begins.
func (r *Renderer) startedForm(item responses.Item) []byte {
	body, err := responses.MarshalStarted(item, r.o.Dialect)
	r.fail(err)
	return body
}

// incompleteCall renders a call whose turn was given up, or that the run did not wait for. It has a status in both dialects: without
// one it would look like a call that succeeded.
func (r *Renderer) incompleteCall(call *responses.MCPCall) []byte {
	body, err := responses.MarshalItem(&responses.MCPCall{
		ID: call.ID, Status: responses.StatusIncomplete, ApprovalRequestID: call.ApprovalRequestID,
		ServerLabel: call.ServerLabel, Name: call.Name, Arguments: call.Arguments,
	}, responses.DialectOpenAI)
	r.fail(err)
	return body
}

// fail keeps the first error for the caller of the call that is being answered.
func (r *Renderer) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// appendString appends a JSON string. What is not valid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var char rune
			// U+2028 and U+2029 end a line for some readers of streams.
			if char, size = utf8.DecodeRuneInString(s[i:]); char != '\u2028' && char != '\u2029' && (char != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case size == 3:
			b = append(b, '\\', 'u', '2', '0', '2', hex[s[i+2]&15])
		default:
			b = append(b, "\uFFFD"...)
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
