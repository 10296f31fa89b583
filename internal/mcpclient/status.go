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
	http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusServiceUnavailable,
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
	case code == http.StatusServiceUnavailable && strings.Contains(resp.Header.Get("Server"), "envoy"):
		// Envoy also answers 503 when the server's connection broke after it
		// had passed the request on.
		e.Sent = Unknown
	}
	if e.Temporary {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	}
	return e
}

// retryAfter reads both forms of the header: seconds and a date.
func retryAfter(value string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), maxRetryAfter)
}
