package responses

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
)

// MarshalWire renders the response for a client: like json.Marshal, but with every tool's schema as its server wrote it, and
// with no list or map null.
func (r *Response) MarshalWire(d Dialect) ([]byte, error) {
	wire := *r
	wire.Output = make([]Item, len(r.Output))
	schemas := newHeldSchemas()
	for i, item := range r.Output {
		wire.Output[i] = schemas.hold(inDialect(item, d))
	}
	wire.neverNull()
	body, err := encode(&wire)
	if err != nil {
		return nil, err
	}
	return schemas.fill(body), nil
}

// heldSchemas are the schemas that encoding/json would change, while something else stands in their place.
type heldSchemas struct {
	placeholder Schema
	schemas     []Schema
}

// newHeldSchemas makes a placeholder that is rendered as it is, and that nobody can have guessed.
func newHeldSchemas() *heldSchemas {
	return &heldSchemas{placeholder: Schema(`{"schema":"` + rand.Text() + `"}`)}
}

// hold returns the item, or a copy with placeholders.
func (h *heldSchemas) hold(item Item) Item {
	list, ok := item.(*MCPListTools)
	if !ok {
		return item
	}
	held := *list
	held.Tools = slices.Clone(list.Tools)
	for i, tool := range held.Tools {
		if !tool.InputSchema.survivesEncoding() && tool.InputSchema.valid() {
			h.schemas = append(h.schemas, tool.InputSchema)
			held.Tools[i].InputSchema = h.placeholder
		}
	}
	return &held
}

// fill puts the schemas, in order, where the placeholder stands.
func (h *heldSchemas) fill(body []byte) []byte {
	if len(h.schemas) == 0 {
		return body
	}
	size := len(body)
	for _, schema := range h.schemas {
		size += len(schema)
	}
	out := make([]byte, 0, size)
	for _, schema := range h.schemas {
		before, after, _ := bytes.Cut(body, h.placeholder)
		out = append(append(out, before...), schema...)
		body = after
	}
	return append(out, body...)
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
