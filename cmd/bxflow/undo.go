package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

type undoFlags struct {
	planOrWriteFlags

	all bool // take back what somebody has changed since, too
}

func newUndoCommand(a *app) *cobra.Command {
	var flags undoFlags
	c := &cobra.Command{
		Use:   "undo RUN",
		Short: "Take back what a run did",
		Long: `Plan the inverse of what a run did, ask, and apply it: what the run made is
deleted, what it changed gets its values of before, what it deleted is made again
under a new id. An item that somebody has changed since is listed and left alone,
with what it links to. What can't be taken back, such as robots that ran, is said
before it asks. Files that the run has read and moved stay where they are. RUN is
a run's id, the beginning of it, or last. An undo is a run itself: it can be
resumed, and undone.`,
		Example: `  bxflow undo 20261123-140912 --plan
  bxflow undo last --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.planOrWrite(c, &flags.planOrWriteFlags, func(end *ending) error {
				return a.undoCommand(c.Context(), args[0], flags, end)
			})
		},
	}
	flags.add(c)
	flags.addStrict(c)
	c.Flags().BoolVar(&flags.all, "force", false, "take back items, too, that somebody has changed since")
	return c
}

// planOrWriteFlags are those of a command that writes, or only shows its plan.
type planOrWriteFlags struct {
	writeFlags

	show planFlags
	plan bool // only show it
}

func (f *planOrWriteFlags) add(c *cobra.Command) {
	f.writeFlags.add(c)
	c.Flags().BoolVar(&f.plan, "plan", false, "only show the plan")
	c.Flags().StringVar(&f.show.out, "out", "", "only show the plan, and save it to this `file`, for apply")
	c.Flags().IntVar(&f.show.rows, "rows", 20, "with --plan: how many changes the text shows; 0: all")
}

// planOrWrite does a command, which gets no ending where it is only to show its
// plan.
func (a *app) planOrWrite(c *cobra.Command, f *planOrWriteFlags, do func(*ending) error) error {
	if f.plan || f.show.out != "" {
		if err := a.formats("text", "json", "html", "csv"); err != nil {
			return err
		}
		if err := maySave(f.show.out); err != nil {
			return err
		}
		return do(nil)
	}
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	if err := a.mayWrite(c, &f.writeFlags); err != nil {
		return err
	}
	var end ending
	return a.tellEnd(c.Context(), &end, do(&end))
}

// undoCommand plans the undoing of a run, and applies it unless only the plan is
// wanted, which end is nil for.
func (a *app) undoCommand(ctx context.Context, prefix string, flags undoFlags, end *ending) (err error) {
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	run, err := a.findRun(ctx, j, prefix)
	if err != nil {
		return err
	}
	h := run.Header()
	if end != nil {
		end.Job, end.Portal = h.Job, h.Portal.Address
		release, err := a.hold(ctx, j, h.PortalRef, filepath.Dir(h.JobFile), h.Job, flags.wait)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	p, err := a.openPortalOf(ctx, h)
	if err != nil {
		return err
	}
	unfinished, err := a.settleDoubts(ctx, run, p, end != nil)
	if err != nil {
		return err
	}
	if err := a.planUndo(ctx, j, run, p, flags.all); err != nil {
		return err
	}
	if end == nil {
		return a.showOnly(ctx, j, p, flags.show, a.again("undo", shortRun(run.ID())))
	}
	if unfinished {
		p.approved = func(ctx context.Context) error { return giveUp(ctx, run) }
	}
	flags.saved = true
	return a.approveAndApply(ctx, j, p, flags.writeFlags, end)
}

// planUndo seals the plan that takes a run back.
func (a *app) planUndo(ctx context.Context, j *journal.Journal, run *journal.Run, p *planned, force bool) error {
	needs := run.Header().Needs
	needs.Linkers = true
	catalog, err := p.session.Catalog(ctx, needs)
	if err != nil {
		return err
	}
	p.catalog = catalog
	draft, err := j.NewDraft(ctx)
	if err != nil {
		return err
	}
	header, err := engine.Undo(ctx, engine.UndoOptions{
		Header: run.Header(), RunID: run.ID(), Log: run, Catalog: p.catalog, PortalRef: p.session.target.ref,
		Reader: p.session, Gauge: p.session, Draft: draft, Now: time.Now(), Fence: fence(p.session), Force: force, Progress: a.progress.Update,
	})
	a.progress.Done(err != nil)
	if err != nil {
		return errors.Join(err, draft.Discard(context.WithoutCancel(ctx)))
	}
	p.plan, err = j.Plan(ctx, header.ID)
	return err
}

// showOnly shows a plan that is not applied now, and saves it where that is
// wanted.
func (a *app) showOnly(ctx context.Context, j *journal.Journal, p *planned, flags planFlags, next string) error {
	if flags.out != "" {
		if err := savePlan(ctx, j, p.plan, flags.out); err != nil {
			return err
		}
		next = a.applyAgain(flags.out)
	}
	view := p.view(flags.rows)
	view.Next = next
	return a.showPlan(ctx, view)
}

// lastRun is the word for the run that began last.
const lastRun = "last"

// findRun finds the run that a command names.
func (a *app) findRun(ctx context.Context, j *journal.Journal, name string) (*journal.Run, error) {
	switch name {
	case "": // a variable of a script that is not set
		return nil, usage("the run's id is empty; name a run, or write %s", lastRun)
	case lastRun:
		name = ""
	}
	run, err := j.Run(ctx, name)
	if unknown, ok := errors.AsType[*journal.UnknownError](err); ok {
		return nil, usage("%w", unknown)
	}
	return run, err
}

// settleDoubts makes sure that of a run that was cut short nothing is in doubt,
// and says whether it has more to do. To see a plan only, nothing is touched.
func (a *app) settleDoubts(ctx context.Context, run *journal.Run, p *planned, write bool) (unfinished bool, err error) {
	res := run.Result()
	if res.Status == engine.StatusRunning && !run.Crashed() {
		return false, refused("run %s is not over: %s is at it; stop it or wait for it first", run.ID(), run.Owner())
	}
	totals, err := run.Totals(ctx)
	if err != nil {
		return false, err
	}
	doubts := 0
	for _, t := range totals {
		if t.State == engine.StateSent || t.State == engine.StateUnknown {
			doubts += t.N
		}
		unfinished = unfinished || !t.State.Final()
	}
	switch {
	case doubts == 0:
		return unfinished, nil
	case !write:
		return false, refused("run %s was cut short with %d changes in doubt; undo it without --plan, which finds out what became of them, or resume it", run.ID(), doubts)
	}
	a.log.Info("the run was cut short; finding out what became of its last changes", "run", run.ID(), "changes", doubts)
	if err := run.Resume(ctx); err != nil {
		return false, refused("%w", err)
	}
	err = engine.SettleDoubts(ctx, a.applyOptions(run, p, writeFlags{}))
	return unfinished, errors.Join(err, recordCutShort(context.WithoutCancel(ctx), run))
}

// giveUp ends a run that was cut short and is undone.
func giveUp(ctx context.Context, run *journal.Run) error {
	if err := engine.Abandon(ctx, run, "given up: the run was undone"); err != nil {
		return err
	}
	return recordCutShort(ctx, run)
}

// recordCutShort records what a run did that was cut short, and perhaps died before it
// could.
func recordCutShort(ctx context.Context, run *journal.Run) error {
	totals, err := run.Totals(ctx)
	if err != nil {
		return err
	}
	res := run.Result()
	res.Steps = engine.StepResults(run.Header(), totals)
	if res.Status == engine.StatusRunning {
		res.Status, res.Error, res.Finished = engine.StatusInterrupted, "it was cut short, and is to be undone", time.Now()
	}
	return run.Finish(ctx, res)
}
