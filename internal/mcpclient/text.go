package mcpclient

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanText makes a server's text fit for a place where it might be shown:
// one line, without control, zero-width or bidirectional characters.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == utf8.RuneError:
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// cutText shortens s to at most limit bytes, on a rune's boundary.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

const (
	redacted = "[redacted]"
	// minSecretBytes keeps values like "true" or "eu-west" from being cut out
	// of every text.
	minSecretBytes = 12
)

// A redactor removes a server's credentials from what the server says, which
// could otherwise carry them into the model's context and the run's history.
type redactor []string

// newRedactor treats every header value as secret, and the credential behind
// an authentication scheme ("Bearer …") by itself too.
func newRedactor(h http.Header) redactor {
	var r redactor
	add := func(s string) {
		if len(s) >= minSecretBytes {
			r = append(r, s)
		}
	}
	for _, values := range h {
		for _, v := range values {
			add(v)
			if _, credential, ok := strings.Cut(v, " "); ok {
				add(credential)
			}
		}
	}
	return r
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
