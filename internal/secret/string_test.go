package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hidden = "hunter2-hunter2"

// holder has the secret in the places where fmt treats values differently: it calls no methods on what it reaches
// through an unexported field.
type holder struct {
	Public   String
	Pointer  *String
	List     []String
	Map      map[string]String
	Any      any
	private  String
	embedded struct{ list []String }
}

func newHolder() holder {
	s := New(hidden)
	h := holder{Public: s, Pointer: &s, List: []String{s}, Map: map[string]String{"k": s}, Any: s, private: s}
	h.embedded.list = []String{s}
	return h
}

func TestStringFormat(t *testing.T) {
	t.Parallel()
	set, empty := New(hidden), String{}
	for _, test := range []struct{ verb, set, empty string }{
		{"%v", "[redacted]", ""},
		{"%+v", "[redacted]", ""},
		{"%#v", `secret.New("[redacted]")`, `secret.New("")`},
		{"%s", "[redacted]", ""},
		{"%40s", "[redacted]", ""},
		{"%.3s", "[redacted]", ""},
		{"%q", `"[redacted]"`, `""`},
		{"%x", "[redacted]", ""},
		{"% X", "[redacted]", ""},
		{"%d", "[redacted]", ""},
		{"%c", "[redacted]", ""},
		{"%U", "[redacted]", ""},
		{"%t", "[redacted]", ""},
	} {
		if got := fmt.Sprintf(test.verb, set); got != test.set {
			t.Errorf("Sprintf(%q, set) = %q, want %q", test.verb, got, test.set)
		}
		if got := fmt.Sprintf(test.verb, &set); got != test.set {
			t.Errorf("Sprintf(%q, &set) = %q, want %q", test.verb, got, test.set)
		}
		if got := fmt.Sprintf(test.verb, empty); got != test.empty {
			t.Errorf("Sprintf(%q, empty) = %q, want %q", test.verb, got, test.empty)
		}
	}
}

func TestStringInsideValues(t *testing.T) {
	t.Parallel()
	h := newHolder()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%p", "%T", "%t"} {
		for _, value := range []any{h, &h, []holder{h}, map[string]holder{"k": h}, fmt.Errorf("wrapped: %v", h)} {
			requireHidden(t, verb, fmt.Sprintf(verb, value))
		}
	}
	requireHidden(t, "Sprint", fmt.Sprint(h, &h))
}

func TestStringInLogs(t *testing.T) {
	t.Parallel()
	handlers := map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	}
	for name, handler := range handlers {
		var buf bytes.Buffer
		logger := slog.New(handler(&buf)).With("with", New(hidden))
		logger.Info("message", "secret", New(hidden), "holder", newHolder(), slog.Group("g", "s", New(hidden)))
		requireHidden(t, name, buf.String())
		if got := strings.Count(buf.String(), redacted); got < 3 {
			t.Errorf("%s: %d placeholders in the log, want at least 3: %s", name, got, &buf)
		}
	}
}

func TestStringJSON(t *testing.T) {
	t.Parallel()
	type document struct {
		Set     String  `json:"set"`
		Empty   String  `json:"empty"`
		Omitted String  `json:"omitted,omitzero"`
		Pointer *String `json:"pointer"`
	}
	set := New(hidden)
	got, err := json.Marshal(document{Set: set, Pointer: &set})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"set":"[redacted]","empty":"","pointer":"[redacted]"}`, string(got)); diff != "" {
		t.Errorf("Marshal (-want +got):\n%s", diff)
	}

	var back document
	if err := json.Unmarshal([]byte(`{"set":"`+hidden+`","empty":"","omitted":null}`), &back); err != nil {
		t.Fatal(err)
	}
	if back.Set.Reveal() != hidden || !back.Empty.IsZero() || !back.Omitted.IsZero() {
		t.Errorf("Unmarshal: set %q, empty %q, omitted %q", back.Set.Reveal(), back.Empty.Reveal(), back.Omitted.Reveal())
	}

	if err := json.Unmarshal(got, &back); err == nil {
		t.Error("a redacted document was read back as if it held the secret")
	}
	if err := json.Unmarshal([]byte(`{"set":123456}`), &back); err == nil || strings.Contains(err.Error(), "123456") {
		t.Errorf("Unmarshal of a number: error %v, want one without the number", err)
	}
}

func TestStringEqual(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b String
		want bool
	}{
		{New("a"), New("a"), true},
		{New("a"), New("b"), false},
		{New("a"), New("aa"), false},
		{New(""), String{}, true},
		{New("a"), String{}, false},
	} {
		if got := test.a.Equal(test.b); got != test.want {
			t.Errorf("New(%q).Equal(New(%q)) = %t", test.a.Reveal(), test.b.Reveal(), got)
		}
	}
	if !New("").IsZero() || New("a").IsZero() {
		t.Error("IsZero must tell the empty secret from others")
	}
}

func requireHidden(t *testing.T, where, text string) {
	t.Helper()
	// %x and %X of a plain string would show the secret in hexadecimal.
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden)} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret: %s", where, text)
		}
	}
}
