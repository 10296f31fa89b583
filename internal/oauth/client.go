package oauth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"perdure/internal/egress"
	"perdure/internal/secret"
)

// CallbackPath is where authorization servers send browsers back to; part of what users enter into them, so it never changes.
const CallbackPath = "/rest/connections/oauth_callback"

// ClientMetadataPath is where our client-metadata document is; see [Client.Metadata].
const ClientMetadataPath = "/rest/connections/client-metadata.json"

// Options configures a [Client].
type Options struct {
	Network egress.NetworkPolicy
	RootCAs *x509.CertPool // trusted for servers; nil: the system's

	// PublicURL is the origin under which browsers reach us, such as https://agents.example.com. Required.
	PublicURL string
	// ClientMetadataURL is the address of our client-metadata document, which is our client ID where servers accept one. Empty: the
	// document at ClientMetadataPath if PublicURL is https, and none otherwise, since servers have to be able to fetch it.
	ClientMetadataURL string
	// ClientName is what people are asked to trust: "Perdure".
	ClientName string

	Timeout    time.Duration // one request: 10 s
	PendingFor time.Duration // how long a person may take: 10 min
}

// A Client takes part in authorizations on behalf of connectors. It keeps nothing but connections and is safe for concurrent use.
type Client struct {
	opts      Options
	rules     *egress.Rules
	transport *http.Transport
	redirect  string
}

// New returns a client. It fails if the network policy or PublicURL is malformed.
func New(opts Options) (*Client, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.PendingFor == 0 {
		opts.PendingFor = 10 * time.Minute
	}
	if opts.ClientName == "" {
		opts.ClientName = "Perdure"
	}
	rules, err := opts.Network.Compile()
	if err != nil {
		return nil, fmt.Errorf("oauth: network policy: %w", err)
	}
	public, err := url.Parse(opts.PublicURL)
	if err != nil || public.Host == "" || public.Scheme != "https" && public.Scheme != "http" || strings.Trim(public.Path, "/") != "" ||
		public.RawQuery != "" || public.Fragment != "" || public.User != nil {
		return nil, errors.New("oauth: the public URL has to be an origin such as https://agents.example.com")
	}
	origin := public.Scheme + "://" + public.Host
	if opts.ClientMetadataURL == "" && public.Scheme == "https" {
		opts.ClientMetadataURL = origin + ClientMetadataPath
	}
	return &Client{
		opts: opts, rules: rules, redirect: origin + CallbackPath,
		transport: rules.NewTransport(opts.RootCAs, opts.Timeout, 2),
	}, nil
}

// RedirectURI is what has to be registered with an authorization server for a client that was made there by hand.
func (c *Client) RedirectURI() string { return c.redirect }

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// A Connector is what authorization needs to know of one. Only URL is required.
type Connector struct {
	URL string // of the MCP server
	// Header is sent to the URL's origin only, and with every request to it: what passes the network in front of the server.
	Header http.Header

	// Client was made at the authorization server by hand; nil if there is none.
	Client *StaticClient
	// Scopes replace those that the server asks for.
	Scopes []string
	// Resource replaces the URL as the name of the resource that tokens are for. It is then also what the server's metadata may name.
	Resource string
	// OmitResource leaves the resource out, for authorization servers that refuse the parameter.
	OmitResource bool
	// Endpoints take the place of discovery, for authorization servers without metadata.
	Endpoints Endpoints
	// AllowNoPKCE accepts an authorization server that does not say that it supports PKCE. A challenge is sent nevertheless.
	AllowNoPKCE bool
}

// A StaticClient is a client that someone made at an authorization server and entered here.
type StaticClient struct {
	ID         string
	Secret     secret.String // empty for a public client
	AuthMethod AuthMethod    // how the secret is sent; empty: as the server's metadata says
	// Issuer is the authorization server that the client was made at. If set, no other gets to see it.
	Issuer string
}

// An AuthMethod is a way in which a client identifies itself at a token endpoint, by its name in RFC 7591.
type AuthMethod string

// The methods that we know.
const (
	AuthNone  AuthMethod = "none"
	AuthBasic AuthMethod = "client_secret_basic"
	AuthPost  AuthMethod = "client_secret_post"
)

// wantsSecret reports whether the method needs a secret.
func (m AuthMethod) wantsSecret() bool { return m == AuthBasic || m == AuthPost }
