package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

func newApplyCommand(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Apply a saved plan, and nothing else",
		Long: `Apply the plan that plan --out saved: those changes and no others, once. A plan
that is too old, was applied before, was altered, or belongs to another portal
is refused.`,
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
	return c
}

func (a *app) applyCommand(ctx context.Context, path string, flags writeFlags, end *ending) (err error) {
	f, err := os.Open(path) //nolint:gosec // the user's own argument
	if err != nil {
		return usage("%w", err)
	}
	defer f.Close()
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
	release, err := a.hold(ctx, j, h.PortalRef, filepath.Dir(h.JobFile), h.Job, flags.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	p, err := a.checkSaved(ctx, plan)
	if err != nil {
		return err
	}
	flags.saved = true
	return a.approveAndApply(ctx, j, p, flags, end)
}

// checkSaved says whether a saved plan still may be applied: once, in time, to
// the portal that it was made for and as that portal was.
func (a *app) checkSaved(ctx context.Context, plan *journal.Plan) (*planned, error) {
	h := plan.Header()
	if run, used := plan.Used(); used {
		return nil, refused("%w", &journal.UsedError{Plan: h.ID, Run: run})
	}
	if now := time.Now(); now.After(h.Expires) {
		return nil, refused("plan %s: was valid until %s; make it again", h.ID, h.Expires.Local().Format(time.DateTime))
	}
	p, err := a.openPlanned(ctx, h)
	if err != nil {
		return nil, err
	}
	p.plan = plan
	return p, nil
}

func samePortal(h *engine.Header, c *engine.Catalog) error {
	switch {
	case c.Portal.ID != h.Portal.ID:
		return refused("plan %s: was made for %s, and this is %s; name the portal with --portal", h.ID, h.Portal.Address, c.Portal.Address)
	case c.Fingerprint() != h.Catalog:
		return refused("plan %s: fields, stages or people of the portal changed since it was made; make it again", h.ID)
	}
	return nil
}
