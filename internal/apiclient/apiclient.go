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
	// Silence is how long a server may say nothing before it answers what changes nothing, and in the middle of an answer, before the
	// connection counts as lost; 0 is a minute. What changes something may take five times as long, and what starts a run for ever.
	Silence time.Duration
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
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		// Servers that do not know it get the body then.
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		// A connection of HTTP/2 carries many requests: one that is dead has to be noticed, or the next request goes over it as well.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.Silence / 2, PingTimeout: o.Silence / 2},
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

	// unhurried: the answer begins when something has happened for which there is no limit.
	unhurried bool
	// tried, if it is set, hears what came of each attempt.
	tried func(error)
}

// repeatable reports whether sending the request twice is the same as sending it once.
func (r Request) repeatable() bool {
	return r.Repeatable || r.Key != "" || r.Method == http.MethodGet || r.Method == http.MethodDelete || r.Method == http.MethodPut
}

// Do sends a request and returns the answer's body. An answer that is no success is an [*Error].
func (c *Client) Do(ctx context.Context, r Request) (json.RawMessage, error) {
	body, err := encode(r.Body)
	if err != nil {
		return nil, err
	}
	var answer []byte
	err = c.repeat(ctx, r, func() error {
		resp, err := c.once(ctx, r, body)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err == nil && len(answer) > maxAnswer {
			err = fmt.Errorf("the answer of %s is larger than %d MiB", c.base.Host, maxAnswer>>20)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(answer), nil
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
func (c *Client) send(ctx context.Context, r Request) (resp *http.Response, err error) {
	body, err := encode(r.Body)
	if err != nil {
		return nil, err
	}
	err = c.repeat(ctx, r, func() (err error) {
		resp, err = c.once(ctx, r, body) //nolint:bodyclose // the caller closes it
		return err
	})
	return resp, err
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
	return c.exchange(req, c.silenceOf(r))
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

// exchange sends a request and turns what is no success into an error. The server may say nothing for that long before it answers; 0 is for
// ever.
func (c *Client) exchange(req *http.Request, silence time.Duration) (*http.Response, error) {
	began := time.Now()
	var begun atomic.Bool
	var left atomic.Int32 // how often it was sent: net/http sends one with an Idempotency-Key again by itself
	w, ctx := newWatch(req.Context(), silence)
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { begun.Store(true) }, WroteHeaders: func() { left.Add(1) }}
	body := req.Body
	req = req.WithContext(httptrace.WithClientTrace(ctx, trace))
	if body != nil && body != http.NoBody {
		req.Body = sending{body, w}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// One that is given up while it is being written may arrive.
		arrives := left.Load() > 0 || begun.Load() && ctx.Err() != nil
		w.end()
		return nil, c.unreachable(w.reason(err), arrives)
	}
	c.reached.Store(true)
	if c.options.Trace != nil {
		c.options.Trace(Answer{req.Method, req.URL.Path, resp.StatusCode, resp.Header.Get(requestIDHeader), time.Since(began)})
	}
	resp.Body = &receiving{ReadCloser: resp.Body, c: c, watch: w}
	w.answered(c.options.Silence)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(req, resp, left.Load() > 1)
}
