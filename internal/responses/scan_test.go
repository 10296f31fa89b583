package responses

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzScan compares our reading of JSON with encoding/json's.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `{"a":1}`, ` { "a" : [ 1 , "]" , { } ] , "\u0062" : "\\\"" , "" : null } `, `[true,false,null,-1.5e+3,"x",[[]],{"a":{}}]`,
		`["\\","\\\\\"","\""]`, `{"a":"\\"}`, `[1,2`, `{"a"}`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Neither of these may rely on the JSON being valid.
		tooDeep(data)
		if checkWellFormed(data) != nil {
			return
		}
		data = bytes.Trim(data, " \t\r\n")
		if end := endOfValue(data, 0); end != len(data) {
			t.Fatalf("value of %d bytes ends at %d", len(data), end)
		}
		switch {
		case isObject(data):
			var want map[string]json.RawMessage
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			n := 0
			for name, value := range members(data) {
				if !bytes.Equal(value, want[name]) {
					t.Errorf("member %q is %q, want %q", name, value, want[name])
				}
				n++
			}
			if n != len(want) {
				t.Errorf("%d members, want %d", n, len(want))
			}
		case isArray(data):
			var want []json.RawMessage
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			n := 0
			for i, value := range elements(data) {
				if i != n || !bytes.Equal(value, want[i]) {
					t.Errorf("element %d is %q, want %q", i, value, want[i])
				}
				n++
			}
			if n != len(want) {
				t.Errorf("%d elements, want %d", n, len(want))
			}
		}
	})
}
