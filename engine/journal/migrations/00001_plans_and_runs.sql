-- +goose Up

-- A plan: in the making (draft) or complete and never changed again (sealed).
CREATE TABLE plans (
    plan       INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL CHECK (state IN ('draft', 'sealed')),
    created    INTEGER NOT NULL, -- Unix milliseconds, as all times here
    changes    INTEGER NOT NULL DEFAULT 0,
    header     TEXT NOT NULL DEFAULT '',
    header_crc INTEGER NOT NULL DEFAULT 0,
    seal       TEXT NOT NULL DEFAULT '', -- of the saved plan's file, once there is one
    host       TEXT NOT NULL, -- the process that makes the draft
    pid        INTEGER NOT NULL,
    boot       TEXT NOT NULL,
    birth      TEXT NOT NULL
) STRICT;

-- What a plan intends, and, once it belongs to a run, what became of it. A row
-- has two checksums: over what the plan fixed, and over what the run writes.
CREATE TABLE changes (
    plan         INTEGER NOT NULL REFERENCES plans,
    seq          INTEGER NOT NULL,
    step         TEXT NOT NULL,
    step_idx     INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    alters       INTEGER NOT NULL, -- 1 for update, move and delete: conditions of indexes must be cheap
    entity       TEXT NOT NULL,
    type_id      INTEGER NOT NULL,
    ref          TEXT NOT NULL,
    source       TEXT NOT NULL,
    record_key   TEXT NOT NULL,
    external_key TEXT NOT NULL,
    key_field    TEXT NOT NULL,
    match_fields TEXT NOT NULL, -- JSON; empty for none
    import       INTEGER NOT NULL,
    needs        TEXT NOT NULL, -- JSON; empty for none
    reason       TEXT NOT NULL,
    line         INTEGER NOT NULL,
    row          TEXT NOT NULL, -- JSON; empty for none
    plan_crc     INTEGER NOT NULL,
    item_id      INTEGER NOT NULL,
    fields       TEXT NOT NULL, -- JSON; empty for none
    state        TEXT NOT NULL,
    open         INTEGER NOT NULL, -- 1 for planned, sent and unknown
    attempt      INTEGER NOT NULL,
    sent_at      INTEGER NOT NULL,
    error        TEXT NOT NULL,
    warnings     TEXT NOT NULL,
    state_crc    INTEGER NOT NULL,
    PRIMARY KEY (plan, seq)
) STRICT, WITHOUT ROWID;

-- Which change makes an item. Two may not.
CREATE UNIQUE INDEX changes_made ON changes (plan, ref) WHERE kind = 'create' AND ref <> '';
-- Which changes write to an item that is only planned, or that there is.
CREATE INDEX changes_of_planned ON changes (plan, ref) WHERE alters = 1 AND item_id = 0;
CREATE INDEX changes_of_item ON changes (plan, type_id, item_id) WHERE alters = 1 AND item_id > 0;
-- What a run has left to do.
CREATE INDEX changes_open ON changes (plan, seq) WHERE open = 1;

-- The map that a draft keeps on disk while it is made.
CREATE TABLE draft_index (
    plan  INTEGER NOT NULL REFERENCES plans,
    hash  BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (plan, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    plan       INTEGER NOT NULL UNIQUE REFERENCES plans, -- a plan is applied once
    job        TEXT NOT NULL,
    portal     TEXT NOT NULL, -- the portal's id, never with a secret
    status     TEXT NOT NULL,
    started    INTEGER NOT NULL,
    finished   INTEGER NOT NULL DEFAULT 0, -- 0: not yet
    result     TEXT NOT NULL,
    result_crc INTEGER NOT NULL,
    host       TEXT NOT NULL, -- the process that applies it
    pid        INTEGER NOT NULL,
    boot       TEXT NOT NULL,
    birth      TEXT NOT NULL
) STRICT;

PRAGMA user_version = 1;

-- +goose Down

DROP TABLE runs;
DROP TABLE draft_index;
DROP TABLE changes;
DROP TABLE plans;
PRAGMA user_version = 0;
