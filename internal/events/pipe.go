package events

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// maxUnsent bounds what the server in this process has not yet read.
const maxUnsent = 64 << 20

var errUnsent = errors.New("events: the embedded server does not read")

// inProcess connects to a server in this process. The server's own connections are pipes without a buffer: our client, which holds
// its lock while it writes, and the server, which may have to write before it reads on, would wait for each other.
type inProcess struct{ *server.Server }

// InProcessConn implements [nats.InProcessConnProvider].
func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	b := &bufferedConn{Conn: conn}
	b.filled = sync.NewCond(&b.mu)
	go b.send()
	return b, nil
}

// bufferedConn is a connection whose writes do not wait for the other side.
type bufferedConn struct {
	net.Conn
	mu     sync.Mutex
	filled *sync.Cond
	unsent []byte
	err    error // why nothing more can be written
}

func (c *bufferedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && len(c.unsent)+len(p) > maxUnsent {
		c.err = errUnsent
	}
	if c.err != nil {
		return 0, c.err
	}
	c.unsent = append(c.unsent, p...)
	c.filled.Signal()
	return len(p), nil
}

// SetWriteDeadline does nothing: it would end the sending, not the write.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads.
func (c *bufferedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends the connection without what is unsent. Whoever needs that to arrive flushes before.
func (c *bufferedConn) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = net.ErrClosed
	}
	c.filled.Signal()
	c.mu.Unlock()
	return c.Conn.Close()
}

// send writes what is unsent until the connection ends.
func (c *bufferedConn) send() {
	var sending []byte
	for {
		c.mu.Lock()
		for len(c.unsent) == 0 && c.err == nil {
			c.filled.Wait()
		}
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		// A buffer that was needed once is not kept for ever.
		if cap(sending) > 1<<20 {
			sending = nil
		}
		sending, c.unsent = c.unsent, sending[:0]
		c.mu.Unlock()
		if _, err := c.Conn.Write(sending); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}
