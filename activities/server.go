package activities

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// Server is an MCP server as history may know it.
type Server struct {
	Label string `json:"label"`
	// Origin is the scheme and host of the server, for people who read the history.
	Origin string `json:"origin"`
	// Endpoint is the sealed [Endpoint].
	Endpoint secret.Sealed        `json:"endpoint"`
	Allowed  responses.ToolFilter `json:"allowed"`
}

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
func SealServer(sealer *secret.Sealer, responseID string, t *responses.MCPTool) (Server, error) {
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
	return Server{Label: t.ServerLabel, Origin: u.Scheme + "://" + u.Host, Endpoint: sealed, Allowed: t.Allowed}, nil
}

// open returns the server as the MCP client needs it.
func (a *Activities) open(responseID string, s Server) (mcpclient.Server, error) {
	plain, err := a.Sealer.Open(s.Endpoint, endpointBinding(responseID, s.Label))
	if err != nil {
		return mcpclient.Server{}, err
	}
	var e Endpoint
	if err := json.Unmarshal(plain, &e); err != nil {
		return mcpclient.Server{}, fmt.Errorf("activities: the endpoint of server %q does not decode", s.Label)
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
