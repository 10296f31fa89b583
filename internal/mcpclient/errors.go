package mcpclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perdure/internal/oauth"
)

// A Stage names the step at which work with a server failed.
type Stage string

// StageTransport is that of [Client.Probe] alone: the URL speaks another
// transport than the one it is set to.
const StageTransport Stage = "transport"

// The stages, in the order in which a request meets them.
const (
	StagePolicy   Stage = "policy"   // refused here: URL, header or address is not allowed
	StageDNS      Stage = "dns"      // the host name did not resolve
	StageConnect  Stage = "connect"  // no connection, or it was lost before the answer was complete
	StageTLS      Stage = "tls"      // no TLS session, or an untrusted certificate
	StageAuth     Stage = "auth"     // HTTP 401 or 403
	StageStatus   Stage = "status"   // any other HTTP status that is not a success
	StageProtocol Stage = "protocol" // the answer is not what MCP asks for
	StageList     Stage = "list"     // the server answered tools/list with an error or an unusable list
	StageCall     Stage = "call"     // the server answered tools/call with a JSON-RPC error, or the call was not made
	StageSize     Stage = "size"     // the answer is larger than the bound
	StageTimeout  Stage = "timeout"  // a deadline passed
	StageCanceled Stage = "canceled" // the caller gave up, or the client was closed
)

// SentState says what is known about a request whose answer is missing. It
// decides whether a tool call may be sent again. The zero value is the one
// that promises nothing.
type SentState int

const (
	// Unknown: the request, or part of it, left this process.
	Unknown SentState = iota
	// NotSent: not one byte of the message left this process.
	NotSent
	// Refused: the server answered in a way that shows it did not execute the message.
	Refused
	// Answered: the server's answer arrived; the error is the answer.
	Answered
)

// String returns the state's name for logs.
func (s SentState) String() string {
	switch s {
	case NotSent:
		return "not sent"
	case Refused:
		return "refused"
	case Answered:
		return "answered"
	default:
		return "unknown"
	}
}

// NeverRan reports whether the message provably was not executed, so that
// sending it again cannot do a write twice.
func (s SentState) NeverRan() bool { return s == NotSent || s == Refused }

// An Error is every error that [Client.ListTools] and [Client.CallTool]
// return. Its text is safe to show to anyone: it holds no URL, no header value
// and nothing that the server wrote.
type Error struct {
	Label      string        // the server's label
	Stage      Stage         // where it failed
	Message    string        // what happened, in our words
	Status     int           // HTTP status, or 0 if there was none
	RetryAfter time.Duration // what the server asked for, at most an hour, or 0
	Sent       SentState     // whether the message may have been executed
	Temporary  bool          // whether the same request may succeed later
	Remedy     string        // what a person can do about it; always set by [Client.Probe], else sometimes

	// Challenge is what a refusal (401, 403) says about the token that is
	// missing. If it is InsufficientScope, the token needs further permissions.
	Challenge oauth.Challenge

	// ServerMessage is the text of the server's own JSON-RPC error to a tool
	// call: untrusted, without control characters, at most 2 KB. It is meant
	// for the model and is not part of Error's text.
	ServerMessage string

	// access: it was Cloudflare Access that refused, not the server.
	access bool
	// stale: the server no longer knows the session, or the session broke.
	stale bool
	// rpcCode is the code of a JSON-RPC error, or 0.
	rpcCode int64
	cause   error
}

// Error describes the failure without repeating anything secret or untrusted.
func (e *Error) Error() string {
	return fmt.Sprintf("MCP server %q: %s (%s)", e.Label, e.Message, e.Stage)
}

// Unwrap returns the cause, for logs and errors.Is. Causes that could quote a
// URL, a header or a body are replaced by their type.
func (e *Error) Unwrap() error { return e.cause }

// failure is the usual start of an Error.
func failure(stage Stage, format string, args ...any) *Error {
	return &Error{Stage: stage, Message: fmt.Sprintf(format, args...)}
}

// notSent is a failure that happened before anything left this process.
func notSent(stage Stage, format string, args ...any) *Error {
	e := failure(stage, format, args...)
	e.Sent = NotSent
	return e
}

// errClosed is the cancellation cause of calls that [Client.Close] interrupts.
var errClosed = errors.New("mcpclient: client closed")

// endOfContext describes a context that ended while the client was doing what
// doing says.
func endOfContext(cause error, doing string) *Error {
	e := failure(StageCanceled, "canceled while %s", doing)
	if errors.Is(cause, context.DeadlineExceeded) {
		e = failure(StageTimeout, "timed out while %s", doing)
		e.Temporary = true
	}
	e.cause = cause
	return e
}

// asError returns err as an [Error] that carries the label. Each caller gets a
// copy, since callers that share a session share its failure.
func asError(err error, label string) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = failure(StageProtocol, "unexpected failure")
		e.cause = err
	}
	labelled := *e
	labelled.Label = label
	return &labelled
}
