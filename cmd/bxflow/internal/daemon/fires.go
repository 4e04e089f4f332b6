package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/schedule"
)

// fire is the last thing that happened to a job at a due time.
type fire struct {
	Due     time.Time
	Began   time.Time
	Took    time.Duration
	Outcome string // a status of a run, planned, or an event's word
	Run     string
	Summary engine.Counts
	Error   string
}

// The outcomes beside the statuses of a run.
const outcomePlanned = "planned"

// fires runs jobs, and notes and logs what becomes of them.
type fires struct {
	Options
	metrics *metrics

	mu      sync.Mutex
	portals map[string]chan struct{} // a place for one run each
	last    map[string]fire          // by job
	wasCut  CutError
}

func newFires(o Options, m *metrics) *fires {
	return &fires{Options: o, metrics: m, portals: map[string]chan struct{}{}, last: map[string]fire{}}
}

// run does a job once its portal is free, and has people told when it is free again.
func (r *fires) run(ctx context.Context, f *file, due time.Time) error {
	log := r.Log.With("job", f.job.Name, "due", due)
	began, outcome, err := r.alone(ctx, f, log)
	err = r.note(ctx, log, f, due, began, outcome, err)
	if outcome.Tell != nil {
		outcome.Tell(ctx)
	}
	return err
}

// alone does a job while it has its portal.
func (r *fires) alone(ctx context.Context, f *file, log *slog.Logger) (began time.Time, o Outcome, err error) {
	release, err := r.claim(ctx, f.portal, log)
	began = time.Now()
	if err != nil {
		return began, o, err
	}
	defer release()
	// A job of its own for each run: planning fills in what it finds.
	job, err := r.Parse(f.path, f.text)
	if err != nil {
		return began, o, err
	}
	o, err = r.Run(ctx, job)
	return began, o, err
}

// claim waits until no other job runs on the portal.
func (r *fires) claim(ctx context.Context, portal string, log *slog.Logger) (release func(), err error) {
	r.mu.Lock()
	place := r.portals[portal]
	if place == nil {
		place = make(chan struct{}, 1)
		r.portals[portal] = place
	}
	r.mu.Unlock()
	select {
	case place <- struct{}{}:
	default:
		log.Info("job waits for its portal", "portal", portal)
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() { <-place }, nil
}

// note records how a job ended, and logs it.
func (r *fires) note(ctx context.Context, log *slog.Logger, f *file, due, began time.Time, o Outcome, err error) error {
	last := fire{Due: due, Began: began, Took: time.Since(began), Outcome: outcomePlanned}
	attrs := []any{slog.Float64("seconds", last.Took.Round(time.Millisecond).Seconds())}
	if o.Header != nil {
		last.Summary = o.Header.Summary
		attrs = append(attrs, "plan", o.Header.ID, counts(o.Header.Summary))
	}
	_, guarded := errors.AsType[*engine.GuardError](err)
	switch {
	case o.Result != nil:
		last.Outcome, last.Run = string(o.Result.Status), o.Result.Run
		attrs = append(attrs, "run", o.Result.Run, "requests", o.Result.Requests, "rejected", o.Result.Rejected)
		if n := len(o.Result.Moved); n > 0 {
			attrs = append(attrs, "files", n)
		}
	case guarded:
		last.Outcome = string(engine.StatusRefused)
	case err != nil && ctx.Err() != nil:
		last.Outcome = string(engine.StatusInterrupted)
	case err != nil:
		last.Outcome = string(engine.StatusFailed)
	}
	attrs = append(attrs, "outcome", last.Outcome)
	if err != nil {
		last.Error = r.Mask(err.Error())
		attrs = append(attrs, "error", err)
	}
	log.Log(ctx, levelOf(last.Outcome), "job ended", attrs...)
	r.metrics.ended(f.job.Name, last, o)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[f.job.Name] = last
	switch {
	case last.Outcome != string(engine.StatusInterrupted):
	case last.Run != "":
		r.wasCut.Runs = append(r.wasCut.Runs, last.Run)
	default:
		r.wasCut.Jobs = append(r.wasCut.Jobs, f.job.Name)
	}
	return err
}

// counts are the changes of a plan by kind, those that are not zero.
func counts(c engine.Counts) slog.Attr {
	var attrs []any
	for _, n := range kinds(c) {
		if n.count != 0 {
			attrs = append(attrs, slog.Int(n.kind, n.count))
		}
	}
	return slog.Group("changes", attrs...)
}

// kindCount is how many changes of one kind a plan has.
type kindCount struct {
	kind  string
	count int
}

func kinds(c engine.Counts) []kindCount {
	return []kindCount{
		{"create", c.Create},
		{"update", c.Update},
		{"move", c.Move},
		{"delete", c.Delete},
		{"unchanged", c.Unchanged},
		{"skip", c.Skip},
		{"invalid", c.Invalid},
		{"conflict", c.Conflict},
	}
}

func levelOf(outcome string) slog.Level {
	switch outcome {
	case string(engine.StatusSucceeded), outcomePlanned:
		return slog.LevelInfo
	case string(engine.StatusPartial), string(engine.StatusInterrupted):
		return slog.LevelWarn
	}
	return slog.LevelError
}

// observe logs what the runner does. The end of a job is logged by note, which
// knows more of it, unless it never came to that.
func (r *fires) observe(e schedule.Event) {
	r.metrics.events.WithLabelValues(e.Name, e.Kind.String()).Inc()
	log := r.Log.With("job", e.Name, "due", e.Due)
	if e.Err != nil {
		log = log.With("error", e.Err)
	}
	switch e.Kind {
	case schedule.Started:
		log.Info("job started", "catch_up", e.CatchUp)
	case schedule.Finished:
		r.panicked(log, e)
	case schedule.Queued:
		log.Info("job still runs, it will run once more behind it")
	case schedule.Skipped:
		log.Warn("job still runs, this time is skipped")
		r.missed(e)
	case schedule.Missed:
		log.Warn("job was due while nothing ran, and catch_up is none")
		r.missed(e)
	case schedule.Refused:
		log.Error("job was not started")
		r.missed(e)
	}
}

// panicked reports a job that broke down instead of returning.
func (r *fires) panicked(log *slog.Logger, e schedule.Event) {
	p, broke := errors.AsType[*schedule.PanicError](e.Err)
	if !broke {
		return
	}
	log.Error("job broke down", "stack", p.Stack)
	last := fire{Due: e.Due, Began: e.Due, Outcome: string(engine.StatusFailed), Error: r.Mask(p.Error())}
	r.metrics.ended(e.Name, last, Outcome{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[e.Name] = last
}

// missed notes a due time without a run, unless a run's end is more telling.
func (r *fires) missed(e schedule.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, known := r.last[e.Name]; known && !last.Due.Before(e.Due) {
		return
	}
	last := fire{Due: e.Due, Outcome: e.Kind.String()}
	if e.Err != nil {
		last.Error = r.Mask(e.Err.Error())
	}
	r.last[e.Name] = last
}

// of returns what happened to a job last.
func (r *fires) of(job string) (fire, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, known := r.last[job]
	return last, known
}

// cut returns what was cut short, nil if nothing was.
func (r *fires) cut() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wasCut.Jobs)+len(r.wasCut.Runs) == 0 {
		return nil
	}
	return &r.wasCut
}
