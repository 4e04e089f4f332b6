package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/engine/schedule"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// loadJob reads a job file with the parameters of the command line.
func (a *app) loadJob(path string, checkOnly bool) (*engine.Job, error) {
	params, err := a.params()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, usage("%s is a folder; name one of the job files in it", path)
	}
	job, err := jobs.Load(path, jobs.Options{
		Kinds: steps.All(), Table: steps.EachRow, Params: params, Getenv: a.getenv, CheckSchedule: checkSchedule, CheckOnly: checkOnly,
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, usage("%w", err)
	}
	return job, err
}

// checkSchedule judges a job's schedule as the scheduler will.
func checkSchedule(s engine.Schedule) (warnings []string, err error) {
	parsed, err := schedule.Parse(schedule.Spec{
		Cron: s.Cron, Timezone: s.Timezone, Overlap: schedule.Overlap(s.Overlap), CatchUp: schedule.CatchUp(s.CatchUp),
	})
	if err != nil {
		return nil, err
	}
	return parsed.Warnings(), nil
}

// jobFiles are the job files of a folder, in the order of their names.
func jobFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usage("%w", err)
	}
	var paths []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.IsDir() && e.Name() != configName && slices.Contains([]string{".yaml", ".yml"}, ext) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// planned is a job with its plan.
type planned struct {
	job     *engine.Job
	plan    *journal.Plan
	session *session
	catalog *engine.Catalog
	before  engine.Usage   // of the portal, when planning began
	broken  []string       // the guards that do not hold
	earlier *engine.Result // of a run that is resumed
	// approved is done once the plan may be applied, before it is; may be nil.
	approved func(context.Context) error
}

// view is the plan as it is shown.
func (p *planned) view(rows int) report.Plan {
	return report.Plan{Header: p.plan.Header(), Changes: p.plan, Catalog: p.catalog, Rows: rows, Broken: p.broken}
}

// refusal is the error of a plan that may not be applied, or nil.
func (p *planned) refusal() error {
	if p.broken == nil {
		return nil
	}
	return &engine.GuardError{Broken: p.broken}
}

// planJob plans a job in a journal. A broken guard is no error here: the plan
// can be shown.
func (a *app) planJob(ctx context.Context, j *journal.Journal, job *engine.Job, retry *engine.Retry) (*planned, error) {
	s, err := a.openPortal(job.Portal, job.Dir)
	if err != nil {
		return nil, err
	}
	if err := a.outlast(ctx, j, s); err != nil {
		return nil, err
	}
	elsewhere, err := a.openElsewhere(job)
	if err != nil {
		return nil, err
	}
	before := s.Usage()
	draft, header, err := a.plan(ctx, j, engine.PlanOptions{
		History: history{a}, Job: job, PortalRef: s.target.ref, Catalogue: s, Reader: s, Elsewhere: elsewhere, Gauge: s, Retry: retry, Fence: fence(s), Progress: a.progress.Update,
	})
	if draft == nil {
		return nil, err
	}
	p := &planned{job: job, session: s, before: before}
	var guard *engine.GuardError
	switch {
	case errors.As(err, &guard):
		p.broken = guard.Broken
	case err != nil:
		return nil, errors.Join(err, draft.Discard(context.WithoutCancel(ctx)))
	}
	if p.catalog, err = s.Catalog(ctx, header.Needs); err != nil {
		return nil, err
	}
	p.plan, err = j.Plan(ctx, header.ID)
	return p, err
}

// plan plans a job, once what was just made is in the portal's lists. The draft is
// nil if none could be begun.
func (a *app) plan(ctx context.Context, j *journal.Journal, o engine.PlanOptions) (engine.Draft, *engine.Header, error) {
	told := false
	for pause := time.Second; ; pause = min(2*pause, 10*time.Second) {
		draft, err := j.NewDraft(ctx)
		if err != nil {
			return nil, nil, err
		}
		o.Draft, o.Now = draft, time.Now()
		header, err := engine.Plan(ctx, o)
		a.progress.Done(err != nil)
		unlisted, ok := errors.AsType[*engine.UnlistedError](err)
		if !ok {
			return draft, header, err
		}
		if err := draft.Discard(ctx); err != nil {
			return nil, nil, err
		}
		if !told {
			a.log.Info("the portal's lists don't show yet what a run has just made; waiting for them, so that nothing is made twice", "at most", time.Until(unlisted.Until).Round(time.Second))
			told = true
		}
		if err := wait(ctx, min(pause, time.Until(unlisted.Until))); err != nil {
			return nil, nil, err
		}
	}
}

// applyPlan applies a sealed plan as a run of its own. The result comes back
// whenever the run has begun.
func (a *app) applyPlan(ctx context.Context, j *journal.Journal, p *planned, flags writeFlags) (*journal.Run, *engine.Result, error) {
	if err := a.outlast(ctx, j, p.session); err != nil {
		return nil, nil, err
	}
	run, err := j.Begin(ctx, p.plan.ID(), time.Now())
	if err != nil {
		return nil, nil, err
	}
	res, err := a.applyRun(ctx, run, p, flags)
	return run, res, err
}

// applyRun applies what is left of a run's plan, and moves the files that it has
// read once it has ended.
func (a *app) applyRun(ctx context.Context, run *journal.Run, p *planned, flags writeFlags) (*engine.Result, error) {
	res, err := a.applyChanges(ctx, run, p, flags)
	if res != nil {
		a.fileAway(ctx, run, res)
	}
	return res, err
}

// applyChanges applies what is left of a run's plan. After its canary it asks
// whether to go on, where there is somebody to be asked.
func (a *app) applyChanges(ctx context.Context, run *journal.Run, p *planned, flags writeFlags) (*engine.Result, error) {
	a.log.Debug("run begins", "run", run.ID(), "job", run.Header().Job, "portal", p.session.Address())
	defer context.AfterFunc(ctx, func() {
		a.log.Warn("stopping once what is under way is done; a second signal stops at once, and resume goes on after both")
	})()
	o := a.applyOptions(run, p, flags)
	res, err := engine.Apply(ctx, o)
	a.progress.Done(err != nil)
	canary, stopped := errors.AsType[*engine.CanaryError](err)
	if !stopped || flags.yes || !isTerminal(a.stdin) {
		return res, err
	}
	if showing := a.showCanary(ctx, run, res); showing != nil {
		return res, errors.Join(err, showing)
	}
	no := a.ask(ctx, fmt.Sprintf("The first %d records are done. Go on with the %d changes that are left?", canary.Records, canary.Left))
	if no != nil {
		return res, err
	}
	if err := run.Resume(ctx); err != nil {
		return res, err
	}
	o.Started, o.Before, o.Earlier, o.Canary = time.Now(), p.session.Usage(), res, 0
	res, err = engine.Apply(ctx, o)
	a.progress.Done(err != nil)
	return res, err
}

func (a *app) applyOptions(run *journal.Run, p *planned, flags writeFlags) engine.ApplyOptions {
	return engine.ApplyOptions{
		Header: run.Header(), RunID: run.ID(), Started: time.Now(), Catalog: p.catalog,
		Reader: p.session, Writer: p.session, Gauge: p.session, Before: p.before, Log: run,
		Fence: fence(p.session), Recheck: flags.saved, Strict: flags.strict, Canary: flags.canary, Earlier: p.earlier,
		Progress: a.progress.Update,
	}
}

// showCanary shows how the first records went, where the question is asked.
func (a *app) showCanary(ctx context.Context, run *journal.Run, res *engine.Result) error {
	return report.Run{Result: res, Changes: run, Rows: 20}.Text(ctx, a.progress, a.terminal(a.stderr))
}
