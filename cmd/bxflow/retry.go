package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

func newRetryCommand(a *app) *cobra.Command {
	var flags planOrWriteFlags
	c := &cobra.Command{
		Use:   "retry RUN",
		Short: "Plan the failed and conflicted rows of a run again",
		Long: `Plan the job of a run again, but only for the rows and items that failed, were
invalid or in conflict, then ask and apply. The job file and its data are read
anew, so what was mended in them counts; parameters are those of the run, but for
what --param sets. Where there was a conflict, the new plan begins from what the
portal has now: look at it before you say yes. RUN is a run's id, the beginning of
it, or last.`,
		Example: `  bxflow retry 20261123-140912 --plan
  bxflow retry last --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.planOrWrite(c, &flags, func(end *ending) error {
				return a.retryCommand(c.Context(), args[0], flags, end)
			})
		},
	}
	flags.add(c)
	flags.addNoNotify(c)
	return c
}

func (a *app) retryCommand(ctx context.Context, prefix string, flags planOrWriteFlags, end *ending) (err error) {
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	run, err := a.findRun(ctx, j, prefix)
	if err != nil {
		return err
	}
	retry, err := retryOf(ctx, run)
	if err != nil {
		return err
	}
	job, err := a.jobOf(run.Header(), false)
	if err != nil {
		return err
	}
	if err := a.failedThere(ctx, run.Header(), job); err != nil {
		return err
	}
	if end != nil {
		end.Job = job.Name
		end.tell(job, flags.writeFlags)
		release, err := a.hold(ctx, j, job.Portal, job.Dir, job.Name, flags.wait)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		if run, err = j.Run(ctx, run.ID()); err != nil { // its files may have been moved now
			return err
		}
	}
	job.Reread = filed(run)
	p, err := a.planJob(ctx, j, job, retry)
	if err != nil {
		return err
	}
	if end == nil {
		return a.showOnly(ctx, j, p, flags.show, a.again("retry", shortRun(run.ID())))
	}
	return a.approveAndApply(ctx, j, p, flags.writeFlags, end)
}

// failedThere refuses a job whose portal is not that of the run: nothing has failed
// on another one.
func (a *app) failedThere(ctx context.Context, h *engine.Header, job *engine.Job) error {
	s, err := a.openPortal(job.Portal, job.Dir)
	if err != nil {
		return err
	}
	id, err := s.Identify(ctx)
	if err != nil {
		return err
	}
	return thisPortal(h, id, s.Address().String())
}

// retryOf finds what a run failed on.
func retryOf(ctx context.Context, run *journal.Run) (*engine.Retry, error) {
	h := run.Header()
	switch {
	case run.Result().Status == engine.StatusRunning && !run.Crashed():
		return nil, refused("run %s is not over: %s is at it", run.ID(), run.Owner())
	case h.Undoes != "":
		return nil, usage("run %s takes back another one; undo that one again instead: bxflow undo %s", run.ID(), shortRun(h.Undoes))
	}
	retry, failures, err := engine.Failures(ctx, run.ID(), h.Rows, run)
	if err != nil {
		return nil, err
	}
	if failures == 0 {
		return nil, usage("nothing to retry: no row of run %s failed", run.ID())
	}
	return retry, nil
}

// jobOf reads the job of a plan again, with the portal and the parameters that it
// had where the command line sets no others. What was mended since counts. With
// checkOnly its environment may be another.
func (a *app) jobOf(h *engine.Header, checkOnly bool) (*engine.Job, error) {
	if _, err := os.Stat(h.JobFile); err != nil {
		return nil, usage("the job file of the run can't be read again from this folder: %w", err)
	}
	given := a.flags.params
	defer func() { a.flags.params = given }()
	set, err := a.params()
	if err != nil {
		return nil, err
	}
	for name, value := range h.Params {
		if _, other := set[name]; !other {
			a.flags.params = append(a.flags.params, name+"="+value)
		}
	}
	job, err := a.loadJob(h.JobFile, checkOnly)
	if err != nil {
		return nil, err
	}
	job.Portal = cmp.Or(h.PortalRef, job.Portal)
	return job, nil
}
