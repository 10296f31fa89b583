package model

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const maxCodeBytes = 64

// failure is what a provider's error says, in whichever of its common forms it came.
type failure struct{ message, kind, code string }

// readFailure understands OpenAI's {"error":{…}}, the same in a list (Gemini) or with a bare string (Ollama), and the bodies of
// common web frameworks. Of anything else, such as a proxy's page, nothing is kept.
func readFailure(body []byte) failure {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var envelope struct {
		Error   json.RawMessage `json:"error"`
		Message text            `json:"message"`
		Detail  text            `json:"detail"`
		Type    text            `json:"type"`
		Code    text            `json:"code"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return failure{}
	}
	f := failure{message: string(envelope.Message), kind: string(envelope.Type), code: string(envelope.Code)}
	if f.message == "" {
		f.message = string(envelope.Detail)
	}
	var inner struct {
		Message    text `json:"message"`
		Type       text `json:"type"`
		Code       text `json:"code"`
		Status     text `json:"status"`
		InnerError struct {
			Code text `json:"code"`
		} `json:"innererror"`
	}
	var bare string
	switch {
	case len(envelope.Error) == 0:
	case json.Unmarshal(envelope.Error, &bare) == nil:
		if bare != "" {
			f.message = bare
		}
	case json.Unmarshal(envelope.Error, &inner) == nil:
		f = failure{message: string(inner.Message), kind: string(inner.Type), code: string(inner.Code)}
		if f.kind == "" {
			f.kind = string(inner.Status)
		}
		if inner.InnerError.Code != "" {
			f.kind = string(inner.InnerError.Code)
		}
	}
	return f
}

// text is a string, a number as its digits, or nothing.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	var n json.Number
	switch {
	case string(data) == "null":
	case json.Unmarshal(data, &s) == nil:
		*t = text(s)
	case json.Unmarshal(data, &n) == nil:
		*t = text(n)
	}
	return nil
}

// refusal classifies an answer with a failure status. Redirects count as such: they are not followed, because Go would send
// the provider's headers along to wherever they lead.
func (p *Provider) refusal(resp *http.Response, body []byte, now time.Time) *Error {
	f := readFailure(body)
	e := p.failed(f, resp.StatusCode)
	e.RetryAfter = retryAfter(resp.Header, now)
	switch resp.Header.Get("X-Should-Retry") {
	case "true":
		e.Temporary = true
	case "false":
		e.Temporary = false
	}
	if resp.StatusCode < http.StatusBadRequest {
		e.Message = fmt.Sprintf("HTTP %d: it does not answer at the configured base_url", resp.StatusCode)
	}
	return e
}

// interruption classifies an error that a provider reports inside of an answer that began well. Some put the HTTP status that
// it would have had into the code.
func (p *Provider) interruption(data json.RawMessage) *Error {
	wrapped, err := json.Marshal(map[string]json.RawMessage{"error": data})
	if err != nil {
		wrapped = nil
	}
	f := readFailure(wrapped)
	status, err := strconv.Atoi(f.code)
	if err != nil || status < http.StatusBadRequest || status > 599 {
		status = http.StatusBadGateway
		if f.kind == "invalid_request_error" {
			status = http.StatusBadRequest
		}
	}
	e := p.failed(f, status)
	e.Status = 0
	e.Message = p.message("it broke the answer off", f)
	return e
}

func (p *Provider) failed(f failure, status int) *Error {
	e := &Error{
		Provider: p.Name, Status: status, Code: clip(scrub(f.code, p.secrets()), maxCodeBytes),
		Message: p.message(fmt.Sprintf("HTTP %d", status), f), Kind: kindOf(f, status),
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		e.Temporary = true
	default:
		e.Temporary = status >= http.StatusInternalServerError
	}
	switch e.Kind {
	case KindContextLength, KindContentPolicy, KindQuota:
		e.Temporary = false
	}
	return e
}

func (p *Provider) message(what string, f failure) string {
	if said := scrub(f.message, p.secrets()); said != "" {
		what += ": " + said
	}
	return clip(what, maxMessageBytes-len("…"))
}

func kindOf(f failure, status int) Kind {
	for _, word := range []string{f.code, f.kind} {
		switch word {
		case "context_length_exceeded":
			return KindContextLength
		case "content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation":
			return KindContentPolicy
		case "insufficient_quota", "billing_hard_limit_reached":
			return KindQuota
		}
	}
	switch {
	case (status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge) && contextLength.MatchString(f.message):
		return KindContextLength
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case status == http.StatusRequestTimeout:
		return KindTimeout
	case status >= http.StatusInternalServerError, status == http.StatusConflict:
		return KindServer
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return KindAuth
	case status == http.StatusNotFound:
		return KindNotFound
	default:
		return KindInvalid
	}
}

// unreached classifies a request that got no answer. The error's own text would tell the address.
func (p *Provider) unreached(err error) *Error {
	e := &Error{Kind: KindNetwork, Provider: p.Name, Temporary: true, Message: "the connection failed", cause: safeCause(err)}
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		e.Message = "its host name could not be resolved"
	case errors.As(err, &certificate):
		e.Message = "its TLS certificate could not be verified"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		e.Message = "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "dial":
		e.Message = "a connection could not be made"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Kind, e.Message = KindTimeout, "it did not begin to answer in time"
	}
	return e
}

// safeCause keeps errors whose texts are built from names, addresses and certificates. Others quote peers: a proxy that repeats its
// credentials, an answer that is not one of HTTP. Of those only the type is kept.
func safeCause(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var wrapped *url.Error
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &wrapped):
		err = wrapped.Err
	}
	return fmt.Errorf("%T (text withheld)", err)
}

// retryAfter reads how long to wait, in the three forms in use: milliseconds, seconds and a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(strings.TrimSpace(header.Get("Retry-After-Ms")), 64); err == nil {
		return bounded(ms * float64(time.Millisecond))
	}
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return bounded(seconds * float64(time.Second))
	}
	if date, err := http.ParseTime(value); err == nil {
		return bounded(float64(date.Sub(now)))
	}
	return 0
}

func bounded(wait float64) time.Duration {
	if math.IsNaN(wait) || wait <= 0 {
		return 0
	}
	return time.Duration(min(wait, float64(maxRetryAfter)))
}
