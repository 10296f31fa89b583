package mcpclient

import (
	"context"
	"errors"
	"net/http"

	"perdure/internal/oauth"
	"perdure/internal/secret"
)

// token asks for the access token of an operation.
func (s Server) token(ctx context.Context, refused secret.String) (secret.String, error) {
	if s.Token == nil {
		return secret.String{}, nil
	}
	token, err := s.Token(ctx, refused)
	if err == nil {
		if CheckHeader("Authorization", token.Reveal()) != nil {
			return secret.String{}, notSent(StageAuth, "its access token cannot be sent as a header")
		}
		return token, nil
	}
	if ctx.Err() != nil {
		e := endOfContext(context.Cause(ctx), "waiting for an access token")
		e.Sent = NotSent
		return secret.String{}, e
	}
	e := notSent(StageAuth, "there is no access token for it")
	e.cause = err
	var reason *oauth.Error
	if errors.As(err, &reason) {
		e.Message += ": " + reason.Message
		e.Remedy, e.Temporary = reason.Remedy, reason.Temporary
	}
	return secret.String{}, e
}

// with is the server with this access token among its headers. Sessions are
// told apart by their headers, so a new token means a new session.
func (s Server) with(token secret.String) Server {
	if token.IsZero() {
		return s
	}
	if s.Header = s.Header.Clone(); s.Header == nil {
		s.Header = http.Header{}
	}
	s.Header.Set("Authorization", "Bearer "+token.Reveal())
	return s
}

// WantsToken reports whether the server refused the request for its access token, or for lack of one.
func (e *Error) WantsToken() bool {
	return e != nil && e.Status == http.StatusUnauthorized && !e.access
}
