package secret

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Redactor removes secrets from texts of those who know them, and who may repeat them where they do not belong: a server that quotes a
// request, a provider that names the key that it refuses. It finds them as they are and as programs are likely to write them. Against
// those who mean to pass a secret on it helps nothing: they have other ways to write it. The zero value removes nothing.
type Redactor []string

// NewRedactor returns a Redactor for secrets. The caller leaves out what is too short to be one: it would be cut out of every text.
func NewRedactor(secrets ...string) Redactor {
	var r Redactor
	for _, s := range secrets {
		if s != "" {
			r = append(r, forms(s)...)
		}
	}
	// The longest first, or "Bearer KEY" would lose its KEY and stay "Bearer".
	slices.SortFunc(r, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(r)
}

// forms are a secret as it is, in a URL, in JSON, within JSON within JSON, in hexadecimal, and in base64 at any offset.
func forms(secret string) []string {
	digits := hex.EncodeToString([]byte(secret))
	all := []string{digits, strings.ToUpper(digits)}
	for _, text := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		for _, text := range []string{text, escapes.ReplaceAllStringFunc(text, strings.ToLower)} {
			all = append(all, inJSON(text)...)
		}
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			// The characters at both ends depend on what is around.
			all = append(all, encoded[(before*8+5)/6:(before+len(secret))*8/6])
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// escapes are those of URLs.
var escapes = regexp.MustCompile(`%[0-9A-F]{2}`)

// inJSON returns a text as it is, and as it stands in JSON, and in JSON in JSON: with and without the escapes that keep HTML apart, and
// with the slash escaped, as some languages do.
func inJSON(text string) []string {
	all := []string{text}
	for _, html := range []bool{false, true} {
		for _, once := range []string{quote(text, html), strings.ReplaceAll(quote(text, html), "/", `\/`)} {
			all = append(all, once, quote(once, html))
		}
	}
	return all
}

// quote returns text as it stands between the quotes of a JSON string.
func quote(text string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if e.Encode(text) != nil { // a string can be encoded
		return text
	}
	return b.String()[1 : b.Len()-2] // without the quotes and the line end
}

// Text returns s with "[redacted]" in the place of secrets.
func (r Redactor) Text(s string) string {
	for _, secret := range r {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

// Found reports whether s has a secret.
func (r Redactor) Found(s string) bool {
	return slices.ContainsFunc(r, func(secret string) bool { return strings.Contains(s, secret) })
}

// JSON is Text for JSON, within whose strings it finds secrets whichever way they are escaped. All other bytes stay as they are.
func (r Redactor) JSON(raw string) string {
	if len(r) == 0 {
		return raw
	}
	var b strings.Builder
	for {
		start := strings.IndexByte(raw, '"')
		if start < 0 {
			break
		}
		end := start + 1
		for end < len(raw) && raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end+1, len(raw))
		b.WriteString(raw[:start])
		b.WriteString(r.literal(raw[start:end]))
		raw = raw[end:]
	}
	b.WriteString(raw)
	return r.Text(b.String())
}

// literal redacts one JSON string, which it returns as it is if there is nothing to redact.
func (r Redactor) literal(quoted string) string {
	var text string
	if !strings.Contains(quoted, `\`) || json.Unmarshal([]byte(quoted), &text) != nil || !r.Found(text) {
		return quoted
	}
	return `"` + quote(r.Text(text), false) + `"`
}
