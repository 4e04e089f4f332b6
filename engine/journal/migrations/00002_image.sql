-- +goose Up

-- The digest of an item: as a deletion expects it, or as another change left it.
ALTER TABLE changes ADD COLUMN image TEXT NOT NULL DEFAULT '';
-- Which change deletes the item that a ref names.
CREATE INDEX changes_gone ON changes (plan, ref) WHERE kind = 'delete' AND ref <> '';

PRAGMA user_version = 2;

-- +goose Down

DROP INDEX changes_gone;
ALTER TABLE changes DROP COLUMN image;
PRAGMA user_version = 1;
