package mcpclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// drainGrace is how long the stream that carried an answer may take to end
// after the answer, so that its connection can be used again.
const drainGrace = 250 * time.Millisecond

// An exchange is what one operation of ours and the guard know about each
// other: what the guard shall put into the HTTP request, and what it learned
// from the answer. It travels in the context, which is the one thing that the
// SDK passes on from a call to its HTTP request.
//
// The SDK itself sees a stand-in for the answer to a list or a call, so that
// nothing in the answer can upset it: not a number that overflows, not an
// unknown content type, not a broken stream. A broken answer therefore costs
// one call and not the session with all the calls in flight on it.
type exchange struct {
	methods  []string // the JSON-RPC methods whose requests belong to it
	standIn  string   // the result the SDK sees; empty: the real one
	maxBytes int64    // bound of the answer, decompressed

	// Of a tool call only.
	header         http.Header
	arguments      json.RawMessage
	idempotencyKey string
	beforeSend     func(context.Context) error

	at     atomic.Int32 // phase
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	body      *gate
	succeeded bool            // there was a result
	result    json.RawMessage // until it is taken
	err       *Error
	streaming bool // an event stream is being read
	finished  bool
}

type exchangeKey struct{}

// exchangeFor returns the exchange that a request with this method belongs to,
// or nil. The SDK also sends notifications and answers in a call's context,
// and those for which the operation does not wait are not part of it.
func exchangeFor(ctx context.Context, method string) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	if ex == nil || !slices.Contains(ex.methods, method) {
		return nil
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.finished {
		return nil
	}
	return ex
}

// begin starts ex and returns the context for the SDK. That context follows
// ctx, except that it survives ctx for drainGrace at the end. Every context is
// canceled in the end; the SDK leaks a goroutine per call otherwise.
func (c *Client) begin(ctx context.Context, ex *exchange) (context.Context, func(), error) {
	exCtx, cancel := context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), exchangeKey{}, ex))
	ex.cancel = cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cancel(errClosed)
		return nil, nil, notSent(StageCanceled, "the client is closed")
	}
	c.inFlight[ex] = struct{}{}
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return exCtx, func() {
		stop()
		c.mu.Lock()
		delete(c.inFlight, ex)
		c.mu.Unlock()
		ex.finish()
	}, nil
}

func (ex *exchange) finish() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.finished = true
	if ex.streaming && ex.succeeded {
		time.AfterFunc(drainGrace, func() { ex.cancel(nil) })
		return
	}
	ex.cancel(nil)
}

// settled reports whether there is an answer or a failure.
func (ex *exchange) settled() bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.succeeded || ex.err != nil
}

// over reports whether nobody waits for an answer any more.
func (ex *exchange) over() bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.finished
}

// streamEnded is called when the stream's body is closed.
func (ex *exchange) streamEnded() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.streaming = false
	if ex.finished {
		ex.cancel(nil)
	}
}

// sending resets what is known, for an exchange with several requests. A
// handshake that was refused for its credentials ends there: the SDK would go
// on to another form of it, whose failure would hide the reason. A message
// whose session broke just before it is sent has failed for that reason.
func (ex *exchange) sending(body *gate) *Error {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.err != nil && (ex.err.Stage == StageAuth || ex.err.stale) {
		return ex.err
	}
	ex.body, ex.succeeded, ex.result, ex.err, ex.streaming = body, false, nil, nil, false
	ex.at.Store(int32(phaseStart))
	return nil
}

func (ex *exchange) streamBegins() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.streaming = true
}

// answered records the response and returns the message that the SDK shall see.
func (ex *exchange) answered(m message) []byte {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	switch {
	case m.err != nil:
		ex.err = answeredWithError(ex.methods[0], m.err)
	default:
		ex.succeeded, ex.result = true, m.result
	}
	if ex.standIn == "" {
		return m.raw
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.id, ex.standIn)
}

func answeredWithError(method string, e *rpcError) *Error {
	stage := StageProtocol
	switch method {
	case methodList:
		stage = StageList
	case methodCall:
		stage = StageCall
	}
	f := failure(stage, "it answered %s with JSON-RPC error %d", method, e.code)
	f.Sent, f.rpcCode = Answered, e.code
	// The one code that says "try again"; a tool call's error is for the model instead.
	f.Temporary = e.code == codeInternalError && method != methodCall
	if method == methodCall {
		f.ServerMessage = e.message // cleaned by CallTool, which knows the credentials
	}
	return f
}

// fail records e, completed by what is known about the request's body.
func (ex *exchange) fail(e *Error) *Error {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if e.Sent == Unknown && (ex.body == nil || !ex.body.shut()) {
		e.Sent = NotSent
	}
	ex.err = e
	return e
}

// outcome takes the exchange's result once the SDK has returned sdkErr. What
// the guard saw outweighs what the SDK says about it. The result is taken,
// so that it takes memory no longer than its reader wants it, however long the
// SDK or net/http hold on to the context that the exchange travels in.
func (ex *exchange) outcome(ctx context.Context, sdkErr error) (json.RawMessage, *Error) {
	ex.mu.Lock()
	result, known := ex.result, ex.err
	ex.result = nil
	ex.mu.Unlock()
	switch {
	case known != nil:
		return nil, known
	case result != nil:
		return result, nil
	case ctx.Err() != nil:
		return nil, ex.fail(endOfContext(context.Cause(ctx), ex.phase().String()))
	default:
		return nil, ex.fail(sdkError(sdkErr))
	}
}

// phase is how far a request has come.
type phase int32

const (
	phaseStart phase = iota
	phaseDNS
	phaseConnect
	phaseTLS
	phaseSend
	phaseWait
	phaseRead
)

func (p phase) String() string {
	return [...]string{
		"preparing the request", "resolving the host name", "connecting", "negotiating TLS",
		"sending the request", "waiting for the answer", "reading the answer",
	}[p]
}

func (ex *exchange) phase() phase { return phase(ex.at.Load()) }

// reached moves forward only: the transport may dial a second connection in
// the background while the request already runs on another.
func (ex *exchange) reached(p phase) {
	for at := ex.at.Load(); at < int32(p); at = ex.at.Load() {
		if ex.at.CompareAndSwap(at, int32(p)) {
			return
		}
	}
}

func (ex *exchange) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { ex.reached(phaseDNS) },
		ConnectStart:      func(string, string) { ex.reached(phaseConnect) },
		TLSHandshakeStart: func() { ex.reached(phaseTLS) },
		GotConn:           func(httptrace.GotConnInfo) { ex.reached(phaseSend) },
		WroteRequest:      func(httptrace.WroteRequestInfo) { ex.reached(phaseWait) },
	}
}
