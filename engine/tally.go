package engine

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// tally counts the settled changes of a run, for its progress and for on_error.
type tally struct {
	mu      sync.Mutex
	total   int
	settled int
	failed  int
	bySteps map[string]*stepTally
}

type stepTally struct{ settled, failed int }

// begin takes over the rows that the plan found invalid and what an earlier part
// of the run did.
func (t *tally) begin(o *ApplyOptions, totals []Total) error {
	t.bySteps = map[string]*stepTally{}
	for _, total := range totals {
		if !total.Kind.Writes() {
			if total.Kind == KindInvalid {
				t.add(total.Step, total.N, total.N)
				t.total += total.N
			}
			continue
		}
		t.total += total.N
		switch {
		case total.State == StateFailed || total.State == StateQuarantined:
			t.add(total.Step, total.N, total.N)
		case total.State.Final():
			t.add(total.Step, total.N, 0)
		}
	}
	t.report(o)
	return t.exceeded(o)
}

func (t *tally) add(step string, settled, failed int) {
	s := t.bySteps[step]
	if s == nil {
		s = &stepTally{}
		t.bySteps[step] = s
	}
	s.settled += settled
	s.failed += failed
	t.settled += settled
	t.failed += failed
}

// count takes over changes that were just settled, and returns a [StopError]
// when too many have failed.
func (t *tally) count(o *ApplyOptions, changes []*Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		if !c.State.Final() {
			continue
		}
		failed := 0
		if c.State == StateFailed || c.State == StateQuarantined {
			failed = 1
		}
		t.add(c.Step, 1, failed)
	}
	t.report(o)
	return t.exceeded(o)
}

// exceeded returns a [StopError] when more has failed than the job allows. Rows
// that the plan found invalid count too, so that they may stop a run before it
// writes.
func (t *tally) exceeded(o *ApplyOptions) error {
	if o.Header.OnError.Exceeded(t.failed, o.Header.Rows) {
		return &StopError{Reason: fmt.Sprintf("failures: %d in %d rows, which the job's on_error does not allow", t.failed, o.Header.Rows)}
	}
	for _, step := range slices.Sorted(maps.Keys(o.Header.StepError)) {
		s := t.bySteps[step]
		if s != nil && o.Header.StepError[step].Exceeded(s.failed, o.Header.Rows) {
			return &StopError{Reason: fmt.Sprintf("step %s: failures: %d in %d rows, which its on_error does not allow", step, s.failed, o.Header.Rows)}
		}
	}
	return nil
}

func (t *tally) report(o *ApplyOptions) {
	if o.Progress != nil {
		o.Progress(Progress{Phase: "apply", Done: t.settled, Total: t.total, Failed: t.failed, Limit: o.Gauge.Status()})
	}
}
