package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine/journal"
)

func newApplyCommand(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Apply a saved plan, and nothing else",
		Long: `Apply the plan that plan --out saved: those changes and no others, once. A plan
that is too old, was applied before, was altered, or belongs to another portal
or to a job that was changed since is refused.`,
		Example: "  bxflow apply onboarding.plan --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			if err := a.mayWrite(c, &flags); err != nil {
				return err
			}
			var end ending
			return a.tellEnd(c.Context(), &end, a.applyCommand(c.Context(), args[0], flags, &end))
		},
	}
	flags.add(c)
	flags.addStrict(c)
	flags.addNoNotify(c)
	return c
}

func (a *app) applyCommand(ctx context.Context, path string, flags writeFlags, end *ending) (err error) {
	f, err := os.Open(path) //nolint:gosec // the user's own argument
	if err != nil {
		return usage("%w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return usage("%s is a folder; name the file of a plan", path)
	}
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	plan, err := j.Import(ctx, f)
	if _, ok := errors.AsType[*journal.SavedError](err); ok {
		return refused("%s: %w", path, err)
	}
	if err != nil {
		return err
	}
	end.Job, end.Plan, end.Portal = plan.Header().Job, plan.ID(), plan.Header().Portal.Address
	h := plan.Header()
	a.tellOf(h, flags, end)
	lease, err := a.lease(ctx, j, h.PortalRef, filepath.Dir(h.JobFile), h.Job, flags.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	p, err := a.checkSaved(ctx, plan)
	if err != nil {
		return err
	}
	if err := lease.Unused(h.ID); err != nil {
		return refused("%w", err)
	}
	p.approved = func(ctx context.Context) error {
		if err := lease.Use(h.ID); err != nil {
			return refused("%w", err)
		}
		return giveUpUndone(ctx, j, h.Undoes)
	}
	flags.saved = true
	return a.approveAndApply(ctx, j, p, flags, end)
}

// giveUpUndone gives up the run that a plan takes back, if it was cut short: resuming
// it would do again what is undone.
func giveUpUndone(ctx context.Context, j *journal.Journal, undoes string) error {
	if undoes == "" {
		return nil
	}
	open, err := j.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, run := range open {
		if run.ID() == undoes {
			return giveUp(ctx, run)
		}
	}
	return nil
}

// checkSaved says whether a saved plan still may be applied: once, in time, for
// the job that it was made from, to the portal that it was made for and as that
// portal was.
func (a *app) checkSaved(ctx context.Context, plan *journal.Plan) (*planned, error) {
	h := plan.Header()
	if err := plan.Unused(); err != nil {
		return nil, refused("%w", err)
	}
	if time.Now().After(h.Expires) {
		return nil, refused("plan %s: was made at %s and valid until %s; make it again", h.ID, moment(h.Created), moment(h.Expires))
	}
	if err := sameJob(h); err != nil {
		return nil, err
	}
	a.mentionFiles(h)
	p, err := a.openPortalOf(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := sameCatalog(h, p.catalog); err != nil {
		return nil, err
	}
	p.plan = plan
	return p, nil
}
