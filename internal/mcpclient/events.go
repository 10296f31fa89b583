package mcpclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// An eventStream is the body of an answer that comes as server-sent events. It
// passes on to the SDK, newly written, only what the SDK must see: requests of
// the server, which it declines, and the response. After the response it
// reports the end of the stream, whatever the server does. A stream that ends
// before the response is resumed if the server has made that possible.
type eventStream struct {
	ctx    context.Context // the request's, to tell why a read failed
	body   io.ReadCloser
	in     *boundedReader
	lines  eventScanner
	guard  *guard
	ex     *exchange
	id     json.RawMessage // of the request
	out    bytes.Buffer    // for the SDK
	done   bool
	resume resumption
}

func (g *guard) newEventStream(ctx context.Context, body io.ReadCloser, ex *exchange, id json.RawMessage, reopen reopener) *eventStream {
	s := &eventStream{
		ctx: ctx, guard: g, ex: ex, id: id, in: &boundedReader{limit: ex.maxBytes},
		resume: resumption{reopen: reopen, delay: defaultResumeDelay},
	}
	s.read(body)
	return s
}

// read begins with a body, within what is left of the bound.
func (s *eventStream) read(body io.ReadCloser) {
	s.body, s.in.r = body, body
	s.lines = newEventScanner(s.in, s.ex.maxBytes)
}

func (s *eventStream) Read(p []byte) (int, error) {
	for s.out.Len() == 0 {
		if s.done {
			// Reading to the end lets the connection be used again. The
			// exchange's context bounds the wait, and s.in the amount.
			_, _ = io.Copy(io.Discard, s.in)
			return 0, io.EOF
		}
		s.next()
	}
	return s.out.Read(p)
}

func (s *eventStream) Close() error {
	err := s.body.Close()
	s.ex.streamEnded()
	return err
}

// next handles one event or the end of the stream.
func (s *eventStream) next() {
	e, ok := s.lines.next()
	s.resume.note(e)
	if !ok {
		s.goOn()
		return
	}
	if len(e.data) == 0 || e.name != "message" {
		return // a priming event, a comment, or another kind of event
	}
	m, err := parseMessage(e.data)
	switch {
	case err != nil:
		s.fail(failure(StageProtocol, "an event of its answer is not one JSON-RPC message"))
	case m.answers(s.id):
		s.write(s.ex.answered(m))
		s.done = true
	case m.method != "" && validID(m.id) && s.guard.declines():
		s.write(m.withoutParams())
	}
	// Notifications, answers to nobody and a flood of requests are dropped.
}

func (s *eventStream) ended() *Error {
	if err := s.lines.Err(); err != nil {
		return readError(s.ctx, err, s.ex.maxBytes)
	}
	e := failure(StageProtocol, "its event stream ended without the answer")
	e.Temporary = true
	return e
}

// fail ends the stream with an error for the SDK, which would otherwise give
// up the whole session.
func (s *eventStream) fail(e *Error) {
	s.ex.fail(e)
	s.write(noUsableAnswer(s.id))
	s.done = true
}

func (s *eventStream) write(message []byte) { writeEvent(&s.out, message) }

// noUsableAnswer is what the SDK sees of an answer that it must not see.
func noUsableAnswer(id json.RawMessage) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"no usable answer"}}`, id, codeInternalError)
}

// withoutParams is a request of the server with all that is needed to decline it.
func (m message) withoutParams() []byte {
	method, _ := json.Marshal(m.method)
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"method":%s}`, m.id, method)
}

// writeEvent emits one event. A message may span lines; each is a field of its own.
func writeEvent(out *bytes.Buffer, message []byte) {
	for line := range bytes.Lines(message) {
		out.WriteString("data: ")
		out.Write(bytes.TrimRight(line, "\r\n"))
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
}

// An eventScanner reads server-sent events.
type eventScanner struct{ *bufio.Scanner }

// newEventScanner reads events from in, which bounds them. A line may be as
// long as longest says.
func newEventScanner(in io.Reader, longest int64) eventScanner {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, int(longest)+1)
	return eventScanner{lines}
}

// An event is one server-sent event. Its name is "message" if it has none.
type event struct {
	name  string
	data  []byte
	id    string
	retry string // as the server wrote it
}

// next returns the next event, or what there is of it and false at the end.
func (s eventScanner) next() (e event, ok bool) {
	e.name = "message"
	for s.Scan() {
		line := s.Bytes()
		if len(line) == 0 {
			return e, true
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "event":
			if e.name = string(value); e.name == "" {
				e.name = "message"
			}
		case "data":
			if e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		case "id":
			e.id = string(value)
		case "retry":
			e.retry = string(value)
		}
	}
	// An event that the end cuts off does not count, but servers do forget the
	// last empty line.
	return e, len(e.data) > 0 && s.Err() == nil
}

// validID reports whether id is one that JSON-RPC allows: a string or a number.
func validID(id json.RawMessage) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || '0' <= id[0] && id[0] <= '9')
}
