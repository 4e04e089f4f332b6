package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
)

func newRunCommand(a *app) *cobra.Command {
	var yes bool
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
			if err := a.mayAsk(yes); err != nil {
				return err
			}
			ended := &engine.Result{}
			err := a.runCommand(c.Context(), args[0], yes, ended)
			return a.tellEnd(c.Context(), ended, err)
		},
	}
	addYes(c, &yes)
	return c
}

func addYes(c *cobra.Command, yes *bool) {
	c.Flags().BoolVarP(yes, "yes", "y", false, "apply without asking")
}

func (a *app) runCommand(ctx context.Context, path string, yes bool, ended *engine.Result) error {
	job, err := a.loadJob(path, false)
	if err != nil {
		return err
	}
	ended.Job = job.Name
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	p, err := a.planJob(ctx, j, job)
	if err != nil {
		return err
	}
	describe(ended, p)
	return a.approveAndApply(ctx, j, p, yes)
}

// describe notes what is known of a run that may not come about.
func describe(ended *engine.Result, p *planned) {
	h := p.plan.Header()
	ended.Job, ended.Plan, ended.Portal = h.Job, h.ID, h.Portal.Address
	ended.Steps, ended.Usage = engine.StepResults(h, nil), p.session.Usage()
}

// tellEnd prints, as JSON, how a command ended that never came to a run: a
// program that reads its output always finds one object, unless what was typed
// is wrong.
func (a *app) tellEnd(ctx context.Context, ended *engine.Result, err error) error {
	var told *exitError
	if err == nil || a.flags.format != "json" || errors.As(err, &told) && told.err == nil {
		return err
	}
	ended.Format, ended.Error = engine.PlanFormat, mask(err.Error())
	switch codeOf(ctx, err) {
	case exitUsage:
		return err
	case exitRefused:
		ended.Status = engine.StatusRefused
	case exitInterrupted:
		ended.Status = engine.StatusInterrupted
	default:
		ended.Status = engine.StatusFailed
	}
	return errors.Join(err, report.Run{Result: ended}.JSON(a.stdout))
}

// approveAndApply asks about a plan, applies it and shows the result.
func (a *app) approveAndApply(ctx context.Context, j *journal.Journal, p *planned, yes bool) error {
	h := p.plan.Header()
	if err := p.refusal(); err != nil {
		return err
	}
	if !yes && h.Summary.Writes() > 0 {
		if err := a.approve(ctx, p.view(0)); err != nil {
			return err
		}
	} else {
		for _, w := range h.Warnings {
			a.log.Warn(w)
		}
	}
	run, res, err := a.applyPlan(ctx, j, p)
	if run == nil {
		return err
	}
	view := report.Run{Result: res, Changes: run, Rows: 20, Next: a.afterRun(res)}
	if showing := a.showRun(context.WithoutCancel(ctx), view); showing != nil {
		return errors.Join(err, showing)
	}
	if err != nil && res.Error == "" && res.Status != engine.StatusInterrupted {
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
		next = append(next, a.command("resume", shortRun(r.Run)))
	case engine.StatusPartial, engine.StatusSucceeded, engine.StatusRefused, engine.StatusRunning:
	}
	for _, s := range r.Steps {
		if s.Failed+s.Conflicts > 0 {
			next = append(next, a.command("show", shortRun(r.Run), "--failed", "--format", "csv")+" > failed.csv")
			break
		}
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
	line := "bxflow"
	for _, arg := range args {
		if strings.ContainsAny(arg, " \t\"'$&|<>()*?;") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		line += " " + arg
	}
	if a.flags.stateGiven {
		line += " --state " + a.flags.state
	}
	return line
}
