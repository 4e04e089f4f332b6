package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
)

func newRunCommand(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:               "run JOB",
		ValidArgsFunction: completeJobs,
		Short:             "Plan a job, ask, and apply the plan",
		Long: `Plan a job, show the sums and ask, then apply the plan: each change once. Off a
terminal, --yes must be given. A second run of the same job on the same data
changes nothing.`,
		Example: "  bxflow run onboarding.yaml --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			if err := a.mayWrite(c, &flags); err != nil {
				return err
			}
			var end ending
			return a.tellEnd(c.Context(), &end, a.runCommand(c.Context(), args[0], flags, &end))
		},
	}
	flags.add(c)
	flags.addNoNotify(c)
	return c
}

// writeFlags are the flags of the commands that write to a portal.
type writeFlags struct {
	yes    bool
	wait   bool // for another run that holds the portal
	strict bool // refuse a plan whose portal has changed
	saved  bool // the plan comes from a file or an earlier run
	// canary is how many records are done before the run asks or stops; 0: all.
	canary     int
	maxDeletes int // how many deletions a plan may have; unlimited: any
	noNotify   bool
}

// unlimited is the --max-deletes of who did not give it.
const unlimited = -1

func (f *writeFlags) add(c *cobra.Command) {
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "apply without asking")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait for another run that holds the portal, instead of giving up")
	c.Flags().IntVar(&f.canary, "canary", 0, "do the first `N` records, then ask whether to go on, or stop where nobody can be asked; resume goes on")
	c.Flags().IntVar(&f.maxDeletes, "max-deletes", unlimited, "refuse a plan that deletes more than `N` items")
}

// check says what is wrong with the flags.
func (f *writeFlags) check(c *cobra.Command) error {
	switch {
	case f.canary < 0:
		return usage("--canary %d: want a number of records, 1 or more", f.canary)
	case c.Flags().Changed("max-deletes") && f.maxDeletes < 0:
		return usage("--max-deletes %d: want a number of items, 0 or more", f.maxDeletes)
	}
	return nil
}

// allow refuses a plan that deletes more than it may.
func (f *writeFlags) allow(h *engine.Header) error {
	if n := h.Summary.Delete; f.maxDeletes != unlimited && n > f.maxDeletes {
		return refused("plan %s deletes %d items, and --max-deletes allows %d; nothing was written", h.ID, n, f.maxDeletes)
	}
	return nil
}

func (f *writeFlags) addStrict(c *cobra.Command) {
	c.Flags().BoolVar(&f.strict, "strict", false, "write nothing if an item is not as the plan saw it, instead of leaving those alone")
}

func (f *writeFlags) addNoNotify(c *cobra.Command) {
	c.Flags().BoolVar(&f.noNotify, "no-notify", false, "tell nobody of those under notify: of the job how it ended")
}

func (a *app) runCommand(ctx context.Context, path string, flags writeFlags, end *ending) (err error) {
	job, err := a.loadJob(path, false)
	if err != nil {
		return err
	}
	end.Job = job.Name
	end.tell(job, flags)
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	release, err := a.hold(ctx, j, job.Portal, job.Dir, job.Name, flags.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	p, err := a.planJob(ctx, j, job, nil)
	if err != nil {
		return err
	}
	return a.approveAndApply(ctx, j, p, flags, end)
}

// ending is what is known of a run that may not come about.
type ending struct {
	engine.Result
	told bool // the run came about, and its result was printed

	job *engine.Job  // whose people are told; nil: nobody is
	run *journal.Run // nil: it never came to one
}

// tellEnd tells how a command ended, once the portal is free for others: the
// people whom the job names, and, as JSON, a program that reads the output where
// it never came to a run. It always finds one object, unless what was typed is
// wrong.
func (a *app) tellEnd(ctx context.Context, end *ending, err error) error {
	if err != nil && !end.told {
		end.failed(ctx, a.started, err)
		if a.flags.format == "json" && codeOf(ctx, err) != exitUsage {
			err = errors.Join(err, report.Run{Result: &end.Result}.JSON(a.stdout))
		}
	}
	a.notify(ctx, end)
	return err
}

// failed fills in what is known of a run that did not come about.
func (e *ending) failed(ctx context.Context, began time.Time, err error) {
	e.Format, e.Error = engine.PlanFormat, mask(err.Error())
	e.Started, e.Finished = began, time.Now()
	switch codeOf(ctx, err) {
	case exitRefused:
		e.Status = engine.StatusRefused
	case exitInterrupted:
		e.Status = engine.StatusInterrupted
	default:
		e.Status = engine.StatusFailed
	}
}

// approveAndApply asks about a plan, applies it and shows the result.
func (a *app) approveAndApply(ctx context.Context, j *journal.Journal, p *planned, flags writeFlags, end *ending) error {
	h := p.plan.Header()
	end.Job, end.Plan, end.Portal = h.Job, h.ID, h.Portal.Address
	end.Undoes, end.Retries = h.Undoes, h.Retries
	end.Steps, end.Usage = engine.StepResults(h, nil), p.session.Usage()
	if err := p.refusal(); err != nil {
		return err
	}
	if err := flags.allow(h); err != nil {
		return err
	}
	if !flags.yes && h.Summary.Writes() > 0 {
		if err := a.approve(ctx, p.view(0)); err != nil {
			end.job = nil // who says no knows
			return err
		}
	} else {
		for _, w := range h.Warnings {
			a.log.Warn(w)
		}
	}
	if p.approved != nil {
		if err := p.approved(ctx); err != nil {
			return err
		}
	}
	run, res, err := a.applyPlan(ctx, j, p, flags)
	if run != nil {
		end.Run, end.run = run.ID(), run
	}
	return a.tellRun(ctx, run, res, err, end)
}

// tellRun shows how a run ended, and turns that into the exit code.
func (a *app) tellRun(ctx context.Context, run *journal.Run, res *engine.Result, err error, end *ending) error {
	if res == nil {
		return err
	}
	end.Result = *res
	view := report.Run{Result: res, Changes: run, Rows: 20, Next: a.afterRun(res)}
	if showing := a.showRun(context.WithoutCancel(ctx), view); showing != nil {
		return errors.Join(err, showing)
	}
	end.told = true
	if err != nil && res.Error == "" && res.Status != engine.StatusInterrupted {
		end.failed(ctx, res.Started, err)
		return err
	}
	return exit(codeOfRun(res))
}

func (a *app) showRun(ctx context.Context, r report.Run) error {
	if a.flags.format == "json" {
		return r.JSON(a.stdout)
	}
	return r.Text(ctx, a.stdout, a.terminal(a.stdout))
}

// afterRun is what to type after a run that left something to do.
func (a *app) afterRun(r *engine.Result) string {
	var next []string
	switch r.Status {
	case engine.StatusInterrupted, engine.StatusFailed:
		next = append(next, a.there("resume", shortRun(r.Run)))
	case engine.StatusPartial, engine.StatusSucceeded, engine.StatusRefused, engine.StatusRunning:
	}
	failed := slices.ContainsFunc(r.Steps, func(s engine.StepResult) bool { return s.Failed+s.Conflicts > 0 })
	if failed {
		next = append(next, a.command("show", shortRun(r.Run), "--failed", "--format", "csv")+" > failed.csv")
	}
	if failed && r.Status == engine.StatusPartial && r.Undoes == "" {
		next = append(next, a.there("retry", shortRun(r.Run)))
	}
	return strings.Join(next, "\n")
}

// shortRun is the beginning of a run's id: its time, which is enough to find it.
func shortRun(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}

// command is a command line to be typed next, with the state folder that this
// one was given.
func (a *app) command(args ...string) string {
	if a.flags.stateGiven {
		args = append(args, "--state", a.flags.state)
	}
	words := []string{"bxflow"}
	for _, arg := range args {
		if strings.ContainsAny(arg, " \t\"'$&|<>()*?;") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// there is command for the portal of this command line's run, which the run itself
// knows unless it was given by its URL.
func (a *app) there(args ...string) string {
	if strings.Contains(a.flags.portal, "://") {
		args = append(args, "--portal", mask(a.flags.portal))
	}
	return a.command(args...)
}

// again is command for the same portal and parameters as this command line's.
// The secret of a portal that was given by its URL is masked.
func (a *app) again(args ...string) string {
	if a.flags.portal != "" {
		args = append(args, "--portal", mask(a.flags.portal))
	}
	for _, l := range a.flags.limits {
		args = append(args, "--limits", l)
	}
	for _, p := range a.flags.params {
		args = append(args, "--param", p)
	}
	return a.command(args...)
}
