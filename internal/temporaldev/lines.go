package temporaldev

import "bytes"

const maxLogLine = 64 << 10

// lineWriter calls emit with each whole line written to it, newline included. Lines over maxLogLine are cut
// into several. Like firstLine it serves one writing goroutine, as os/exec has for each stream.
type lineWriter struct {
	emit func(line []byte)

	partial []byte
	last    string // the last line that was not blank
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		i := bytes.IndexByte(w.partial, '\n')
		if i < 0 && len(w.partial) < maxLogLine {
			return len(p), nil
		}
		if i < 0 || i >= maxLogLine {
			i = maxLogLine - 1
		}
		w.emitLine(w.partial[:i+1])
		w.partial = w.partial[i+1:]
	}
}

// flush emits an unfinished last line.
func (w *lineWriter) flush() {
	if len(w.partial) > 0 {
		w.emitLine(append(w.partial, '\n'))
		w.partial = nil
	}
}

func (w *lineWriter) emitLine(line []byte) {
	if text := bytes.TrimSpace(line); len(text) > 0 {
		w.last = string(text)
	}
	w.emit(line)
}

// firstLine delivers the first line written to it and drops the rest.
type firstLine struct {
	line chan []byte

	buf   []byte
	limit int
	done  bool
}

func newFirstLine(limit int) *firstLine {
	return &firstLine{line: make(chan []byte, 1), limit: limit}
}

func (w *firstLine) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	w.buf = append(w.buf, p...)
	if i := bytes.IndexByte(w.buf, '\n'); i >= 0 || len(w.buf) > w.limit {
		w.done = true
		w.line <- w.buf[:max(i, 0)] // empty when too long
	}
	return len(p), nil
}
