package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"time"

	"golang.org/x/time/rate"

	"perdure/internal/egress"
)

const (
	// sideTimeout bounds requests for which nobody waits: notifications,
	// answers to the server's own requests, the DELETE of a session. The SDK
	// sends some of them without a deadline.
	sideTimeout = 3 * time.Second
	// A server may send us this many requests of its own at once within one
	// session, and this many a second after that: enough for pings and for a
	// question or two about what we can do. Each makes the SDK send an answer,
	// in a goroutine of its own.
	serverRequestsAtOnce    = 100
	serverRequestsPerSecond = 1
	// maxErrorBody bounds what is read of an answer with an error status.
	maxErrorBody = 64 << 10
)

// A guard is the HTTP transport of one session: every byte to and from the
// server passes through it. It pins the origin, adds the credentials, bounds
// and checks each answer before the SDK sees it, and classifies failures.
type guard struct {
	base      http.RoundTripper
	origin    egress.Origin
	header    http.Header // the server's own headers, credentials included
	userAgent string

	serverRequests *rate.Limiter

	// Of the SSE transport only.
	sse      bool
	maxEvent int64 // bound of one event, and of what comes between two answers
	stream   *serverStream
}

func newServerRequests() *rate.Limiter {
	return rate.NewLimiter(serverRequestsPerSecond, serverRequestsAtOnce)
}

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := takeBody(req)
	if err != nil {
		return nil, err
	}
	if egress.OriginOf(req.URL) != g.origin {
		return nil, notSent(StagePolicy, "a request to another origin was refused")
	}
	if req.Method == http.MethodGet && g.sse {
		return g.openStream(req)
	}
	if req.Method == http.MethodDelete {
		return g.side(req, nil)
	}
	if req.Method != http.MethodPost {
		return nil, notSent(StagePolicy, "a %s request was refused", req.Method)
	}
	m, err := parseMessage(body)
	if err != nil {
		return nil, notSent(StageProtocol, "the SDK wrote an unexpected message")
	}
	if ex := exchangeFor(req.Context(), m.method); ex != nil {
		if g.sse {
			return g.exchangeOnStream(req, ex, m, body)
		}
		return g.exchange(req, ex, m, body)
	}
	return g.side(req, body)
}

// declines reports whether one more request of the server is passed on to the
// SDK, which declines it. The others it must not see: refusing their answers
// afterwards would leave the SDK with as many goroutines as the server likes.
func (g *guard) declines() bool { return g.serverRequests.Allow() }

// exchange sends a message for whose outcome an operation waits.
func (g *guard) exchange(req *http.Request, ex *exchange, m message, body []byte) (*http.Response, error) {
	ctx := req.Context()
	out := req.Clone(httptrace.WithClientTrace(ctx, ex.trace()))
	g.dress(out)
	gate := newGate(ex.exactArguments(body))
	if e := ex.sending(gate); e != nil {
		return nil, e
	}
	out.Body, out.ContentLength = gate, gate.r.Size()
	for name, values := range ex.header {
		out.Header[name] = values
	}
	if ex.idempotencyKey != "" {
		out.Header.Set(IdempotencyHeader, ex.idempotencyKey)
	}
	if m.method != methodCall {
		out.GetBody = gate.rewind
	} else {
		// net/http takes an Idempotency-Key header as leave to send a POST
		// again on its own when a kept connection breaks. It cannot without
		// GetBody. Whether a call is repeated is not its decision.
		out.GetBody = nil
	}
	if ex.beforeSend != nil {
		if err := ex.beforeSend(ctx); err != nil {
			e := notSent(StageCall, "the call was not sent because it could not be recorded first")
			e.Temporary, e.cause = true, err
			return nil, ex.fail(e)
		}
	}
	resp, err := g.base.RoundTrip(out)
	if err != nil {
		if ex.settled() { // by the stream of SSE
			return nil, err
		}
		return nil, ex.fail(transportError(ctx, err, ex.phase()))
	}
	if g.sse && ex.settled() {
		return discard(resp), nil // the stream was faster, and it has the last word
	}
	ex.reached(phaseRead)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return g.refusal(resp, req, ex, m)
	}
	if m.method != methodInitialize && m.method != methodDiscover {
		// The SDK gives up a connection whose answers name another session.
		resp.Header.Del(sessionHeader)
	}
	if m.id == nil || g.sse {
		return discard(resp), nil // with SSE, the answer comes on the stream
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err == nil && mediaType == "application/json":
		return g.readJSON(ctx, resp, ex, m)
	case err == nil && mediaType == "text/event-stream":
		ex.streamBegins()
		resp.Body = g.newEventStream(ctx, resp.Body, ex, m.id, g.reopener(req, ex))
		return resp, nil
	default:
		resp.Body.Close()
		e := failure(StageProtocol, "it answered HTTP %d without JSON or an event stream; check that the URL is an MCP endpoint", resp.StatusCode)
		e.Status = resp.StatusCode
		return nil, ex.fail(e)
	}
}

// readJSON takes an answer of one JSON document.
func (g *guard) readJSON(ctx context.Context, resp *http.Response, ex *exchange, sent message) (*http.Response, error) {
	defer resp.Body.Close()
	if resp.ContentLength > ex.maxBytes {
		return nil, ex.fail(tooLarge(ex.maxBytes))
	}
	body, err := readBounded(resp.Body, ex.maxBytes)
	if err != nil {
		return nil, ex.fail(readError(ctx, err, ex.maxBytes))
	}
	m, err := parseMessage(body)
	if err != nil {
		return nil, ex.fail(failure(StageProtocol, "its answer is not one JSON-RPC message"))
	}
	if !m.answers(sent.id) {
		return nil, ex.fail(failure(StageProtocol, "its answer belongs to another request"))
	}
	standIn := ex.answered(m)
	resp.Body = io.NopCloser(bytes.NewReader(standIn))
	resp.ContentLength = int64(len(standIn))
	return resp, nil
}

// refusal classifies an answer whose status is not a success.
func (g *guard) refusal(resp *http.Response, req *http.Request, ex *exchange, sent message) (*http.Response, error) {
	defer resp.Body.Close()
	var body []byte
	if isClientError(resp.StatusCode) {
		// If it is too large or cut off, the status has to be enough.
		body, _ = readBounded(resp.Body, maxErrorBody)
	}
	m, err := parseMessage(body)
	if err == nil && m.err != nil && m.answers(sent.id) && sent.method == methodCall && isClientError(resp.StatusCode) {
		// The status repeats what the JSON-RPC error says better.
		e := answeredWithError(methodCall, m.err)
		e.Status = resp.StatusCode
		return nil, ex.fail(e)
	}
	e := statusError(resp, g.header)
	if m.err != nil {
		e.rpcCode = m.err.code
	}
	inSession := req.Header.Get(sessionHeader) != "" || g.sse
	e.stale = inSession && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest)
	ex.fail(e)
	if sent.method == methodDiscover && resp.StatusCode == http.StatusBadRequest {
		// The SDK reads the versions that the server supports from this body.
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	}
	return nil, e
}

// side sends a message for whose outcome nobody waits.
func (g *guard) side(req *http.Request, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), sideTimeout)
	defer cancel()
	out := req.Clone(ctx)
	g.dress(out)
	if body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	resp, err := g.base.RoundTrip(out)
	if err != nil {
		return nil, transportError(ctx, err, phaseStart)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		discard(resp)
		return nil, statusError(resp, g.header)
	}
	return discard(resp), nil
}

// dress adds the server's headers. They come last and replace what is there;
// the names that MCP and HTTP need are refused before a session is opened.
func (g *guard) dress(req *http.Request) {
	req.Header.Set("User-Agent", g.userAgent)
	for name, values := range g.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
}

// exactArguments puts the arguments back as the caller wrote them: the SDK
// removes white space when it encodes them.
func (ex *exchange) exactArguments(body []byte) []byte {
	if ex.arguments == nil {
		return body
	}
	var compact bytes.Buffer
	if json.Compact(&compact, ex.arguments) != nil || compact.Len() == len(ex.arguments) {
		return body
	}
	// Inside a JSON string the quotes would be escaped, so this is the member.
	encoded := append([]byte(`"arguments":`), compact.Bytes()...)
	exact := append([]byte(`"arguments":`), ex.arguments...)
	return bytes.Replace(body, encoded, exact, 1)
}

func takeBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("mcpclient: reading the SDK's request: %w", err)
	}
	return body, nil
}

// discard ends a response whose body does not matter. A body that has no
// reason to last is read to its end, so that the connection can be used again.
func discard(resp *http.Response) *http.Response {
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	}
	resp.Body.Close()
	resp.Body = http.NoBody
	return resp
}

func tooLarge(limit int64) *Error {
	return failure(StageSize, "its answer is larger than %d bytes", limit)
}

// readError classifies a failure in the middle of an answer.
func readError(ctx context.Context, err error, limit int64) *Error {
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge(limit)
	case ctx.Err() != nil:
		return endOfContext(context.Cause(ctx), phaseRead.String())
	}
	e := failure(StageConnect, "the connection was lost while reading the answer")
	e.Temporary, e.cause = true, egress.SafeCause(err)
	return e
}

func isClientError(status int) bool {
	return status >= 400 && status < 500 &&
		status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests
}
