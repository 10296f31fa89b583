// Package linktest is a network between two programs that tests can cut, hold up and slow down: a TCP proxy on 127.0.0.1. It
// also keeps ports for servers that tests stop and start.
//
// The package does not import testing, so that other programs can use it too.
package linktest

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chunkBytes is how much passes in one piece, and chunksOnTheWay how many pieces are under way in one direction.
const (
	chunkBytes     = 32 << 10
	chunksOnTheWay = 256
)

// dialTimeout bounds how long a target on this machine may take to be there.
const dialTimeout = 5 * time.Second

// Link passes what comes to its address on to another one, and back.
type Link struct {
	target string
	port   *Port // kept while the link is cut

	mu       sync.Mutex
	listener net.Listener // nil while the link is cut
	conns    map[net.Conn]bool
	delay    time.Duration
	hung     bool
	changed  chan struct{} // closed and replaced when hung or delay changes
	closed   bool
	dials    int
	all      sync.WaitGroup
}

// New returns a link to an address, at which nobody need listen yet. It must be closed.
func New(target string) (*Link, error) {
	port, err := Hold()
	if err != nil {
		return nil, err
	}
	l := &Link{target: target, port: port, conns: map[net.Conn]bool{}, changed: make(chan struct{})}
	return l, l.Restore()
}

// Address is where the link takes connections. It stays the same while the link is cut.
func (l *Link) Address() string { return l.port.Address() }

// Connections returns how many connections were made so far.
func (l *Link) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// Cut breaks all connections, and has new ones refused.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	for c := range l.conns {
		_ = c.Close()
	}
}

// Restore ends what Cut, Hang and Delay did.
func (l *Link) Restore() error {
	l.set(0, false)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("linktest: the link was closed")
	}
	if l.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", l.Address())
	if err != nil {
		return err
	}
	l.listener = listener
	l.all.Go(func() { l.accept(listener) })
	return nil
}

// Hang takes connections, and what comes over them, and passes nothing on until Restore.
func (l *Link) Hang() { l.set(0, true) }

// Delay has everything arrive so much later, in each direction.
func (l *Link) Delay(d time.Duration) { l.set(d, false) }

// Close ends the link for good.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Cut()
	l.set(0, false)
	l.all.Wait()
	l.port.Release()
}

func (l *Link) set(delay time.Duration, hung bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.hung = delay, hung
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Link) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		l.all.Go(func() { l.join(near) })
	}
}

// join connects a client to the target until either ends the connection or the link is cut.
func (l *Link) join(near net.Conn) {
	far, err := (&net.Dialer{Timeout: dialTimeout}).Dial("tcp", l.target)
	if err != nil {
		_ = near.Close()
		return
	}
	if !l.keep(near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(far, near) })
	both.Go(func() { l.pass(near, far) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, near)
	delete(l.conns, far)
}

// keep remembers the ends of a connection, unless the link was cut meanwhile.
func (l *Link) keep(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		_, _ = near.Close(), far.Close()
		return false
	}
	l.conns[near], l.conns[far] = true, true
	l.dials++
	return true
}

type chunk struct {
	data []byte
	at   time.Time // when it came
}

// pass copies one direction until it ends, and then ends the other.
func (l *Link) pass(to, from net.Conn) {
	chunks := make(chan chunk, chunksOnTheWay)
	go func() {
		defer close(chunks)
		for {
			data := make([]byte, chunkBytes)
			n, err := from.Read(data)
			if n > 0 {
				chunks <- chunk{data[:n], time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	var err error
	for c := range chunks {
		if err == nil {
			l.await(c.at)
			_, err = to.Write(c.data)
		}
		if err != nil {
			_ = from.Close() // so that no more comes
		}
	}
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		err = half.CloseWrite()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		_ = to.Close()
	}
}

// await returns when what came at a time may arrive.
func (l *Link) await(came time.Time) {
	for {
		l.mu.Lock()
		changed, hung, due := l.changed, l.hung, came.Add(l.delay)
		l.mu.Unlock()
		if !hung && !time.Now().Before(due) {
			return
		}
		var arrives <-chan time.Time
		if !hung {
			arrives = time.After(time.Until(due))
		}
		select {
		case <-changed:
		case <-arrives:
		}
	}
}
