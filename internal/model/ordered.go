package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
)

var (
	errTooDeep  = errors.New("nests too deeply")
	errTrailing = errors.New("has something after its JSON value")
)

// object is a JSON object that keeps the order of its members: models read properties in the order in which their author
// thought of them. Other values are those of encoding/json, with numbers as [json.Number].
type object struct {
	keys   []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) get(key string) any { return o.values[key] }

func (o *object) has(key string) bool {
	_, ok := o.values[key]
	return ok
}

func (o *object) set(key string, value any) {
	if !o.has(key) {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

func (o *object) remove(key string) {
	if o.has(key) {
		o.retain(func(k string) bool { return k != key })
	}
}

// retain removes the members that keep is false for.
func (o *object) retain(keep func(key string) bool) {
	o.keys = slices.DeleteFunc(o.keys, func(key string) bool {
		if keep(key) {
			return false
		}
		delete(o.values, key)
		return true
	})
}

// object and list return a member of that kind; they are nil for any other.
func (o *object) object(key string) *object { v, _ := o.values[key].(*object); return v }
func (o *object) list(key string) []any     { v, _ := o.values[key].([]any); return v }

// orderedReader reads JSON with objects in order.
type orderedReader struct {
	dec      *json.Decoder
	maxDepth int
	// repeated is set when an object had a member twice. As in encoding/json, the last one counts.
	repeated bool
}

func readOrdered(data []byte, maxDepth int) (value any, repeated bool, err error) {
	r := &orderedReader{dec: json.NewDecoder(bytes.NewReader(data)), maxDepth: maxDepth}
	r.dec.UseNumber()
	if value, err = r.value(0); err != nil {
		return nil, false, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false, errTrailing
	}
	return value, r.repeated, nil
}

func (r *orderedReader) value(depth int) (any, error) {
	if depth > r.maxDepth {
		return nil, errTooDeep
	}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		return r.members(depth)
	case json.Delim('['):
		list := []any{}
		for r.dec.More() {
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := r.dec.Token()
		return list, err
	default:
		return tok, nil
	}
}

func (r *orderedReader) members(depth int) (any, error) {
	o := newObject()
	for r.dec.More() {
		tok, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := tok.(string)
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		r.repeated = r.repeated || o.has(key)
		o.set(key, v)
	}
	_, err := r.dec.Token()
	return o, err
}

// MarshalJSON implements [json.Marshaler].
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := appendJSON(&b, key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := appendJSON(&b, o.values[key]); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func appendJSON(b *bytes.Buffer, value any) error {
	data, err := json.Marshal(value)
	b.Write(data)
	return err
}

// cloneJSON copies a value deeply. It returns false when that would take more than *budget nodes, which it counts down.
func cloneJSON(value any, budget *int) (any, bool) {
	if *budget--; *budget < 0 {
		return nil, false
	}
	switch v := value.(type) {
	case *object:
		out := newObject()
		for _, key := range v.keys {
			member, ok := cloneJSON(v.values[key], budget)
			if !ok {
				return nil, false
			}
			out.set(key, member)
		}
		return out, true
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var ok bool
			if out[i], ok = cloneJSON(v[i], budget); !ok {
				return nil, false
			}
		}
		return out, true
	default:
		return value, true
	}
}

func equalJSON(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
