package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"perdure/internal/secret"
)

const (
	maxToken = 16 << 10
	// maxLifetime bounds what a server says about a token's life.
	maxLifetime = 10 * 365 * 24 * time.Hour
	// refreshAhead is how long before its end a token is renewed, so that it does not end on its way; at most a fifth of its life.
	refreshAhead = time.Minute
)

// tokenAnswer is RFC 6749, 5.1 and 5.2.
type tokenAnswer struct {
	AccessToken  string          `json:"access_token"`
	RefreshToken string          `json:"refresh_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"` // a number; some servers send a string
	Scope        string          `json:"scope"`
	Error        string          `json:"error"`
	Description  string          `json:"error_description"`
}

// token makes a token request and returns the grant with what the answer brings.
func (c *Client) token(ctx context.Context, con Connector, stage Stage, g Grant, form url.Values) (Grant, *Error) {
	if g.Resource != "" {
		form.Set("resource", g.Resource)
	}
	asked := time.Now()
	a, e := c.post(ctx, con, stage, g.TokenEndpoint, g.Client, form)
	if e != nil {
		return Grant{}, e
	}
	var got tokenAnswer
	parsed := json.Unmarshal(a.body, &got) == nil
	if a.status != http.StatusOK || parsed && got.Error != "" { // some servers answer errors with 200
		return Grant{}, tokenRefused(stage, g.Client, a, parsed, got)
	}
	switch {
	case !parsed:
		return Grant{}, badToken(stage, "with "+a.form())
	case !usableToken(got.AccessToken) || got.RefreshToken != "" && !usableToken(got.RefreshToken):
		return Grant{}, badToken(stage, "without a usable token")
	case !strings.EqualFold(got.TokenType, "Bearer"):
		return Grant{}, badToken(stage, "with a token that is not a bearer token")
	}
	g.Access = secret.New(got.AccessToken)
	if got.RefreshToken != "" {
		g.Refresh = secret.New(got.RefreshToken) // else the old one stays good (RFC 6749, 6)
	}
	g.Expires, g.RefreshFrom = time.Time{}, time.Time{}
	if life := lifetime(got.ExpiresIn); life > 0 {
		g.Expires = asked.Add(life).UTC()
		g.RefreshFrom = g.Expires.Add(-min(refreshAhead, life/5))
	}
	if got.Scope != "" {
		g.Scopes = cleanScopes(strings.Fields(got.Scope))
	}
	return g, nil
}

// post sends a form to an endpoint at which clients authenticate.
func (c *Client) post(ctx context.Context, con Connector, stage Stage, endpoint string, r Registration, form url.Values) (answer, *Error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	switch r.AuthMethod {
	case AuthBasic:
		basic := &http.Request{Header: header}
		// Encoded as in a form, before they are encoded for the header (RFC 6749, 2.3.1).
		basic.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.Secret.Reveal()))
	case AuthPost:
		form.Set("client_id", r.ClientID)
		form.Set("client_secret", r.Secret.Reveal())
	default:
		form.Set("client_id", r.ClientID)
	}
	return c.send(ctx, con, request{stage: stage, who: authServer, method: http.MethodPost, url: endpoint, body: form.Encode(), header: header})
}

// usableToken reports whether a token can be sent in a header, and stored.
func usableToken(t string) bool {
	return t != "" && len(t) <= maxToken && !strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' })
}

// lifetime reads expires_in. What is not readable counts as not known: the server will refuse the token in time.
func lifetime(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 {
		return 0
	}
	if seconds >= maxLifetime.Seconds() {
		return maxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

func badToken(stage Stage, how string) *Error {
	return failure(stage, "the authorization server answered "+how, "begin again; if it happens again, its operator has to correct the server")
}

// tokenRefused classifies a refusal. What makes a grant dead is a clear word of the server: an answer that OAuth does not define may come
// from something that stands before the server, and passes.
func tokenRefused(stage Stage, r Registration, a answer, parsed bool, got tokenAnswer) *Error {
	const again = "begin again from the connector's page"
	if !parsed || got.Error == "" {
		e := failure(stage, fmt.Sprintf("the authorization server answered HTTP %d and %s to a token request", a.status, a.form()), "try again later")
		if parsed {
			e.Message = fmt.Sprintf("the authorization server answered HTTP %d to a token request", a.status)
		}
		e.Status, e.Temporary = a.status, true
		return e
	}
	e := failure(stage, "the authorization server refused a token request with "+quoteCode(got.Error), again)
	e.Status, e.Code, e.Description = a.status, definedCode(got.Error), cleanDescription(got.Description)
	switch got.Error {
	case "temporarily_unavailable", "server_error", "slow_down":
		e.Remedy, e.Temporary = "try again later", true
		return e
	case "invalid_client", "unauthorized_client":
		e.kinds = []error{ErrClientGone}
		if r.Kind == KindStatic {
			e.Remedy = "check the client ID and the client secret of the connector, and which of client_secret_basic and client_secret_post the server wants"
		}
	case "invalid_target":
		e.Remedy = remedyTarget
	case "invalid_scope":
		e.Remedy = "set the scopes of the connector to ones that the authorization server knows"
	case "invalid_grant":
		e.Message = "the authorization server does not accept the code: it is too old or was used already"
		if stage == StageRefresh {
			e.Message = "the authorization has ended: it was revoked, has expired, or was replaced"
		}
	default:
		if a.status >= 500 || a.status == http.StatusTooManyRequests {
			e.Remedy, e.Temporary = "try again later", true
			return e
		}
	}
	if stage == StageRefresh {
		e.kinds = append(e.kinds, ErrReauth)
	}
	return e
}
