package connector

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkText reports text that people would not see as it is: control and format characters can hide and reorder what stands around them.
func (v *Invalid) checkText(param, text string, maxRunes int, lines bool) {
	switch {
	case !utf8.ValidString(text):
		v.report(param, "is not valid UTF-8")
	case utf8.RuneCountInString(text) > maxRunes:
		v.report(param, "is longer than %d characters: shorten it", maxRunes)
	case strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !(lines && r == '\n') && r != zeroWidthJoiner
	}):
		v.report(param, "has a control or invisible character: remove it")
	}
}

// zeroWidthJoiner is invisible, but makes one picture of several: many emoji need it.
const zeroWidthJoiner = '\u200d'

// isVisible reports whether text is visible ASCII without spaces, as tokens and secrets are.
func isVisible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
