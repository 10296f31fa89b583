package main

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"sync"
)

// traceHeap makes Go's runtime tell of each collection on standard error.
const traceHeap = "GODEBUG=gctrace=1"

var collection = regexp.MustCompile(`^gc \d+ .*->(\d+) MB, .* (\d+) MB stacks`)

// heapLog takes what a process writes to standard error. It reads what the runtime tells of the heap and passes on the rest.
type heapLog struct {
	out io.Writer

	mu          sync.Mutex
	line        []byte
	collections int
	inUse       int // bytes of the heap and of stacks, after the latest collection
}

func (l *heapLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(l.line, b...)
	for {
		line, rest, ok := bytes.Cut(l.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		if found := collection.FindSubmatch(line); found != nil {
			l.collections++
			l.inUse = 0
			for _, megabytes := range found[1:] {
				n, err := strconv.Atoi(string(megabytes))
				if err != nil {
					return 0, err
				}
				l.inUse += n << 20
			}
		} else if _, err := l.out.Write(append(line, '\n')); err != nil {
			return 0, err
		}
		l.line = rest
	}
}

func (l *heapLog) latest() (collections, inUse int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.collections, l.inUse
}
