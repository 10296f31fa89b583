package main

import (
	"log/slog"

	"perdure/config"
	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/file"
	"perdure/internal/secret"
)

// newFiles returns the files, which need a database: nil without one.
func newFiles(c config.Config, blobs *blob.Stores, sealer *secret.Sealer, connections *connection.Service, logger *slog.Logger) *file.Service {
	if connections == nil {
		return nil
	}
	return file.New(file.Options{
		Store: connections.Store, Blobs: blobs, Sealer: sealer, Logger: logger, ExpireAfter: c.Files.ExpireAfter,
		Limits: file.Limits{Bytes: int64(c.Files.MaxSize), Lines: c.Files.MaxLines, Line: int(c.HTTP.MaxBody)},
	})
}
