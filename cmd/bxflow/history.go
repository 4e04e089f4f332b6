package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

// history is what earlier runs of the state folder have done, for jobs that go by
// it, also where the plan is made in a scratch journal: the folder's is opened when
// it is asked, if there is one.
type history struct{ app *app }

// recorded opens the journal; nil if there were no runs.
func (h history) recorded(ctx context.Context) (*journal.Journal, error) {
	dir, err := h.app.stateDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, journal.FileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return h.app.openJournal(ctx)
}

// LastRun implements [engine.History].
func (h history) LastRun(ctx context.Context, job, portal string) (time.Time, error) {
	j, err := h.recorded(ctx)
	if j == nil || err != nil {
		return time.Time{}, err
	}
	return j.LastRun(ctx, job, portal)
}

// Called implements [engine.History].
func (h history) Called(ctx context.Context, portal, key string, lost bool) (bool, error) {
	j, err := h.recorded(ctx)
	if j == nil || err != nil {
		return false, err
	}
	return j.Called(ctx, portal, key, lost)
}

// Files implements [engine.History].
func (h history) Files(ctx context.Context, portal string, typeID int, item int64, field string) ([]engine.File, error) {
	j, err := h.recorded(ctx)
	if j == nil || err != nil {
		return nil, err
	}
	return j.Files(ctx, portal, typeID, item, field)
}
