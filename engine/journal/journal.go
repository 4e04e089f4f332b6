// Package journal is the durable record of plans and runs, in one SQLite file.
//
// A plan is made as a draft ([Journal.NewDraft]), sealed, and then never
// changes. A run ([Journal.Begin]) applies one plan, once; its state is kept
// beside each change, so that whatever ends the process, the next one knows
// what was planned, what has left for the portal and what became of it.
//
// Its one rule: what a method of a [Run] has said is on disk when it returns.
// Drafts need not last: a draft whose process died is forgotten when the
// journal is next opened, and Seal makes all of it durable at once.
//
// All rows carry checksums. A file that is cut or altered is refused with a
// [DamagedError], at the latest when the damaged row is read.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// FileName is the name of the journal's file in its folder.
const FileName = "journal.db"

// Journal is an open journal. It may be used by several goroutines, and its
// file by several processes.
type Journal struct {
	db      *sql.DB
	path    string
	lock    *flock.Flock // shared while the journal is open
	scratch string       // the folder to remove at Close, "" for none
	owner   Owner

	// What only tests set: who is told of each commit, and whether none is
	// awaited to be on disk.
	committed func(context.Context, *sql.Conn)
	lax       bool
}

// Open opens the journal in a folder, and makes both where they are missing,
// for this user only (folder 0700, file 0600). It refuses a file that is
// damaged ([DamagedError]), that a newer bxflow wrote or that is something
// else. After a crash it checks the file's structure, and it forgets the
// drafts of processes that died.
func Open(ctx context.Context, dir string) (*Journal, error) {
	guard, err := sweep(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	return open(ctx, dir)
}

// Scratch opens an empty journal that ends with Close, for plans that nothing
// will apply. It lies in a folder of its own under dir and need not survive a
// crash; what one leaves behind is removed by the next Open or Scratch.
func Scratch(ctx context.Context, dir string) (*Journal, error) {
	guard, err := sweep(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	own, err := os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return nil, err
	}
	j, err := open(ctx, own)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(own))
	}
	j.scratch = own
	return j, nil
}

// Close ends the use of the journal. Drafts that are not sealed are forgotten
// when it is next opened.
func (j *Journal) Close() error {
	err := fault(j.path, j.db.Close()) // the last one out folds the WAL into the file
	if e := j.lock.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", j.lock.Path(), e))
	}
	if j.scratch != "" {
		err = errors.Join(err, os.RemoveAll(j.scratch))
	}
	return err
}

// write runs f in a transaction. A durable one is on disk when write returns;
// others survive the process, and the machine only once a durable one follows.
func (j *Journal) write(ctx context.Context, durable bool, f func(*sql.Tx) error) error {
	conn, err := j.db.Conn(ctx)
	if err != nil {
		return fault(j.path, err)
	}
	defer conn.Close()
	sync := "PRAGMA synchronous = FULL"
	switch {
	case j.scratch != "":
		sync = "PRAGMA synchronous = OFF"
	case !durable || j.lax:
		sync = "PRAGMA synchronous = NORMAL" // in WAL mode: no fsync at commit, and no damage without it
	}
	if _, err := conn.ExecContext(ctx, sync); err != nil {
		return fault(j.path, err)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fault(j.path, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // its error is of no interest beside the first
		return fault(j.path, err)
	}
	if err := tx.Commit(); err != nil {
		return fault(j.path, err)
	}
	if j.committed != nil {
		j.committed(ctx, conn)
	}
	return nil
}
