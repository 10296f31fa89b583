package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Discovery is what is known about how to get a token for a connector.
type Discovery struct {
	Resource string   // what the token is for; empty: not said in requests
	Scopes   []string // that the resource knows

	Issuer                string // the authorization server, by the name it gives itself
	AuthorizationEndpoint string
	TokenEndpoint         string
	RegistrationEndpoint  string       // empty: no dynamic registration
	RevocationEndpoint    string       // empty: no revocation
	AuthMethods           []AuthMethod // of the token endpoint
	ServerScopes          []string     // that the authorization server knows
	ClientMetadata        bool         // it takes the address of a client-metadata document as a client ID
	IssuerInCallback      bool         // it promises to name itself in callbacks
}

const (
	mcpServer  = "the MCP server"
	authServer = "the authorization server"
)

// resourceMetadata is the document of RFC 9728.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
}

// Discover finds the authorization server of a connector's MCP server. The challenge is that of the server's refusal, or empty.
func (c *Client) Discover(ctx context.Context, con Connector, ch Challenge) (Discovery, error) {
	d, err := c.discover(ctx, con, ch)
	if err != nil {
		return Discovery{}, err
	}
	return d, nil
}

func (c *Client) discover(ctx context.Context, con Connector, ch Challenge) (Discovery, *Error) {
	if err := c.rules.CheckURL(con.URL); err != nil {
		return Discovery{}, failure(StageResource, "the connector's URL cannot be used", err.Error())
	}
	u, err := url.Parse(con.URL)
	if err != nil {
		return Discovery{}, failure(StageResource, "the connector's URL cannot be parsed", "correct it")
	}
	if con.Endpoints != (Endpoints{}) {
		return c.entered(con, u)
	}
	meta, e := c.resourceMetadata(ctx, con, u, ch)
	if e != nil {
		return Discovery{}, e
	}
	var d Discovery
	if meta == nil {
		// The specification of 2025-03-26 knew no such metadata: the MCP server was its own authorization server.
		origin := originOf(u)
		d, e = c.serverMetadata(ctx, con, origin, true)
		d.Resource = withoutQuery(u)
	} else {
		issuer, e := chooseIssuer(con, meta.AuthorizationServers)
		if e != nil {
			return Discovery{}, e
		}
		if d, e = c.serverMetadata(ctx, con, issuer, false); e != nil {
			return Discovery{}, e
		}
		d.Resource, d.Scopes = meta.Resource, meta.ScopesSupported
	}
	if e != nil {
		return Discovery{}, e
	}
	if con.Resource != "" {
		d.Resource = con.Resource
	}
	if con.OmitResource {
		d.Resource = ""
	}
	return d, nil
}

// resourceMetadata looks in all the places where the metadata of an MCP server can be, in the order of the MCP specification. It returns
// nil if there is none.
func (c *Client) resourceMetadata(ctx context.Context, con Connector, u *url.URL, ch Challenge) (*resourceMetadata, *Error) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	origin := originOf(u)
	var places []string
	if ch.ResourceMetadata != "" {
		places = append(places, ch.ResourceMetadata)
	}
	if path := strings.TrimSuffix(u.EscapedPath(), "/"); path != "" {
		places = append(places, origin+wellKnown+path)
	}
	places = append(places, origin+wellKnown)

	names := []string{con.URL, withoutQuery(u), origin, origin + "/"}
	if con.Resource != "" {
		names = append(names, con.Resource)
	}
	for _, place := range places {
		a, e := c.send(ctx, con, request{stage: StageResource, who: mcpServer, method: http.MethodGet, url: place})
		if e != nil {
			return nil, e
		}
		named := place == ch.ResourceMetadata
		switch {
		case a.status >= 400 && a.status < 500, a.status == http.StatusOK && !a.json && !named:
			// Not here. Many servers answer any path with their start page.
			continue
		case a.status != http.StatusOK:
			return nil, badStatus(StageResource, mcpServer, "its metadata", a)
		}
		var meta resourceMetadata
		if err := json.Unmarshal(a.body, &meta); !a.json || err != nil {
			return nil, failure(StageResource, "the resource metadata of the MCP server is "+a.form(), "its operator has to correct the server")
		}
		if !slices.Contains(names, meta.Resource) {
			return nil, failure(StageResource, "the resource metadata of the MCP server is about another resource than the connector's URL",
				"use the URL that the server's documentation gives, or set the connector's resource to the one it names")
		}
		meta.ScopesSupported = cleanScopes(meta.ScopesSupported)
		return &meta, nil
	}
	return nil, nil
}

// chooseIssuer takes the server at which the connector already has a client, or else the first.
func chooseIssuer(con Connector, issuers []string) (string, *Error) {
	if len(issuers) == 0 {
		return "", failure(StageResource, "the resource metadata of the MCP server names no authorization server",
			"its operator has to correct the server")
	}
	if con.Client != nil {
		for _, issuer := range issuers {
			if sameIssuer(issuer, con.Client.Issuer) {
				return issuer, nil
			}
		}
	}
	return issuers[0], nil
}

func badStatus(stage Stage, who, what string, a answer) *Error {
	e := failure(stage, fmt.Sprintf("%s answered HTTP %d to a request for %s", who, a.status, what), "try again later")
	e.Status = a.status
	e.Temporary = a.status >= 500 || a.status == http.StatusTooManyRequests
	if !e.Temporary {
		e.Remedy = "its operator has to correct the server"
	}
	return e
}

func cleanScopes(scopes []string) []string {
	var clean []string
	for _, s := range scopes {
		if validScope(s) && !slices.Contains(clean, s) && len(clean) < maxScopes {
			clean = append(clean, s)
		}
	}
	return clean
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// withoutQuery is a URL without its query, which may hold a secret and does not name a resource (RFC 8707, 2).
func withoutQuery(u *url.URL) string {
	bare := *u
	bare.RawQuery, bare.ForceQuery, bare.Fragment = "", false, ""
	return bare.String()
}

// sameIssuer compares issuers. One that is only an origin may be written with or without the slash at its end: frameworks add it on their
// own, and it leads to the same documents (RFC 3986, 6.2.3). All else has to be exact.
func sameIssuer(a, b string) bool { return bareOrigin(a) == bareOrigin(b) }

func bareOrigin(s string) string {
	if u, err := url.Parse(s); err == nil && u.Path == "/" && s == originOf(u)+"/" {
		return originOf(u)
	}
	return s
}
