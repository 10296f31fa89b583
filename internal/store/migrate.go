package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

type migrateOptions struct {
	dialect goose.Dialect
	locker  lock.SessionLocker
}

func (s *Store) provider(o migrateOptions) (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if o.locker != nil {
		options = append(options, goose.WithSessionLocker(o.locker))
	}
	return goose.NewProvider(o.dialect, s.db, files, options...)
}

// Migrate brings the database up to date and returns how many migrations that took. Processes that do it at the same time do it once. A
// migration that fails leaves the database as it was before it.
func (s *Store) Migrate(ctx context.Context) (int, error) {
	applied := 0
	err := s.engine.migrate(ctx, s.db, func(ctx context.Context, o migrateOptions) error {
		provider, err := s.provider(o)
		if err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		applied = len(results)
		return err
	})
	return applied, s.failed(ctx, "migrate the database", err)
}

// errPending is for people.
var errPending = errors.New("the database is not up to date: run \"perdure migrate\"")

// RequireMigrated reports that the database lacks migrations. One that has more is fine: they keep what an older program needs.
func (s *Store) RequireMigrated(ctx context.Context) error {
	err := s.engine.migrate(ctx, s.db, func(ctx context.Context, o migrateOptions) error {
		provider, err := s.provider(migrateOptions{dialect: o.dialect})
		if err != nil {
			return err
		}
		current, target, err := provider.GetVersions(ctx)
		if err != nil {
			return err
		}
		if current < target {
			return fmt.Errorf("%w (it is at version %d of %d)", errPending, current, target)
		}
		return nil
	})
	if errors.Is(err, errPending) {
		return err
	}
	return s.failed(ctx, "look at the database's version", err)
}
