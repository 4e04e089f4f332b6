package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/daemon"
	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

func newServeCommand(a *app) *cobra.Command {
	var addr string
	c := &cobra.Command{
		Use:   "serve DIR",
		Short: "Run the jobs of a folder on their schedules",
		Long: `Run the jobs of a folder whenever their schedule says so, without asking, until
told to stop. A job of mode plan only logs what it would change. Files may come,
change and go meanwhile; one that is broken is logged, and the version before it
goes on. A page with the jobs, their next due times and the last runs is at
--addr, metrics for Prometheus at /metrics beside it, and /healthz.`,
		Example: `  bxflow serve jobs
  bxflow serve jobs --addr 127.0.0.1:9000 --log-format json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.serveCommand(c.Context(), args[0], addr)
		},
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8024", "`address` of the page and the metrics; empty: none")
	return c
}

func (a *app) serveCommand(ctx context.Context, dir, addr string) (err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return usage("%w", err)
	}
	if !info.IsDir() {
		return usage("%s: serve takes a folder of job files; to run one job now, use run", dir)
	}
	if err := a.logOnly(); err != nil {
		return err
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	history, err := daemon.OpenHistory(state)
	if errors.Is(err, daemon.ErrBusy) {
		return refused("%w", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, history.Close()) }()
	if err := a.mentionUnfinished(ctx); err != nil {
		return err
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	err = daemon.Serve(ctx, daemon.Options{
		Dir: dir, Addr: addr, Version: thisVersion().Version, Log: a.log, History: history,
		Files: jobFiles, Parse: a.parseJob, Portal: a.portalName, Run: a.runScheduled, Runs: a.latestRuns,
		Portals: a.portalStates, Mask: mask, Reload: reload,
	})
	if cut, ok := errors.AsType[*daemon.CutError](err); ok {
		cut.Resume = func(run string) string { return a.command("resume", run) }
		return &exitError{code: exitInterrupted, err: err}
	}
	return err
}

// logOnly turns bars off: what several jobs do at a time goes to the log.
func (a *app) logOnly() error {
	a.progress = report.NewProgress(a.stderr, 0)
	log, err := a.newLogger(a.progress)
	if err != nil {
		return err
	}
	a.log = log
	a.progress.LogTo(log)
	return nil
}

// parseJob reads the text of a job file with the parameters of the command line.
func (a *app) parseJob(path string, text []byte) (*engine.Job, error) {
	params, err := a.params()
	if err != nil {
		return nil, err
	}
	return jobs.Parse(path, text, jobs.Options{
		Kinds: steps.All(), Table: steps.EachRow, Params: params, Getenv: a.getenv, CheckSchedule: checkSchedule,
	})
}

// portalName is what a job's portal is called, without its secret.
func (a *app) portalName(job *engine.Job) (string, error) {
	t, err := a.resolve(job.Portal, job.Dir)
	if err != nil {
		return "", err
	}
	if t.ref != "" {
		return t.ref, nil
	}
	return t.address.String(), nil
}

// runScheduled does what the mode of a job says, without asking.
func (a *app) runScheduled(ctx context.Context, job *engine.Job) (out daemon.Outcome, err error) {
	ctx = portal.ForJob(ctx, job.Name) // jobs that call one portal by several names have one client
	end := ending{job: job}
	end.Job, end.Started = job.Name, time.Now()
	defer func() { out.Tell = a.tellScheduled(job, out, end, err) }()
	j, done, err := a.journalFor(ctx, job)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if job.Mode != engine.ModePlan {
		release, held := a.hold(ctx, j, job.Portal, job.Dir, job.Name, true)
		if held != nil {
			return out, held
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	p, err := a.planJob(ctx, j, job, nil)
	if err != nil {
		return out, err
	}
	out.Header = p.plan.Header()
	if err := p.refusal(); err != nil || job.Mode == engine.ModePlan {
		return out, err
	}
	end.run, out.Result, err = a.applyPlan(ctx, j, p, writeFlags{maxDeletes: unlimited})
	return out, err
}

// tellScheduled is what tells people how a job ended.
func (a *app) tellScheduled(job *engine.Job, out daemon.Outcome, end ending, err error) func(context.Context) {
	return func(ctx context.Context) {
		switch {
		case out.Result != nil && (err == nil || out.Result.Error != ""):
			end.Result = *out.Result
		case err != nil:
			end.failed(ctx, end.Started, err)
		default:
			a.notifyPlan(ctx, job, out.Header)
			return
		}
		a.notify(ctx, &end)
	}
}

// journalFor returns where a job's plan goes: one that is never applied leaves
// no trace.
func (a *app) journalFor(ctx context.Context, job *engine.Job) (j *journal.Journal, done func() error, err error) {
	if job.Mode != engine.ModePlan {
		j, err = a.openJournal(ctx)
		return j, func() error { return nil }, err
	}
	dir, err := a.stateDir()
	if err != nil {
		return nil, nil, err
	}
	j, err = journal.Scratch(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return j, j.Close, nil
}

// latestRuns lists the runs of the state folder, the last one first.
func (a *app) latestRuns(ctx context.Context) ([]engine.Result, error) {
	j, err := a.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	return allRuns(ctx, j)
}

// portalStates is how the portals stand that were opened so far. Those of one
// address share its limits, and count as one.
func (a *app) portalStates() []daemon.PortalState {
	a.res.mu.Lock()
	defer a.res.mu.Unlock()
	var states []daemon.PortalState
	for _, key := range slices.Sorted(maps.Keys(a.res.sessions)) {
		s := a.res.sessions[key]
		state := daemon.PortalState{Portal: s.Address().String(), Load: s.Load(), Usage: s.Usage()}
		if s.target.sandbox != "" {
			state.Portal = s.target.sandbox
		}
		i := slices.IndexFunc(states, func(other daemon.PortalState) bool { return other.Portal == state.Portal })
		if i < 0 {
			states = append(states, state)
			continue
		}
		states[i].Usage = states[i].Usage.Plus(state.Usage)
		states[i].Load.InFlight += state.Load.InFlight
	}
	return states
}

// mentionUnfinished opens the journal and says which runs wait to be resumed.
func (a *app) mentionUnfinished(ctx context.Context) error {
	j, err := a.openJournal(ctx)
	if err != nil {
		return err
	}
	runs, err := j.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if res := run.Result(); res.Status != engine.StatusRunning || run.Crashed() {
			a.log.Warn("run was cut short", "run", run.ID(), "job", res.Job, "remedy", a.command("resume", run.ID()))
		}
	}
	return nil
}
