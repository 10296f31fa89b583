-- What is in a file is kept elsewhere, sealed; here is where to find each line of it.

-- +goose Up
CREATE TABLE files (
    id           TEXT    NOT NULL PRIMARY KEY, -- begins with the time of its making, so that the order of IDs is that of time
    organization TEXT    NOT NULL,             -- no reference: it may be that of a key in the configuration
    member       TEXT    NOT NULL,
    purpose      TEXT    NOT NULL,
    filename     TEXT    NOT NULL,
    endpoint     TEXT    NOT NULL, -- that all its lines are for; empty: it has no requests
    growing      BOOLEAN NOT NULL,
    parts        BIGINT  NOT NULL, -- those that follow each other from the first one on; the counts are theirs
    line_count   BIGINT  NOT NULL, -- lines that are not blank
    row_count    BIGINT  NOT NULL, -- all lines
    byte_count   BIGINT  NOT NULL,
    created      BIGINT  NOT NULL,
    expires      BIGINT  NOT NULL
);
CREATE INDEX files_by_organization ON files (organization, id);
CREATE INDEX files_by_end ON files (expires);

CREATE TABLE file_parts (
    file       TEXT   NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    number     BIGINT NOT NULL, -- from 1
    ref        TEXT   NOT NULL, -- of the blob; empty: there is nothing in it
    line_count BIGINT NOT NULL,
    row_count  BIGINT NOT NULL,
    byte_count BIGINT NOT NULL,
    first_line BIGINT,          -- from 1; these are not known before all earlier parts are there
    first_row  BIGINT,          -- from 1
    first_byte BIGINT,          -- from 0
    PRIMARY KEY (file, number)
);
CREATE INDEX file_parts_by_line ON file_parts (file, first_line);
CREATE INDEX file_parts_by_byte ON file_parts (file, first_byte);

CREATE TABLE file_holds (
    file   TEXT NOT NULL REFERENCES files (id), -- which therefore stays
    holder TEXT NOT NULL,                       -- the ID of what needs it
    PRIMARY KEY (file, holder)
);
CREATE INDEX file_holds_by_holder ON file_holds (holder);

-- +goose Down
DROP TABLE file_holds;
DROP TABLE file_parts;
DROP TABLE files;
