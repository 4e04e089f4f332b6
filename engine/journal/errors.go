package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/bxflow/bxflow/engine"
)

// DamagedError says that a journal's file was cut or altered.
type DamagedError struct {
	Path  string
	Fault string
}

// Error names the file and the fault.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: is damaged: %s; restore it from a copy, or choose another state folder", e.Path, e.Fault)
}

// UnknownError says that an id, or the beginning of one, names no plan or run,
// or several.
type UnknownError struct {
	What string   // plan or run
	ID   string   // as it was given
	Fits []string // the ids that begin so, the first few; empty: none
}

// Error names the id and what it fits.
func (e *UnknownError) Error() string {
	switch {
	case len(e.Fits) > 0:
		return fmt.Sprintf("%s %q: fits several: %s; give more of the id", e.What, e.ID, strings.Join(e.Fits, ", "))
	case e.ID == "":
		return "there is no " + e.What + " yet"
	}
	return fmt.Sprintf("%s %q: there is none", e.What, e.ID)
}

// UsedError says that a plan was applied before. A plan is applied once.
type UsedError struct {
	Plan   string
	Run    string // that applied it
	Began  time.Time
	Status engine.Status // of the run
}

// Error names the plan and its run.
func (e *UsedError) Error() string {
	remedy := "make a new plan"
	switch e.Status {
	case engine.StatusRunning, engine.StatusInterrupted, engine.StatusFailed:
		remedy += ", or resume that run"
	case engine.StatusSucceeded, engine.StatusPartial, engine.StatusRefused:
	}
	return fmt.Sprintf("plan %q: was applied by run %s, which began at %s (%s); %s",
		e.Plan, e.Run, e.Began.Local().Format(time.DateTime), e.Status, remedy)
}

// UsedElsewhereError says that a saved plan was given to a run with another
// journal. A plan is applied once, whatever copies of it there are.
type UsedElsewhereError struct {
	Plan   string
	Folder string // of the other journal
	Since  time.Time
}

// Error names the plan and where its run is.
func (e *UsedElsewhereError) Error() string {
	return fmt.Sprintf("plan %q: was applied by a run with the state folder %s, at %s; make a new plan, or see bxflow runs --state there",
		e.Plan, e.Folder, e.Since.Local().Format(time.DateTime))
}

// SavedError says that a saved plan cannot be taken: it is cut, altered, of
// another format, or no plan at all.
type SavedError struct {
	Line  int // of the file, from 1
	Fault string
	Err   error // what says so, if anything
}

// Error names the line and the fault.
func (e *SavedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("line %d: %s: %v; make the plan again", e.Line, e.Fault, e.Err)
	}
	return fmt.Sprintf("line %d: %s; make the plan again", e.Line, e.Fault)
}

// Unwrap returns what says so.
func (e *SavedError) Unwrap() error { return e.Err }

// fault puts the database's errors into our words. Others pass as they are.
func fault(path string, err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if se.Code() == sqlite3.SQLITE_IOERR_SHORT_READ { // the file is shorter than it says
		return &DamagedError{Path: path, Fault: "ends too early"}
	}
	switch se.Code() & 0xff { // the rest of the code is the kind of kind
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &DamagedError{Path: path, Fault: se.Error()}
	case sqlite3.SQLITE_ERROR: // no such table or column: the statements are ours, so the schema is not
		return &DamagedError{Path: path, Fault: se.Error()}
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: no space left; make room and try again: %w", path, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%s: the disk fails; mind it and its space and try again: %w", path, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: another process holds it; try again: %w", path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s: may not be written; mind the permissions: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// isUnique says whether the error is a broken uniqueness rule.
func isUnique(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) &&
		(se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
