package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"perdure/internal/secret"
)

// A Kind says how we came to be a client.
type Kind string

// The kinds, in the order of preference.
const (
	KindStatic   Kind = "static"            // entered by a person
	KindDocument Kind = "metadata_document" // our own client-metadata document
	KindDynamic  Kind = "dynamic"           // registered by us
)

// A Registration is a client at one authorization server. Dynamic ones are to be stored, sealed, by issuer and redirect URI, and used for
// all connectors that meet the same issuer: a new one for each attempt would leave hundreds behind.
type Registration struct {
	Kind        Kind          `json:"kind"`
	Issuer      string        `json:"issuer"`
	RedirectURI string        `json:"redirect_uri"`
	ClientID    string        `json:"client_id"`
	Secret      secret.String `json:"secret,omitzero"`
	AuthMethod  AuthMethod    `json:"auth_method"`
	Expires     time.Time     `json:"expires,omitzero"` // of the secret; zero: never
}

const (
	maxClientID = 2048
	maxSecret   = 4096
)

// Identify decides which client we are at the authorization server: the one that was entered for the connector, our client-metadata
// document, the stored registration if it still fits, or a new one, in the order of the MCP specification. A new one is of KindDynamic and
// not the stored one; the caller stores it before anything else.
func (c *Client) Identify(ctx context.Context, con Connector, d Discovery, stored *Registration) (Registration, error) {
	switch {
	case con.Client != nil:
		r, err := c.static(*con.Client, d)
		if err != nil {
			return Registration{}, err
		}
		return r, nil
	case d.ClientMetadata && c.opts.ClientMetadataURL != "":
		return Registration{
			Kind: KindDocument, Issuer: d.Issuer, RedirectURI: c.redirect, ClientID: c.opts.ClientMetadataURL, AuthMethod: AuthNone,
		}, nil
	case stored != nil && stored.Issuer == d.Issuer && stored.RedirectURI == c.redirect && stored.Kind == KindDynamic &&
		(stored.Expires.IsZero() || time.Until(stored.Expires) > c.opts.PendingFor):
		return *stored, nil
	}
	r, err := c.register(ctx, con, d)
	if err != nil {
		return Registration{}, err
	}
	return r, nil
}

func (c *Client) static(s StaticClient, d Discovery) (Registration, *Error) {
	if s.Issuer != "" && !sameIssuer(s.Issuer, d.Issuer) {
		return Registration{}, failure(StageRegistration,
			"the MCP server now names another authorization server than the one the client ID was made at",
			"make a client at the new one and enter its ID and secret, if the change is intended", ErrIssuer, ErrReauth)
	}
	r := Registration{Kind: KindStatic, Issuer: d.Issuer, RedirectURI: c.redirect, ClientID: s.ID, Secret: s.Secret, AuthMethod: s.AuthMethod}
	switch {
	case s.ID == "" || len(s.ID) > maxClientID || len(s.Secret.Reveal()) > maxSecret:
		return Registration{}, failure(StageRegistration, "the client ID or the client secret is missing or too long", "enter it again")
	case r.AuthMethod == "" && s.Secret.IsZero():
		r.AuthMethod = AuthNone
	case r.AuthMethod == "":
		// What a server that says nothing supports is basic (RFC 8414, 2).
		r.AuthMethod = AuthBasic
		if slices.Contains(d.AuthMethods, AuthPost) && !slices.Contains(d.AuthMethods, AuthBasic) {
			r.AuthMethod = AuthPost
		}
	case r.AuthMethod.wantsSecret() && s.Secret.IsZero():
		return Registration{}, failure(StageRegistration, "the client's way to authenticate needs a client secret", "enter it")
	}
	return r, nil
}

// registrationAnswer is what is needed of RFC 7591, 3.2.1 and 3.2.2.
type registrationAnswer struct {
	ClientID      string     `json:"client_id"`
	ClientSecret  string     `json:"client_secret"`
	SecretExpires int64      `json:"client_secret_expires_at"`
	AuthMethod    AuthMethod `json:"token_endpoint_auth_method"`
	Error         string     `json:"error"`
}

const enterClient = "make a client at the authorization server by hand, with our redirect URI, and enter its ID and secret"

// register makes us a client by dynamic registration (RFC 7591).
func (c *Client) register(ctx context.Context, con Connector, d Discovery) (Registration, *Error) {
	if d.RegistrationEndpoint == "" {
		return Registration{}, failure(StageRegistration, "the authorization server does not let clients register themselves", enterClient, ErrClientNeeded)
	}
	asked := c.clientMetadata()
	asked.AuthMethod = preferredMethod(d.AuthMethods)
	body, err := json.Marshal(asked)
	if err != nil {
		return Registration{}, failure(StageRegistration, "the registration cannot be written", "", err)
	}
	a, e := c.send(ctx, con, request{
		stage: StageRegistration, who: authServer, method: http.MethodPost, url: d.RegistrationEndpoint, body: string(body),
		header: http.Header{"Content-Type": {"application/json"}},
	})
	if e != nil {
		return Registration{}, e
	}
	var got registrationAnswer
	parsed := json.Unmarshal(a.body, &got) == nil
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return Registration{}, registrationRefused(a, parsed, got)
	}
	if !parsed || got.ClientID == "" || len(got.ClientID) > maxClientID || len(got.ClientSecret) > maxSecret {
		return Registration{}, failure(StageRegistration, "the authorization server accepted the registration with "+answerForm(a, parsed), enterClient)
	}
	return c.registered(d, asked.AuthMethod, got)
}

func answerForm(a answer, parsed bool) string {
	if parsed {
		return "an answer without a usable client ID"
	}
	return a.form()
}

// registered takes the server at its word: it may have given us another method than we asked for.
func (c *Client) registered(d Discovery, asked AuthMethod, got registrationAnswer) (Registration, *Error) {
	r := Registration{
		Kind: KindDynamic, Issuer: d.Issuer, RedirectURI: c.redirect,
		ClientID: got.ClientID, Secret: secret.New(got.ClientSecret), AuthMethod: got.AuthMethod,
	}
	if r.AuthMethod == "" {
		switch {
		case r.Secret.IsZero():
			r.AuthMethod = AuthNone
		case asked.wantsSecret():
			r.AuthMethod = asked
		default:
			r.AuthMethod = AuthBasic
		}
	}
	if r.AuthMethod != AuthNone && !r.AuthMethod.wantsSecret() || r.AuthMethod.wantsSecret() && r.Secret.IsZero() {
		return Registration{}, failure(StageRegistration, "the authorization server wants our client to authenticate in a way that is not supported", enterClient)
	}
	if got.SecretExpires > 0 && r.AuthMethod.wantsSecret() {
		r.Expires = time.Unix(got.SecretExpires, 0).UTC()
	}
	return r, nil
}

func registrationRefused(a answer, parsed bool, got registrationAnswer) *Error {
	var e *Error
	switch {
	case parsed && got.Error != "":
		e = failure(StageRegistration, "the authorization server refused the registration with "+quoteCode(got.Error), enterClient, ErrClientNeeded)
		e.Code = definedCode(got.Error)
	case a.status >= 500 || a.status == http.StatusTooManyRequests:
		e = failure(StageRegistration, fmt.Sprintf("the registration failed with HTTP %d at the authorization server", a.status), "try again later")
		e.Temporary = true
	default:
		e = failure(StageRegistration, fmt.Sprintf("the authorization server refused the registration with HTTP %d and %s", a.status, a.form()),
			enterClient, ErrClientNeeded)
	}
	e.Status = a.status
	return e
}

// preferredMethod takes a method with a secret where there is a choice: we can keep one.
func preferredMethod(supported []AuthMethod) AuthMethod {
	for _, m := range []AuthMethod{AuthBasic, AuthPost, AuthNone} {
		if slices.Contains(supported, m) {
			return m
		}
	}
	if len(supported) > 0 {
		return AuthNone // none that we know; PKCE protects the code
	}
	return AuthBasic // what a server that says nothing supports (RFC 8414, 2)
}

// clientMetadata is what we say about ourselves (RFC 7591, 2).
type clientMetadata struct {
	ClientID        string     `json:"client_id,omitempty"`
	ClientName      string     `json:"client_name"`
	ClientURI       string     `json:"client_uri"`
	RedirectURIs    []string   `json:"redirect_uris"`
	GrantTypes      []string   `json:"grant_types"`
	ResponseTypes   []string   `json:"response_types"`
	AuthMethod      AuthMethod `json:"token_endpoint_auth_method"`
	ApplicationType string     `json:"application_type"`
}

func (c *Client) clientMetadata() clientMetadata {
	m := clientMetadata{
		ClientName: c.opts.ClientName, RedirectURIs: []string{c.redirect},
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		AuthMethod: AuthNone, ApplicationType: "web",
	}
	if u, err := url.Parse(c.redirect); err == nil {
		m.ClientURI = originOf(u)
		// Servers refuse the loopback address to web clients (OpenID Connect Registration, 2).
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			m.ApplicationType = "native"
		}
	}
	return m
}

// Metadata is our client-metadata document, to be served as JSON at ClientMetadataPath. It returns nil if we have none.
func (c *Client) Metadata() ([]byte, error) {
	if c.opts.ClientMetadataURL == "" {
		return nil, nil
	}
	m := c.clientMetadata()
	m.ClientID = c.opts.ClientMetadataURL
	return json.MarshalIndent(m, "", "  ")
}
