package mcpclient

import (
	"bytes"
	"encoding/json"
)

// members returns the members of a JSON object by their exact names, the last of each, or false for anything else. Unlike what
// encoding/json does, they are parts of raw and no copies: an answer may be large, and is taken apart several times.
func members(raw []byte) (map[string]json.RawMessage, bool) {
	raw = bytes.TrimLeft(raw, jsonSpace)
	if !bytes.HasPrefix(raw, []byte("{")) || !json.Valid(raw) {
		return nil, false
	}
	found := map[string]json.RawMessage{}
	rest := skipSpace(raw[1:])
	for rest[0] != '}' {
		end := valueEnd(rest)
		var name string
		if json.Unmarshal(rest[:end], &name) != nil {
			return nil, false // what is valid has a name here
		}
		rest = skipSpace(rest[end:])
		rest = skipSpace(rest[1:]) // the colon
		end = valueEnd(rest)
		found[name] = json.RawMessage(rest[:end:end])
		rest = next(rest[end:])
	}
	return found, true
}

// elements returns those of a JSON array, as members does, or false for anything else.
func elements(raw []byte) ([]json.RawMessage, bool) {
	raw = bytes.TrimLeft(raw, jsonSpace)
	if !bytes.HasPrefix(raw, []byte("[")) || !json.Valid(raw) {
		return nil, false
	}
	found := []json.RawMessage{}
	rest := skipSpace(raw[1:])
	for rest[0] != ']' {
		end := valueEnd(rest)
		found = append(found, json.RawMessage(rest[:end:end]))
		rest = next(rest[end:])
	}
	return found, true
}

const jsonSpace = " \t\r\n"

func skipSpace(raw []byte) []byte { return bytes.TrimLeft(raw, jsonSpace) }

// next skips the comma before the next value, or nothing before the end.
func next(raw []byte) []byte {
	raw = skipSpace(raw)
	if raw[0] == ',' {
		raw = skipSpace(raw[1:])
	}
	return raw
}

// valueEnd returns where the value that valid JSON begins with ends.
func valueEnd(raw []byte) int {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			// The rest of a number or a word, or what is between values.
			if depth > 0 || i+1 < len(raw) && !bytes.ContainsRune([]byte(",:]} \t\r\n"), rune(raw[i+1])) {
				continue
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(raw)
}

// stringEnd returns the place of the quote that ends the string which begins at a place.
func stringEnd(raw []byte, start int) int {
	for i := start + 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(raw) - 1
}
