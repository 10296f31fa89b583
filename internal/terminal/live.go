package terminal

import (
	"fmt"
	"strings"
)

// Live is a few lines below everything else that are written again and again, where that can be done. Elsewhere it writes nothing.
type Live struct {
	out   Out
	shown int // lines
}

// NewLive returns lines at the end of an output.
func NewLive(out Out) *Live { return &Live{out: out} }

// Show writes the lines in the place of those before. Each is cut to the width, since a line that wraps could not be found again.
func (l *Live) Show(lines ...string) {
	if !l.out.Redraw {
		return
	}
	var b strings.Builder
	b.WriteString(l.erasure())
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	l.shown = len(lines)
	_, _ = fmt.Fprint(l.out, b.String()) // what a terminal does not take is lost
}

// Clear removes the lines, so that others can be written.
func (l *Live) Clear() {
	if l.shown > 0 {
		_, _ = fmt.Fprint(l.out, l.erasure())
		l.shown = 0
	}
}

// erasure goes up to the first line and erases from there to the end.
func (l *Live) erasure() string {
	if l.shown == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", l.shown)
}

// Bar draws how much of something is done, in so many columns.
func Bar(done, total float64, columns int) string {
	share := 0.0
	if total > 0 {
		share = min(max(done/total, 0), 1)
	}
	full := int(share * float64(columns))
	return strings.Repeat("█", full) + strings.Repeat("░", columns-full)
}
