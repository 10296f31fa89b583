package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"perdure/internal/secret"
)

// Refresh returns a grant whose access token can be used now, and whether that is another grant than the one given, which then has to be
// stored before its token is used.
//
// Call it while holding a lock on the row that the grant was just read from. A refresh token can be spent once: where tokens rotate, a
// server takes a second attempt for theft and ends the whole grant. The lock makes replicas wait for each other; that the grant was read
// under it makes the later ones see that the work is done. refused is the access token that the MCP server just refused, or empty if
// none was: a grant that has another one meanwhile needs no refresh.
//
// An error that is [ErrReauth] says that the grant is dead. Any other leaves it as it was.
func (c *Client) Refresh(ctx context.Context, con Connector, g Grant, refused secret.String) (_ Grant, changed bool, _ error) {
	wasRefused := !refused.IsZero() && g.Access.Equal(refused)
	if !wasRefused && !g.Stale(time.Now()) {
		return g, false, nil
	}
	if g.Refresh.IsZero() {
		if !wasRefused && time.Now().Before(g.Expires) {
			return g, false, nil // it is as good as it will ever be
		}
		return Grant{}, false, failure(StageRefresh, "the authorization has ended, and the authorization server gave no means to renew it",
			"authorize the connector again", ErrReauth)
	}
	renewed, e := c.token(ctx, con, StageRefresh, g, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh.Reveal()}})
	if e != nil {
		return Grant{}, false, e
	}
	return renewed, true, nil
}

// Revoke ends a grant at the authorization server (RFC 7009). The caller forgets it whatever comes of that: an error means that the server
// may still honour it until it expires. A server without revocation gives [ErrNoRevocation].
func (c *Client) Revoke(ctx context.Context, con Connector, g Grant) error {
	if g.RevocationEndpoint == "" {
		return failure(StageRevocation, "the authorization server cannot revoke tokens", "revoke the access on the server's own page", ErrNoRevocation)
	}
	// A refresh token takes its access tokens with it; some servers do that only the other way round.
	for _, t := range []struct {
		hint  string
		token secret.String
	}{{"refresh_token", g.Refresh}, {"access_token", g.Access}} {
		if t.token.IsZero() {
			continue
		}
		form := url.Values{"token": {t.token.Reveal()}, "token_type_hint": {t.hint}}
		a, e := c.post(ctx, con, StageRevocation, g.RevocationEndpoint, g.Client, form)
		if e != nil {
			return e
		}
		if a.status != http.StatusOK && a.status != http.StatusNoContent {
			e := badStatus(StageRevocation, authServer, "a revocation", a)
			e.Remedy = "revoke the access on the server's own page"
			return e
		}
	}
	return nil
}
