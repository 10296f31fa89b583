package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deeply a body may nest. JSON Schemas of real tools stay below 32; this leaves room for where they stand.
	maxDepth = 100
	// maxMembers bounds one object, whose names must be remembered to find one that occurs twice.
	maxMembers = 10_000
)

// checkWellFormed refuses a body that is not one JSON value, nests too deeply, or names a member twice, before anything else
// looks at it: of two members with one name, one reader takes the last and another the first.
func checkWellFormed(body []byte) *Error {
	if !utf8.Valid(body) {
		return Invalid("", "the request body is not valid UTF-8")
	}
	if at, ok := tooDeep(body); ok {
		return Invalid("", "the request body nests more than %d levels deep, at byte %d", maxDepth, at)
	}
	if !json.Valid(body) {
		return malformed(body)
	}
	s := memberCheck{data: body, at: skipSpace(body, 0)}
	if f := s.value(); f != nil {
		return Invalid(clip(f.path), "%s", f.message)
	}
	return nil
}

// tooDeep runs before the JSON is known to be valid: it bounds the recursion of everything after it.
func tooDeep(body []byte) (at int, deep bool) {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = endOfString(body, i) - 1
		case '{', '[':
			if depth++; depth > maxDepth {
				return i, true
			}
		case '}', ']':
			depth--
		}
	}
	return 0, false
}

// malformed says what is wrong with a body that is not valid JSON.
func malformed(body []byte) *Error {
	dec := json.NewDecoder(bytes.NewReader(body))
	var first json.RawMessage
	err := dec.Decode(&first)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return Invalid("", "the request body has something after its JSON value, at byte %d", dec.InputOffset())
	case errors.As(err, &syntax):
		return Invalid("", "the request body is not valid JSON: error at byte %d", syntax.Offset)
	default:
		return Invalid("", "the request body is not valid JSON: it ends early, at byte %d", len(body))
	}
}

// memberCheck walks valid JSON once and looks for an object with two members of one name or with too many.
type memberCheck struct {
	data []byte
	at   int
}

// flaw is what a memberCheck found. Its path is put together on the way back, so that a body without a flaw pays nothing for it.
type flaw struct{ path, message string }

func (f *flaw) under(parent string) *flaw {
	switch {
	case f.path == "":
		f.path = parent
	case f.path[0] == '[':
		f.path = parent + f.path
	default:
		f.path = parent + "." + f.path
	}
	return f
}

func (c *memberCheck) value() *flaw {
	switch c.data[c.at] {
	case '{':
		return c.object()
	case '[':
		c.at = skipSpace(c.data, c.at+1)
		for n := 0; c.data[c.at] != ']'; n++ {
			if f := c.value(); f != nil {
				return f.under("[" + strconv.Itoa(n) + "]")
			}
			c.at = nextEntry(c.data, c.at)
		}
		c.at++
	default:
		c.at = endOfValue(c.data, c.at)
	}
	return nil
}

func (c *memberCheck) object() *flaw {
	names := map[string]struct{}{}
	c.at = skipSpace(c.data, c.at+1)
	for c.data[c.at] != '}' {
		end := endOfString(c.data, c.at)
		name := unquote(c.data[c.at:end])
		if _, ok := names[name]; ok {
			return &flaw{name, "the request body has the field " + strconv.Quote(clip(name)) + " twice"}
		}
		if len(names) == maxMembers {
			return &flaw{"", "an object in the request body has more than " + strconv.Itoa(maxMembers) + " members"}
		}
		names[name] = struct{}{}
		c.at = skipSpace(c.data, skipSpace(c.data, end)+len(":"))
		if name == "input_schema" {
			// This is an MCP server's own text, which clients replay as they got it. Nothing here reads its members.
			c.at = endOfValue(c.data, c.at)
		} else if f := c.value(); f != nil {
			return f.under(name)
		}
		c.at = nextEntry(c.data, c.at)
	}
	c.at++
	return nil
}
