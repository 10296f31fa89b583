package mcpclient

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
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

// forms are a secret as it is, in a URL, in JSON and in base64.
func forms(secret string) []string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		quoted = []byte(`""`)
	}
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1]),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
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
