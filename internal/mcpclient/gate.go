package mcpclient

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// A gate is a request body that knows whether anyone has read from it, which
// is the proof that a request did or did not leave: headers without a body
// execute nothing. Asking closes it, because net/http may still be about to
// write the body when RoundTrip has already returned an error.
type gate struct {
	mu     sync.Mutex
	r      *bytes.Reader
	opened bool
	closed bool
}

func newGate(body []byte) *gate { return &gate{r: bytes.NewReader(body)} }

var errGateShut = errors.New("mcpclient: request abandoned")

func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, errGateShut
	}
	g.opened = true
	return g.r.Read(p)
}

// Close is the transport's; it changes nothing.
func (g *gate) Close() error { return nil }

// rewind readies the body for a second attempt of the transport.
func (g *gate) rewind() (io.ReadCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errGateShut
	}
	if _, err := g.r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return g, nil
}

// shut refuses further reads and reports whether there have been any.
func (g *gate) shut() (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.opened
}
