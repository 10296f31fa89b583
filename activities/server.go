package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// Server is an MCP server as history may know it.
type Server struct {
	Label string `json:"label"`
	// Origin is the scheme and host of the server, for people who read the history.
	Origin   string     `json:"origin,omitempty"`
	Endpoint blob.Value `json:"endpoint,omitzero"` // a sealed [Endpoint]
	// Connector is the saved connector that the server belongs to. History has its ID in the place of an origin and an endpoint: each
	// step looks up where the server is now, and who may use it.
	Connector *Connector `json:"connector,omitempty"`
	Allowed   blob.Value `json:"allowed"` // a [responses.ToolFilter]
	// Retry is for the workflow, which decides by it what may be repeated; steps get the server without it.
	Retry RetryPolicy `json:"retry,omitzero"`
	// Fingerprint is for those that come after the run, see [EndpointFingerprints]; steps get the server without it.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Tools is how many tools the conversation lists of the server; nil until the run has listed them. Steps get the server without it.
	Tools *int `json:"tools,omitempty"`
}

// Connector is a saved connector, and whom a run uses it for.
type Connector struct {
	ID string `json:"id"`
	// Version is the connector's when the run began. A list of tools that was made with another one is not used again.
	Version      int64         `json:"version"`
	Organization string        `json:"organization"`
	User         string        `json:"user"`
	Role         identity.Role `json:"role"`
}

// inlineServer is how many bytes of a server's endpoint and of its allowed tools travel with every step; longer ones are stored
// once.
const inlineServer = 1 << 10

// Endpoint is how to reach a server: the whole of it is secret, since people put tokens into paths and queries too.
type Endpoint struct {
	URL string `json:"url"`
	// Authorization is a bearer token without the word "Bearer".
	Authorization string            `json:"authorization,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
}

func endpointBinding(responseID, label string) secret.Binding {
	return secret.Binding{Purpose: "mcp endpoint", ResponseID: responseID, ServerLabel: label}
}

// SealServer makes a request's MCP server fit for history. It opens only for the same response and label.
func SealServer(ctx context.Context, store *blob.Store, sealer *secret.Sealer, responseID string, t *responses.MCPTool) (Server, error) {
	u, err := url.Parse(t.ServerURL)
	if err != nil {
		// url.Parse repeats the URL in its error, and the URL may hold a secret.
		return Server{}, fmt.Errorf("activities: the URL of server %q is not valid", t.ServerLabel)
	}
	plain, err := json.Marshal(Endpoint{URL: t.ServerURL, Authorization: t.Authorization, Headers: t.Headers})
	if err != nil {
		return Server{}, fmt.Errorf("activities: encode endpoint: %w", err)
	}
	sealed, err := sealer.Seal(plain, endpointBinding(responseID, t.ServerLabel))
	if err != nil {
		return Server{}, err
	}
	s := Server{Label: t.ServerLabel, Origin: u.Scheme + "://" + u.Host}
	if s.Endpoint, err = store.Pack(ctx, sealed, inlineServer); err != nil {
		return Server{}, err
	}
	s.Allowed, err = store.Pack(ctx, t.Allowed, inlineServer)
	return s, err
}

// EndpointFingerprints tell the endpoint of a request's MCP server from others of the organization: by its URL, its authorization and its
// headers. They say nothing of it to anybody without the keyset, not even to somebody who guesses. The first is that of the primary key; a
// fingerprint that was kept may be any of them.
func EndpointFingerprints(sealer *secret.Sealer, organization string, t *responses.MCPTool) ([]string, error) {
	what, err := json.Marshal([]any{organization, Endpoint{URL: t.ServerURL, Authorization: t.Authorization, Headers: t.Headers}})
	if err != nil {
		return nil, fmt.Errorf("activities: encode endpoint: %w", err)
	}
	return sealer.Names("mcp endpoint " + string(what))[0], nil
}

// ConnectorServer is SealServer for a server of a saved connector: there is nothing to seal.
func ConnectorServer(ctx context.Context, store *blob.Store, who identity.Principal, c connector.Connector, t *responses.MCPTool) (Server, error) {
	s := Server{
		Label:     t.ServerLabel,
		Connector: &Connector{ID: c.ID, Version: c.Version, Organization: who.Organization, User: who.User, Role: who.Role},
		Retry:     RetryPolicy{Default: RetryRule(c.Settings.Retry.Default)},
	}
	for tool, rule := range c.Settings.Retry.Tools {
		if s.Retry.Tools == nil {
			s.Retry.Tools = map[string]RetryRule{}
		}
		s.Retry.Tools[tool] = RetryRule(rule)
	}
	var err error
	s.Allowed, err = store.Pack(ctx, t.Allowed, inlineServer)
	return s, err
}

// errEndpointLost is final: the keyset of this worker is not the one that the endpoint was sealed with.
var errEndpointLost = errors.New("activities: the endpoint of an MCP server cannot be opened")

// opened is a server that a step can reach.
type opened struct {
	mcpclient.Server
	use *connection.Use // nil for a server that the request named itself
}

// offers reports whether a connector lets a run have a tool. Settings may have changed since the run began.
func (o opened) offers(tool string) bool {
	return o.use == nil || o.use.Connector.Settings.OffersTool(tool)
}

// explain says what a person can do about an error of the MCP client.
func (o opened) explain(ctx context.Context, err error) error {
	if o.use == nil {
		return err
	}
	return o.use.Explain(ctx, err)
}

// open returns the server as the MCP client needs it. Its error is errEndpointLost, one of the blob store or, for a connector that
// cannot be used, an [mcpclient.Error].
func (a *Activities) open(ctx context.Context, responseID string, s Server) (opened, error) {
	if s.Connector != nil {
		return a.openConnector(ctx, s.Label, *s.Connector)
	}
	var sealed secret.Sealed
	if err := a.Blobs.For(responseID).Unpack(ctx, s.Endpoint, &sealed); err != nil {
		return opened{}, err
	}
	plain, err := a.Sealer.Open(sealed, endpointBinding(responseID, s.Label))
	if err != nil {
		return opened{}, fmt.Errorf("%w: %w", errEndpointLost, err)
	}
	var e Endpoint
	if json.Unmarshal(plain, &e) != nil { // its error could quote a secret
		return opened{}, errEndpointLost
	}
	header := http.Header{}
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	if e.Authorization != "" {
		header.Set("Authorization", "Bearer "+e.Authorization)
	}
	return opened{Server: mcpclient.Server{Label: s.Label, URL: e.URL, Header: header}}, nil
}

func (a *Activities) openConnector(ctx context.Context, label string, c Connector) (opened, error) {
	if a.Connections == nil {
		return opened{}, &mcpclient.Error{
			Label: label, Stage: mcpclient.StagePolicy, Sent: mcpclient.NotSent,
			Message: "this worker has no database of connectors: its operator has to set database.url or data.dir",
		}
	}
	who := identity.Principal{Organization: c.Organization, User: c.User, Role: c.Role}
	use, err := a.Connections.Open(ctx, label, who, c.ID)
	if err != nil {
		return opened{}, err
	}
	return opened{Server: use.Server, use: use}, nil
}
