-- Columns named sealed hold values that internal/secret has encrypted for their row.

-- +goose Up
CREATE TABLE connectors (
    id           TEXT    NOT NULL PRIMARY KEY,
    organization TEXT    NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    owner        TEXT    NOT NULL, -- no reference: it may be the user of a key in the configuration
    scope        TEXT    NOT NULL CHECK (scope IN ('individual', 'organization')),
    settings     TEXT    NOT NULL, -- JSON
    icon         TEXT    NOT NULL, -- hash of the icon, empty for none
    shared       BOOLEAN NOT NULL,
    enabled      BOOLEAN NOT NULL,
    restricted   TEXT,             -- JSON
    status       TEXT    NOT NULL, -- JSON
    probe        TEXT    NOT NULL, -- JSON
    created      BIGINT  NOT NULL,
    updated      BIGINT  NOT NULL,
    version      BIGINT  NOT NULL,
    UNIQUE (organization, id)
);
CREATE INDEX connectors_by_time ON connectors (organization, created, id);
CREATE INDEX connectors_by_owner ON connectors (organization, owner);

CREATE TABLE connector_icons (
    organization TEXT  NOT NULL,
    connector    TEXT  NOT NULL,
    png          BYTEA NOT NULL,
    PRIMARY KEY (organization, connector),
    FOREIGN KEY (organization, connector) REFERENCES connectors (organization, id) ON DELETE CASCADE
);

CREATE TABLE connector_secrets (
    organization TEXT  NOT NULL,
    connector    TEXT  NOT NULL,
    name         TEXT  NOT NULL,
    sealed       BYTEA NOT NULL,
    PRIMARY KEY (organization, connector, name),
    FOREIGN KEY (organization, connector) REFERENCES connectors (organization, id) ON DELETE CASCADE
);

CREATE TABLE grants (
    organization  TEXT   NOT NULL,
    connector     TEXT   NOT NULL,
    member        TEXT   NOT NULL, -- empty: everybody's
    state         TEXT   NOT NULL CHECK (state IN ('active', 'needs_reauth')),
    sealed        BYTEA  NOT NULL,
    authorized_by TEXT   NOT NULL,
    created       BIGINT NOT NULL,
    updated       BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    PRIMARY KEY (organization, connector, member),
    FOREIGN KEY (organization, connector) REFERENCES connectors (organization, id) ON DELETE CASCADE
);
CREATE INDEX grants_by_member ON grants (organization, member);

CREATE TABLE oauth_clients (
    organization TEXT   NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    issuer       TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL,
    sealed       BYTEA  NOT NULL,
    created      BIGINT NOT NULL,
    updated      BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (organization, issuer, redirect_uri)
);

CREATE TABLE authorizations (
    state_hash    TEXT   NOT NULL PRIMARY KEY,
    organization  TEXT   NOT NULL,
    connector     TEXT   NOT NULL,
    member        TEXT   NOT NULL, -- whose grant it will be; empty: everybody's
    authorized_by TEXT   NOT NULL,
    browser       TEXT   NOT NULL,
    sealed        BYTEA  NOT NULL,
    expires       BIGINT NOT NULL,
    FOREIGN KEY (organization, connector) REFERENCES connectors (organization, id) ON DELETE CASCADE
);
CREATE INDEX authorizations_by_end ON authorizations (expires);
CREATE INDEX authorizations_by_connector ON authorizations (organization, connector);

-- +goose Down
DROP TABLE authorizations;
DROP TABLE oauth_clients;
DROP TABLE grants;
DROP TABLE connector_secrets;
DROP TABLE connector_icons;
DROP TABLE connectors;
