package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean returns a text of strangers without what would steer a terminal: control characters, escape sequences and marks that turn the
// direction of writing. Line ends and tabs stay.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), isBidi(r):
			return -1
		default:
			return r
		}
	}, text)
}

// Reveal is Clean for what must hide nothing from whoever decides about it: characters that would not be seen are written as JSON escapes.
// Line ends stay.
func Reveal(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Wrap breaks a text into lines of at most width columns, wherever that is.
func Wrap(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		from, used := 0, 0
		for at, r := range line {
			w := columns(r)
			if used+w > width && at > from {
				lines = append(lines, line[from:at])
				from, used = at, 0
			}
			used += w
		}
		lines = append(lines, line[from:])
	}
	return lines
}

// isBidi reports whether a character makes text show in another order than it has.
func isBidi(r rune) bool {
	return r == 0x061c || r == 0x200e || r == 0x200f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// Line returns a text of strangers as one line of at most width columns, cut with a mark. A width of 0 is no limit.
func Line(text string, width int) string {
	return Cut(strings.Join(strings.Fields(Clean(text)), " "), width)
}

// Cut returns the beginning of a line that fits into so many columns, with a mark where something is missing. A width of 0 is no limit.
func Cut(line string, width int) string {
	if width <= 0 || Columns(line) <= width {
		return line
	}
	used := 0
	for at, r := range line {
		w := columns(r)
		if used+w > width-1 {
			return line[:at] + "…"
		}
		used += w
	}
	return line
}

// Columns is how many columns a text takes.
func Columns(text string) int {
	n := 0
	for _, r := range text {
		n += columns(r)
	}
	return n
}

// columns knows what is wide enough to matter: the letters of East Asia and pictures take two columns, marks none.
func columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe4f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff,
		r >= 0x20000 && r <= 0x3fffd:
		return 2
	default:
		return 1
	}
}

// Cleaner is Clean for a text that comes in pieces, which may end in the middle of a character.
type Cleaner struct{ rest string }

// Add returns what of the text so far can be shown and has not been.
func (c *Cleaner) Add(piece string) string {
	text := c.rest + piece
	c.rest = ""
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRuneInString(last) {
				text, c.rest = text[:len(text)-n], last
			}
			break
		}
	}
	return Clean(text)
}
