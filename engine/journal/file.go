package journal

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database driver
)

const (
	// applicationID marks our files: "bxfj", at offset 68 of the header
	// (https://www.sqlite.org/fileformat.html#application_id).
	applicationID = 0x6278666a
	// schemaVersion is the user_version that the newest migration sets.
	schemaVersion = 4

	lockName      = "journal.lock"
	scratchPrefix = "scratch-"
	lockRetry     = 20 * time.Millisecond
)

//go:embed migrations/*.sql
var migrations embed.FS

// open opens the journal of a folder.
func open(ctx context.Context, dir string) (_ *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return nil, err
	}
	lock, alone, err := takeLock(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, lock: lock, owner: thisProcess()}
	defer func() {
		if err != nil {
			_ = j.lock.Close()
		}
	}()
	crashed := alone && unfinished(path)
	if err := checkHeader(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if j.db, err = sql.Open("sqlite", dsn(path)); err != nil {
		return nil, fault(path, err)
	}
	// One connection: SQLite has one writer anyway, and the reads are short.
	j.db.SetMaxOpenConns(1)
	if err := j.settleIn(ctx, alone, crashed); err != nil {
		return nil, errors.Join(fault(path, err), j.db.Close())
	}
	if alone { // others may come in now
		if ok, err := lock.TryRLock(); err != nil || !ok {
			return nil, errors.Join(fmt.Errorf("%s: shared lock lost: %w", lock.Path(), err), j.db.Close())
		}
	}
	return j, nil
}

// settleIn checks and mends what an earlier process has left.
func (j *Journal) settleIn(ctx context.Context, alone, crashed bool) error {
	var version int
	if err := j.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("%s: has format %d, and this bxflow knows formats up to %d; use a newer bxflow",
			j.path, version, schemaVersion)
	case version < schemaVersion && !alone:
		return fmt.Errorf("%s: has the older format %d and is in use; stop the other bxflow first", j.path, version)
	case version < schemaVersion:
		if err := migrate(ctx, j.db); err != nil {
			return fmt.Errorf("%s: bring to format %d: %w", j.path, schemaVersion, err)
		}
	}
	if crashed {
		// It reads the whole file, so it is only done where a process or the
		// machine has died.
		if err := j.check(ctx, "quick_check(1)"); err != nil {
			return err
		}
	}
	return j.forgetDrafts(ctx, alone)
}

// check has the database look for structural damage with one of its pragmas.
func (j *Journal) check(ctx context.Context, pragma string) error {
	var found string
	if err := j.db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return &DamagedError{Path: j.path, Fault: strings.ReplaceAll(found, "\n", " ")}
	}
	return nil
}

// takeLock takes the folder's lock: alone if no other process has the journal
// open, else shared with them.
func takeLock(ctx context.Context, path string) (lock *flock.Flock, alone bool, err error) {
	lock = flock.New(path, flock.SetPermissions(0o600))
	if alone, err = lock.TryLock(); err == nil && !alone {
		_, err = lock.TryRLockContext(ctx, lockRetry)
	}
	if err != nil {
		_ = lock.Close()
		return nil, false, fmt.Errorf("%s: lock: %w", path, err)
	}
	return lock, alone, nil
}

// unfinished says whether the last process to use the file ended without
// closing it: SQLite then leaves the write-ahead log behind.
func unfinished(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

// checkHeader looks at the first bytes of the file, so that a file that is not
// ours is not even opened.
func checkHeader(path string) error {
	f, err := os.Open(path) //nolint:gosec // the user's own state folder
	if err != nil {
		return err
	}
	defer f.Close()
	var header [100]byte
	n, err := io.ReadFull(f, header[:])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &DamagedError{Path: path, Fault: fmt.Sprintf("ends after %d bytes", n)}
	case err != nil:
		return err
	case string(header[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(header[68:]) != applicationID:
		return fmt.Errorf("%s: is not a bxflow journal, or damaged; move it away, or choose another state folder", path)
	}
	return nil
}

// create makes an empty journal beside its place and then moves it there, so
// that there never is half a journal. The folder's lock is held alone.
func create(ctx context.Context, path string) error {
	fresh := path + ".new"
	for _, left := range []string{fresh, fresh + "-journal", path + "-wal", path + "-shm"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the user's own state folder
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+escapePath(fresh))
	if err != nil {
		return fault(fresh, err)
	}
	db.SetMaxOpenConns(1)
	if err = migrate(ctx, db); err == nil {
		_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return fault(fresh, err)
	}
	return os.Rename(fresh, path)
}

// migrate brings the schema to schemaVersion.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// dsn is the data source name: every connection gets these settings.
func dsn(path string) string {
	settings := url.Values{
		"_txlock": {"immediate"}, // a transaction that reads first would fail at its first write
		"_pragma": {
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
			"foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)",
		},
	}
	return "file:" + escapePath(path) + "?" + settings.Encode()
}

// escapePath writes a path as a file: URI has it.
func escapePath(path string) string {
	return (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

// sweep removes what crashed scratch journals have left in a folder. The guard
// that it returns keeps other processes from sweeping until it is closed, so
// that a new scratch journal can take its own lock.
func sweep(ctx context.Context, dir string) (guard *flock.Flock, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	guard = flock.New(filepath.Join(dir, "scratch.lock"), flock.SetPermissions(0o600))
	if _, err := guard.TryLockContext(ctx, lockRetry); err != nil {
		return nil, fmt.Errorf("%s: lock: %w", guard.Path(), err)
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), scratchPrefix) {
			err = removeIfDead(filepath.Join(dir, entry.Name()))
		}
	}
	if err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	return guard, nil
}

// removeIfDead removes a scratch folder that no process has open.
func removeIfDead(dir string) error {
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	defer lock.Close()
	free, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("%s: lock: %w", lock.Path(), err)
	}
	if !free {
		return nil
	}
	return os.RemoveAll(dir)
}
