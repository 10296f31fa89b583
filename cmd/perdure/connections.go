package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"perdure/config"
	"perdure/internal/connection"
	"perdure/internal/oauth"
	"perdure/internal/secret"
	"perdure/internal/store"
)

const (
	firstStoreWait = 200 * time.Millisecond
	lastStoreWait  = 5 * time.Second
)

// openConnections returns what is done with saved connectors, and how to close it; nil if the configuration names no database, so that
// nobody can have saved any.
func openConnections(ctx context.Context, c config.Config, sealer *secret.Sealer, logger *slog.Logger) (*connection.Service, func(), error) {
	if !c.HasDatabase() {
		return nil, func() {}, nil
	}
	database, err := awaitStore(ctx, c, sealer, logger)
	if err != nil {
		return nil, nil, err
	}
	service, closeService, err := newConnections(c, database, logger)
	if err != nil {
		database.Close()
		return nil, nil, err
	}
	return service, func() {
		closeService()
		if err := database.Close(); err != nil {
			logger.Warn("the database was not closed", "error", err)
		}
	}, nil
}

// awaitStore opens the database of a process of several. One that is away is waited for, as Temporal is. A file beside the other data of
// the machine is brought up to date by whoever comes first; a database of its own by "perdure migrate" alone.
func awaitStore(ctx context.Context, c config.Config, sealer *secret.Sealer, logger *slog.Logger) (*store.Store, error) {
	for wait := firstStoreWait; ; wait = min(2*wait, lastStoreWait) {
		database, err := openMigrated(ctx, c, sealer, logger)
		if err == nil || ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable) {
			return database, err
		}
		logger.WarnContext(ctx, "the database cannot be reached, waiting", "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func openMigrated(ctx context.Context, c config.Config, sealer *secret.Sealer, logger *slog.Logger) (*store.Store, error) {
	database, err := openStore(ctx, c, sealer, logger)
	if err != nil {
		return nil, err
	}
	if c.Database.URL.IsZero() {
		_, err = database.Migrate(ctx)
	} else {
		err = database.RequireMigrated(ctx)
	}
	if err != nil {
		database.Close()
		return nil, err
	}
	return database, nil
}

// newConnections also returns a function that closes what the service holds open, which is not the database.
func newConnections(c config.Config, database *store.Store, logger *slog.Logger) (*connection.Service, func(), error) {
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, nil, err
	}
	mcp, err := newMCPClient(c, roots, logger)
	if err != nil {
		return nil, nil, err
	}
	authorization, err := oauth.New(oauth.Options{
		Network: c.Network.Policy(), RootCAs: roots, ClientName: "Perdure",
		// Without a public URL nobody can begin an authorization; grants of before are renewed all the same.
		PublicURL: cmp.Or(c.HTTP.PublicURL, "http://localhost"),
	})
	if err != nil {
		closeMCP(mcp, logger)
		return nil, nil, err
	}
	service, err := connection.New(connection.Options{
		Store: database, MCP: mcp, OAuth: authorization, Logger: logger, PublicURL: c.HTTP.PublicURL,
	})
	return service, func() {
		closeMCP(mcp, logger)
		authorization.Close()
	}, err
}
