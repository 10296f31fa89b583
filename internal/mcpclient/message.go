package mcpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var (
	errNotMessage = errors.New("not one JSON-RPC 2.0 message")
	errTooLarge   = errors.New("larger than the bound")
)

// A message is one JSON-RPC message with its parts as they were on the wire.
type message struct {
	raw    json.RawMessage
	id     json.RawMessage // nil if absent or null
	method string
	result json.RawMessage
	err    *rpcError
}

type rpcError struct {
	code    int64
	message string // written by the server
}

// parseMessage reads exactly one message. It looks members up by their exact
// names, where encoding/json would also take "RESULT".
func parseMessage(raw []byte) (message, error) {
	parts, ok := members(raw)
	if !ok {
		return message{}, errNotMessage // a batch, not JSON, nothing at all
	}
	var version string
	if err := json.Unmarshal(parts["jsonrpc"], &version); err != nil || version != "2.0" {
		return message{}, errNotMessage
	}
	m := message{raw: raw, id: present(parts["id"]), result: present(parts["result"])}
	if method := parts["method"]; method != nil {
		if err := json.Unmarshal(method, &m.method); err != nil || m.method == "" {
			return message{}, errNotMessage
		}
		return m, nil
	}
	if e := present(parts["error"]); e != nil {
		m.err = parseRPCError(e)
	}
	if (m.result == nil) == (m.err == nil) {
		return message{}, errNotMessage
	}
	return m, nil
}

// parseRPCError takes what it can get: an error object of the wrong form is
// still an error.
func parseRPCError(raw json.RawMessage) *rpcError {
	var members map[string]json.RawMessage
	var e rpcError
	if json.Unmarshal(raw, &members) == nil {
		if json.Unmarshal(members["code"], &e.code) != nil {
			e.code = 0
		}
		if json.Unmarshal(members["message"], &e.message) != nil {
			e.message = ""
		}
	}
	return &e
}

// answers reports whether m is the response to the request with this ID.
func (m message) answers(id json.RawMessage) bool {
	return m.method == "" && m.id != nil && bytes.Equal(m.id, id)
}

// present maps an explicit null to absence.
func present(raw json.RawMessage) json.RawMessage {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil
	}
	return raw
}

// pieceBytes is how much of an answer is read into one piece of memory.
const pieceBytes = 256 << 10

// readBounded reads all of r, or fails with errTooLarge once it has seen more
// than limit bytes. It reads into pieces, since a buffer that grows would take
// several times the memory before it is known that all was in vain.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	var pieces [][]byte
	size := int64(0)
	for piece := make([]byte, 0, min(limit+1, 4<<10)); ; piece = make([]byte, 0, min(limit+1-size, pieceBytes)) {
		err := fill(r, &piece)
		size += int64(len(piece))
		if size > limit {
			return nil, errTooLarge
		}
		if len(pieces) == 0 && errors.Is(err, io.EOF) {
			return piece, nil // most answers are small
		}
		pieces = append(pieces, piece)
		if errors.Is(err, io.EOF) {
			return bytes.Join(pieces, nil), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
	}
}

// fill reads into the room that a piece has. Its error is io.EOF at the end.
func fill(r io.Reader, piece *[]byte) error {
	for len(*piece) < cap(*piece) {
		n, err := r.Read((*piece)[len(*piece):cap(*piece)])
		*piece = (*piece)[:len(*piece)+n]
		if err != nil {
			return err
		}
	}
	return nil
}

// boundedReader reads from r until limit bytes have passed and then fails with
// errTooLarge.
type boundedReader struct {
	r     io.Reader
	limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.limit < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.limit+1 {
		p = p[:b.limit+1]
	}
	n, err := b.r.Read(p)
	b.limit -= int64(n)
	if b.limit < 0 {
		return n, errTooLarge
	}
	return n, err
}
