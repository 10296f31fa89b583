package e2e

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sync"
)

// output is what a process has written. It can be waited for.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced with each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (l *output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *output) since(offset int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text[offset:])
}

func (l *output) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.text)
}

// await returns the groups of the first match, now or later.
func (l *output) await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		l.mu.Lock()
		match, changed := pattern.FindSubmatch(l.text), l.changed
		groups := make([]string, len(match))
		for i, m := range match {
			groups[i] = string(m)
		}
		l.mu.Unlock()
		if match != nil {
			return groups, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w", pattern, context.Cause(ctx))
		}
	}
}
