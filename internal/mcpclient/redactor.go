package mcpclient

import (
	"net/url"
	"strings"

	"perdure/internal/secret"
)

const (
	// minSecretBytes keeps values like "true" or "eu-west" from being cut out
	// of every text.
	minSecretBytes = 12
	// minSecretSegment is longer, since most segments of a path are words. One
	// that is this long and has a digit is taken for a key.
	minSecretSegment = 20
)

// A redactor removes a server's credentials from what the server says, which
// could otherwise carry them into the model's context and the run's history.
type redactor struct{ secret.Redactor }

// newRedactor treats as secret every header value, the credential behind an
// authentication scheme ("Bearer …") by itself too, and of the URL the values
// of the query and what looks like a key in the path.
func newRedactor(s Server) redactor {
	var secrets []string
	add := func(text string) {
		if len(text) >= minSecretBytes {
			secrets = append(secrets, text)
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
	return redactor{secret.NewRedactor(secrets...)}
}

// clean cleans s, redacts it and cuts it to limit bytes. The order matters:
// cleaning may join what was split to escape redaction, and a cut may leave
// half a secret.
func (r redactor) clean(s string, limit int) string {
	return cutText(r.Text(cleanText(s)), limit)
}
