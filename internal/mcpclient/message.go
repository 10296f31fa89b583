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
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return message{}, errNotMessage // a batch, not JSON, nothing at all
	}
	var version string
	if err := json.Unmarshal(members["jsonrpc"], &version); err != nil || version != "2.0" {
		return message{}, errNotMessage
	}
	m := message{raw: raw, id: present(members["id"]), result: present(members["result"])}
	if method := members["method"]; method != nil {
		if err := json.Unmarshal(method, &m.method); err != nil || m.method == "" {
			return message{}, errNotMessage
		}
		return m, nil
	}
	if e := present(members["error"]); e != nil {
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

// readBounded reads all of r, or fails with errTooLarge once it has seen more
// than limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, nil
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
