package responses

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
)

// The functions of this file take JSON apart that [checkWellFormed] has passed. They copy nothing and look at each byte once per
// level that a decoder descends, where encoding/json would validate and copy a body of many megabytes at every level.

// members yields the members of an object. The values share data's memory.
func members(data []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for i := skipSpace(data, 1); data[i] != '}'; {
			end := endOfString(data, i)
			name := unquote(data[i:end])
			i = skipSpace(data, skipSpace(data, end)+len(":"))
			end = endOfValue(data, i)
			if !yield(name, data[i:end:end]) {
				return
			}
			i = nextEntry(data, end)
		}
	}
}

// elements yields the elements of an array. They share data's memory.
func elements(data []byte) iter.Seq2[int, json.RawMessage] {
	return func(yield func(int, json.RawMessage) bool) {
		n := 0
		for i := skipSpace(data, 1); data[i] != ']'; n++ {
			end := endOfValue(data, i)
			if !yield(n, data[i:end:end]) {
				return
			}
			i = nextEntry(data, end)
		}
	}
}

// nextEntry returns where the entry after one that ended at i begins, or where the object or array ends.
func nextEntry(data []byte, i int) int {
	i = skipSpace(data, i)
	if data[i] == ',' {
		i = skipSpace(data, i+1)
	}
	return i
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// endOfValue returns the index after the value that begins at i.
func endOfValue(data []byte, i int) int {
	switch data[i] {
	case '"':
		return endOfString(data, i)
	case '{', '[':
		for depth := 0; ; {
			switch data[i] {
			case '"':
				i = endOfString(data, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	default:
		for i < len(data) && !strings.ContainsRune(",]} \n\r\t", rune(data[i])) {
			i++
		}
		return i
	}
}

// endOfString returns the index after the string that begins at i, or the length of data when the string has no end.
func endOfString(data []byte, i int) int {
	for end := i + 1; ; {
		n := bytes.IndexByte(data[end:], '"')
		if n < 0 {
			return len(data)
		}
		end += n + 1
		backslashes := 0
		for at := end - 2; at > i && data[at] == '\\'; at-- {
			backslashes++
		}
		if backslashes%2 == 0 {
			return end
		}
	}
}

// unquote decodes a JSON string.
func unquote(data []byte) string {
	inner := data[1 : len(data)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(data, &s) != nil {
		return string(inner) // unreachable: the string was found to be valid
	}
	return s
}
