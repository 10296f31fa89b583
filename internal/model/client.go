package model

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	chatCompletions = "/chat/completions"
	maxErrorBytes   = 64 << 10
	// drainTime is how long a finished answer may take to end, so that its connection can be used again.
	drainTime = 100 * time.Millisecond
)

// DefaultHeaderTimeout is how long a provider may take to begin its answer. Some send nothing until the model has thought.
const DefaultHeaderTimeout = 5 * time.Minute

// Options configure a [Client].
type Options struct {
	// Catalog is required.
	Catalog *Catalog
	// RootCAs are trusted for TLS; nil means those of the system.
	RootCAs *x509.CertPool
	// HeaderTimeout bounds the wait for the answer's headers; 0 means [DefaultHeaderTimeout]. The whole turn is bounded by its
	// context.
	HeaderTimeout time.Duration
	// Logger gets, at debug level, what was changed in tools' schemas; nil logs nothing.
	Logger *slog.Logger
}

// Client makes turns. It is safe for concurrent use and keeps connections to providers open; Close ends the idle ones.
type Client struct {
	catalog   *Catalog
	http      *http.Client
	log       *slog.Logger
	drainTime time.Duration
}

// New returns a client for the catalog's providers. It takes a proxy from the environment, as providers may be reachable only
// through one.
func New(opts Options) *Client {
	if opts.HeaderTimeout <= 0 {
		opts.HeaderTimeout = DefaultHeaderTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		catalog:   opts.Catalog,
		log:       opts.Logger,
		drainTime: drainTime,
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    10 * time.Second,
				ResponseHeaderTimeout:  opts.HeaderTimeout,
				IdleConnTimeout:        90 * time.Second,
				MaxIdleConnsPerHost:    64,
				MaxResponseHeaderBytes: 256 << 10,
				ForceAttemptHTTP2:      true,
				// A connection that died without a word would otherwise hold a turn until its own time is up.
				HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
				// Compression delays deltas, and would make the bounds count the wrong bytes.
				DisableCompression: true,
			},
		},
	}
}

// Close ends the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Stream makes one turn. It calls onDelta, unless that is nil, with each piece of the answer as it arrives; an error from
// onDelta ends the turn and is returned as it is.
//
// The error is otherwise an [*Error], or wraps the cause of ctx's end. Nothing is retried.
func (c *Client) Stream(ctx context.Context, turn Turn, onDelta func(Delta) error) (Answer, error) {
	p, ok := c.catalog.provider(turn.Model.Provider)
	if !ok {
		return Answer{}, &Error{
			// Another worker may know it: configurations differ while they are rolled out.
			Kind: KindConfiguration, Provider: turn.Model.Provider, Temporary: true, Message: "it is not configured on this worker",
		}
	}
	body, err := json.Marshal(newRequest(turn, p.Quirks, c.log))
	if err != nil {
		return Answer{}, &Error{Kind: KindInvalid, Provider: p.Name, Message: "the request cannot be written as JSON", cause: err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.post(ctx, p, turn.IdempotencyKey, body)
	if err == nil {
		defer resp.Body.Close()
		var answer Answer
		if answer, err = p.read(resp, onDelta); err == nil {
			drain(resp.Body, c.drainTime, cancel)
			return answer, nil
		}
	}
	if ctx.Err() != nil {
		return Answer{}, fmt.Errorf("model provider %q: the turn was stopped: %w", p.Name, context.Cause(ctx))
	}
	return Answer{}, err
}

func (c *Client) post(ctx context.Context, p *Provider, idempotencyKey string, body []byte) (*http.Response, error) {
	url := strings.TrimRight(p.BaseURL, "/") + chatCompletions
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Provider: p.Name, Message: "its base_url is not usable", cause: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/json")
	req.Header.Set("User-Agent", "perdure")
	if key := p.APIKey.Reveal(); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, p.unreached(err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // the status counts, whatever can be read
		return nil, p.refusal(resp, said, time.Now())
	}
	return resp, nil
}

// read reads a turn's answer, which is a stream of events or, from providers that do not stream, one JSON object.
func (p *Provider) read(resp *http.Response, onDelta func(Delta) error) (Answer, error) {
	c := &collector{onDelta: onDelta}
	events := newEventReader(resp.Body)
	err := p.collect(c, events)
	if err == nil {
		var answer Answer
		if answer, err = c.finished(); err == nil {
			return answer, nil
		}
	}
	var e *Error
	if errors.As(err, &e) && e.Provider == "" {
		e.Provider = p.Name
	}
	return Answer{}, err
}

func (p *Provider) collect(c *collector, events *eventReader) error {
	if events.isJSON() {
		body, err := events.rest()
		if err != nil {
			return p.broken(err)
		}
		return p.chunk(c, body)
	}
	for {
		data, err := events.next()
		switch {
		case errors.Is(err, io.EOF):
			return p.ended(c)
		case err != nil:
			if err := p.broken(err); err.Kind == KindTooLarge || c.answer.Finish == "" {
				return err
			}
			return nil // all but the usage has arrived
		case isDone(data):
			if c.chunks == 0 {
				return p.malformed()
			}
			return nil
		}
		if err := p.chunk(c, data); err != nil {
			return err
		}
	}
}

func (p *Provider) chunk(c *collector, data []byte) error {
	var ch chunk
	if err := json.Unmarshal(data, &ch); err != nil {
		return p.malformed()
	}
	if len(ch.Error) > 0 && string(ch.Error) != "null" {
		return p.interruption(ch.Error)
	}
	return c.add(&ch)
}

// ended judges a stream that ended without [DONE]. Some providers never send it, so what counts is whether the model finished.
func (p *Provider) ended(c *collector) error {
	switch {
	case c.answer.Finish != "":
		return nil
	case c.chunks == 0:
		return p.malformed()
	default:
		return p.broken(io.ErrUnexpectedEOF)
	}
}

func (p *Provider) malformed() *Error {
	return &Error{
		Kind: KindMalformed, Provider: p.Name, Temporary: true, Message: "its answer is not one of the Chat Completions API",
	}
}

func (p *Provider) broken(err error) *Error {
	if errors.Is(err, errAnswerTooLong) || errors.Is(err, errEventTooLong) {
		return &Error{Kind: KindTooLarge, Provider: p.Name, Message: err.Error(), cause: err}
	}
	return &Error{Kind: KindTruncated, Provider: p.Name, Temporary: true, Message: "its answer broke off", cause: err}
}

// drain reads an answer to its end, and cuts off a server that does not end it.
func drain(body io.Reader, most time.Duration, cancel context.CancelCauseFunc) {
	timer := time.AfterFunc(most, func() { cancel(nil) })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxErrorBytes))
}
