package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

func newResumeCommand(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Go on with a run that was cut short",
		Long: `Go on with a run that was interrupted, killed or stopped: the last one, or the
one whose id begins with RUN. What was under way when it ended is looked up on
the portal first, so that nothing is done twice and nothing is lost.`,
		Example: "  bxflow resume --yes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			if err := flags.check(c); err != nil {
				return err
			}
			a.tellProgress()
			run := lastRun
			if len(args) == 1 {
				run = args[0]
			}
			var end ending
			return a.tellEnd(c.Context(), &end, a.resumeCommand(c.Context(), run, flags, &end))
		},
	}
	flags.add(c)
	flags.addStrict(c)
	flags.addNoNotify(c)
	return c
}

func (a *app) resumeCommand(ctx context.Context, prefix string, flags writeFlags, end *ending) (err error) {
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	run, err := a.unfinished(ctx, j, prefix)
	if err != nil {
		return err
	}
	if err := a.mayAsk(flags.yes); err != nil {
		return err
	}
	if err := flags.allow(run.Header()); err != nil {
		return err
	}
	h := run.Header()
	end.Run, end.Job, end.Plan, end.Portal = run.ID(), h.Job, h.ID, h.Portal.Address
	a.tellOf(h, flags, end)
	release, err := a.hold(ctx, j, h.PortalRef, filepath.Dir(h.JobFile), h.Job, flags.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	p, err := a.openPortalOf(ctx, h)
	if err != nil {
		return err
	}
	// A plan that is half done is better finished: what no longer fits fails by itself.
	if what := changedSince(h, p.catalog); what != "" {
		a.log.Warn("the portal is another than when the run was planned; what no longer fits will fail", "planned", moment(h.Created), "since then", what)
	}
	if !flags.yes {
		left, err := changesLeft(ctx, run)
		if err != nil {
			return err
		}
		if err := a.ask(ctx, fmt.Sprintf("Go on with run %s of %s on %s: %d changes are left?", run.ID(), h.Job, h.Portal.Address, left)); err != nil {
			end.job = nil
			return err
		}
	}
	p.earlier = run.Result()
	if err := run.Resume(ctx); err != nil {
		return refused("%w", err)
	}
	flags.saved, end.run = true, run
	res, err := a.applyRun(ctx, run, p, flags)
	return a.tellRun(ctx, run, res, err, end)
}

// unfinished finds the run to be resumed.
func (a *app) unfinished(ctx context.Context, j *journal.Journal, prefix string) (*journal.Run, error) {
	open, err := j.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	if prefix == lastRun {
		if len(open) == 0 {
			return nil, usage("nothing to resume")
		}
		return open[0], nil
	}
	run, err := a.findRun(ctx, j, prefix)
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		if o.ID() == run.ID() {
			return run, nil
		}
	}
	return nil, usage("nothing to resume: run %s is over (%s)", run.ID(), run.Result().Status)
}

// changesLeft counts what a run has still to do.
func changesLeft(ctx context.Context, run *journal.Run) (int, error) {
	totals, err := run.Totals(ctx)
	if err != nil {
		return 0, err
	}
	left := 0
	for _, t := range totals {
		if t.Kind.Writes() && !t.State.Final() {
			left += t.N
		}
	}
	return left, nil
}

// openPortalOf opens the portal of a plan, which may have other fields and
// stages by now.
func (a *app) openPortalOf(ctx context.Context, h *engine.Header) (*planned, error) {
	s, err := a.openPortal(h.PortalRef, filepath.Dir(h.JobFile))
	if err != nil {
		return nil, err
	}
	before := s.Usage()
	catalog, err := s.Catalog(ctx, h.Needs)
	if err != nil {
		return nil, err
	}
	if err := thisPortal(h, catalog.Portal.ID, catalog.Portal.Address); err != nil {
		return nil, err
	}
	return &planned{session: s, catalog: catalog, before: before}, nil
}
