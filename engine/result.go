package engine

import (
	"context"
	"errors"
	"time"
)

// result sums up the run.
func (r *runner) result(ctx context.Context, cause error) (*Result, error) {
	totals, err := r.o.Log.Totals(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	res := &Result{
		Format: PlanFormat, Run: r.o.RunID, Plan: r.o.Header.ID, Job: r.o.Header.Job, Portal: r.o.Header.Portal.Address,
		Undoes: r.o.Header.Undoes, Retries: r.o.Header.Retries,
		Started: r.o.Started.UTC(), Finished: now.UTC(), Usage: r.o.Gauge.Usage().Since(r.o.Before), Seconds: now.Sub(r.o.Started).Seconds(),
		Steps: StepResults(r.o.Header, totals),
	}
	if earlier := r.o.Earlier; earlier != nil {
		res.Started = earlier.Started
		res.Seconds += earlier.Seconds
		res.Usage = res.Plus(earlier.Usage)
		res.Told, res.Moved = earlier.Told, earlier.Moved
	}
	res.Status = status(ctx, totals, cause)
	if cause != nil {
		res.Error = cause.Error()
	}
	return res, nil
}

func status(ctx context.Context, totals []Total, cause error) Status {
	if _, drifted := errors.AsType[*DriftError](cause); drifted {
		return StatusRefused
	}
	if _, canary := errors.AsType[*CanaryError](cause); canary {
		return StatusInterrupted
	}
	switch {
	case cause != nil && ctx.Err() != nil:
		return StatusInterrupted
	case cause != nil:
		return StatusFailed
	}
	for _, t := range totals {
		bad := t.Kind == KindInvalid || t.Kind == KindConflict ||
			t.State == StateFailed || t.State == StateQuarantined || t.State == StateConflict
		if bad && t.N > 0 {
			return StatusPartial
		}
	}
	return StatusSucceeded
}

// StepResults sums totals by step, in the order of the plan.
func StepResults(h *Header, totals []Total) []StepResult {
	out := make([]StepResult, len(h.Steps))
	at := map[string]*StepResult{}
	for i, s := range h.Steps {
		out[i] = StepResult{ID: s.ID, Verb: s.Verb, Entity: s.Entity}
		at[s.ID] = &out[i]
	}
	for _, t := range totals {
		if s := at[t.Step]; s != nil {
			s.add(t)
		}
	}
	return out
}

// Add adds what another step did.
func (s *StepResult) Add(other StepResult) {
	s.Created += other.Created
	s.Updated += other.Updated
	s.Moved += other.Moved
	s.Deleted += other.Deleted
	s.Unchanged += other.Unchanged
	s.Skipped += other.Skipped
	s.Failed += other.Failed
	s.Conflicts += other.Conflicts
}

// ResultCount is how many changes ended in one way.
type ResultCount struct {
	Name string // created, updated, …, as the result's JSON has it
	N    int
}

// ResultCounts sums up what the steps did, in the order of the result's JSON.
func ResultCounts(steps []StepResult) []ResultCount {
	var sum StepResult
	for _, s := range steps {
		sum.Add(s)
	}
	return []ResultCount{
		{"created", sum.Created},
		{"updated", sum.Updated},
		{"moved", sum.Moved},
		{"deleted", sum.Deleted},
		{"unchanged", sum.Unchanged},
		{"skipped", sum.Skipped},
		{"failed", sum.Failed},
		{"conflicts", sum.Conflicts},
	}
}

func (s *StepResult) add(t Total) {
	switch {
	case t.Kind == KindInvalid, t.State == StateFailed, t.State == StateQuarantined:
		s.Failed += t.N
	case t.Kind == KindConflict, t.State == StateConflict:
		s.Conflicts += t.N
	case t.Kind == KindSkip, t.State == StateSkipped:
		s.Skipped += t.N
	case t.Kind == KindNone, t.State == StateUnchanged:
		s.Unchanged += t.N
	case t.State != StateDone:
	case t.Kind == KindCreate:
		s.Created += t.N
	case t.Kind == KindUpdate:
		s.Updated += t.N
	case t.Kind == KindMove:
		s.Moved += t.N
	case t.Kind == KindDelete:
		s.Deleted += t.N
	}
}
