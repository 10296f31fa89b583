package model

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"perdure/internal/responses"
)

// clip bounds text for an error or a note.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:runeStart(text, limit)] + "…"
}

// cut bounds a tool's output for a model, which is told how much is missing.
func cut(text string, limit int) string {
	if len(text) <= limit || wasCut(text, limit) {
		return text
	}
	end := runeStart(text, limit)
	return fmt.Sprintf("%s"+cutBegins+"%d of %d bytes"+cutEnds, text[:end], len(text)-end, len(text))
}

// What stands at the end of a text that was cut.
const (
	cutBegins = "\n[cut here: "
	cutEnds   = " are left out]"
	cutBytes  = len(cutBegins) + len(cutEnds) + 60 // with two numbers of any length
)

// wasCut reports whether a text was cut for the same limit before. Something else may end so: then it is a little longer than others.
func wasCut(text string, limit int) bool {
	at := strings.LastIndex(text, cutBegins)
	return at >= 0 && at <= limit+len(failedCall) && len(text)-at <= cutBytes && strings.HasSuffix(text, cutEnds)
}

// Shorten takes out of an item what a turn with the given [Turn.MaxToolOutput] would not show to the model anyway: the rest of a tool's
// output, which may be a thousand times as long.
func Shorten(item responses.Item, maxToolOutput int) {
	call, ok := item.(*responses.MCPCall)
	if !ok {
		return
	}
	call.Output = cut(call.Output, maxToolOutput)
	if call.Error != nil {
		text := cut(*call.Error, maxToolOutput)
		call.Error = &text
	}
}

// runeStart returns the last place at or before limit where text can be cut without breaking a character.
func runeStart(text string, limit int) int {
	for end := limit; end > 0 && end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(text[end]) {
			return end
		}
	}
	return limit
}
