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
	lines *bufio.Scanner
	ex    *exchange
	id    json.RawMessage // of the request
	out   bytes.Buffer    // for the SDK
	done  bool
}

func newEventStream(ctx context.Context, body io.ReadCloser, ex *exchange, id json.RawMessage) *eventStream {
	in := &boundedReader{r: body, limit: ex.maxBytes}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, int(ex.maxBytes)+1)
	return &eventStream{ctx: ctx, body: body, in: in, lines: lines, ex: ex, id: id}
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
	data, ok := s.event()
	if !ok {
		s.fail(s.ended())
		return
	}
	if len(data) == 0 {
		return // a priming event, or a comment
	}
	m, err := parseMessage(data)
	switch {
	case err != nil:
		s.fail(failure(StageProtocol, "an event of its answer is not one JSON-RPC message"))
	case m.answers(s.id):
		s.write(s.ex.answered(m))
		s.done = true
	case m.method != "" && validID(m.id):
		// Without its parameters, which are not needed to decline it.
		method, _ := json.Marshal(m.method)
		s.write(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"method":%s}`, m.id, method))
	}
	// Notifications and answers to nobody are dropped.
}

// event returns the data of the next event, or false at the end.
func (s *eventStream) event() ([]byte, bool) {
	var data []byte
	isMessage := true
	for s.lines.Scan() {
		line := s.lines.Bytes()
		if len(line) == 0 {
			if !isMessage {
				data = nil
			}
			return data, true
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "event":
			isMessage = len(value) == 0 || string(value) == "message"
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	// An event that the end cuts off does not count, but servers do forget the
	// last empty line.
	return data, isMessage && len(data) > 0 && s.lines.Err() == nil
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
	s.write(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"no usable answer"}}`, s.id, codeInternalError))
	s.done = true
}

// write emits one event. A message may span lines; each is a field of its own.
func (s *eventStream) write(message []byte) {
	for line := range bytes.Lines(message) {
		s.out.WriteString("data: ")
		s.out.Write(bytes.TrimRight(line, "\r\n"))
		s.out.WriteByte('\n')
	}
	s.out.WriteByte('\n')
}

// validID reports whether id is one that JSON-RPC allows: a string or a number.
func validID(id json.RawMessage) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || '0' <= id[0] && id[0] <= '9')
}
