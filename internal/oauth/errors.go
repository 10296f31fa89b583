package oauth

import (
	"errors"
	"slices"
	"strings"
	"unicode"
)

// A Stage names the step of a connector's authorization that failed.
type Stage string

// The stages, in the order in which a connector meets them.
const (
	StageResource      Stage = "resource_metadata"    // finding out which authorization server the MCP server trusts
	StageServer        Stage = "authorization_server" // reading that server's metadata
	StageRegistration  Stage = "registration"         // becoming a client of it
	StageScope         Stage = "scope"                // asking for further permissions
	StageCallback      Stage = "callback"             // what the browser brought back
	StageAuthorization Stage = "authorization"        // the person, or the authorization server, said no
	StageToken         Stage = "token"                // the exchange of the code
	StageRefresh       Stage = "refresh"
	StageRevocation    Stage = "revocation"
)

// What callers act upon, for errors.Is.
var (
	// ErrReauth: the grant is dead. Only a person can replace it; trying again does not help.
	ErrReauth = errors.New("oauth: a new authorization is needed")
	// ErrClientGone: the authorization server does not know our client. A dynamic registration is to be forgotten.
	ErrClientGone = errors.New("oauth: the client is not registered any more")
	// ErrClientNeeded: we cannot become a client by ourselves. Someone has to enter a client ID.
	ErrClientNeeded = errors.New("oauth: a client ID is needed")
	// ErrState: the callback does not belong to this authorization, or comes too late.
	ErrState = errors.New("oauth: the state is not valid")
	// ErrIssuer: the answer is from, or about, another authorization server.
	ErrIssuer = errors.New("oauth: the issuer does not match")
	// ErrDenied: the person, or the authorization server for them, declined.
	ErrDenied = errors.New("oauth: the authorization was declined")
	// ErrForbidden: the MCP server asks for ever more permissions.
	ErrForbidden = errors.New("oauth: the server refuses whatever is granted")
	// ErrNoRevocation: the authorization server has no way to revoke tokens.
	ErrNoRevocation = errors.New("oauth: the authorization server cannot revoke tokens")
)

// An Error is every error of this package. Its text is safe to show to anyone: it holds no URL, no token and nothing that a server wrote,
// except a code that OAuth defines.
type Error struct {
	Stage     Stage
	Message   string // what happened
	Remedy    string // what a person can do about it
	Code      string // OAuth's code, if the server sent one that is defined; else empty
	Status    int    // HTTP status, or 0 if there was no answer or it does not matter
	Temporary bool   // whether the same step may succeed later

	// Description is the authorization server's own explanation: untrusted, without control characters, at most 300 bytes. It is no
	// part of Error's text. It is empty if the answer may be forged.
	Description string

	kinds []error
}

// Error says what happened and what to do.
func (e *Error) Error() string {
	text := e.Message + " (" + string(e.Stage) + ")"
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the sentinels above that apply, and a cause for logs that quotes no peer.
func (e *Error) Unwrap() []error { return e.kinds }

func failure(stage Stage, message, remedy string, kinds ...error) *Error {
	return &Error{Stage: stage, Message: message, Remedy: remedy, kinds: kinds}
}

// definedCodes are the error codes of RFC 6749, 6750, 7009, 7591, 8707, 9470 and OpenID Connect.
var definedCodes = []string{
	"access_denied", "account_selection_required", "consent_required", "insufficient_scope", "insufficient_user_authentication",
	"interaction_required", "invalid_client", "invalid_client_metadata", "invalid_grant", "invalid_redirect_uri", "invalid_request",
	"invalid_scope", "invalid_software_statement", "invalid_target", "invalid_token", "login_required", "request_not_supported",
	"server_error", "slow_down", "temporarily_unavailable", "unapproved_software_statement", "unauthorized_client",
	"unsupported_grant_type", "unsupported_response_type", "unsupported_token_type",
}

// definedCode keeps what strangers write out of our texts.
func definedCode(code string) string {
	if slices.Contains(definedCodes, code) {
		return code
	}
	return ""
}

func quoteCode(code string) string {
	if code = definedCode(code); code == "" {
		return "an unknown error code"
	}
	return "the error " + code
}

const maxDescription = 300

// cleanDescription makes a stranger's text fit to be shown on one line.
func cleanDescription(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == unicode.ReplacementChar:
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > maxDescription {
		s = strings.ToValidUTF8(s[:maxDescription], "")
	}
	return s
}

// GrantEnded is the error for a grant that the store knows to be dead.
func GrantEnded() error {
	return failure(StageRefresh, "its authorization has ended", "authorize it again", ErrReauth)
}

// GrantMissing is the error for a grant that the store does not have.
func GrantMissing() error {
	return failure(StageAuthorization, "it has not been authorized", "authorize it", ErrReauth)
}
