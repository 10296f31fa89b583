package apiclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestIDHeader = "X-Request-Id"
	// shouldRetryHeader is how servers tell SDKs what their own rules would get wrong.
	shouldRetryHeader = "X-Should-Retry"
	// maxRefusal bounds what is read of an answer that is no success.
	maxRefusal = 1 << 20
	// maxMessage bounds what is shown of it, in bytes.
	maxMessage = 2000
)

// Error is an answer that is no success.
type Error struct {
	Status  int
	Type    string // such as "not_found"; empty if the answer is not one of a Perdure server
	Message string
	Param   string // the place in the request; empty when there is none
	// RequestID finds the request in the server's log.
	RequestID string
	// Remedy is what the caller can do, beyond what the message says; optional.
	Remedy string
	// RetryAfter is how long the server asks to wait; 0 when it does not.
	RetryAfter time.Duration
	// noRetry: the server says that it would not help to ask again.
	noRetry bool
	// untouched: the server says that it would help, since it was busy and has done nothing.
	untouched bool
	// again: the request was sent before, with an answer that was lost.
	again bool
}

// Error is the message on one line, with its place before it and the remedy after it.
func (e *Error) Error() string {
	text := e.Message
	if e.Param != "" {
		text = e.Param + ": " + text
	}
	if e.Remedy != "" {
		text += ": " + e.Remedy
	}
	return text
}

// IsStatus reports whether an error is an answer with that status.
func IsStatus(err error, status int) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == status
}

// Unreachable is that no answer came.
type Unreachable struct {
	server string
	cause  error
	// left: the request may have reached the server, which may have done what it asks for.
	left bool
	// before: the server was there before, or took this request.
	before bool
}

// Error says why, and what to do.
func (e *Unreachable) Error() string {
	if e.before {
		return fmt.Sprintf("lost the connection to %s: %v", e.server, plain(e.cause))
	}
	return fmt.Sprintf(`cannot reach %s: %v: is the server running there? Start one with "perdure dev", or name another with --server or PERDURE_URL`,
		e.server, plain(e.cause))
}

// Unwrap returns the cause.
func (e *Unreachable) Unwrap() error { return e.cause }

// plain is the cause without the request's URL, which the message has already.
func plain(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it closed the connection")
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

func (c *Client) unreachable(err error, left bool) error {
	if left {
		c.reached.Store(true)
	}
	return &Unreachable{server: c.URL(), cause: err, left: left, before: c.reached.Load()}
}

// refusal reads an answer that is no success.
func (c *Client) refusal(req *http.Request, resp *http.Response, again bool) error {
	e := &Error{
		Status: resp.StatusCode, RequestID: resp.Header.Get(requestIDHeader), RetryAfter: retryAfter(resp.Header),
		noRetry: resp.Header.Get(shouldRetryHeader) == "false", untouched: resp.Header.Get(shouldRetryHeader) == "true", again: again,
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	var answer struct {
		Error struct {
			Type, Message string
			Param         *string
		}
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || answer.Error.Message == "" {
		return c.stranger(e, req, resp)
	}
	e.Type, e.Message = answer.Error.Type, oneLine(answer.Error.Message)
	if answer.Error.Param != nil {
		e.Param = oneLine(*answer.Error.Param)
	}
	if e.Status == http.StatusUnauthorized {
		e.Remedy = "check the API key (PERDURE_API_KEY, --api-key-file, or client.api_key_file of the configuration)"
	}
	return e
}

// stranger is the error for an answer that no Perdure server gives.
func (c *Client) stranger(e *Error, req *http.Request, resp *http.Response) error {
	e.Message = fmt.Sprintf("%s %s answered %s", req.Method, c.URL()+strings.TrimPrefix(req.URL.Path, c.base.Path), resp.Status)
	switch {
	case e.Status >= 300 && e.Status < 400:
		e.Message = fmt.Sprintf("%s redirects elsewhere", c.URL())
		e.Remedy = "name the address that it redirects to with --server or PERDURE_URL"
		if to, err := resp.Location(); err == nil {
			e.Remedy = fmt.Sprintf("is it %s://%s? Name that with --server or PERDURE_URL", to.Scheme, to.Host)
		}
	case e.Status < 500:
		e.Remedy = "is that the address of a Perdure server?"
	}
	return e
}

// oneLine is a text from outside that cannot break a terminal's line.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
