package responses

import (
	"bytes"
	"encoding/json"
)

// Schema is a JSON Schema exactly as its author wrote it: key order, numbers beyond 2⁵³ and white space included.
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

func (s Schema) survivesEncoding() bool {
	if len(s) == 0 {
		return true
	}
	encoded, err := json.Marshal(json.RawMessage(s))
	return err == nil && bytes.Equal(encoded, s)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Schema) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*s = Schema(text)
		return nil
	}
	*s = append(Schema(nil), data...)
	return nil
}
