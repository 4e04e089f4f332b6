package main

import (
	"cmp"
	"context"
	"os"
	"slices"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/filing"
	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/journal"
)

// Files are moved once the end of their run is on disk. Whoever dies in between
// leaves them where they are: the next run of the job moves them before it reads
// ([app.fileLeft]), and if nobody did, their rows would be read again, which makes
// nothing twice.

// fileAway moves the files that a run has read where its job wants them, now that
// it has ended by its record. What can't be moved stays, with a warning: its rows
// are done.
func (a *app) fileAway(ctx context.Context, run *journal.Run, res *engine.Result) {
	ended := run.Result().Status // still running where the end could not be written
	var moved []engine.Moved
	for _, f := range run.Header().Files {
		if f.Filing == nil {
			continue
		}
		folder := f.Filing.After(ended)
		if folder == "" {
			if before := res.Filed(f.Filing); before != nil {
				moved = append(moved, *before)
			}
			continue
		}
		m := engine.Moved{File: f.Filing.Name()}
		to, err := filing.Move{File: f, At: res.PlaceOf(f.Filing), Folder: folder, Run: run.ID()}.Do()
		if err != nil {
			m.Error = err.Error()
			a.log.Warn("a file that was read stays where it is", "file", m.File, "error", err)
		} else {
			m.To = to
			a.log.Debug("file moved", "file", m.File, "to", to)
		}
		moved = append(moved, m)
	}
	if slices.Equal(moved, res.Moved) {
		return
	}
	res.Moved = moved
	crash.At(crash.FileMoved)
	if err := run.Filed(context.WithoutCancel(ctx), moved); err != nil {
		a.log.Warn("where the files went that were read can't be noted", "run", run.ID(), "error", err)
	}
}

// fileLeft moves what the last run of a job should have moved, and died before.
func (a *app) fileLeft(ctx context.Context, j *journal.Journal, job string) error {
	results, err := j.Runs(ctx)
	if err != nil {
		return err
	}
	last := slices.IndexFunc(results, func(r engine.Result) bool { return r.Job == job && r.Undoes == "" })
	if last < 0 {
		return nil
	}
	run, err := j.Run(ctx, results[last].Run)
	if err != nil {
		return err
	}
	res := run.Result()
	left := slices.ContainsFunc(run.Header().Files, func(f engine.FileInfo) bool {
		return f.Filing != nil && f.Filing.After(res.Status) != "" && res.Filed(f.Filing) == nil
	})
	if left {
		a.log.Info("moving the files that a run before has read and left", "run", run.ID())
		a.fileAway(ctx, run, res)
	}
	return nil
}

// filed are the files that a run has read and that are moved in the end: where
// their job looks for them, and where they are now.
func filed(run *journal.Run) map[string]string {
	places := map[string]string{}
	for _, f := range run.Header().Files {
		if f.Filing == nil {
			continue
		}
		from := cmp.Or(f.Filing.From, f.Filing.Path)
		places[from] = f.Filing.Path
		if place := run.Result().PlaceOf(f.Filing); exists(place) {
			places[from] = place
		}
	}
	return places
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
