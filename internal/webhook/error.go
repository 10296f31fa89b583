package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"perdure/internal/egress"
)

// maxRetryAfter bounds how long an endpoint may ask to be left alone.
const maxRetryAfter = time.Hour

// Error is why an endpoint was not told. Its text names the endpoint and never its URL, whose path and query may be secret, nor
// anything of an answer but the status.
type Error struct {
	Endpoint   string
	Status     int           // of the answer; 0 if there was none
	Temporary  bool          // another attempt may succeed
	RetryAfter time.Duration // how long the endpoint asked to be left alone, one hour at most; 0 if it did not

	message string
}

func (e *Error) Error() string { return fmt.Sprintf("webhook endpoint %q %s", e.Endpoint, e.message) }

// passingRefusals are the statuses from 400 to 499 after which the same request may succeed.
var passingRefusals = []int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests}

// refused classifies an answer whose status is not a success.
func refused(endpoint string, resp *http.Response) *Error {
	status := resp.StatusCode
	e := &Error{Endpoint: endpoint, Status: status, message: fmt.Sprintf("answered HTTP %d", status)}
	if text := http.StatusText(status); text != "" {
		e.message += " " + text
	}
	switch {
	case status == http.StatusGone:
		e.message += ": it wants no more events; remove it from webhooks"
	case status >= 300 && status < 400:
		e.message += ": redirects are not followed; configure the URL that it redirects to"
	}
	e.Temporary = status < 400 || status > 499 || slices.Contains(passingRefusals, status)
	if e.Temporary {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// retryAfter reads both forms of the header, seconds and a date.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// unreachable classifies why there was no answer. All of it may pass within a day, also what an operator or the endpoint's owner has
// to mend. The error itself is not repeated: net/http quotes what the peer sent.
func (s *Sender) unreachable(endpoint string, err error) *Error {
	e := &Error{Endpoint: endpoint, Temporary: true, message: "could not be reached"}
	var proxy *egress.ProxyError
	switch {
	case errors.Is(err, egress.ErrAddressDenied):
		e.message = "has an address that the network policy does not allow; an operator can allow it with network.allow_networks or allow_origins"
	case errors.Is(err, context.DeadlineExceeded):
		e.message = fmt.Sprintf("did not answer within %v", s.timeout)
	case errors.As(err, &proxy):
		e.message += ": " + proxy.Error()
	case errors.As(err, new(*net.DNSError)):
		e.message = "has a host name that could not be resolved"
	case badCertificate(err):
		e.message = "has a certificate that is not trusted or does not match the host name; network.ca_file adds an authority"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		e.message = "does not speak TLS on this port"
	}
	return e
}

func badCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}
