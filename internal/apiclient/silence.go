package apiclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// defaultSilence is how long a server may say nothing before its connection counts as lost. On streams it says something every 15 seconds.
	defaultSilence = time.Minute
	// thinking is how many times as long it may take to answer what changes something: it may have to ask others for it, such as the
	// server of a connector.
	thinking = 5
)

// silenceOf is how long the server may say nothing before it answers a request; 0 is for ever.
func (c *Client) silenceOf(r Request) time.Duration {
	switch {
	case r.unhurried:
		return 0
	case r.Method == http.MethodGet:
		return c.options.Silence
	default:
		return thinking * c.options.Silence
	}
}

// silentError is why a request was given up.
type silentError struct{ after time.Duration }

func (e silentError) Error() string { return fmt.Sprintf("it said nothing for %s", e.after) }

// watch gives a request up when nothing moves for too long: a connection that is lost without a sign would be waited for in vain.
type watch struct {
	cut   context.CancelFunc
	timer *time.Timer

	mu      sync.Mutex
	limit   time.Duration // 0 is for ever
	waiting bool
	silent  time.Duration // how long nothing moved, if the request was given up for that
}

// newWatch waits for the answer to a request with the returned context.
func newWatch(ctx context.Context, limit time.Duration) (*watch, context.Context) {
	ctx, cut := context.WithCancel(ctx)
	w := &watch{cut: cut, limit: limit}
	w.timer = time.AfterFunc(time.Hour, w.giveUp)
	w.timer.Stop()
	w.await()
	return w, ctx
}

func (w *watch) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting {
		w.silent = w.limit
		w.cut()
	}
}

// await begins to wait.
func (w *watch) await() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting = w.limit > 0; w.waiting {
		w.timer.Reset(w.limit)
	}
}

// rest waits no more, until await.
func (w *watch) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
	w.timer.Stop()
}

// moved begins the wait anew, if there is one.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting {
		w.timer.Reset(w.limit)
	}
}

// answered ends the wait for an answer. What of it comes later may each time take as long as the new limit.
func (w *watch) answered(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.limit = false, limit
	w.timer.Stop()
}

// end ends the request.
func (w *watch) end() {
	w.rest()
	w.cut()
}

// reason is why a request failed: the silence, if it was given up for that.
func (w *watch) reason(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent > 0 {
		return silentError{w.silent}
	}
	return err
}

// sending is the body of a request: as long as some of it leaves, the connection is there.
type sending struct {
	io.ReadCloser
	watch *watch
}

// Read implements [io.Reader].
func (s sending) Read(p []byte) (int, error) {
	s.watch.moved()
	return s.ReadCloser.Read(p)
}

// receiving is the body of an answer. Only the time counts in which it is waited for: whoever reads it may take theirs. Its failure is an
// [*Unreachable]; what it has read until then is right.
type receiving struct {
	io.ReadCloser
	c     *Client
	watch *watch
}

// Read implements [io.Reader].
func (r *receiving) Read(p []byte) (int, error) {
	r.watch.await()
	n, err := r.ReadCloser.Read(p)
	r.watch.rest()
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.c.unreachable(r.watch.reason(err), true)
	}
	return n, err
}

// Close implements [io.Closer].
func (r *receiving) Close() error {
	r.watch.end()
	return r.ReadCloser.Close()
}
