-- +goose Up
CREATE TABLE batches (
    id            TEXT    NOT NULL PRIMARY KEY,
    organization  TEXT    NOT NULL, -- no reference, as for member: they may be those of a key in the configuration
    member        TEXT    NOT NULL,
    key_name      TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    input_file    TEXT    NOT NULL, -- no reference to files: a batch outlives them
    output_file   TEXT    NOT NULL,
    error_file    TEXT    NOT NULL,
    time_window   BIGINT  NOT NULL, -- seconds
    output_age    BIGINT  NOT NULL, -- seconds
    concurrency   BIGINT  NOT NULL,
    metadata      TEXT    NOT NULL, -- JSON
    retry_of      TEXT    NOT NULL, -- empty: it is no retry
    fingerprint   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    paused        BOOLEAN NOT NULL,
    started       BOOLEAN NOT NULL,
    created       BIGINT  NOT NULL,
    in_progress   BIGINT,
    finalizing    BIGINT,
    completed     BIGINT,
    failed        BIGINT,
    expired       BIGINT,
    cancelling    BIGINT,
    cancelled     BIGINT,
    lines_total   BIGINT  NOT NULL,
    lines_done    BIGINT  NOT NULL,
    progress      TEXT    NOT NULL, -- JSON
    problems      TEXT    NOT NULL  -- JSON
);
CREATE INDEX batches_by_time ON batches (organization, created, id);
CREATE INDEX batches_by_status ON batches (organization, status);

-- +goose Down
DROP TABLE batches;
