package oauth

import (
	"context"
	"crypto/subtle"
	"net/url"
	"time"
)

// maxParam bounds each parameter of a callback.
const maxParam = 8 << 10

// UnknownState is the error for a callback whose state the store does not have: never issued, used before, or issued to another browser.
// Which of these it is, nobody needs to learn.
func UnknownState() error {
	return failure(StageCallback, "this authorization is not known: it was used already, is too old, or was begun in another browser",
		"begin again from the connector's page", ErrState)
}

// Complete turns a callback into a grant. The caller has taken p from its store, by the hash of the query's state, so that it cannot be
// used again, and has checked that the browser is the one that began.
func (c *Client) Complete(ctx context.Context, con Connector, p Pending, query url.Values) (Grant, error) {
	if e := checkCallback(p, query, time.Now()); e != nil {
		return Grant{}, e
	}
	g := Grant{
		Issuer: p.Client.Issuer, Client: p.Client, Resource: p.Resource, Asked: p.Scopes, Scopes: p.Scopes,
		TokenEndpoint: p.TokenEndpoint, RevocationEndpoint: p.RevocationEndpoint, StepUps: p.StepUps,
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {query.Get("code")},
		"redirect_uri": {p.Client.RedirectURI}, "code_verifier": {p.Verifier.Reveal()},
	}
	g, e := c.token(ctx, con, StageToken, g, form)
	if e != nil {
		return Grant{}, e
	}
	return g, nil
}

// checkCallback applies the checks in an order in which no answer is believed before it is known whose it is.
func checkCallback(p Pending, query url.Values, now time.Time) *Error {
	for _, name := range []string{"state", "code", "iss", "error", "error_description"} {
		if values := query[name]; len(values) > 1 || len(values) == 1 && len(values[0]) > maxParam {
			return failure(StageCallback, "the callback has a parameter twice, or one that is too long", "begin again from the connector's page", ErrState)
		}
	}
	if subtle.ConstantTimeCompare([]byte(HashState(query.Get("state"))), []byte(p.StateHash)) != 1 {
		return failure(StageCallback, "the callback belongs to another authorization", "begin again from the connector's page", ErrState)
	}
	if now.After(p.Expires) {
		return failure(StageCallback, "the authorization took too long", "begin again from the connector's page", ErrState)
	}
	switch iss := query.Get("iss"); {
	case iss == "" && p.IssuerInCallback:
		return failure(StageCallback, "the callback does not name the authorization server, although that server says that its callbacks do",
			"begin again; if it happens again, do not trust the MCP server", ErrIssuer)
	case iss != "" && iss != p.Client.Issuer:
		return failure(StageCallback, "the callback comes from another authorization server than the one that was asked",
			"do not trust the MCP server: it may try to get at an authorization for another one", ErrIssuer)
	}
	if code := query.Get("error"); code != "" {
		return declined(code, query.Get("error_description"))
	}
	if query.Get("code") == "" {
		return failure(StageCallback, "the callback has neither a code nor an error", "begin again from the connector's page", ErrState)
	}
	return nil
}

func declined(code, description string) *Error {
	e := failure(StageAuthorization, "the authorization server answered with "+quoteCode(code), "begin again from the connector's page")
	e.Code, e.Description = definedCode(code), cleanDescription(description)
	switch code {
	case "access_denied":
		e.Message, e.kinds = "the authorization was declined", []error{ErrDenied}
	case "temporarily_unavailable", "server_error":
		e.Remedy, e.Temporary = "try again later", true
	case "invalid_scope":
		e.Remedy = "set the scopes of the connector to ones that the authorization server knows"
	case "invalid_target":
		e.Remedy = remedyTarget
	case "unauthorized_client", "invalid_client", "invalid_redirect_uri":
		e.Remedy = "check the client ID, and that our redirect URI is registered for it"
	}
	return e
}

const remedyTarget = "set the connector's resource to what the authorization server expects, or leave the resource out"
