package model

import (
	"fmt"
	"unicode/utf8"
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
	if len(text) <= limit {
		return text
	}
	end := runeStart(text, limit)
	return fmt.Sprintf("%s\n[cut here: %d of %d bytes are left out]", text[:end], len(text)-end, len(text))
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
