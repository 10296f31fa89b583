package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// canary is a secret of a request: where it shows, secrets leak.
const canary = "canary+of/the=request&?"

// forms returns how a secret may lie in other bytes: as it is, escaped for a URL, for JSON, once or twice, in hexadecimal, or in base64
// at any offset; and most of it, from its beginning or to its end, as it lies in what was cut.
func forms(secret string) [][]byte {
	out := wholeForms(secret)
	if third := len(secret) / 3; third >= 7 {
		out = append(append(out, wholeForms(secret[:2*third])...), wholeForms(secret[third:])...)
	}
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

func wholeForms(secret string) [][]byte {
	digits := hex.EncodeToString([]byte(secret))
	texts := []string{secret, digits, strings.ToUpper(digits)}
	for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		texts = append(texts, escaped, lowerEscapes(escaped))
	}
	var unicode strings.Builder
	for _, c := range []byte(secret) {
		fmt.Fprintf(&unicode, `\u%04x`, c)
	}
	for _, escaped := range []string{jsonEscape(secret, true), jsonEscape(secret, false), unicode.String()} {
		for _, text := range []string{escaped, strings.ReplaceAll(escaped, "/", `\/`)} {
			texts = append(texts, text, jsonEscape(text, true), jsonEscape(text, false))
		}
	}
	var out [][]byte
	for _, text := range texts {
		out = append(out, []byte(text))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, offset), secret...))
			// The characters at both ends depend on what is around.
			out = append(out, []byte(encoded[(offset*8+5)/6:(offset+len(secret))*8/6]))
		}
	}
	return out
}

// jsonEscape returns text as it stands between the quotes of a JSON string.
func jsonEscape(text string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if err := e.Encode(text); err != nil {
		panic(err) // a string can be encoded
	}
	return b.String()[1 : b.Len()-2]
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(escaped string) string {
	out := []byte(escaped)
	for i := range out {
		if i >= 1 && out[i-1] == '%' || i >= 2 && out[i-2] == '%' {
			out[i] = bytes.ToLower(out[i : i+1])[0]
		}
	}
	return string(out)
}

// escape makes a secret fit for any part of a URL.
func escape(secret string) string { return url.QueryEscape(secret) }

func leaks(data []byte, secret string) bool { return leak(data, secret) != "" }

// leak returns the first place where a secret shows, with what is around it.
func leak(data []byte, secret string) string {
	const around = 80
	for _, form := range forms(secret) {
		if i := bytes.Index(data, form); i >= 0 {
			return fmt.Sprintf("%q", data[max(i-around, 0):min(i+len(form)+around, len(data))])
		}
	}
	return ""
}

// TestLeaks: a search that finds nothing proves something only if it would find what is there.
func TestLeaks(t *testing.T) {
	t.Parallel()
	for offset := range 6 {
		around := append(append(make([]byte, offset), canary...), "more"...)
		text := string(around)
		for name, data := range map[string]string{
			"plain": text, "escaped": url.QueryEscape(text), "path": url.PathEscape(text), "lower case": lowerEscapes(url.QueryEscape(text)),
			"base64": base64.StdEncoding.EncodeToString(around), "base64 for URLs": base64.RawURLEncoding.EncodeToString(around),
			"hexadecimal": hex.EncodeToString(around), "upper case": fmt.Sprintf("%X", around),
			"JSON": jsonEscape(text, true), "JSON within JSON": jsonEscape(jsonEscape(text, true), false), "slashes": strings.ReplaceAll(jsonEscape(text, false), "/", `\/`),
			"cut": text[:len(text)-10], "begun too late": text[offset+5:],
		} {
			if !leaks([]byte(data), canary) {
				t.Errorf("%s at offset %d: not found", name, offset)
			}
		}
	}
	for _, other := range []string{"canary of the request", "canary", "request&?", canary[:10]} {
		if leaks([]byte(other), canary) {
			t.Errorf("found in %q", other)
		}
	}
}
