-- +goose Up
CREATE TABLE audit (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL, -- no reference: the log outlives what it is about
    at           BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    actor_key    TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    target       TEXT   NOT NULL,
    detail       TEXT   NOT NULL -- JSON
);
CREATE INDEX audit_by_time ON audit (organization, at, id);

-- +goose Down
DROP TABLE audit;
