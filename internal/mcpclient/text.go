package mcpclient

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanText makes a server's text fit for a place where it might be shown:
// one line, without control, zero-width or bidirectional characters.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == utf8.RuneError:
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// cutText shortens s to at most limit bytes, on a rune's boundary.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
