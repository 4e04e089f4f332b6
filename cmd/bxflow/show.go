package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
)

func newRunsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "runs",
		Short:   "List the runs of the state folder, the last one first",
		Example: "  bxflow runs --format json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.formats("text", "json", "csv"); err != nil {
				return err
			}
			j, err := a.openJournal(c.Context())
			if err != nil {
				return err
			}
			runs, err := allRuns(c.Context(), j)
			if err != nil {
				return err
			}
			if a.flags.format == "json" {
				return report.RunsJSON(a.stdout, runs)
			}
			return a.list(report.Runs(runs, time.Local))
		},
	}
}

type showFlags struct {
	failed    bool
	result    bool
	conflicts bool
	rows      int
	step      string
}

func newShowCommand(a *app) *cobra.Command {
	var flags showFlags
	c := &cobra.Command{
		Use:   "show [RUN]",
		Short: "Show what a run did, and which rows failed",
		Long: `Show what a run did: the last one, or the one whose id begins with RUN. With
--failed --format csv it prints the failed rows as they were, plus _line, _step
and _error: mend the file and read it again. Cells that a spreadsheet would run as
a formula begin with an apostrophe, which read takes away again.`,
		Example: `  bxflow show
  bxflow show --failed --format csv > failed.csv
  bxflow show --conflicts --format csv > conflicts.csv
  bxflow show --result > result.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			prefix := lastRun
			if len(args) == 1 {
				prefix = args[0]
			}
			return a.showCommand(c.Context(), prefix, flags)
		},
	}
	f := c.Flags()
	f.BoolVar(&flags.failed, "failed", false, "only what failed, all of it")
	f.BoolVar(&flags.result, "result", false, "a CSV of all rows: the source columns, and for each step the item's id and the outcome")
	f.BoolVar(&flags.conflicts, "conflicts", false, "only the conflicts: each field as it was in the plan, is now, and was to be")
	f.IntVar(&flags.rows, "rows", 20, "how many failures the text shows; 0: all")
	f.StringVar(&flags.step, "step", "", "with --failed or --conflicts: only this `step`")
	return c
}

func (a *app) showCommand(ctx context.Context, prefix string, flags showFlags) error {
	if err := a.formats("text", "json", "csv"); err != nil {
		return err
	}
	switch {
	case flags.result && (flags.failed || flags.conflicts || a.flags.format == "json"):
		return usage("--result is a CSV of all rows; leave --failed, --conflicts and --format json out")
	case a.flags.format == "csv" && !flags.failed && !flags.conflicts && !flags.result:
		return usage("--format csv is for --result, all rows, for --failed, the failed ones, and for --conflicts")
	case flags.failed && flags.conflicts:
		return usage("--failed has the conflicts, too; leave one of the two out")
	case flags.step != "" && !flags.failed && !flags.conflicts:
		return usage("--step is for --failed and --conflicts; add one of them")
	case flags.rows < 0:
		return usage("--rows %d is less than none; 0 shows all", flags.rows)
	}
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	run, err := a.findRun(ctx, j, prefix)
	if err != nil {
		return err
	}
	if err := hasStep(run.Header(), flags.step); err != nil {
		return err
	}
	res, err := resultOf(ctx, run)
	if err != nil {
		return err
	}
	failed := report.FailedChanges(ctx, run, flags.step)
	switch {
	case flags.result:
		return a.showResult(ctx, run)
	case flags.conflicts && a.flags.format == "csv":
		return report.ConflictsCSV(a.stdout, report.Conflicts(failed))
	case flags.conflicts && a.flags.format == "json":
		return report.FailedJSON(a.stdout, res, report.Conflicts(failed))
	case flags.failed && a.flags.format == "csv":
		return a.showFailedRows(ctx, run, flags.step)
	case flags.failed && a.flags.format == "json":
		return report.FailedJSON(a.stdout, res, failed)
	case flags.failed, flags.conflicts:
		flags.rows = 0
	}
	return a.showRun(ctx, report.Run{
		Result: res, Changes: run, Rows: flags.rows, OnlyConflicts: flags.conflicts, Step: flags.step, Next: a.afterRun(res),
	})
}

// hasStep refuses a step that a run does not have: it would seem to have failed
// nowhere. An empty one is all of them.
func hasStep(h *engine.Header, id string) error {
	ids := make([]string, len(h.Steps))
	for i, s := range h.Steps {
		ids[i] = s.ID
	}
	if id == "" || slices.Contains(ids, id) {
		return nil
	}
	return usage("--step %q: the run has no such step; it has %s", id, strings.Join(ids, ", "))
}

// allRuns are the results of all runs, the last one first.
func allRuns(ctx context.Context, j *journal.Journal) ([]engine.Result, error) {
	runs, err := j.Runs(ctx)
	if err != nil {
		return nil, err
	}
	open, err := j.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range open {
		i := slices.IndexFunc(runs, func(r engine.Result) bool { return r.Run == run.ID() })
		if i < 0 {
			continue // it began after the list was read
		}
		res, err := resultOf(ctx, run)
		if err != nil {
			return nil, err
		}
		runs[i] = *res
	}
	return runs, nil
}

// resultOf is a run's result; that of one which has not ended is what its
// changes say so far.
func resultOf(ctx context.Context, run *journal.Run) (*engine.Result, error) {
	res := run.Result()
	if res.Status != engine.StatusRunning {
		return res, nil
	}
	if run.Crashed() {
		res.Status, res.Error = engine.StatusInterrupted, "its process ended before the run did"
	}
	totals, err := run.Totals(ctx)
	if err != nil {
		return nil, err
	}
	res.Steps = engine.StepResults(run.Header(), totals)
	return res, nil
}

// showFailedRows prints the rows of files that failed. What failed without being
// a row is said on standard error.
func (a *app) showFailedRows(ctx context.Context, run *journal.Run, step string) error {
	files := run.Header().Files
	if isTerminal(a.stdout) {
		files = readable(files)
	}
	others, err := report.Failed(a.stdout, files, report.FailedChanges(ctx, run, step))
	if others > 0 {
		a.log.Warn("some failures are not of a file's row; show --failed lists them", "count", others)
	}
	return err
}

// showResult prints all rows of a run and what became of them.
func (a *app) showResult(ctx context.Context, run *journal.Run) error {
	h := *run.Header()
	if isTerminal(a.stdout) {
		h.Files = readable(h.Files)
	}
	return report.ResultCSV(a.stdout, &h, run.Changes(ctx, engine.Filter{}), func(refs []string) (map[string]engine.Made, error) {
		return run.Made(ctx, refs)
	})
}

// readable are the files as a terminal can show them.
func readable(files []engine.FileInfo) []engine.FileInfo {
	out := slices.Clone(files)
	for i := range out {
		out[i].Encoding = "utf-8"
	}
	return out
}
