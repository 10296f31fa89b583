package responses

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
)

// MarshalWire renders the response for a client: like json.Marshal, but with every tool's schema as its server wrote it, and
// with no list or map null.
func (r *Response) MarshalWire() ([]byte, error) {
	wire := *r
	wire.Output = slices.Clone(r.Output)
	// What holds a schema's place is rendered as it is, and nobody can have guessed it.
	placeholder := Schema(`{"schema":"` + rand.Text() + `"}`)
	var schemas []Schema
	for i, item := range wire.Output {
		list, ok := item.(*MCPListTools)
		if !ok {
			continue
		}
		held := *list
		held.Tools = slices.Clone(list.Tools)
		for j, tool := range held.Tools {
			if !tool.InputSchema.survivesEncoding() && tool.InputSchema.valid() {
				schemas = append(schemas, tool.InputSchema)
				held.Tools[j].InputSchema = placeholder
			}
		}
		wire.Output[i] = &held
	}
	wire.neverNull()
	body, err := encode(&wire)
	if err != nil {
		return nil, err
	}
	return fill(body, placeholder, schemas), nil
}

// neverNull gives the members that the strictest client wants as lists, maps and words their empty values.
func (r *Response) neverNull() {
	r.Output = notNil(r.Output)
	r.Tools = notNil(r.Tools)
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if r.ToolChoice == nil {
		r.ToolChoice = json.RawMessage(`"` + ToolChoiceAuto + `"`)
	}
	if r.Text.Format.Type == "" {
		r.Text.Format.Type = FormatText
	}
}

// notNil makes a missing list an empty one: null is not a list to strict clients.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// fill puts the schemas, in order, where the placeholder stands.
func fill(body, placeholder []byte, schemas []Schema) []byte {
	if len(schemas) == 0 {
		return body
	}
	size := len(body)
	for _, schema := range schemas {
		size += len(schema)
	}
	out := make([]byte, 0, size)
	for _, schema := range schemas {
		before, after, _ := bytes.Cut(body, placeholder)
		out = append(append(out, before...), schema...)
		body = after
	}
	return append(out, body...)
}

// encode is json.Marshal without its escapes for HTML, which would make six bytes of every "<" and ">" of a long text.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
