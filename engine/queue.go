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
	upload int64   // bytes of files that it sends
	waits  int     // tasks that must be settled before this one may leave
	behind []*task // tasks that wait for this one
	after  *task   // the create before this one, where the portal wants them by date
	looks  int     // look-ups since it became doubtful
	lost   int     // requests that it was in, and of which came neither an answer nor effect
	fault  string  // what came instead of the last one's answer
	due    time.Time
	seen   sight // when the portal was last known to be as the change expects it
	// checking says that the portal is being asked whether it still is. Only
	// that may settle the task meanwhile.
	checking bool
	place    int // in the heap of those that are ready
}

type taskState int

const (
	taskWaiting   taskState = iota // for other tasks
	taskReady                      // to be sent
	taskStale                      // to be sent, once it has been compared with the portal
	taskSending                    // in a batch
	taskDoubtful                   // its answer was lost; to be looked up when due
	taskResolving                  // being looked up
	taskSettled
)

func newTask(c *Change) *task { return &task{change: c, upload: c.upload()} }

// work is what a worker is to do next: send a batch or look at the portal.
// Neither when the run is over or the context done.
type work struct {
	batch []*task
	look  *look
}

// queue orders the changes of a run: those that need others behind them, two
// changes of one item one after the other, and of those that may leave the
// later steps first, so that records are finished and memory stays bounded.
//
// It holds a window of the plan; the runner's loader fills it.
type queue struct {
	// fence is how long after it was sent a change may still take effect.
	fence time.Duration
	// old says that the plan was not made just now: nothing of it is believed.
	old bool
	// clock tells the time; a rehearsal has one of its own.
	clock func() time.Time

	mu        sync.Mutex
	news      chan struct{} // closed and replaced whenever something changed
	ready     readyHeap
	held      []*task // stale: they were to leave, and wait for the next look
	doubts    []*task
	last      map[ItemKey]*task // the last unsettled task of each item
	dated     map[int]*task     // the last create with a date of its own, by entity type
	ids       map[string]int64  // of made items, by ref
	own       map[string]bool   // refs of the items that this run made itself
	failed    map[string]bool   // refs that were not made
	gone      map[string]bool   // refs that were deleted
	kept      map[string]bool   // refs that were to be deleted, and were not
	conflicts map[ItemKey]bool  // items that are not as the plan saw them
	stuck     map[ItemKey]bool  // items of which a change failed
	tasks     map[*task]bool    // not settled
	sending   int               // tasks in batches
	uploading int64             // bytes of files in batches
	complete  bool              // the loader has nothing more
	closing   bool              // nothing is to be sent any more
	full      bool              // the loader waits for room
	answered  bool              // a batch came back: the portal's pace is known
	looking   bool              // a look is under way
	lastLook  sight             // when the last one began, or the run
	batches   int               // that have left so far
}

func newQueue(fence time.Duration, old bool) *queue {
	return &queue{fence: fence, old: old, clock: time.Now, news: make(chan struct{}), last: map[ItemKey]*task{}, dated: map[int]*task{}, tasks: map[*task]bool{}, ids: map[string]int64{}, own: map[string]bool{}, failed: map[string]bool{}, gone: map[string]bool{}, kept: map[string]bool{}, conflicts: map[ItemKey]bool{}, stuck: map[ItemKey]bool{}}
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
// and that the journal knows of; seen is when the portal was as they expect it,
// zero if that isn't known.
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
		t.seen = sight{time: seen}
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
	case KindUpdate, KindMove:
		if c.State == StateFailed || c.State == StateQuarantined {
			q.stuck[c.itemKey()] = true
		}
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
		case q.kept[ref] && c.MergedInto() != 0:
			return ref + " is kept, and only through it is this one a duplicate"
		case q.kept[ref], c.Kind == KindDelete && q.staysAsIs(ref):
			return ref + " is kept and links to it"
		}
	}
	if q.conflicts[c.itemKey()] {
		return "an earlier change of the item is in conflict"
	}
	return ""
}

// staysAsIs says whether an item that was to lose its link, and maybe to go itself, has
// not: it is in conflict, or a change failed and nothing more is to be done to it.
func (q *queue) staysAsIs(ref string) bool {
	key := ItemKey{Ref: ref}
	return q.conflicts[key] || q.stuck[key] && q.last[key] == nil && !q.gone[ref]
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
	if into := c.intoKey(); into != (ItemKey{}) { // which it changes as well
		behind(into)
		q.last[into] = t
	}
	q.lineUp(t)
	if t.waits == 0 {
		q.push(t)
	}
}

// lineUp has creates with a creation date of their own follow each other: the
// portal takes none that is older than its newest item ("Import" of crm.item). They
// may share a request, which is worked on in order.
func (q *queue) lineUp(t *task) {
	if q.dateAfter(t) {
		t.after.behind = append(t.after.behind, t)
		t.waits++
	}
}

// dateAfter notes which dated create a task comes after, and says whether that is one
// that is not settled.
func (q *queue) dateAfter(t *task) bool {
	c := t.change
	if c.Kind != KindCreate || c.Fields[fieldCreated].After == nil {
		return false
	}
	before := q.dated[c.TypeID]
	q.dated[c.TypeID] = t
	if before == nil || before.state == taskSettled {
		return false
	}
	t.after = before
	return true
}

// intoKey names the item that a change has its own go into, if it does.
func (c *Change) intoKey() ItemKey {
	if into := c.MergedInto(); into != 0 {
		return ItemKey{Ref: itemRef(c.Entity, c.TypeID, into)}
	}
	return ItemKey{}
}

// itemKey names the change's item among the tasks.
func (c *Change) itemKey() ItemKey {
	if c.Ref != "" {
		return ItemKey{Ref: c.Ref}
	}
	return ItemKey{Ref: itemRef(c.Entity, c.TypeID, c.ID)} // as its deletion's
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

// next waits for work.
func (q *queue) next(ctx context.Context, batchSize func() int) work {
	for {
		if ctx.Err() != nil {
			return work{}
		}
		w, wait, news := q.decide(q.clock(), batchSize())
		if w.batch != nil || w.look != nil || wait == 0 {
			return w
		}
		pause(ctx, news, wait)
	}
}

// decide says what is to be done now, or how long to wait for something if there
// is no news: not at all if the run is over. A batch has at most size changes;
// one that is not full leaves only when nothing that is on its way could fill it;
// and until the first is answered, and with it the portal's pace is known, no
// other follows. What was not seen on the portal lately does not leave before it
// is. The news is what happens from this decision on: none is missed between it
// and the waiting.
func (q *queue) decide(now time.Time, size int) (w work, wait time.Duration, news <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.complete && len(q.tasks) == 0 {
		return work{}, 0, nil
	}
	if q.lastLook.time.IsZero() { // a run's first doubts wait for others, too
		q.lastLook = q.now(now)
	}
	nothingComes := q.sending == 0 && !q.looking && (q.complete || q.full)
	mayGo := q.answered || q.sending == 0
	wait = q.untilDoubt(now)
	switch {
	case !q.looking && q.doubtsDue(now):
		w.look = q.takeLook(true, now, size)
	case mayGo && (q.leaving() >= size || (q.leaving() > 0 && nothingComes)):
		w.batch = q.takeFresh(size, now)
		if w.batch != nil || q.looking || len(q.held) == 0 {
			break
		}
		if until := q.untilStale(now, size); until > 0 {
			wait = min(wait, until)
		} else {
			w.look = q.takeLook(false, now, size)
		}
	}
	return w, wait, q.news
}

// leaving is how many tasks nothing but a look keeps from being sent.
func (q *queue) leaving() int { return q.ready.Len() + len(q.held) }

// saw notes that the portal just was as a change expects it that nextOfItem gave.
func (q *queue) saw(t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.seen, t.checking = q.now(q.clock()), false
}

// nextOfItem is the next change of an item that there was before the run, which
// waits behind another one; nil if none does. Those after it expect what it
// makes of the item. It is to be compared with the item, and nothing else settles
// it before that: then it has to be settled with the other one, or seen.
func (q *queue) nextOfItem(t *task) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.change.Kind == KindCreate {
		return nil
	}
	for _, next := range t.behind {
		if next.state == taskWaiting && !next.checking && next.change.Kind != KindCreate && next.change.TypeID == t.change.TypeID && next.change.itemKey() == t.change.itemKey() {
			next.checking = true
			return next
		}
	}
	return nil
}

// followUpload has the change behind one that was just done go on from the files of
// their item, as the portal's answer shows it.
func (q *queue) followUpload(t *task, item Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, next := range t.behind {
		if next.state == taskWaiting && !next.checking && next.change.itemKey() == t.change.itemKey() {
			next.change.follow(item)
		}
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

// settle takes over the states that tasks now have: finished ones release
// what waited for them, refused ones are ready again, lost ones become
// doubtful. It returns the changes that can't be done any more.
func (q *queue) settle(tasks []*task) []*Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settleLocked(tasks)
}

func (q *queue) settleLocked(tasks []*task) []*Change {
	var skipped []*Change
	for _, t := range tasks {
		if t.state == taskSending {
			q.leave(t)
			q.answered = true
		}
		switch t.change.State {
		case StatePlanned:
			if q.closing {
				delete(q.tasks, t)
				continue
			}
			t.looks = 0
			q.putBack(t)
		case StateUnknown, StateSent:
			q.doubtLocked(t)
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
	for _, key := range []ItemKey{c.itemKey(), c.intoKey()} {
		if q.last[key] == t {
			delete(q.last, key)
		}
	}
	q.settled(c)
	var skipped []*Change
	for _, next := range t.behind {
		next.waits--
		if next.state != taskWaiting || next.checking {
			continue
		}
		switch {
		case next.change.followsUpload():
			next.seen = sight{}
		case c.Kind == KindCreate && c.State == StateDone && next.change.Ref == c.Ref:
			next.seen = q.now(q.clock()) // the item is as it was just made
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

func (h readyHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }

// compare orders tasks that are ready as they leave.
func (t *task) compare(other *task) int {
	return cmp.Or(cmp.Compare(other.change.Index, t.change.Index), cmp.Compare(t.change.Seq, other.change.Seq))
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
