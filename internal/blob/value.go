package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// Value is a JSON value on its way between the steps of a run: itself while it is short, so that an operator can read it in
// the history, and a reference once it is long, so that history stays small.
type Value struct {
	JSON json.RawMessage `json:"json,omitempty"`
	Ref  Ref             `json:"ref,omitempty"`
	// Size is the length of the JSON in bytes when Ref is set.
	Size int `json:"size,omitempty"`
}

// Pack encodes v. If that takes more than inline bytes, the store keeps them.
func (s *Store) Pack(ctx context.Context, v any, inline int) (Value, error) {
	data, err := encode(v)
	if err != nil {
		return Value{}, fmt.Errorf("blob: encode %T: %w", v, err)
	}
	if len(data) <= inline {
		return Value{JSON: data}, nil
	}
	ref, err := s.Put(ctx, data)
	if err != nil {
		return Value{}, err
	}
	return Value{Ref: ref, Size: len(data)}, nil
}

// encode is json.Marshal without its escapes for HTML, which would make six bytes of every "<" and ">" and so a value that is too
// large of a text that is not.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Bytes returns the JSON of a value. Callers must not change it.
func (s *Store) Bytes(ctx context.Context, v Value) ([]byte, error) {
	if v.Ref == "" {
		return v.JSON, nil
	}
	return s.Get(ctx, v.Ref)
}

// Unpack decodes a value into out.
func (s *Store) Unpack(ctx context.Context, v Value, out any) error {
	data, err := s.Bytes(ctx, v)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("blob: decode %T: %w", out, err)
	}
	return nil
}

// Len is the length of the JSON in bytes, wherever it is kept.
func (v Value) Len() int {
	if v.Ref != "" {
		return v.Size
	}
	return len(v.JSON)
}

// InlineSize is the number of bytes that a value takes in a history.
func (v Value) InlineSize() int {
	if v.Ref != "" {
		return len(v.Ref) + 32
	}
	return len(v.JSON)
}
