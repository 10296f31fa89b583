package model

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Bounds of an answer, in bytes.
const (
	maxAnswerBytes = 32 << 20
	maxEventBytes  = 4 << 20
)

var (
	errAnswerTooLong = errors.New("the answer has more than 32 MiB")
	errEventTooLong  = errors.New("an event of the answer has more than 4 MiB")
)

// eventReader reads the data of server-sent events. It takes what providers send in practice: comments that keep the
// connection alive, lines that end in CRLF, events without an empty line between them, and a last line without an end.
type eventReader struct {
	r       *bufio.Reader
	pending []byte // data lines of an event that is not complete
}

func newEventReader(body io.Reader) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(&boundedReader{r: body, left: maxAnswerBytes}, 16<<10)}
}

// isJSON reports whether the answer is one JSON value rather than events. Some providers stream nothing when asked to.
func (e *eventReader) isJSON() bool {
	for {
		b, err := e.r.Peek(1)
		if err != nil {
			return false
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
			_, _ = e.r.Discard(1) // what was peeked is there
		default:
			return b[0] == '{' || b[0] == '['
		}
	}
}

// rest reads everything that is left.
func (e *eventReader) rest() ([]byte, error) { return io.ReadAll(e.r) }

// next returns the data of the next event, or io.EOF after the last. The data is valid until the next call.
func (e *eventReader) next() ([]byte, error) {
	e.pending = e.pending[:0]
	for {
		line, err := e.line()
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			if errors.Is(err, io.EOF) && len(e.pending) > 0 {
				return e.pending, nil
			}
			return nil, err
		}
		data, isData := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case isData:
			data = bytes.TrimPrefix(data, []byte(" "))
			if len(e.pending) == 0 && (isDone(data) || json.Valid(data)) {
				return data, nil
			}
			if len(e.pending)+len(data) > maxEventBytes {
				return nil, errEventTooLong
			}
			if len(e.pending) > 0 {
				e.pending = append(e.pending, '\n')
			}
			e.pending = append(e.pending, data...)
		case len(line) == 0 && len(e.pending) > 0:
			return e.pending, nil
		}
	}
}

// line returns the next line without its end. It may return a last line together with io.EOF.
func (e *eventReader) line() ([]byte, error) {
	line, err := e.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(long) > maxEventBytes {
				return nil, errEventTooLong
			}
			line, err = e.r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	return bytes.TrimRight(line, "\r\n"), err
}

func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }

// boundedReader fails, rather than ends, when its bound is passed: an answer that was cut must not pass for a whole one.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
