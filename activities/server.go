package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"perdure/internal/blob"
	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// Server is an MCP server as history may know it.
type Server struct {
	Label string `json:"label"`
	// Origin is the scheme and host of the server, for people who read the history.
	Origin   string     `json:"origin"`
	Endpoint blob.Value `json:"endpoint"` // a sealed [Endpoint]
	Allowed  blob.Value `json:"allowed"`  // a [responses.ToolFilter]
	// Retry is for the workflow, which decides by it what may be repeated; steps get the server without it.
	Retry RetryPolicy `json:"retry,omitzero"`
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

// errEndpointLost is final: the keyset of this worker is not the one that the endpoint was sealed with.
var errEndpointLost = errors.New("activities: the endpoint of an MCP server cannot be opened")

// open returns the server as the MCP client needs it. Its error is errEndpointLost, or one of the blob store.
func (a *Activities) open(ctx context.Context, responseID string, s Server) (mcpclient.Server, error) {
	var sealed secret.Sealed
	if err := a.Blobs.For(responseID).Unpack(ctx, s.Endpoint, &sealed); err != nil {
		return mcpclient.Server{}, err
	}
	plain, err := a.Sealer.Open(sealed, endpointBinding(responseID, s.Label))
	if err != nil {
		return mcpclient.Server{}, fmt.Errorf("%w: %w", errEndpointLost, err)
	}
	var e Endpoint
	if json.Unmarshal(plain, &e) != nil { // its error could quote a secret
		return mcpclient.Server{}, errEndpointLost
	}
	header := http.Header{}
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	if e.Authorization != "" {
		header.Set("Authorization", "Bearer "+e.Authorization)
	}
	return mcpclient.Server{Label: s.Label, URL: e.URL, Header: header}, nil
}
