package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"testing"
)

// canary is a secret of a request: where it shows, secrets leak.
const canary = "canary+of/the=request&?"

// forms returns how a secret may lie in other bytes: as it is, escaped for a URL, in hexadecimal, or in base64 at any offset.
func forms(secret string) [][]byte {
	out := [][]byte{
		[]byte(secret), []byte(url.QueryEscape(secret)), []byte(url.PathEscape(secret)), []byte(hex.EncodeToString([]byte(secret))),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, offset), secret...))
			// The characters at both ends depend on what is around.
			encoded = encoded[(offset*8+5)/6:]
			out = append(out, []byte(encoded[:len(encoded)-2]))
		}
	}
	return out
}

// escape makes a secret fit for any part of a URL.
func escape(secret string) string { return url.QueryEscape(secret) }

func leaks(data []byte, secret string) bool {
	for _, form := range forms(secret) {
		if bytes.Contains(data, form) {
			return true
		}
	}
	return false
}

// TestLeaks: a search that finds nothing proves something only if it would find what is there.
func TestLeaks(t *testing.T) {
	t.Parallel()
	for offset := range 6 {
		around := append(append(make([]byte, offset), canary...), "more"...)
		for name, data := range map[string]string{
			"plain": string(around), "escaped": url.QueryEscape(string(around)), "path": url.PathEscape(string(around)),
			"base64": base64.StdEncoding.EncodeToString(around), "base64 for URLs": base64.RawURLEncoding.EncodeToString(around),
			"hexadecimal": hex.EncodeToString(around),
		} {
			if !leaks([]byte(data), canary) {
				t.Errorf("%s at offset %d: not found", name, offset)
			}
		}
	}
	if leaks([]byte("canary of the request"), canary) {
		t.Error("found where it is not")
	}
}
