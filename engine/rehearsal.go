package engine

import (
	"container/heap"
	"context"
	"fmt"
	"time"
)

// Rehearsal is a portal's pace in a time that is only imagined: the requests of a
// run are put to it, and it says when they would leave and be answered. Nothing
// is sent. Its clock goes forward only.
type Rehearsal interface {
	// BatchSize is that of a [Writer] by now.
	BatchSize() int
	// Write has a request leave with some of the commands of these REST methods,
	// and says which ones it carries and when it will be answered. Wait is how
	// long none can leave, as the methods' execution time is used up; then nothing
	// is carried.
	Write(now time.Time, methods []string) (carried []bool, answered time.Time, wait time.Duration)
	// Look has the requests leave that ask for so many keys or ids.
	Look(now time.Time, keys int) (answered time.Time)
	// Answered says that the clock has come to an answer that was foretold.
	Answered(at time.Time)
	// Forecast is what the requests so far came to, of which the last was
	// answered at a time.
	Forecast(ended time.Time) Forecast
}

// mostRehearsed is how many changes of a plan are rehearsed; what more there are
// are reckoned to go on at the same pace.
const mostRehearsed = 200_000

// mostLooks is how many looks more than batches a rehearsal takes. A portal that
// lets a request through in minutes has changes looked at again and again before
// they leave: then it is given up, and what was done until then goes for all.
const mostLooks = 100

// rehearse goes through a run of planned changes with the runner's own queue and
// says what it would take.
func rehearse(ctx context.Context, changes Changes, model Rehearsal, seen time.Time, fence time.Duration, old bool) (Forecast, error) {
	r := &rehearsal{model: model, changes: changes, now: time.Now(), seen: seen}
	r.began = r.now
	r.queue = newQueue(fence, old)
	r.queue.clock = func() time.Time { return r.now }
	if old {
		r.seen = time.Time{}
	}
	if err := r.load(ctx); err != nil {
		return Forecast{}, err
	}
	for r.begin(); !r.queue.over(); r.begin() {
		if err := r.load(ctx); err != nil {
			return Forecast{}, err
		}
		r.begin()
		if r.looks > mostLooks+2*r.batches {
			break
		}
		if !r.advance() {
			return Forecast{}, fmt.Errorf("the rehearsal of the run comes to a standstill with %d changes left", len(r.queue.tasks))
		}
	}
	f := model.Forecast(r.now)
	r.left += len(r.queue.tasks)
	if done := r.done - len(r.queue.tasks); r.left > 0 && done > 0 {
		more := float64(done+r.left) / float64(done)
		f.Requests, f.Seconds = int(float64(f.Requests)*more), f.Seconds*more
	}
	return f, nil
}

type rehearsal struct {
	model   Rehearsal
	changes Changes
	queue   *queue
	began   time.Time
	now     time.Time
	seen    time.Time
	after   int64 // the last change that was loaded
	done    int   // changes rehearsed
	left    int   // changes beyond those
	batches int   // sent
	looks   int
	busy    int // workers with a request on its way, or waiting for one
	coming  answers
	waiting [][]*task // batches for which there is no execution time
	retry   time.Time // when there may be some; zero: nothing waits
}

// load fills the queue's window, as the runner's loader does.
func (r *rehearsal) load(ctx context.Context) error {
	for !r.queue.complete && len(r.queue.tasks) <= windowSize-pageSize {
		var page []*Change
		for c, err := range r.changes.Changes(ctx, Filter{Kinds: []Kind{KindCreate, KindUpdate, KindMove, KindDelete}, After: r.after, Limit: pageSize}) {
			if err != nil {
				return err
			}
			page = append(page, c)
			r.after = c.Seq
		}
		switch {
		case len(page) == 0:
			r.queue.loaded()
		case r.done >= mostRehearsed:
			r.left += len(page)
		default:
			r.done += len(page)
			r.queue.add(page, nil, r.seen)
		}
		if r.after <= pageSize && r.busy == 0 {
			return nil // the first batch leaves while the loader goes on
		}
	}
	r.queue.full = !r.queue.complete
	return nil
}

// begin has every worker that is free do what is to be done now.
func (r *rehearsal) begin() {
	r.sendWaiting()
	for r.busy < workers {
		w, _, _ := r.queue.decide(r.now, r.model.BatchSize())
		switch {
		case w.batch != nil:
			r.busy++
			r.send(w.batch)
		case w.look != nil:
			keys := 0
			for _, t := range w.look.stale {
				keys += r.queue.asks(t)
			}
			r.busy++
			r.looks++
			heap.Push(&r.coming, answer{at: r.model.Look(r.now, keys), look: w.look})
		default:
			return
		}
	}
}

// sendWaiting sends what waits for execution time, in order, as far as there is
// some.
func (r *rehearsal) sendWaiting() {
	waiting := r.waiting
	r.waiting, r.retry = nil, time.Time{}
	for i, batch := range waiting {
		if r.send(batch); len(r.waiting) > 0 {
			r.waiting = append(r.waiting, waiting[i+1:]...)
			return
		}
	}
}

// shortestWait is how often those who wait for execution time try at the most.
const shortestWait = 100 * time.Millisecond

func (r *rehearsal) send(batch []*task) {
	methods := make([]string, len(batch))
	for i, t := range batch {
		methods[i] = commandMethod(t.change)
	}
	carried, answered, wait := r.model.Write(r.now, methods)
	if wait <= 0 {
		r.batches++
		heap.Push(&r.coming, answer{at: answered, batch: batch, carried: carried})
		return
	}
	r.waiting = append(r.waiting, batch)
	if at := r.now.Add(max(wait, shortestWait)); r.retry.IsZero() || at.Before(r.retry) {
		r.retry = at
	}
}

// advance goes on to the next answer, or to when what waits may leave; false if
// there is neither.
func (r *rehearsal) advance() bool {
	if !r.retry.IsZero() && (len(r.coming) == 0 || r.retry.Before(r.coming[0].at)) {
		r.now, r.retry = r.retry, time.Time{}
		return true
	}
	if len(r.coming) == 0 {
		return r.queue.over()
	}
	next, _ := heap.Pop(&r.coming).(answer)
	if next.at.After(r.now) {
		r.now = next.at
	}
	r.busy--
	r.model.Answered(r.now)
	if next.look != nil {
		r.queue.looked(next.look)
		return true
	}
	for i, t := range next.batch {
		if t.change.State = StatePlanned; !next.carried[i] {
			continue
		}
		t.change.State = StateDone
		if !t.change.Import {
			r.queue.followUpload(t, Item{})
		}
		switch t.change.Kind {
		case KindCreate:
			t.change.ID = t.change.Seq
		case KindUpdate, KindMove:
			if behind := r.queue.nextOfItem(t); behind != nil {
				r.queue.saw(behind)
			}
		default:
		}
	}
	r.queue.settle(next.batch)
	return true
}

// answer is when a batch or a look will have been answered.
type answer struct {
	at      time.Time
	batch   []*task
	carried []bool
	look    *look
}

type answers []answer

func (a answers) Len() int           { return len(a) }
func (a answers) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a answers) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push implements [heap.Interface].
func (a *answers) Push(x any) {
	if one, ok := x.(answer); ok {
		*a = append(*a, one)
	}
}

// Pop implements [heap.Interface].
func (a *answers) Pop() any {
	old := *a
	one := old[len(old)-1]
	*a = old[:len(old)-1]
	return one
}
