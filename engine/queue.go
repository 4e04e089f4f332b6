package engine

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	pageSize   = 2000  // changes read from the journal at once
	windowSize = 10000 // unsettled changes in memory
)

// task is a change on its way.
type task struct {
	change *Change
	state  taskState
	waits  int     // tasks that must be settled before this one may leave
	behind []*task // tasks that wait for this one
	looks  int     // look-ups since it became doubtful
	due    time.Time
}

type taskState int

const (
	taskWaiting   taskState = iota // for other tasks
	taskReady                      // to be sent
	taskSending                    // in a batch
	taskDoubtful                   // its answer was lost; to be looked up when due
	taskResolving                  // being looked up
	taskSettled
)

func newTask(c *Change) *task { return &task{change: c} }

// queue orders the changes of a run: those that need others behind them, two
// changes of one item one after the other, and of those that may leave the
// later steps first, so that records are finished and memory stays bounded.
//
// It holds a window of the plan; the runner's loader fills it.
type queue struct {
	mu        sync.Mutex
	news      chan struct{} // closed and replaced whenever something changed
	ready     readyHeap
	doubts    []*task
	last      map[ItemKey]*task // the last unsettled task of each item
	ids       map[string]int64  // of made items, by ref
	failed    map[string]bool   // refs that were not made
	conflicts map[ItemKey]bool  // items that are not as the plan saw them
	tasks     map[*task]bool    // not settled
	sending   int               // tasks in batches
	complete  bool              // the loader has nothing more
	full      bool              // the loader waits for room
	answered  bool              // a batch came back: the portal's pace is known
}

func newQueue() *queue {
	return &queue{news: make(chan struct{}), last: map[ItemKey]*task{}, tasks: map[*task]bool{}, ids: map[string]int64{}, failed: map[string]bool{}, conflicts: map[ItemKey]bool{}}
}

// wake makes every waiter look again.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeLocked()
}

func (q *queue) wakeLocked() {
	close(q.news)
	q.news = make(chan struct{})
}

// loaded says that no more changes will be added.
func (q *queue) loaded() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.complete = true
	q.wakeLocked()
}

// over says whether nothing is left to do.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.complete && len(q.tasks) == 0
}

// room waits until the window has room for another page; false when the
// context ends first.
func (q *queue) room(ctx context.Context) bool {
	for {
		q.mu.Lock()
		news := q.news
		full := len(q.tasks) > windowSize-pageSize
		if full && !q.full {
			q.full = true
			q.wakeLocked()
			news = q.news
		}
		q.full = full
		q.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if !full {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-news:
		}
	}
}

// add puts planned changes into the window. Made are the items that they need
// and that the journal knows of. It returns the changes that can't be done,
// because an item that they need was not made.
func (q *queue) add(changes []*Change, made map[string]Made) []*Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ref, m := range made {
		if m.State.Final() {
			q.note(ref, m)
		}
	}
	var skipped []*Change
	for _, c := range changes {
		if c.State.Final() { // settled by what the portal has by now
			q.settled(c)
			continue
		}
		if reason := q.impossible(c); reason != "" {
			skipped = append(skipped, skip(c, reason))
			if c.Kind == KindCreate {
				q.failed[c.Ref] = true
			}
			continue
		}
		q.enqueue(newTask(c))
	}
	q.wakeLocked()
	return skipped
}

// note takes in what became of a planned item. A conflict leaves the id of an
// item that there is usable for links.
func (q *queue) note(ref string, m Made) {
	if m.ID != 0 && m.State != StateFailed && m.State != StateQuarantined {
		q.ids[ref] = m.ID
	} else {
		q.failed[ref] = true
	}
}

// settled takes in a change that needs no sending.
func (q *queue) settled(c *Change) {
	if c.Kind == KindCreate {
		q.note(c.Ref, Made{State: c.State, ID: c.ID})
	}
	if c.State == StateConflict {
		q.conflicts[c.itemKey()] = true
	}
}

func skip(c *Change, reason string) *Change {
	c.State, c.Error = StateSkipped, reason
	return c
}

// impossible says which needed item was not made.
func (q *queue) impossible(c *Change) string {
	for _, ref := range c.Needs {
		if q.failed[ref] {
			return "needs " + ref + ", which was not made"
		}
	}
	if q.conflicts[c.itemKey()] {
		return "an earlier change of the item is in conflict"
	}
	return ""
}

// enqueue lines a task up behind what it needs.
func (q *queue) enqueue(t *task) {
	q.tasks[t] = true
	c := t.change
	behind := func(key ItemKey) {
		if before := q.last[key]; before != nil && before != t {
			before.behind = append(before.behind, t)
			t.waits++
		}
	}
	for _, ref := range c.Needs {
		if q.ids[ref] == 0 {
			behind(ItemKey{Ref: ref})
		}
	}
	key := c.itemKey()
	if key.Ref == "" || !slices.Contains(c.Needs, key.Ref) || q.ids[key.Ref] != 0 {
		behind(key)
	}
	q.last[key] = t
	if t.waits == 0 {
		q.push(t)
	}
}

// itemKey names the change's item among the tasks.
func (c *Change) itemKey() ItemKey {
	if c.Ref != "" {
		return ItemKey{Ref: c.Ref}
	}
	return ItemKey{TypeID: c.TypeID, ID: c.ID}
}

// busyFields are the fields that the tasks in the window are to write.
func (q *queue) busyFields() busyFields {
	q.mu.Lock()
	defer q.mu.Unlock()
	busy := busyFields{}
	for t := range q.tasks {
		if t.change.Kind != KindCreate {
			busy.add(t.change)
		}
	}
	return busy
}

func (q *queue) push(t *task) {
	t.state = taskReady
	heap.Push(&q.ready, t)
}

// next waits for work: a batch of at most size changes, or changes whose lost
// answers are due to be looked up. Both are nil when the run is over or the
// context done. A batch that is not full leaves only when nothing that is on
// its way could fill it; and until the first is answered, and with it the
// portal's pace is known, no other follows.
func (q *queue) next(ctx context.Context, batchSize func() int, fence time.Duration) (batch, doubts []*task) {
	for {
		size := batchSize()
		q.mu.Lock()
		if ctx.Err() != nil || (q.complete && len(q.tasks) == 0) {
			q.mu.Unlock()
			return nil, nil
		}
		if doubts := q.dueDoubts(time.Now()); doubts != nil {
			q.mu.Unlock()
			return nil, doubts
		}
		nothingComes := q.sending == 0 && (q.complete || q.full)
		mayGo := q.answered || q.sending == 0
		if mayGo && (q.ready.Len() >= size || (q.ready.Len() > 0 && nothingComes)) {
			batch := q.take(size)
			q.mu.Unlock()
			return batch, nil
		}
		news, wait := q.news, q.untilDoubt(time.Now(), fence)
		q.mu.Unlock()
		pause(ctx, news, wait)
	}
}

// pause waits for news, the context or a while.
func pause(ctx context.Context, news <-chan struct{}, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-news:
	case <-timer.C:
	}
}

func (q *queue) take(size int) []*task {
	batch := make([]*task, 0, min(size, q.ready.Len()))
	for len(batch) < size && q.ready.Len() > 0 {
		t, ok := heap.Pop(&q.ready).(*task)
		if !ok {
			panic("queue: not a task")
		}
		t.state = taskSending
		batch = append(batch, t)
	}
	q.sending += len(batch)
	return batch
}

// giveBack returns a batch that was not sent.
func (q *queue) giveBack(batch []*task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending -= len(batch)
	for _, t := range batch {
		q.push(t)
	}
	q.wakeLocked()
}

// doubt notes that a task's answer was lost, when it was sent, and so when to
// look it up: soon at first, then at longer intervals, and once more when it
// can't be running any longer.
func (q *queue) doubt(t *task, sent time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.state == taskWaiting { // left by an interrupted run
		q.tasks[t] = true
		q.last[t.change.itemKey()] = t
	}
	q.doubtLocked(t, sent)
	q.wakeLocked()
}

func (q *queue) doubtLocked(t *task, sent time.Time) {
	intervals := []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second}
	t.state = taskDoubtful
	if t.looks < len(intervals) {
		t.due = sent.Add(intervals[t.looks])
	} else {
		t.due = time.Now().Add(intervals[len(intervals)-1])
	}
	t.looks++
	q.doubts = append(q.doubts, t)
}

// dueDoubts takes the doubtful tasks that are to be looked up by now.
func (q *queue) dueDoubts(now time.Time) []*task {
	var due []*task
	q.doubts = slices.DeleteFunc(q.doubts, func(t *task) bool {
		if t.due.After(now) {
			return false
		}
		t.state = taskResolving
		due = append(due, t)
		return true
	})
	return due
}

// untilDoubt is how long to wait for the next doubtful task. Past the fence
// every one is decided, so none waits beyond it.
func (q *queue) untilDoubt(now time.Time, fence time.Duration) time.Duration {
	wait := time.Hour
	for _, t := range q.doubts {
		if end := time.UnixMilli(t.change.SentAt).Add(fence); t.due.After(end) && end.After(now) {
			t.due = end
		}
		wait = min(wait, max(t.due.Sub(now), time.Millisecond))
	}
	return wait
}

// settle takes over the states that tasks now have: finished ones release
// what waited for them, refused ones are ready again, lost ones become
// doubtful. It returns the changes that can't be done any more.
func (q *queue) settle(tasks []*task) []*Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	var skipped []*Change
	for _, t := range tasks {
		if t.state == taskSending {
			q.sending--
			q.answered = true
		}
		switch t.change.State {
		case StatePlanned:
			q.push(t)
		case StateUnknown:
			q.doubtLocked(t, time.UnixMilli(t.change.SentAt))
		default:
			skipped = append(skipped, q.finish(t)...)
		}
	}
	q.wakeLocked()
	return skipped
}

// finish settles a task and releases or skips what waits for it.
func (q *queue) finish(t *task) []*Change {
	c := t.change
	t.state = taskSettled
	delete(q.tasks, t)
	if q.last[c.itemKey()] == t {
		delete(q.last, c.itemKey())
	}
	q.settled(c)
	var skipped []*Change
	for _, next := range t.behind {
		next.waits--
		if next.state != taskWaiting {
			continue
		}
		if reason := q.impossible(next.change); reason != "" {
			skipped = append(skipped, skip(next.change, reason))
			skipped = append(skipped, q.finish(next)...)
			continue
		}
		if next.waits == 0 {
			q.push(next)
		}
	}
	t.behind = nil
	return skipped
}

// made returns the id of a made item, 0 if it is not known to be made.
func (q *queue) made(ref string) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ids[ref]
}

// readyHeap has the later steps first, and within a step the order of the plan.
type readyHeap []*task

func (h readyHeap) Len() int { return len(h) }

func (h readyHeap) Less(i, j int) bool {
	a, b := h[i].change, h[j].change
	if a.Index != b.Index {
		return a.Index > b.Index
	}
	return a.Seq < b.Seq
}

func (h readyHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *readyHeap) Push(x any) {
	if t, ok := x.(*task); ok {
		*h = append(*h, t)
	}
}

// Pop implements [heap.Interface].
func (h *readyHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
