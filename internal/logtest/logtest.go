// Package logtest holds what a program logs, for tests that search it or wait for it.
package logtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// Buffer is a log that several goroutines may write. Its zero value is ready to use.
type Buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed by the next Write; nil while nobody waits for one
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.text.Write(p)
}

// String is all that was logged so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Await returns once the log holds text. Its error, when ctx ends before, has the log.
func (b *Buffer) Await(ctx context.Context, text string) error {
	for {
		log, written := b.snapshot()
		if strings.Contains(log, text) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the log does not say %q: %w\n%s", text, context.Cause(ctx), log)
		case <-written:
		}
	}
}

func (b *Buffer) snapshot() (log string, written <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == nil {
		b.written = make(chan struct{})
	}
	return b.text.String(), b.written
}
