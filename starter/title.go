package starter

import (
	"strings"
	"unicode/utf8"

	"perdure/internal/responses"
)

// titleLength is how many characters of what a run was asked stand in a list.
const titleLength = 140

// titleOf is the beginning of the last message of a user, in one line; empty when there is none.
func titleOf(items []responses.Item) string {
	for i := len(items) - 1; i >= 0; i-- {
		m, ok := items[i].(*responses.Message)
		if !ok || m.Role != responses.RoleUser {
			continue
		}
		for _, part := range m.Content {
			if title := oneLine(part.Text, titleLength); title != "" {
				return title
			}
		}
	}
	return ""
}

// oneLine is the beginning of a text with its white space made single blanks.
func oneLine(text string, most int) string {
	// A character has four bytes at most, and blanks in a row are rare: what is beyond is not looked at.
	words := strings.Fields(clipTo(text, 8*most))
	line := strings.Join(words, " ")
	if utf8.RuneCountInString(line) <= most {
		return line
	}
	return strings.TrimSpace(string([]rune(line)[:most])) + "…"
}
