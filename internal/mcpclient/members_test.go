package mcpclient

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzMembers checks that JSON is taken apart as encoding/json takes it apart.
func FuzzMembers(f *testing.F) {
	for _, raw := range []string{
		`{}`, ` { "a" : 1 , "b":[1,{"c":"}"}],"a":"\"\\" } `, `{"\u0061":null,"":-1.5e+3}`, `[]`, `[ 1 , "a]" , {"b":[]} ,true]`, `[[],[[]]]`, `null`, `"a"`, `1`,
		`{"a":1}x`, `{"a"}`, `[1,]`, `{"a":{"b":{"c":[1,2,3]}},"d":false}`, "{\"a\":\"\xff\"}", `[1]`, `{"a":tru}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(raw, &object) == nil && object != nil
		got, ok := members(raw)
		if ok != isObject {
			t.Fatalf("%q is an object: %v, want %v", raw, ok, isObject)
		}
		if diff := cmp.Diff(object, got); isObject && diff != "" {
			t.Fatalf("members of %q (-want +got):\n%s", raw, diff)
		}
		var array []json.RawMessage
		isArray := json.Unmarshal(raw, &array) == nil && array != nil
		list, ok := elements(raw)
		if ok != isArray {
			t.Fatalf("%q is an array: %v, want %v", raw, ok, isArray)
		}
		if diff := cmp.Diff(array, list); isArray && diff != "" {
			t.Fatalf("elements of %q (-want +got):\n%s", raw, diff)
		}
	})
}

// FuzzReadBounded checks that what is read is what there was, however it is cut into reads, or that it is too large.
func FuzzReadBounded(f *testing.F) {
	f.Add([]byte("abc"), 3, 1)
	f.Add(bytes.Repeat([]byte("x"), 1000), 999, 7)
	f.Fuzz(func(t *testing.T, data []byte, limit, step int) {
		if limit < 0 || step <= 0 {
			return
		}
		got, err := readBounded(&stepReader{data, step}, int64(limit))
		switch {
		case len(data) > limit && err == nil, len(data) <= limit && err != nil:
			t.Fatalf("%d bytes with a bound of %d: %v", len(data), limit, err)
		case err == nil && !bytes.Equal(got, data):
			t.Fatalf("read %q of %q", got, data)
		}
	})
}

// stepReader gives a few bytes at a time.
type stepReader struct {
	data []byte
	step int
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.data[:min(s.step, len(s.data))])
	s.data = s.data[n:]
	return n, nil
}
