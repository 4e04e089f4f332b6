package engine

import (
	"cmp"
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
	seen   time.Time // when the portal was last known to be as the change expects it
	// checking says that the portal is being asked whether it still is. Only
	// that may settle the task meanwhile.
	checking bool
	place    int // in the heap of those that are ready
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

// work is what a worker is to do next: send a batch, look up what became of
// doubtful changes, or see whether the portal still is as changes expect it. At
// most one of them is set; none when the run is over or the context done.
type work struct{ batch, doubts, stale []*task }

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
	own       map[string]bool   // refs of the items that this run made itself
	failed    map[string]bool   // refs that were not made
	gone      map[string]bool   // refs that were deleted
	kept      map[string]bool   // refs that were to be deleted, and were not
	conflicts map[ItemKey]bool  // items that are not as the plan saw them
	tasks     map[*task]bool    // not settled
	sending   int               // tasks in batches
	complete  bool              // the loader has nothing more
	closing   bool              // nothing is to be sent any more
	full      bool              // the loader waits for room
	answered  bool              // a batch came back: the portal's pace is known
	looked    time.Time         // when doubts were last looked up
	checking  bool              // stale changes are being compared with the portal
	sent      int               // tasks in batches since the last comparison
}

func newQueue() *queue {
	return &queue{news: make(chan struct{}), last: map[ItemKey]*task{}, tasks: map[*task]bool{}, ids: map[string]int64{}, own: map[string]bool{}, failed: map[string]bool{}, gone: map[string]bool{}, kept: map[string]bool{}, conflicts: map[ItemKey]bool{}}
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

// close says that nothing is to be sent: what is in doubt is looked up, and
// then it is over.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.complete, q.closing = true, true
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
// and that the journal knows of; seen is when the portal was as they expect it.
// It returns the changes that can't be done, because an item that they need was
// not made.
func (q *queue) add(changes []*Change, made map[string]Made, seen time.Time) []*Change {
	q.know(made)
	q.mu.Lock()
	defer q.mu.Unlock()
	var skipped []*Change
	for _, c := range changes {
		if reason := q.impossible(c); reason != "" {
			skipped = append(skipped, skip(c, reason))
			q.settled(c)
			continue
		}
		t := newTask(c)
		t.seen = seen
		q.enqueue(t)
	}
	q.wakeLocked()
	return skipped
}

// know takes in what became of planned items in earlier processes or pages.
func (q *queue) know(made map[string]Made) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ref, m := range made {
		switch {
		case !m.State.Final():
		case m.Kind == KindDelete:
			q.noteGone(ref, m.State)
		default:
			q.note(ref, m)
		}
	}
}

// note takes in what became of a planned item. A conflict leaves the id of an
// item that there is usable for links.
func (q *queue) note(ref string, m Made) {
	if m.ID != 0 && m.State != StateFailed && m.State != StateQuarantined {
		q.ids[ref] = m.ID
		q.own[ref] = m.State == StateDone
	} else {
		q.failed[ref] = true
	}
}

// settled takes in a change that is finished with. What needs a deletion can
// only be done once the item is gone.
func (q *queue) settled(c *Change) {
	switch c.Kind {
	case KindCreate:
		q.note(c.Ref, Made{State: c.State, ID: c.ID})
	case KindDelete:
		q.noteGone(c.Ref, c.State)
	default:
	}
	if c.State == StateConflict {
		q.conflicts[c.itemKey()] = true
	}
}

// noteGone takes in what became of a deletion.
func (q *queue) noteGone(ref string, s State) {
	if s == StateDone || s == StateUnchanged {
		q.gone[ref] = true
	} else {
		q.kept[ref] = true
	}
}

func skip(c *Change, reason string) *Change {
	c.State, c.Error = StateSkipped, reason
	return c
}

// impossible says which needed item was not made.
func (q *queue) impossible(c *Change) string {
	for _, ref := range c.Needs {
		switch {
		case q.failed[ref]:
			return "needs " + ref + ", which was not made"
		case q.kept[ref], q.conflicts[ItemKey{Ref: ref}] && c.Kind == KindDelete:
			return ref + " is kept and links to it"
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
		if q.ids[ref] == 0 && !q.gone[ref] {
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

// push makes a task ready, unless it is being compared with the portal: then
// checked does.
func (q *queue) push(t *task) {
	if t.checking {
		return
	}
	t.state = taskReady
	heap.Push(&q.ready, t)
}

// next waits for work. A batch has at most size changes; one that is not full
// leaves only when nothing that is on its way could fill it; and until the
// first is answered, and with it the portal's pace is known, no other follows.
// What was not seen on the portal lately does not leave before it is.
func (q *queue) next(ctx context.Context, batchSize func() int, fence time.Duration) work {
	for {
		size := batchSize()
		q.mu.Lock()
		if ctx.Err() != nil || (q.complete && len(q.tasks) == 0) {
			q.mu.Unlock()
			return work{}
		}
		now := time.Now()
		if doubts := q.dueDoubts(now, fence); doubts != nil {
			q.mu.Unlock()
			return work{doubts: doubts}
		}
		nothingComes := q.sending == 0 && !q.checking && (q.complete || q.full)
		mayGo := q.answered || q.sending == 0
		if mayGo && (q.ready.Len() >= size || (q.ready.Len() > 0 && nothingComes)) {
			w := q.takeFresh(size, now)
			if w.batch != nil || w.stale != nil {
				q.mu.Unlock()
				return w
			}
		}
		news, wait := q.news, q.untilDoubt(now, fence)
		q.mu.Unlock()
		pause(ctx, news, wait)
	}
}

// takeFresh takes a batch, or what is to be compared with the portal before one
// can leave: one comparison at a time. Neither, while that goes on.
func (q *queue) takeFresh(size int, now time.Time) work {
	batch := q.take(size)
	var stale []*task
	for _, t := range batch {
		if now.Sub(t.seen) >= believed {
			stale = append(stale, t)
		}
	}
	if stale == nil {
		q.sending += len(batch)
		q.sent += len(batch)
		return work{batch: batch}
	}
	for _, t := range batch {
		q.push(t)
	}
	if q.checking {
		return work{}
	}
	return work{stale: q.takeStale(stale, now)}
}

const (
	fewestChecked = 500
	mostChecked   = 2500 // the items that one request reads
)

// takeStale adds to stale changes that are to leave now what will probably
// follow before it is stale again: as much as left since the last comparison,
// and half as much again.
func (q *queue) takeStale(stale []*task, now time.Time) []*task {
	n := max(min(q.sent+q.sent/2, mostChecked), fewestChecked)
	q.sent = 0
	taken := make(map[*task]bool, n)
	for _, t := range stale {
		taken[t] = true
	}
	var more []*task
	for t := range q.tasks {
		if !taken[t] && now.Sub(t.seen) >= believed && t.comparable() {
			more = append(more, t)
		}
	}
	slices.SortFunc(more, func(a, b *task) int { return cmp.Compare(a.change.Seq, b.change.Seq) })
	stale = append(stale, more[:min(len(more), max(0, n-len(stale)))]...)
	for _, t := range stale {
		t.checking = true
		if t.state == taskReady {
			heap.Remove(&q.ready, t.place)
			t.state = taskWaiting
		}
	}
	q.checking = true
	return stale
}

// comparable says whether the portal can tell by now if it is as the change
// expects: an item's later changes expect what the earlier ones make of it.
func (t *task) comparable() bool {
	return t.state == taskReady || t.state == taskWaiting && t.change.Kind == KindCreate
}

// checked takes over what a comparison with the portal has settled; the others
// may leave, or wait on. It returns the changes that can't be done any more.
func (q *queue) checked(tasks []*task, now time.Time) []*Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	var skipped []*Change
	for _, t := range tasks {
		t.checking = false
		c := t.change
		if reason := q.impossible(c); !c.State.Final() && reason != "" {
			skipped = append(skipped, skip(c, reason))
		}
		switch {
		case c.State.Final():
			skipped = append(skipped, q.finish(t)...)
		default:
			t.seen = now
			if t.waits == 0 {
				q.push(t)
			}
		}
	}
	q.checking = false
	q.wakeLocked()
	return skipped
}

// unchecked gives a comparison up.
func (q *queue) unchecked(tasks []*task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range tasks {
		t.checking = false
		if t.waits == 0 {
			q.push(t)
		}
	}
	q.checking = false
	q.wakeLocked()
}

// saw notes that the portal was as a waiting change expects it.
func (q *queue) saw(t *task, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.seen = at
}

// nextOfItem is the next change of an item that there was before the run, which
// waits behind another one; nil if none does. Those after it expect what it
// makes of the item.
func (q *queue) nextOfItem(t *task) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.change.Kind == KindCreate {
		return nil
	}
	for _, next := range t.behind {
		if next.state == taskWaiting && !next.checking && next.change.Kind != KindCreate && next.change.itemKey() == t.change.itemKey() {
			return next
		}
	}
	return nil
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

// firstLook is how long after it was sent a change in doubt is first looked up.
const firstLook = 2 * time.Second

func (q *queue) doubtLocked(t *task, sent time.Time) {
	intervals := []time.Duration{firstLook, 10 * time.Second, 30 * time.Second}
	t.state = taskDoubtful
	if t.looks < len(intervals) {
		t.due = sent.Add(intervals[t.looks])
	} else {
		t.due = time.Now().Add(intervals[len(intervals)-1])
	}
	t.looks++
	q.doubts = append(q.doubts, t)
}

// dueDoubts takes the doubtful tasks to be looked up, once one of them is due:
// all that may have been done by now, as one request can ask for 2,500. While
// there is other work, they wait and gather: each look-up takes the place of a
// batch.
func (q *queue) dueDoubts(now time.Time, fence time.Duration) []*task {
	due := slices.ContainsFunc(q.doubts, func(t *task) bool { return !t.due.After(now) })
	if !due || now.Before(q.looked.Add(q.lookPause(fence))) {
		return nil
	}
	q.looked = now
	var all []*task
	q.doubts = slices.DeleteFunc(q.doubts, func(t *task) bool {
		if t.due.After(now) && now.Sub(time.UnixMilli(t.change.SentAt)) < firstLook {
			return false
		}
		t.state = taskResolving
		all = append(all, t)
		return true
	})
	return all
}

// lookPause is how long look-ups of doubtful tasks are apart.
func (q *queue) lookPause(fence time.Duration) time.Duration {
	if q.ready.Len() == 0 && q.sending == 0 {
		return 0
	}
	return fence / 2
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
	return max(wait, q.looked.Add(q.lookPause(fence)).Sub(now))
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
			if q.closing {
				delete(q.tasks, t)
				continue
			}
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
		if next.state != taskWaiting || next.checking {
			continue
		}
		if c.Kind == KindCreate && c.State == StateDone && next.change.Ref == c.Ref {
			next.seen = time.Now() // the item is as it was just made
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

// ours says whether this run made the item that a ref names.
func (q *queue) ours(ref string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.own[ref]
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

func (h readyHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *readyHeap) Push(x any) {
	if t, ok := x.(*task); ok {
		t.place = len(*h)
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
