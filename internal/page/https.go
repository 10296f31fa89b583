package page

import (
	"context"
	"net/http"
)

type behindHTTPS struct{}

// BehindHTTPS returns a request whose cookies are for encrypted connections alone, although it came over another one: a proxy in front of
// us has the certificate.
func BehindHTTPS(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), behindHTTPS{}, true))
}

// secure reports whether browsers are to send a cookie over encrypted connections alone.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Context().Value(behindHTTPS{}) != nil
}
