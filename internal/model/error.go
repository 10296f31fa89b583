package model

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	"perdure/internal/secret"
)

// Kind says what went wrong with a turn. The values are stable: they may be used as types of retryable errors.
type Kind string

// The kinds of [Error].
const (
	KindNetwork       Kind = "network"        // the provider could not be reached
	KindTimeout       Kind = "timeout"        // the provider did not begin to answer in time
	KindRateLimited   Kind = "rate_limited"   // 429
	KindQuota         Kind = "quota"          // 429, but the account is out of money, which no wait mends
	KindServer        Kind = "server"         // 5xx, or a failure reported in the middle of an answer
	KindAuth          Kind = "auth"           // 401 or 403: the operator's key is wrong or not allowed
	KindNotFound      Kind = "not_found"      // 404: usually an unknown model
	KindContextLength Kind = "context_length" // the conversation is longer than the model takes
	KindContentPolicy Kind = "content_policy" // the provider refuses the conversation
	KindInvalid       Kind = "invalid"        // any other refusal of the request
	KindTruncated     Kind = "truncated"      // the answer broke off
	KindEmpty         Kind = "empty"          // the model answered nothing
	KindMalformed     Kind = "malformed"      // the answer is not what Chat Completions sends
	KindTooLarge      Kind = "too_large"      // the answer passes a bound
	KindConfiguration Kind = "configuration"  // this worker does not know the provider
)

const (
	maxMessageBytes = 500
	maxRetryAfter   = time.Hour
)

// Error is a turn that failed. It says nothing of the conversation and has no secrets, so that it may be stored and shown.
// A turn that was stopped by its context is not one: that error wraps the context's.
type Error struct {
	Kind     Kind
	Provider string // its name in the catalog
	// Status is the HTTP status; 0 when there was none.
	Status int
	// Code is the provider's own code for the failure; empty when it gave none.
	Code string
	// Message is one line of at most 500 bytes. It may quote the provider, but nothing that looks like a key.
	Message string
	// RetryAfter is how long the provider asks to wait, at most an hour; 0 when it does not ask.
	RetryAfter time.Duration
	// Temporary reports whether the same turn may succeed later.
	Temporary bool

	cause error
}

func (e *Error) Error() string {
	if e.Provider == "" {
		return "model: " + e.Message
	}
	return `model provider "` + e.Provider + `": ` + e.Message
}

// Unwrap returns what the network said, for errors.Is and errors.As. Its text may name addresses.
func (e *Error) Unwrap() error { return e.cause }

var (
	// keys are what looks like a credential: with a known beginning, or long and without spaces.
	keys = regexp.MustCompile(`(?i)\b(?:sk|pk|rk|gsk|xai|hf|pplx|csk|nvapi|fw)[-_][a-z0-9*._-]{6,}|\bAIza[a-z0-9_-]{10,}|` +
		`\beyJ[a-z0-9_.-]{10,}|\bbearer\s+\S+|[a-z0-9_-]{32,}|[a-z0-9+/]{40,}={0,2}`)
	// contextLength reads the messages of providers that have no code for it.
	contextLength = regexp.MustCompile(`(?i)context.?(?:length|window|size)|prompt is too long|` +
		`too many (?:input )?tokens|maximum.{0,20}tokens`)
)

// scrub makes a provider's message fit to be shown: one line, without secrets, bounded.
func scrub(message string, secrets secret.Redactor) string {
	message = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(message, ""))
	// After that: what was cut out may have kept a secret from being found.
	message = secrets.Text(strings.Join(strings.Fields(message), " "))
	return keys.ReplaceAllString(message, "[redacted]")
}
