package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// tally counts the settled changes of a run, for its progress and for on_error.
type tally struct {
	mu      sync.Mutex
	total   int
	settled int
	failed  int
	bySteps map[string]*stepTally
	left    float64 // seconds that the limits need for the rest, when last asked
}

// stepTally counts one step. Totals don't tell which creations are imports, so
// those that remain are taken to be like the last one.
type stepTally struct {
	settled, failed int
	open            map[Kind]int // not settled
	creates         string       // method of the last creation
}

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
		default:
			t.step(total.Step).open[total.Kind] += total.N
		}
	}
	t.foresee(o)
	t.report(o)
	return t.exceeded(o)
}

func (t *tally) add(step string, settled, failed int) {
	s := t.step(step)
	s.settled += settled
	s.failed += failed
	t.settled += settled
	t.failed += failed
}

func (t *tally) step(id string) *stepTally {
	s := t.bySteps[id]
	if s == nil {
		s = &stepTally{open: map[Kind]int{}, creates: commandMethod(&Change{Kind: KindCreate})}
		t.bySteps[id] = s
	}
	return s
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
		t.settle(c)
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

// settle takes a change from those that are open. One that a drift made into
// nothing to do was planned as another kind: it is missed in that kind's count
// by one, which a forecast can bear.
func (t *tally) settle(c *Change) {
	s := t.step(c.Step)
	if s.open[c.Kind] > 0 {
		s.open[c.Kind]--
	}
	if c.Kind == KindCreate {
		s.creates = commandMethod(c)
	}
}

// foresee asks how long the limits make the rest take.
func (t *tally) foresee(o *ApplyOptions) {
	if o.Progress == nil {
		return
	}
	commands := map[string]int{}
	for _, s := range t.bySteps {
		for kind, n := range s.open {
			method := commandMethod(&Change{Kind: kind})
			if kind == KindCreate {
				method = s.creates
			}
			commands[method] += n
		}
	}
	t.left = o.Gauge.Forecast(commands).Seconds
}

func (t *tally) report(o *ApplyOptions) {
	if o.Progress != nil {
		o.Progress(Progress{Phase: "apply", Done: t.settled, Total: t.total, Failed: t.failed, Requests: o.Gauge.Usage().Requests, Load: o.Gauge.Load(), Left: t.left})
	}
}

// reportEvery is how often progress is told while nothing is settled: a run that
// waits for the portal's limits must say so.
const reportEvery = time.Second

// keepReporting tells progress until ctx is done.
func (t *tally) keepReporting(ctx context.Context, o *ApplyOptions) {
	if o.Progress == nil {
		return
	}
	every(ctx, reportEvery, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.foresee(o)
		t.report(o)
	})
}
