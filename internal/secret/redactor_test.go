package secret

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedactor(t *testing.T) {
	t.Parallel()
	const key, other = `the-key/of+the="server"&more`, "Bearer the-other-key"
	r := NewRedactor(key, other, "the-other-key", "")
	for _, secret := range []string{key, other} {
		for _, form := range forms(secret) {
			if got := r.Text("before " + form + " after"); got != "before "+redacted+" after" {
				t.Errorf("%q became %q", form, got)
			}
			if !r.Found("before " + form + " after") {
				t.Errorf("%q is not found", form)
			}
		}
	}
	for text, want := range map[string]string{
		"x%2fkey the-key%2Fof%2Bthe%3D%22server%22%26more":              "x%2fkey [redacted]",
		"the-key%2fof%2bthe%3d%22server%22%26more":                      "[redacted]",
		`{"a":"the-key\/of+the=\"server\"\u0026more"}`:                  `{"a":"[redacted]"}`,
		`{"a":"{\"b\":\"the-key/of+the=\\\"server\\\"&more\"}"}`:        `{"a":"{\"b\":\"[redacted]\"}"}`,
		"7468652d6b65792f6f662b7468653d22736572766572222" + "66d6f7265": redacted,
		"the-key of another": "the-key of another",
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for before := range 4 {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(strings.Repeat("x", before) + key + "yz"))
			if got := r.Text(text); !strings.Contains(got, redacted) || len(got) > len(redacted)+12 {
				t.Errorf("%q became %q", text, got)
			}
		}
	}
	if none := (Redactor{}); none.Text(key) != key || none.Found(key) || none.JSON(key) != key {
		t.Error("a Redactor of nothing redacts")
	}
}

// TestRedactorReadsJSON: whichever way a server escapes, a model would read the secret.
func TestRedactorReadsJSON(t *testing.T) {
	t.Parallel()
	const key = "the-key/of<the>server"
	r := NewRedactor(key)
	for raw, want := range map[string]string{
		`{"a":"the-key\/of\u003cthe\u003eserver", "n": 1e400}`:       `{"a":"[redacted]", "n": 1e400}`,
		`{"\u0074he-key/of<the>server":[ "x\u000ay", "\\", "\"" ] }`: `{"[redacted]":[ "x\u000ay", "\\", "\"" ] }`,
		`"a \"the-key\u002fof<the>server\" b"`:                       `"a \"[redacted]\" b"`,
		`{"a":"the-key/of<the>server"}`:                              `{"a":"[redacted]"}`,
		`[1,"no key","\u0061"]`:                                      `[1,"no key","\u0061"]`,
		`"no end`:                                                    `"no end`,
		`"no end\`:                                                   `"no end\`,
	} {
		if got := r.JSON(raw); got != want {
			t.Errorf("%s became %s, want %s", raw, got, want)
		}
	}
}

// FuzzRedactor checks that nothing which was redacted has a secret in any of the forms that are looked for.
func FuzzRedactor(f *testing.F) {
	f.Add("the-key/of+server=01", "before ", " after")
	f.Add("aaaaaaaaaaaaaaaaaaaa", "aaaa", "aaaaaaaa")
	f.Add("\"quoted\"\\and<more>", "\\\"", "x")
	f.Fuzz(func(t *testing.T, key, before, after string) {
		if len(key) < 12 || strings.ContainsAny(key, redacted[:1]+redacted[len(redacted)-1:]) || !utf8.ValidString(key) {
			return // too short, or mistaken for what stands in its place
		}
		r := NewRedactor(key)
		for _, form := range forms(key) {
			if text := r.Text(before + form + after); r.Found(text) || strings.Contains(text, key) {
				t.Fatalf("%q became %q", before+form+after, text)
			}
			if text := r.JSON(before + form + after); r.Found(text) {
				t.Fatalf("%q became %q, as JSON", before+form+after, text)
			}
		}
	})
}
