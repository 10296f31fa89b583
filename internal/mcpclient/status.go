package mcpclient

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"perdure/internal/cfaccess"
	"perdure/internal/oauth"
)

const maxRetryAfter = time.Hour

// refusedStatuses are those with which a server, or a gateway before it, turns
// a request away instead of executing it.
var refusedStatuses = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge,
	http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
}

// temporaryStatuses are those after which the same request may succeed.
var temporaryStatuses = []int{
	http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// statusError describes an answer, to a request with these headers, whose
// status is not a success. It repeats nothing of the answer but the number.
func statusError(resp *http.Response, sent http.Header) *Error {
	code := resp.StatusCode
	e := failure(StageStatus, "it answered HTTP %d", code)
	if text := http.StatusText(code); text != "" {
		e.Message += " " + text
	}
	e.Status = code
	e.Temporary = slices.Contains(temporaryStatuses, code)
	if slices.Contains(refusedStatuses, code) {
		e.Sent = Refused
	}
	switch {
	case cfaccess.Refused(resp):
		e.Stage, e.Sent, e.access = StageAuth, Refused, true
		e.Message += ": " + cfaccess.Explain(sent)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Stage = StageAuth
		e.Challenge = oauth.ParseChallenge(resp.Header.Values("WWW-Authenticate"))
		if e.Challenge.InsufficientScope() {
			e.Message += ": the authorization lacks permissions that this needs"
		}
	case code >= 300 && code < 400:
		e.Message += ": redirects are refused; use the URL the server redirects to"
	}
	if e.Temporary {
		after, asked := retryAfter(resp.Header.Get("Retry-After"))
		e.RetryAfter = after
		if asked && code == http.StatusServiceUnavailable && !fromEnvoy(resp) {
			// Routers and servers also answer 503 when a handler takes too
			// long, or its connection broke, and the handler goes on. Only one
			// that says when to come again has turned the request away.
			e.Sent = Refused
		}
	}
	return e
}

// fromEnvoy recognizes the proxy that answers 503 when the server's connection
// broke after it had passed the request on, with whatever headers it was set to
// add.
func fromEnvoy(resp *http.Response) bool { return strings.Contains(resp.Header.Get("Server"), "envoy") }

// retryAfter reads both forms of the header: seconds and a date. It reports
// whether there is one.
func retryAfter(value string) (d time.Duration, asked bool) {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		d, asked = time.Duration(seconds)*time.Second, true
	} else if t, err := http.ParseTime(value); err == nil {
		d, asked = time.Until(t), true
	}
	return min(max(d, 0), maxRetryAfter), asked
}
