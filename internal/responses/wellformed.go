package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deeply a body may nest. JSON Schemas of real tools stay below 32; this leaves room for where they stand.
const maxDepth = 100

// checkWellFormed refuses a body that is not one JSON value, nests too deeply, or names a member twice, before anything else
// looks at it: encoding/json would take the last of two members, another reader the first.
func checkWellFormed(body []byte) *Error {
	if !utf8.Valid(body) {
		return Invalid("", "the request body is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	w := walker{dec: dec}
	if err := w.value("", 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Invalid("", "the request body has something after its JSON value, at byte %d", dec.InputOffset())
	}
	return nil
}

type walker struct{ dec *json.Decoder }

func (w walker) value(path string, depth int) *Error {
	if depth > maxDepth {
		return Invalid(clip(path), "the request body nests more than %d levels deep", maxDepth)
	}
	tok, err := w.dec.Token()
	if err != nil {
		return w.malformed(err)
	}
	switch tok {
	case json.Delim('{'):
		return w.members(path, depth)
	case json.Delim('['):
		for i := 0; w.dec.More(); i++ {
			if err := w.value(path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return err
			}
		}
		return w.end()
	default:
		return nil
	}
}

func (w walker) members(path string, depth int) *Error {
	names := map[string]bool{}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return w.malformed(err)
		}
		name, _ := tok.(string)
		place := name
		if path != "" {
			place = path + "." + name
		}
		if names[name] {
			return Invalid(clip(place), "the request body has the field %q twice", clip(place))
		}
		names[name] = true
		if err := w.value(place, depth+1); err != nil {
			return err
		}
	}
	return w.end()
}

func (w walker) end() *Error {
	if _, err := w.dec.Token(); err != nil {
		return w.malformed(err)
	}
	return nil
}

func (w walker) malformed(err error) *Error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return Invalid("", "the request body is not valid JSON: error at byte %d", syntax.Offset)
	}
	return Invalid("", "the request body is not valid JSON: it ends early, at byte %d", w.dec.InputOffset())
}
