-- +goose Up
ALTER TABLE batches ADD COLUMN members_only BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE batches DROP COLUMN members_only;
