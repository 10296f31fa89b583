package blob_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/blob"
)

func TestPack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	text := strings.Repeat("x", 98) // 100 bytes of JSON
	short, err := s.Pack(t.Context(), text, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blob.Value{JSON: json.RawMessage(`"` + text + `"`)}, short); diff != "" {
		t.Errorf("short value differs (-want +got):\n%s", diff)
	}
	long, err := s.Pack(t.Context(), text, 99)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blob.Value{Ref: blob.RefOf([]byte(`"` + text + `"`)), Size: 100}, long); diff != "" {
		t.Errorf("long value differs (-want +got):\n%s", diff)
	}
	for name, v := range map[string]blob.Value{"short": short, "long": long} {
		wire, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if n := v.InlineSize(); n < len(wire)-20 || n > len(wire)+20 {
			t.Errorf("%s: InlineSize is %d, and the value takes %d bytes", name, n, len(wire))
		}
		var back blob.Value
		if err := json.Unmarshal(wire, &back); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := open(t, dir).Unpack(t.Context(), back, &got); err != nil || got != text {
			t.Errorf("%s: unpacked as %q, %v", name, got, err)
		}
	}
}

// Text with many "<" must not grow sixfold, past the limit that a request body was let through for.
func TestPackDoesNotEscapeHTML(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	const n = 1 << 20
	v, err := s.Pack(t.Context(), strings.Repeat("<", n), 0)
	if err != nil || v.Size != n+2 {
		t.Errorf("%d bytes of text take %d, %v", n, v.Size, err)
	}
	// The worst that is left: three bytes become six.
	const most = 32 << 20
	if 2*most > blob.MaxBytes {
		t.Errorf("a body of %d bytes may not fit", most)
	}
	if v, err := s.Pack(t.Context(), strings.Repeat("\u2028", n/3), 0); err != nil || v.Size > 2*n+2 {
		t.Errorf("%d bytes of text take %d, %v", n, v.Size, err)
	}
}

func TestPackAndUnpackFail(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	if _, err := s.Pack(t.Context(), func() {}, 10); err == nil {
		t.Error("a function was packed")
	}
	var n int
	if err := s.Unpack(t.Context(), blob.Value{JSON: json.RawMessage(`"text"`)}, &n); err == nil {
		t.Error("text was unpacked as a number")
	}
	if err := s.Unpack(t.Context(), blob.Value{}, &n); err == nil {
		t.Error("nothing was unpacked")
	}
	if err := s.Unpack(t.Context(), blob.Value{Ref: blob.RefOf([]byte("1"))}, &n); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("what is not there: %v, want ErrNotFound", err)
	}
}

func open(t *testing.T, dir string) *blob.Store {
	t.Helper()
	return place{options: blob.Options{Dir: dir}}.open(t).For("resp_1")
}
