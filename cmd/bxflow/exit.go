package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Exit codes. Scripts rely on them: they are part of what bxflow promises.
const (
	exitDone        = 0
	exitUnfinished  = 1   // portal unreachable, no permission, disk full, …
	exitUsage       = 2   // the job, a flag or an input file is wrong; nothing was written
	exitPartial     = 3   // finished, but some rows failed or conflicted
	exitRefused     = 4   // a guard, a stale, used or damaged plan, another run, or the answer no
	exitChanges     = 10  // plan --detailed-exitcode: there are changes
	exitInterrupted = 130 // stopped at a safe point by a signal
)

// exitError ends the program with a code. Without a message, all that there is
// to say has been printed.
type exitError struct {
	code int
	err  error
}

// Error is the message, empty where there is none.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *exitError) Unwrap() error { return e.err }

// exit ends the program with a code and no message.
func exit(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code: code}
}

// usage is a fault of what was typed, or of an input file.
func usage(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// refused says that bxflow will not do it as things are.
func refused(format string, args ...any) error {
	return &exitError{code: exitRefused, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code of an error.
func codeOf(ctx context.Context, err error) int {
	var (
		ended    *exitError
		problems engine.Problems
		problem  engine.Problem
		name     *engine.NameError
		guard    *engine.GuardError
		used     *journal.UsedError
		held     *journal.HeldError
		drift    *engine.DriftError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &ended):
		return ended.code
	case errors.As(err, &problems), errors.As(err, &problem), errors.As(err, &name):
		return exitUsage
	case errors.As(err, &guard), errors.As(err, &used), errors.As(err, &held), errors.As(err, &drift), errors.Is(err, sandbox.ErrInUse):
		return exitRefused
	case interrupted(ctx, err):
		return exitInterrupted
	}
	return exitUnfinished
}

// interrupted says whether an error is that of a signal, as the context or its
// cause tells it.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// codeOfRun is the exit code of a run that ended.
func codeOfRun(r *engine.Result) int {
	switch r.Status {
	case engine.StatusSucceeded:
		return exitDone
	case engine.StatusPartial:
		return exitPartial
	case engine.StatusRefused:
		return exitRefused
	case engine.StatusInterrupted:
		return exitInterrupted
	case engine.StatusFailed, engine.StatusRunning:
		return exitUnfinished
	}
	return exitUnfinished
}
