package engine

import (
	"container/heap"
	"slices"
	"time"
)

// sight is a moment, and how many batches had left by then: the portal is
// believed to be as it was seen for a while, and for some batches at least. On a
// slow portal each look takes the place of a batch.
type sight struct {
	time    time.Time
	batches int
}

const (
	// believed is how long a sight is believed in any case: about the time that
	// believedBatches take at the rate of a portal in the cloud.
	believed        = 20 * time.Second
	believedBatches = 44
	// believedLongest is how long at the most, however few batches left.
	believedLongest = 5 * time.Minute

	// mostAsked is how many keys and ids one look asks for, so that it takes one
	// request: fifty calls for fifty each, some of them not full.
	mostAsked = 2200
	// firstLook is how long after it was sent a change in doubt is first looked
	// up: most answers are lost on their way back, and few requests take effect
	// much later than they were sent. What is not there then waits for the fence.
	firstLook = 2 * time.Second
	// fewBatches is how little may be left for a look to wait for the rest.
	fewBatches = 4
	// gatherShare is the part of the fence for which doubts wait for others.
	gatherShare = 2
)

// now is the sight of now.
func (q *queue) now(t time.Time) sight { return sight{time: t, batches: q.batches} }

// refused takes back that a batch was taken: the portal did nothing of it, and so
// nothing has changed that would make a sight older.
func (q *queue) refused() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches--
}

// passed says whether a sight is so old in both respects, or very old.
func (q *queue) passed(s sight, now time.Time, age time.Duration) bool {
	since := now.Sub(s.time)
	return since >= believedLongest || since >= age && q.batches-s.batches >= believedBatches
}

// stale says whether a task has to be compared with the portal before it leaves.
func (q *queue) stale(t *task, now time.Time) bool { return q.passed(t.seen, now, believed) }

// takeLook takes what the next look is about: what is stale and may leave, with
// what will probably follow it before it is stale again, and what is in doubt, as
// far as it has not been looked up yet or can be decided by now. A look for the
// sake of doubts takes all of them.
func (q *queue) takeLook(forDoubts bool, now time.Time, size int) *look {
	l := &look{at: q.now(now)}
	asked := 0
	q.doubts = slices.DeleteFunc(q.doubts, func(t *task) bool {
		age := now.Sub(time.UnixMilli(t.change.SentAt))
		worth := age >= t.change.longest(q.fence) || age >= firstLook && (t.looks <= 1 || forDoubts)
		if !worth || asked >= mostAsked {
			return false
		}
		asked += q.asks(t)
		t.state = taskResolving
		l.doubts = append(l.doubts, t)
		return true
	})
	l.stale = q.takeStale(l.doubts, now, size*believedBatches, mostAsked-asked)
	q.looking, q.lastLook = true, l.at
	return l
}

// takeStale takes what is stale: what has been held back for it, what waits for
// the doubts of the look or for what is on its way, since later steps leave
// first, and then the others that are ready; so many tasks at the most, and as
// far as the look may ask for so much.
func (q *queue) takeStale(doubts []*task, now time.Time, most, room int) []*task {
	var taken []*task
	var take func(t, before *task)
	take = func(t, before *task) {
		if before != nil || t.state == taskReady || t.state == taskStale {
			full := len(taken) > 0 && (len(taken) >= most || room < q.asks(t))
			if full || t.checking || !t.comparable(before) || !q.stale(t, now) {
				return
			}
			room -= q.asks(t)
			t.checking = true
			taken = append(taken, t)
		}
		for _, next := range t.behind {
			take(next, t)
		}
	}
	for _, t := range slices.Concat(q.held, doubts, q.inOrder(taskSending), q.inOrder(taskDoubtful), q.inOrder(taskReady)) {
		take(t, nil)
	}
	for _, t := range taken {
		if t.state == taskReady {
			heap.Remove(&q.ready, t.place)
		}
		t.state = taskWaiting
	}
	q.held = slices.DeleteFunc(q.held, func(t *task) bool { return t.checking })
	return taken
}

// inOrder are the tasks in a state, as they leave.
func (q *queue) inOrder(state taskState) []*task {
	var tasks []*task
	for t := range q.tasks {
		if t.state == state {
			tasks = append(tasks, t)
		}
	}
	slices.SortFunc(tasks, (*task).compare)
	return tasks
}

// comparable says whether the portal can tell by now if it is as the change
// expects: an item's later changes expect what the earlier ones make of it, and
// so they can be compared together with the one before them if that is looked up.
func (t *task) comparable(before *task) bool {
	switch t.state {
	case taskReady, taskStale:
		return true
	case taskWaiting:
		return t.change.Kind == KindCreate || before.state == taskResolving && before.change.Kind != KindCreate && before.change.itemKey() == t.change.itemKey()
	default:
		return false
	}
}

// untilStale is how long the look for what was held back has to wait: not at all
// while much is left. Of the last changes, it waits for those that are on their way,
// and where not even a batch is left, for doubts that have to be looked up anyway.
func (q *queue) untilStale(now time.Time, size int) time.Duration {
	switch {
	case q.leaving() >= fewBatches*size:
		return 0
	case q.sending > 0:
		return time.Hour // there will be news
	case q.leaving() < size && len(q.doubts) > 0:
		return max(0, q.gathered().Sub(now))
	default:
		return 0
	}
}

// asks is how many keys or ids it takes to compare a task with the portal.
func (q *queue) asks(t *task) int {
	if q.old && t.change.Kind == KindCreate && t.change.KeyField != "" && len(t.change.Match) > 0 {
		return 2
	}
	return 1
}

// looked takes over what a look has settled; the other stale changes may leave,
// or wait on, and what is in doubt still is. It returns the changes that can't be
// done any more.
func (q *queue) looked(l *look) []*Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range l.doubts {
		t.seen = l.at // if it is planned again, the look has compared it, too
	}
	skipped := q.settleLocked(l.doubts)
	for _, t := range l.stale {
		t.checking = false
		c := t.change
		if reason := q.impossible(c); !c.State.Final() && reason != "" {
			skipped = append(skipped, skip(c, reason))
		}
		if c.State.Final() {
			skipped = append(skipped, q.finish(t)...)
			continue
		}
		if t.waits == 0 || c.Kind == KindCreate {
			t.seen = l.at
		}
		if t.waits == 0 {
			q.push(t)
		}
	}
	q.looking = false
	q.wakeLocked()
	return skipped
}

// notLooked gives a look up.
func (q *queue) notLooked(l *look) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range l.doubts {
		q.doubtLocked(t)
	}
	for _, t := range l.stale {
		t.checking = false
		if t.waits == 0 {
			q.push(t)
		}
	}
	q.looking = false
	q.wakeLocked()
}

// doubt takes up what an interrupted run left in doubt.
func (q *queue) doubt(t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks[t] = true
	q.last[t.change.itemKey()] = t
	if into := t.change.intoKey(); into != (ItemKey{}) {
		q.last[into] = t
	}
	q.dateAfter(t) // it waits for that one only if it is to be sent again
	q.doubtLocked(t)
	q.wakeLocked()
}

// doubtLocked notes that a task's answer was lost, and so when to look it up:
// soon, and past the fence, when it is decided.
func (q *queue) doubtLocked(t *task) {
	t.state = taskDoubtful
	wait := firstLook
	if t.looks > 0 {
		wait = t.change.longest(q.fence)
	}
	t.due = time.UnixMilli(t.change.SentAt).Add(wait)
	t.looks++
	q.doubts = append(q.doubts, t)
}

// doubtsDue says whether it is time to look up what is in doubt. While there is
// other work, doubts gather: a look can ask for all of them.
func (q *queue) doubtsDue(now time.Time) bool {
	due := slices.ContainsFunc(q.doubts, func(t *task) bool { return !t.due.After(now) })
	switch {
	case !due:
		return false
	case q.leaving() > 0:
		return q.passed(q.lastLook, now, q.fence/gatherShare)
	case q.sending > 0:
		return now.Sub(q.lastLook.time) >= q.fence/gatherShare
	}
	return !q.gathered().After(now)
}

// gathered is when to look up doubts that nothing but each other is waiting for:
// when the first is due, and those that are soon after it.
func (q *queue) gathered() time.Time {
	first := slices.MinFunc(q.doubts, func(a, b *task) int { return a.due.Compare(b.due) }).due
	at := first
	for _, t := range q.doubts {
		if t.due.After(at) && !t.due.After(first.Add(q.fence/gatherShare)) {
			at = t.due
		}
	}
	return at
}

// untilDoubt is how long to wait for the next doubtful task, if nothing else
// happens.
func (q *queue) untilDoubt(now time.Time) time.Duration {
	wait := time.Hour
	if q.looking || len(q.doubts) == 0 {
		return wait
	}
	wait = min(wait, max(q.gathered().Sub(now), time.Millisecond))
	switch pause := q.lastLook.time; {
	case q.leaving() > 0 && q.batches-q.lastLook.batches < believedBatches:
		wait = max(wait, pause.Add(believedLongest).Sub(now))
	case q.leaving() > 0 || q.sending > 0:
		wait = max(wait, pause.Add(q.fence/gatherShare).Sub(now))
	}
	return wait
}
