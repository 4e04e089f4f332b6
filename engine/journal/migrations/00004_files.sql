-- +goose Up

-- Which files runs have put into fields of items: the portal tells neither their
-- names nor what is in them.
CREATE TABLE files (
    portal  TEXT NOT NULL, -- the portal's id
    type_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    field   TEXT NOT NULL, -- REST name
    sha256  TEXT NOT NULL,
    file_id INTEGER NOT NULL, -- 0: the portal did not tell
    name    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    crc     INTEGER NOT NULL, -- over all of it
    PRIMARY KEY (portal, type_id, item_id, field, sha256)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 4;

-- +goose Down

DROP TABLE files;
PRAGMA user_version = 3;
