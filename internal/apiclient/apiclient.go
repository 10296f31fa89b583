// Package apiclient calls the HTTP API of a Perdure server, as the command line does. What may be sent twice is sent again when the
// server is away or asks to wait, and a stream that was cut off goes on where it was.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"perdure/internal/secret"
)

const (
	dialTimeout = 10 * time.Second
	// maxAnswer bounds an answer that is kept in memory: a response may carry the output of many tool calls.
	maxAnswer = 256 << 20
	// defaultPatience is how long a server that was reached once may be away: longer than a deploy of it takes.
	defaultPatience = 2 * time.Minute
)

// Options say which server to call, and as whom.
type Options struct {
	// URL is where the server is, scheme://host[:port], with a path before /v1 if it has one.
	URL string
	// Key is the API key; empty for what needs none.
	Key secret.String
	// UserAgent says who calls.
	UserAgent string
	// Patience is how long a server that was reached once may be away before a request fails; 0 is two minutes.
	Patience time.Duration
	// Waiting, if it is set, hears of each pause before a request is sent again.
	Waiting func(reason error, pause time.Duration)
	// Trace, if it is set, hears of each answer.
	Trace func(Answer)
}

// Answer is what can be told of an answer without what it says.
type Answer struct {
	Method, Path string
	Status       int
	RequestID    string
	Took         time.Duration
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	options Options
	http    *http.Client
	// reached: the server has answered once, so that it is worth waiting for. One that never answered is probably not there at all.
	reached atomic.Bool
}

// New returns a client. Its error names what is wrong with the URL.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		// The URL is not repeated: people put passwords into them.
		return nil, errors.New("the server's URL must be http://HOST or https://HOST, with a port and a path if needed and nothing else")
	}
	// SDKs want the base URL with /v1, and people copy it.
	base.Path = strings.TrimSuffix(base.Path, "/v1")
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		// Servers that do not know it get the body then.
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	return &Client{base: base, options: o, http: &http.Client{
		Transport: transport,
		// A POST that is sent on would arrive as a GET, and the key at somebody else's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// URL is where the server is.
func (c *Client) URL() string { return c.base.String() }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one call.
type Request struct {
	Method string
	Path   string // below the server's URL, escaped, beginning with /v1
	Query  url.Values
	// Body is sent as JSON if it is not nil. A json.RawMessage is sent as it is.
	Body any
	// Key is the Idempotency-Key. With it, or with Repeatable, the request may be sent more than once.
	Key        string
	Repeatable bool
	// Header is sent, too.
	Header http.Header
}

// repeatable reports whether sending the request twice is the same as sending it once.
func (r Request) repeatable() bool {
	return r.Repeatable || r.Key != "" || r.Method == http.MethodGet || r.Method == http.MethodDelete || r.Method == http.MethodPut
}

// Do sends a request and returns the answer's body. An answer that is no success is an [*Error].
func (c *Client) Do(ctx context.Context, r Request) (json.RawMessage, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("the answer of %s broke off: %w", c.base.Host, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", c.base.Host, maxAnswer>>20)
	}
	return bytes.TrimSpace(body), nil
}

// Call is Do with the answer read into a value.
func (c *Client) Call(ctx context.Context, r Request, into any) error {
	body, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answered something else than this program expects; is it a Perdure server of a similar version? (%w)", c.URL(), err)
	}
	return nil
}

// send sends a request, as often as it takes and is allowed, and returns the answer if it is a success. Its body must be closed.
func (c *Client) send(ctx context.Context, r Request) (*http.Response, error) {
	body, err := encode(r.Body)
	if err != nil {
		return nil, err
	}
	wait := newPause(c.options.Patience)
	for {
		resp, err := c.once(ctx, r, body)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pause, again := wait.next(err, c.mayRepeat(r, err))
		if !again {
			return nil, err
		}
		if c.options.Waiting != nil {
			c.options.Waiting(err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return b, nil
	default:
		var buffer bytes.Buffer
		e := json.NewEncoder(&buffer)
		e.SetEscapeHTML(false)
		err := e.Encode(body)
		return buffer.Bytes(), err
	}
}

// once sends a request once.
func (c *Client) once(ctx context.Context, r Request, body []byte) (*http.Response, error) {
	var reader io.Reader = http.NoBody
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := c.request(ctx, r, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.exchange(req)
}

// request builds a request with everything but the type of its body.
func (c *Client) request(ctx context.Context, r Request, body io.Reader) (*http.Request, error) {
	path, err := url.Parse(r.Path)
	if err != nil {
		return nil, err
	}
	target := *c.base
	target.Path, target.RawPath = c.base.Path+path.Path, ""
	if path.RawPath != "" {
		target.RawPath = c.base.EscapedPath() + path.RawPath
	}
	target.RawQuery = r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if !c.options.Key.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.options.Key.Reveal())
	}
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	return req, nil
}

// exchange sends a request and turns what is no success into an error.
func (c *Client) exchange(req *http.Request) (*http.Response, error) {
	began := time.Now()
	left := false
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaders: func() { left = true }}))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err, left)
	}
	c.reached.Store(true)
	if c.options.Trace != nil {
		c.options.Trace(Answer{req.Method, req.URL.Path, resp.StatusCode, resp.Header.Get(requestIDHeader), time.Since(began)})
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(req, resp)
}
