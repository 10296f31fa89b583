// Package terminal is how commands write for people: with color and lines that change where a terminal shows them, plainly elsewhere, and
// never with bytes of strangers that would steer the terminal.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

const (
	// defaultWidth is that of a terminal that does not say.
	defaultWidth = 80
	minWidth     = 20
)

// Out is where a command writes, with what is known of it. The zero value of all but Writer is plain output.
type Out struct {
	io.Writer
	// Terminal: people watch.
	Terminal bool
	// Color: escape sequences for color may be used.
	Color bool
	// Redraw: lines that were written may be written again.
	Redraw bool
	// fd asks for the width; below 0 there is none to ask.
	fd int
}

// Of looks at a writer. Colors and redrawing are off with NO_COLOR, and with TERM=dumb, as they are where no terminal is.
func Of(w io.Writer, getenv func(string) string) Out {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Out{Writer: w, fd: -1}
	}
	fancy := getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	return Out{Writer: w, Terminal: true, Color: fancy, Redraw: fancy, fd: int(file.Fd())}
}

// Width is how many columns there are now: terminals change.
func (o Out) Width() int {
	if o.Terminal && o.fd >= 0 {
		if width, _, err := term.GetSize(o.fd); err == nil && width > 0 {
			return max(width, minWidth)
		}
	}
	return defaultWidth
}

// Style is a way to write.
type Style string

// The styles, as the numbers of the escape sequence.
const (
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Paint returns a text in a style, where there are colors.
func (o Out) Paint(s Style, text string) string {
	if !o.Color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// IsTerminal reports whether somebody can type what is read.
func IsTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
