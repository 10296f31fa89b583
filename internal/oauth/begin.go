package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"perdure/internal/secret"
)

// Begin starts an authorization. It returns the URL to send a browser to, and what the callback will need. It makes no request.
//
// The challenge is that of the MCP server's refusal, or empty. The prior grant, if there is one, keeps its permissions: the new one is to
// have them as well. A server that asks for more again and again, by insufficient_scope, ends with [ErrForbidden].
func (c *Client) Begin(con Connector, d Discovery, r Registration, ch Challenge, prior *Grant) (authorizationURL string, _ Pending, _ error) {
	scopes, e := selectScopes(con, d, ch)
	if e != nil {
		return "", Pending{}, e
	}
	scopes, steps, e := stepUp(scopes, d, ch, prior)
	if e != nil {
		return "", Pending{}, e
	}
	u, err := url.Parse(d.AuthorizationEndpoint)
	if err != nil {
		return "", Pending{}, failure(StageServer, "the address of the authorization endpoint cannot be parsed", "")
	}
	// 256 random bits each; the verifier's alphabet is that of RFC 7636, 4.1.
	state, verifier := random(), random()
	challenge := sha256.Sum256([]byte(verifier))
	q := u.Query() // it may have parameters of its own (RFC 6749, 3.1)
	for name, value := range map[string]string{
		"response_type": "code", "client_id": r.ClientID, "redirect_uri": r.RedirectURI, "state": state,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
		"scope": strings.Join(scopes, " "), "resource": d.Resource,
	} {
		if q.Del(name); value != "" {
			q.Set(name, value)
		}
	}
	if slices.Contains(scopes, offlineAccess) {
		q.Set("prompt", "consent") // without it servers ignore the scope (OpenID Connect, 11)
	}
	u.RawQuery = q.Encode()
	return u.String(), Pending{
		StateHash: HashState(state), Verifier: secret.New(verifier), Expires: time.Now().Add(c.opts.PendingFor).UTC(),
		Client: r, Resource: d.Resource, Scopes: scopes, TokenEndpoint: d.TokenEndpoint, RevocationEndpoint: d.RevocationEndpoint,
		IssuerInCallback: d.IssuerInCallback, StepUps: steps,
	}, nil
}

// HashState is the key under which the [Pending] of a callback's "state" parameter is stored.
func HashState(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
