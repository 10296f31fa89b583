-- One text for both engines. The names of types are PostgreSQL's, and SQLite takes any. Times are microseconds since 1970.

-- +goose Up
CREATE TABLE organizations (
    id       TEXT   NOT NULL PRIMARY KEY,
    settings TEXT   NOT NULL, -- JSON
    created  BIGINT NOT NULL
);

CREATE TABLE members (
    organization TEXT   NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id           TEXT   NOT NULL,
    email        TEXT,
    role         TEXT   NOT NULL CHECK (role IN ('admin', 'member')),
    created      BIGINT NOT NULL,
    PRIMARY KEY (organization, id),
    UNIQUE (organization, email)
);

CREATE TABLE api_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL,
    member       TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    prefix       TEXT   NOT NULL,
    hash         BYTEA  NOT NULL UNIQUE, -- SHA-256
    scopes       TEXT   NOT NULL,        -- names, separated by commas
    created      BIGINT NOT NULL,
    expires      BIGINT,
    revoked      BIGINT,
    last_used    BIGINT,
    FOREIGN KEY (organization, member) REFERENCES members (organization, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_time ON api_keys (organization, created, id);
CREATE INDEX api_keys_by_member ON api_keys (organization, member);

CREATE TABLE sessions (
    hash         BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    organization TEXT   NOT NULL,
    member       TEXT   NOT NULL,
    created      BIGINT NOT NULL,
    expires      BIGINT NOT NULL,
    FOREIGN KEY (organization, member) REFERENCES members (organization, id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_member ON sessions (organization, member);
CREATE INDEX sessions_by_end ON sessions (expires);

-- +goose Down
DROP TABLE sessions;
DROP TABLE api_keys;
DROP TABLE members;
DROP TABLE organizations;
