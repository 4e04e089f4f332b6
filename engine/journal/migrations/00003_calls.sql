-- +goose Up

-- Which raw calls were made, and taken back, by what they were made for.
CREATE INDEX changes_called ON changes (external_key) WHERE type_id = -3 AND external_key <> '';

PRAGMA user_version = 3;

-- +goose Down

DROP INDEX changes_called;
PRAGMA user_version = 2;
