package main

import (
	"log/slog"
	"time"

	"perdure/config"
	"perdure/internal/connection"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/signin"
	"perdure/internal/store"
	"perdure/starter"
)

// clientName is what authorization servers show to people who are asked to trust us.
const clientName = "Perdure"

// manageConnectors gives a starter the database, with everything that people manage in it. The function returned closes what is held
// open beside the database.
func manageConnectors(c config.Config, database *store.Store, o *starter.Options, logger *slog.Logger) (func(), error) {
	connections, closeAll, err := newConnections(c, database, logger)
	if err != nil {
		return nil, err
	}
	o.Store, o.Connections = database, connections
	o.KeyLimits = identity.Limits{
		RequestsPerMinute: c.Limits.RequestsPerMinute, RequestBurst: c.Limits.RequestBurst, ConcurrentRuns: c.Limits.ConcurrentRuns,
	}
	o.SignIn.PublicURL = c.HTTP.PublicURL
	if o.SignIn.OIDC, err = newSignIn(c); err != nil {
		closeAll()
		return nil, err
	}
	return closeAll, nil
}

// probeTimeout bounds a look at a connector's server: a person waits for it.
const probeTimeout = 15 * time.Second

// newConnections returns what is done with connectors, and a function that closes what it holds open.
func newConnections(c config.Config, database *store.Store, logger *slog.Logger) (*connection.Service, func(), error) {
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, nil, err
	}
	mcp, err := mcpclient.New(mcpclient.Options{
		Network: c.Network.Policy(), RootCAs: roots, ConnectTimeout: c.Network.ConnectTimeout, ListTimeout: probeTimeout,
		MaxListBytes: int64(c.Limits.ListBytes), MaxSchemaBytes: int(c.Limits.SchemaBytes), MaxTools: maxListedTools,
		Version: version(), Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	closeMCP := func() {
		if err := mcp.Close(); err != nil {
			logger.Warn("MCP sessions did not end in time", "error", err)
		}
	}
	public := c.PublicURL()
	authorizations, err := oauth.New(oauth.Options{Network: c.Network.Policy(), RootCAs: roots, PublicURL: public, ClientName: clientName})
	if err != nil {
		closeMCP()
		return nil, nil, err
	}
	closeAll := func() {
		closeMCP()
		authorizations.Close()
	}
	connections, err := connection.New(connection.Options{
		Store: database, MCP: mcp, OAuth: authorizations, Logger: logger, Page: public + starter.AuthorizePath,
	})
	if err != nil {
		closeAll()
	}
	return connections, closeAll, err
}

// newSignIn returns the provider at which people sign in; nil without one.
func newSignIn(c config.Config) (*signin.Provider, error) {
	o := c.Auth.OIDC
	if o.Issuer == "" {
		return nil, nil
	}
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, err
	}
	var organizations []signin.Organization
	for _, organization := range o.Organizations {
		organizations = append(organizations, signin.Organization(organization))
	}
	return signin.New(signin.Options{
		Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret, PublicURL: c.HTTP.PublicURL, Scopes: o.Scopes,
		GroupsClaim: o.GroupsClaim, Organizations: organizations, RootCAs: roots,
	}), nil
}
