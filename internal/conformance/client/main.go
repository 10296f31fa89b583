// Command client is what MCP's conformance suite drives: it connects to the server whose URL is its last argument, authorizes where that is
// asked for, lists the tools and calls them, as a run of Perdure does. It is built on internal/mcpclient and internal/oauth alone, and it
// decides nothing that they should decide.
//
// The suite tells by environment variables what a scenario needs. The browser of its scenarios agrees to everything.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"perdure/internal/egress"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/secret"
)

// maxAuthorizations bounds how often one scenario may send the browser away.
const maxAuthorizations = 8

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[len(os.Args)-1], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "conformance client:", err)
		cancel()
		os.Exit(1)
	}
}

// scenario is what the suite says about itself.
type scenario struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	ToolCalls    []struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"toolCalls"`
}

// connector is the connector of the scenario, with all that a store would keep of it.
type connector struct {
	mcp      *mcpclient.Client
	oauth    *oauth.Client
	settings oauth.Connector
	version  string

	registrations map[string]oauth.Registration // by issuer
	grant         *oauth.Grant
}

func run(ctx context.Context, serverURL string, env func(string) string) error {
	var s scenario
	if text := env("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
		}
	}
	network := egress.NetworkPolicy{AllowOrigins: []string{"http://localhost:*", "http://127.0.0.1:*"}}
	client, err := mcpclient.New(mcpclient.Options{Network: network, CallTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	flow, err := oauth.New(oauth.Options{
		Network: network, PublicURL: "http://localhost:3000",
		ClientMetadataURL: "https://conformance-test.local/client-metadata.json", // the one that the suite accepts
	})
	if err != nil {
		return err
	}
	defer flow.Close()
	c := &connector{
		mcp: client, oauth: flow, version: env("MCP_CONFORMANCE_PROTOCOL_VERSION"),
		settings: oauth.Connector{URL: serverURL}, registrations: map[string]oauth.Registration{},
	}
	if s.ClientID != "" {
		c.settings.Client = &oauth.StaticClient{ID: s.ClientID, Secret: secret.New(s.ClientSecret)}
	}
	return c.use(ctx, s)
}

// use does the scenario's work, and authorizes whenever that is what is missing.
func (c *connector) use(ctx context.Context, s scenario) error {
	for range maxAuthorizations {
		err := c.work(ctx, s)
		var e *mcpclient.Error
		if !errors.As(err, &e) || e.Stage != mcpclient.StageAuth {
			return err
		}
		if e.Status == http.StatusForbidden && !e.Challenge.InsufficientScope() {
			return err
		}
		if err := c.authorize(ctx, e.Challenge); err != nil {
			return err
		}
	}
	return errors.New("the server wants authorization again and again")
}

func (c *connector) server() mcpclient.Server {
	s := mcpclient.Server{Label: "conformance", URL: c.settings.URL, Version: c.version}
	if c.grant != nil {
		s.Token = c.token
	}
	return s
}

// token is the store's part of a refresh. Here is one replica, so there is no row to lock.
func (c *connector) token(ctx context.Context, refused secret.String) (secret.String, error) {
	g, changed, err := c.oauth.Refresh(ctx, c.settings, *c.grant, refused)
	if err != nil {
		return secret.String{}, err
	}
	if changed {
		c.grant = &g
	}
	return g.Access, nil
}

// authorize goes through the steps of a connector's page, with a browser that agrees.
func (c *connector) authorize(ctx context.Context, ch oauth.Challenge) error {
	d, err := c.oauth.Discover(ctx, c.settings, ch)
	if err != nil {
		return err
	}
	var stored *oauth.Registration
	if r, ok := c.registrations[d.Issuer]; ok {
		stored = &r
	}
	r, err := c.oauth.Identify(ctx, c.settings, d, stored)
	if err != nil {
		return err
	}
	if r.Kind == oauth.KindDynamic {
		c.registrations[r.Issuer] = r
	}
	if c.settings.Client != nil {
		c.settings.Client.Issuer = d.Issuer
	}
	to, pending, err := c.oauth.Begin(c.settings, d, r, ch, c.grant)
	if err != nil {
		return err
	}
	query, err := browse(ctx, to)
	if err != nil {
		return err
	}
	g, err := c.oauth.Complete(ctx, c.settings, pending, query)
	if err != nil {
		return err
	}
	c.grant = &g
	return nil
}

// browse opens an address and returns the query of the one that it leads to.
func browse(ctx context.Context, address string) (url.Values, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	to, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("the browser was not sent back: HTTP %d", resp.StatusCode)
	}
	return to.Query(), nil
}

// work lists the tools and calls them.
func (c *connector) work(ctx context.Context, s scenario) error {
	const runKey = "scenario"
	listing, err := c.mcp.ListTools(ctx, runKey, c.server())
	if err != nil {
		return err
	}
	var calls []mcpclient.Call
	for _, call := range s.ToolCalls {
		calls = append(calls, mcpclient.Call{Name: call.Name, Arguments: call.Arguments})
	}
	if calls == nil {
		for _, tool := range listing.Tools {
			call, err := callOf(tool)
			if err != nil {
				return err
			}
			calls = append(calls, call)
		}
	}
	for _, call := range calls {
		_, err := c.mcp.CallTool(ctx, runKey, c.server(), call)
		var e *mcpclient.Error
		switch {
		case errors.As(err, &e) && e.Stage == mcpclient.StageAuth:
			return err
		case err != nil: // for a model to read; scenarios have tools that fail
			fmt.Fprintln(os.Stderr, "conformance client: tool", call.Name+":", err)
		}
	}
	return nil
}

// callOf is a call as a model might make it.
func callOf(tool mcpclient.Tool) (mcpclient.Call, error) {
	call := mcpclient.Call{Name: tool.Name}
	switch tool.Name {
	case "add_numbers":
		call.Arguments = json.RawMessage(`{"a":5,"b":3}`)
	case "json_schema_2020_12_tool":
		// This scenario wants to see the schema again, in a call of another tool.
		arguments, err := json.Marshal(map[string]json.RawMessage{"schema": tool.InputSchema})
		return mcpclient.Call{Name: "json_schema_echo", Arguments: arguments}, err
	}
	return call, nil
}
