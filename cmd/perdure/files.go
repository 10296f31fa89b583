package main

import (
	"context"
	"log/slog"

	"perdure/config"
	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/file"
	"perdure/internal/responses"
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

// requestLine returns a function that reads the body of the request in a line of a file.
func requestLine(files *file.Service) func(ctx context.Context, organization, id string, number int) ([]byte, error) {
	if files == nil {
		return nil
	}
	return func(ctx context.Context, organization, id string, number int) ([]byte, error) {
		lines, err := files.Lines(ctx, organization, id, number, 1)
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			return nil, responses.Invalid("request.line.number", "the file %s has no line %d", id, number)
		}
		request, err := file.ParseRequest(lines[0].Text)
		return request.Body, err
	}
}
