package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
)

type planFlags struct {
	out      string
	rows     int
	all      bool
	verbose  bool
	detailed bool
}

func newPlanCommand(a *app) *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:               "plan JOB",
		ValidArgsFunction: completeJobs,
		Short:             "Show what a job would change; write nothing",
		Long: `Read the job's data, look everything up, and show exactly what the job would
change. Nothing is written to the portal. Exit code 10 with --detailed-exitcode
says that there are changes.`,
		Example: `  bxflow plan onboarding.yaml
  bxflow plan onboarding.yaml --out onboarding.plan
  bxflow plan onboarding.yaml --format html > plan.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json", "html", "csv"); err != nil {
				return err
			}
			if flags.rows < 0 {
				return usage("--rows %d is less than none; 0 shows all", flags.rows)
			}
			if err := maySave(flags.out); err != nil {
				return err
			}
			return a.planCommand(c.Context(), args[0], flags)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.out, "out", "", "save the plan to this `file`, for apply")
	f.IntVar(&flags.rows, "rows", 20, "how many changes the text shows; 0: all, the skipped ones too")
	f.BoolVar(&flags.all, "all", false, "list the unchanged too")
	f.BoolVarP(&flags.verbose, "verbose", "v", false, "tell in the text how items were looked up, and why so")
	f.BoolVar(&flags.detailed, "detailed-exitcode", false, "exit with 10 if there are changes")
	return c
}

func (a *app) planCommand(ctx context.Context, path string, flags planFlags) (err error) {
	job, err := a.loadJob(path, false)
	if err != nil {
		return err
	}
	dir, err := a.stateDir()
	if err != nil {
		return err
	}
	// Nothing applies this plan but through its file: the journal needs no trace.
	j, err := journal.Scratch(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	p, err := a.planJob(ctx, j, job, nil)
	if err != nil {
		return err
	}
	view := p.view(flags.rows)
	next := a.again("run", path)
	reads := p.session.Usage().Since(p.before).Requests // which a run makes again
	if flags.out != "" && p.broken == nil {
		if err := savePlan(ctx, j, p.plan, flags.out); err != nil {
			return err
		}
		next, reads = a.applyAgain(flags.out), startReads
		if view.Header.Estimate, err = engine.EstimateSaved(ctx, p.plan, p.session, fence(p.session)); err != nil {
			return err
		}
	}
	view.All, view.Next, view.Searches = flags.all, next, flags.verbose
	view.Header.Estimate.Requests += reads
	view.Header.Estimate.Reads += reads
	if err := a.showPlan(ctx, view); err != nil {
		return err
	}
	switch {
	case p.broken != nil:
		return p.refusal()
	case flags.detailed && view.Header.Summary.Writes() > 0:
		return exit(exitChanges)
	}
	return nil
}

// startReads are the requests by which apply learns who it is on the portal and
// what the plan's names stand for.
const startReads = 1

// applyAgain is the command that applies a saved plan. Its parameters are in it.
func (a *app) applyAgain(file string) string {
	if a.flags.portal == "" {
		return a.command("apply", file)
	}
	return a.command("apply", file, "--portal", mask(a.flags.portal))
}

func (a *app) showPlan(ctx context.Context, p report.Plan) error {
	switch a.flags.format {
	case "json":
		return p.JSON(ctx, a.stdout)
	case "html":
		return p.HTML(ctx, a.stdout)
	case "csv":
		return p.CSV(ctx, a.stdout)
	}
	return p.Text(ctx, a.stdout, a.terminal(a.stdout))
}

// maySave says whether a plan's file can be written, before a plan is made that may
// take long. An empty path is none.
func maySave(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return usage("--out %s is not a file", path)
	}
	f, err := besideFile(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// besideFile makes the file that becomes a plan's when it is complete.
func besideFile(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600, as a plan shows people's data
	if err != nil {
		return nil, usage("--out %s: %w", path, errors.Unwrap(err)) // without the name that nobody gave
	}
	return f, nil
}

// savePlan writes a plan's file, whole or not at all.
func savePlan(ctx context.Context, j *journal.Journal, p *journal.Plan, path string) (err error) {
	f, err := besideFile(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed
			err = errors.Join(fmt.Errorf("--out: %w", err), os.Remove(f.Name()))
		}
	}()
	if err := j.Export(ctx, p, f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
