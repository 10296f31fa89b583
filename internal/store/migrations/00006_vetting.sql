-- +goose Up
ALTER TABLE connectors ADD COLUMN vetting TEXT; -- JSON

-- +goose Down
ALTER TABLE connectors DROP COLUMN vetting;
