package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// serverMetadata is the document of RFC 8414, or of OpenID Connect Discovery, which is a superset of what is needed here.
type serverMetadata struct {
	Issuer                string       `json:"issuer"`
	AuthorizationEndpoint string       `json:"authorization_endpoint"`
	TokenEndpoint         string       `json:"token_endpoint"`
	RegistrationEndpoint  string       `json:"registration_endpoint"`
	RevocationEndpoint    string       `json:"revocation_endpoint"`
	ScopesSupported       []string     `json:"scopes_supported"`
	ResponseTypes         []string     `json:"response_types_supported"`
	GrantTypes            []string     `json:"grant_types_supported"`
	AuthMethods           []AuthMethod `json:"token_endpoint_auth_methods_supported"`
	ChallengeMethods      []string     `json:"code_challenge_methods_supported"`
	ClientMetadata        bool         `json:"client_id_metadata_document_supported"`
	IssuerInCallback      bool         `json:"authorization_response_iss_parameter_supported"`
}

// serverMetadata reads the metadata of an authorization server. If there is none, a server that is its own authorization server (legacy)
// has its endpoints at fixed paths.
func (c *Client) serverMetadata(ctx context.Context, con Connector, issuer string, legacy bool) (Discovery, *Error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return Discovery{}, failure(StageServer, "the MCP server names an authorization server by something that is not an issuer URL",
			"its operator has to correct the server")
	}
	sawPage := false
	for _, place := range metadataPlaces(u) {
		a, e := c.send(ctx, con, request{stage: StageServer, who: authServer, method: http.MethodGet, url: place})
		if e != nil {
			return Discovery{}, e
		}
		switch {
		case a.status >= 400 && a.status < 500:
			continue
		case a.status != http.StatusOK:
			return Discovery{}, badStatus(StageServer, authServer, "its metadata", a)
		}
		var meta serverMetadata
		if err := json.Unmarshal(a.body, &meta); !a.json || err != nil {
			sawPage = true
			continue
		}
		return c.usable(con, issuer, meta)
	}
	if legacy && !sawPage {
		origin := originOf(u)
		return Discovery{
			Issuer: origin, AuthorizationEndpoint: origin + "/authorize", TokenEndpoint: origin + "/token",
			RegistrationEndpoint: origin + "/register",
		}, nil
	}
	switch {
	case sawPage:
		return Discovery{}, failure(StageServer, "the authorization server answers with a page, or another thing that is not JSON, "+
			"where its metadata should be", "check that the MCP server's URL is right; otherwise its operator has to correct the server")
	default:
		return Discovery{}, failure(StageServer, "the authorization server has no metadata", "its operator has to publish it (RFC 8414)")
	}
}

// metadataPlaces are the places where the metadata of an issuer can be, in the order of the MCP specification.
func metadataPlaces(issuer *url.URL) []string {
	origin, path := originOf(issuer), strings.TrimSuffix(issuer.EscapedPath(), "/")
	places := []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + "/.well-known/openid-configuration" + path,
	}
	if path != "" {
		places = append(places, origin+path+"/.well-known/openid-configuration")
	}
	return places
}

// usable checks metadata: that it is the issuer's own, and that the server can do what is needed of it.
func (c *Client) usable(con Connector, issuer string, m serverMetadata) (Discovery, *Error) {
	const askOperator = "its operator has to correct the server"
	if !sameIssuer(m.Issuer, issuer) {
		// Otherwise a server could pass itself off as another and collect the codes meant for it.
		return Discovery{}, failure(StageServer, "the metadata of the authorization server is that of another issuer", askOperator, ErrIssuer)
	}
	if m.AuthorizationEndpoint == "" || m.TokenEndpoint == "" {
		return Discovery{}, failure(StageServer, "the metadata of the authorization server lacks the authorization or the token endpoint", askOperator)
	}
	for _, endpoint := range []string{m.AuthorizationEndpoint, m.TokenEndpoint, m.RegistrationEndpoint, m.RevocationEndpoint} {
		if endpoint == "" {
			continue
		}
		if err := c.rules.CheckURL(endpoint); err != nil {
			return Discovery{}, failure(StageServer, "an endpoint that the authorization server names cannot be used", err.Error())
		}
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") ||
		len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, "authorization_code") {
		return Discovery{}, failure(StageServer, "the authorization server does not support the authorization code flow", askOperator)
	}
	if !slices.Contains(m.ChallengeMethods, "S256") && !con.AllowNoPKCE {
		return Discovery{}, failure(StageServer, "the authorization server does not say that it supports PKCE with S256",
			"an admin who knows that it does, or accepts the risk, can allow this on the connector")
	}
	return Discovery{
		Issuer: m.Issuer, AuthorizationEndpoint: m.AuthorizationEndpoint, TokenEndpoint: m.TokenEndpoint,
		RegistrationEndpoint: m.RegistrationEndpoint, RevocationEndpoint: m.RevocationEndpoint,
		AuthMethods: m.AuthMethods, ServerScopes: cleanScopes(m.ScopesSupported),
		ClientMetadata: m.ClientMetadata, IssuerInCallback: m.IssuerInCallback,
	}, nil
}
