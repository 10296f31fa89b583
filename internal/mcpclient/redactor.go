package mcpclient

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

const (
	redacted = "[redacted]"
	// minSecretBytes keeps values like "true" or "eu-west" from being cut out
	// of every text.
	minSecretBytes = 12
	// minSecretSegment is longer, since most segments of a path are words. One
	// that is this long and has a digit is taken for a key.
	minSecretSegment = 20
)

// A redactor removes a server's credentials from what the server says, which
// could otherwise carry them into the model's context and the run's history.
// It knows them in the forms in which a server is likely to repeat them.
type redactor []string

// newRedactor treats as secret every header value, the credential behind an
// authentication scheme ("Bearer …") by itself too, and of the URL the values
// of the query and what looks like a key in the path.
func newRedactor(s Server) redactor {
	var r redactor
	add := func(secret string) {
		if len(secret) >= minSecretBytes {
			r = append(r, forms(secret)...)
		}
	}
	for _, values := range s.Header {
		for _, v := range values {
			add(v)
			if _, credential, ok := strings.Cut(v, " "); ok {
				add(credential)
			}
		}
	}
	if u, err := url.Parse(s.URL); err == nil {
		for _, values := range u.Query() {
			for _, v := range values {
				add(v)
			}
		}
		for escaped := range strings.SplitSeq(u.EscapedPath(), "/") { // a segment may hold a slash itself
			segment, err := url.PathUnescape(escaped)
			if err == nil && len(segment) >= minSecretSegment && strings.ContainsAny(segment, "0123456789") {
				add(segment)
			}
		}
	}
	// The longest first, or "Bearer KEY" would lose its KEY and stay "Bearer".
	slices.SortFunc(r, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(r)
}

// forms are a secret as it is, in a URL, in JSON, in hexadecimal, and in base64 at any offset.
func forms(secret string) []string {
	digits := hex.EncodeToString([]byte(secret))
	all := []string{secret, digits, strings.ToUpper(digits)}
	for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		all = append(all, escaped, escapes.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	for _, html := range []bool{false, true} {
		quoted := quote(secret, html)
		// Some languages escape the slash, too.
		all = append(all, quoted, strings.ReplaceAll(quoted, "/", `\/`))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			// The characters at both ends depend on what is around.
			all = append(all, encoded[(before*8+5)/6:(before+len(secret))*8/6])
		}
	}
	return all
}

// escapes are those of URLs.
var escapes = regexp.MustCompile(`%[0-9A-F]{2}`)

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

// json redacts within the strings of JSON, whichever way they are escaped, and leaves all other bytes as they are.
func (r redactor) json(raw string) string {
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
	return r.text(b.String())
}

// literal redacts one JSON string, which it returns as it is if there is nothing to redact.
func (r redactor) literal(quoted string) string {
	var text string
	if !strings.Contains(quoted, `\`) || json.Unmarshal([]byte(quoted), &text) != nil || !r.found(text) {
		return quoted
	}
	return `"` + quote(r.text(text), false) + `"`
}

func (r redactor) text(s string) string {
	for _, secret := range r {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

func (r redactor) found(s string) bool { return r.text(s) != s }

// clean cleans s, redacts it and cuts it to limit bytes. The order matters:
// cleaning may join what was split to escape redaction, and a cut may leave
// half a secret.
func (r redactor) clean(s string, limit int) string {
	return cutText(r.text(cleanText(s)), limit)
}
