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
// reports the end of the stream, whatever the server does.
type eventStream struct {
	ctx   context.Context // the request's, to tell why a read failed
	body  io.ReadCloser
	in    *boundedReader
	lines eventScanner
	ex    *exchange
	id    json.RawMessage // of the request
	out   bytes.Buffer    // for the SDK
	done  bool
}

func newEventStream(ctx context.Context, body io.ReadCloser, ex *exchange, id json.RawMessage) *eventStream {
	in := &boundedReader{r: body, limit: ex.maxBytes}
	return &eventStream{ctx: ctx, body: body, in: in, lines: newEventScanner(in, ex.maxBytes), ex: ex, id: id}
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
	name, data, ok := s.lines.next()
	if !ok {
		s.fail(s.ended())
		return
	}
	if len(data) == 0 || name != "message" {
		return // a priming event, a comment, or another kind of event
	}
	m, err := parseMessage(data)
	switch {
	case err != nil:
		s.fail(failure(StageProtocol, "an event of its answer is not one JSON-RPC message"))
	case m.answers(s.id):
		s.write(s.ex.answered(m))
		s.done = true
	case m.method != "" && validID(m.id):
		s.write(m.withoutParams())
	}
	// Notifications and answers to nobody are dropped.
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

// next returns the next event, or false at the end. The name of one that has
// none is "message".
func (s eventScanner) next() (name string, data []byte, ok bool) {
	name = "message"
	for s.Scan() {
		line := s.Bytes()
		if len(line) == 0 {
			return name, data, true
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "event":
			if name = string(value); name == "" {
				name = "message"
			}
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	// An event that the end cuts off does not count, but servers do forget the
	// last empty line.
	return name, data, len(data) > 0 && s.Err() == nil
}

// validID reports whether id is one that JSON-RPC allows: a string or a number.
func validID(id json.RawMessage) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || '0' <= id[0] && id[0] <= '9')
}
