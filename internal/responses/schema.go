package responses

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Schema is a JSON Schema exactly as its author wrote it: key order, numbers beyond 2⁵³ and white space included. It must be
// UTF-8.
//
// encoding/json compacts and escapes whatever a Marshaler returns, so a schema that would not survive that is rendered as a
// JSON string, which is how it is kept between the steps of a run. [Response.MarshalWire] writes the schema itself.
type Schema []byte

// MarshalJSON implements [json.Marshaler].
func (s Schema) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("{}"), nil
	}
	if s.survivesEncoding() {
		return s, nil
	}
	return json.Marshal(string(s))
}

// survivesEncoding reports whether json.Marshal leaves the schema as it is. Only an object may: a string would be taken for a
// schema that was kept as one.
func (s Schema) survivesEncoding() bool {
	if len(s) == 0 {
		return true
	}
	if !isObject(s) || !utf8.Valid(s) {
		return false
	}
	encoded, err := json.Marshal(json.RawMessage(s))
	return err == nil && bytes.Equal(encoded, s)
}

// valid reports whether the schema may stand in JSON as it is.
func (s Schema) valid() bool { return utf8.Valid(s) && json.Valid(s) }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Schema) UnmarshalJSON(data []byte) error {
	switch {
	case isNull(data):
		*s = nil
	case isString(data):
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*s = Schema(text)
	default:
		*s = bytes.Clone(data)
	}
	return nil
}
