package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"perdure/config"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// openStore connects to the database of the configuration, which need not be up to date.
func openStore(ctx context.Context, c config.Config, sealer *secret.Sealer, logger *slog.Logger) (*store.Store, error) {
	if !c.HasDatabase() {
		return nil, errors.New("there is no database: set database.url, or data.dir (PERDURE_DATA_DIR) for a file there")
	}
	if c.Database.URL.IsZero() {
		if err := os.MkdirAll(c.Data.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("data.dir: %w", err)
		}
	}
	return store.Open(ctx, store.Options{
		URL: c.Database.URL, File: c.DatabaseFile(), MaxOpen: c.Database.MaxConnections, MaxIdle: c.Database.MaxIdleConnections,
		Sealer: sealer, Logger: logger,
	})
}

// openStoreAt is openStore for a command, with the keyset of the configuration. The database must be up to date.
func openStoreAt(cmd *cobra.Command) (*store.Store, error) {
	c, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	logger := newLogger(c.Log, cmd.ErrOrStderr())
	sealer, err := openSealer(c, logger)
	if err != nil {
		return nil, err
	}
	s, err := openStore(cmd.Context(), c, sealer, logger)
	if err != nil {
		return nil, err
	}
	if err := s.RequireMigrated(cmd.Context()); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// migrateDatabase brings the database up to date.
func migrateDatabase(ctx context.Context, c config.Config, logger *slog.Logger) (applied int, err error) {
	// Nothing is sealed or opened.
	s, err := openStore(ctx, c, nil, logger)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return s.Migrate(ctx)
}

// openDevStore returns the database of "perdure dev", up to date, with one organization and its admin.
func openDevStore(ctx context.Context, c config.Config, sealer *secret.Sealer, logger *slog.Logger) (*store.Store, error) {
	s, err := openStore(ctx, c, sealer, logger)
	if err != nil {
		return nil, err
	}
	_, err = s.Migrate(ctx)
	if err == nil {
		_, err = s.Bootstrap(ctx, identity.DefaultOrganization, devUser)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
