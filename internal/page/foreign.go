package page

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Foreign returns text of a model, a tool, a server or another person with what a browser acts upon without showing it made visible:
// control characters as their pictures, and characters that turn the direction of text or have no width by their code points. Lines
// and tabs stay. It is still text, to be escaped as any other.
func Foreign(text string) string {
	if strings.IndexFunc(text, hiddenRune) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !hiddenRune(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune('␀' + r)
		case r == 0x7f:
			b.WriteRune('␡')
		default:
			fmt.Fprintf(&b, "⟦U+%04X⟧", r)
		}
	}
	return b.String()
}

func hiddenRune(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r == '\u200d': // joins the parts of emoji
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}

// Clip returns the first bytes of a text, and whether that is all of it. It cuts between characters.
func Clip(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, true
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], false
}
