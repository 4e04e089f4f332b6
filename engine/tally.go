package engine

import (
	"fmt"
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

// begin takes over what an earlier part of the run did.
func (t *tally) begin(o *ApplyOptions, totals []Total) {
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
	if o.Header.OnError.Exceeded(t.failed, t.settled) {
		return &StopError{Reason: fmt.Sprintf("%d of %d changes failed, which on_error of the job does not allow", t.failed, t.settled)}
	}
	for step, rule := range o.Header.StepError {
		if s := t.bySteps[step]; s != nil && rule.Exceeded(s.failed, s.settled) {
			return &StopError{Reason: fmt.Sprintf("%d of %d changes of step %s failed, which its on_error does not allow", s.failed, s.settled, step)}
		}
	}
	return nil
}

func (t *tally) report(o *ApplyOptions) {
	if o.Progress != nil {
		o.Progress(Progress{Phase: "apply", Done: t.settled, Total: t.total, Failed: t.failed, Limit: o.Gauge.Status()})
	}
}
