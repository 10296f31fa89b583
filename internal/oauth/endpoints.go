package oauth

import (
	"cmp"
	"net/url"
)

// Endpoints are those of an authorization server that has no metadata, as a person entered them. They take the place of discovery.
type Endpoints struct {
	Authorization string
	Token         string
	Registration  string // empty: no dynamic registration
	Revocation    string // empty: no revocation
}

// entered is the discovery of a connector whose endpoints a person has entered. Who the server is, nobody says then: it is the issuer of
// the client that was entered, or else the origin of the token endpoint.
func (c *Client) entered(con Connector, u *url.URL) (Discovery, *Error) {
	e := con.Endpoints
	for _, endpoint := range []string{e.Authorization, e.Token, e.Registration, e.Revocation} {
		if endpoint == "" {
			continue
		}
		if err := c.rules.CheckURL(endpoint); err != nil {
			return Discovery{}, failure(StageServer, "an endpoint of the authorization server cannot be used", err.Error())
		}
	}
	token, err := url.Parse(e.Token)
	if err != nil || e.Token == "" || e.Authorization == "" {
		return Discovery{}, failure(StageServer, "the authorization endpoint or the token endpoint is missing", "enter both, or none")
	}
	d := Discovery{
		Resource: cmp.Or(con.Resource, withoutQuery(u)), Issuer: originOf(token), AuthorizationEndpoint: e.Authorization,
		TokenEndpoint: e.Token, RegistrationEndpoint: e.Registration, RevocationEndpoint: e.Revocation,
	}
	if con.Client != nil && con.Client.Issuer != "" {
		d.Issuer = con.Client.Issuer
	}
	if con.OmitResource {
		d.Resource = ""
	}
	return d, nil
}
