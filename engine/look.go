package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/bxflow/bxflow/engine/crash"
)

// look is one look at the portal: it answers what became of changes whose
// answers were lost, and whether the portal still is as changes that are to
// leave expect it.
type look struct {
	doubts []*task
	stale  []*task
	at     sight
}

// inquiry gathers what a look asks, so that it goes in one request, and what to
// do with each answer.
type inquiry struct {
	lookups []Lookup
	judges  []func(found [][]Item)
}

// add asks something. The judges are called in the order in which they were
// added, once all answers are there.
func (q *inquiry) add(l Lookup, judge func(found [][]Item)) {
	q.lookups = append(q.lookups, l)
	q.judges = append(q.judges, judge)
}

// ask puts the questions of an inquiry to the portal, and its answers to the
// judges.
func (r *runner) ask(ctx context.Context, q *inquiry) error {
	if len(q.lookups) == 0 {
		return nil
	}
	answers, err := r.o.Reader.FindAll(ctx, q.lookups)
	if err != nil {
		return err
	}
	for i, judge := range q.judges {
		judge(answers[i])
	}
	return nil
}

// look takes a look at the portal, and settles what it shows to be settled.
func (r *runner) look(ctx context.Context, l *look) error {
	if err := r.compare(ctx, l); err != nil {
		r.queue.notLooked(l)
		switch {
		case ctx.Err() != nil: // a run that is being stopped leaves them to its resumption
			return nil
		case len(l.doubts) > 0:
			return &StopError{Reason: "what became of sent changes can't be found out", Err: err}
		}
		return err
	}
	var settled []*Change
	for _, t := range l.doubts {
		t.giveUp()
		if !t.change.State.inDoubt() {
			settled = append(settled, t.change)
		}
	}
	for _, t := range l.stale {
		if t.change.State.Final() {
			settled = append(settled, t.change)
		}
	}
	if err := r.settle(ctx, settled); err != nil {
		return err
	}
	return r.settle(ctx, r.queue.looked(l))
}

// compare asks the portal, and gives the changes the states that its answers
// show. A change that turns out not done past its fence is to be sent again: the
// same answers tell whether it still may.
func (r *runner) compare(ctx context.Context, l *look) error {
	var lost, changes []*Change
	for _, t := range l.doubts {
		lost = append(lost, t.change)
		if t.change.Kind != KindCreate || r.expired(t.change, l.at.time) {
			changes = append(changes, t.change)
		}
	}
	for _, t := range l.stale {
		changes = append(changes, t.change)
	}
	for _, c := range changes {
		if c.ID == 0 && c.Kind != KindCreate {
			c.ID = r.queue.made(c.Ref)
		}
	}
	q := &inquiry{}
	if err := r.askLost(q, lost, l.at.time); err != nil {
		return err
	}
	if err := r.askDrift(q, changes, l.at.time); err != nil {
		return err
	}
	if len(l.doubts) > 0 {
		crash.At(crash.LookupBefore)
	}
	if err := r.ask(ctx, q); err != nil {
		return err
	}
	if len(l.doubts) > 0 {
		crash.At(crash.LookupAnswered)
	}
	if len(l.stale) > 0 {
		crash.At(crash.DriftRead)
	}
	return nil
}

// giveUp has a change fail that was not done once more, if it was sent often enough:
// the portal, or what stands before it, breaks on it.
func (t *task) giveUp() {
	c := t.change
	if c.State != StatePlanned {
		return
	}
	if t.lost++; t.lost < mostLost {
		return
	}
	c.State = StateFailed
	c.Error = fmt.Sprintf("sent %d times and never done, for the portal gives no usable answer to it: %s; look for the cause there, then retry the run", t.lost, t.fault)
	if c.TypeID == TypeCall { // of which the portal can't be asked whether it was made
		c.State = StateQuarantined
		c.Error = fmt.Sprintf("sent %d times without a usable answer, and it may have been done or not: %s; look at the portal, and retry the run if it was not", t.lost, t.fault)
	}
}

// expired says whether a change can't be running any more.
func (r *runner) expired(c *Change, now time.Time) bool {
	return now.Sub(time.UnixMilli(c.SentAt)) >= c.longest(r.o.Fence)
}
