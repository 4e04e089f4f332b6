package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// drawPlan makes a random plan: records with items that exist or are made,
// changes on them in several steps, and references between records.
func drawPlan(t *rapid.T) []*Change {
	var changes []*Change
	var refs []string
	for record := range rapid.IntRange(1, 30).Draw(t, "records") {
		item := &Change{TypeID: 3, ID: int64(rapid.IntRange(1, 8).Draw(t, "item"))}
		if rapid.Bool().Draw(t, "made") {
			item = &Change{TypeID: 3, Ref: fmt.Sprintf("client@rows.csv:%d", record)}
			create := &Change{Step: "client", Kind: KindCreate, TypeID: 3, Ref: item.Ref, Key: "k"}
			if len(refs) > 0 && rapid.Bool().Draw(t, "linked") {
				create.Needs = []string{rapid.SampledFrom(refs).Draw(t, "link")}
			}
			changes = append(changes, create)
			refs = append(refs, item.Ref)
		}
		for step := range rapid.IntRange(0, 3).Draw(t, "steps") {
			c := &Change{Step: "later", Index: step + 1, Kind: KindUpdate, TypeID: 3, ID: item.ID, Ref: item.Ref}
			if item.Ref != "" {
				c.Needs = []string{item.Ref}
			}
			changes = append(changes, c)
		}
	}
	for i, c := range changes {
		c.Seq, c.State = int64(i+1), StatePlanned
		if size := rapid.SampledFrom([]int64{0, 0, 0, 300_000, 900_000, 2_000_000}).Draw(t, "upload"); size > 0 {
			c.Fields = map[string]FieldChange{"photo": {After: File{Size: size, SHA256: "x"}}}
		}
	}
	return changes
}

// compare settles some of the changes that the portal was asked about, as draw
// says for those in doubt.
func compare(t *rapid.T, q *queue, l *look, made map[string]bool, draw func(*task)) (skipped []*Change) {
	lost := map[ItemKey]*Change{}
	for _, task := range l.doubts {
		lost[task.change.itemKey()] = task.change
		draw(task)
	}
	for _, task := range l.stale {
		c := task.change
		if c.Kind != KindCreate && task.waits > 0 {
			before := lost[c.itemKey()]
			if before == nil || before.Seq > c.Seq {
				t.Fatalf("change %d is compared before an earlier one of its item is done, or asked about together with it", c.Seq)
			}
			if !before.State.Final() {
				continue
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "drifted") == 0 {
			c.State, c.Error = StateConflict, "changed"
			if c.Kind == KindCreate {
				c.ID, made[c.Ref] = 100+c.Seq, true // it is there
			}
		}
	}
	return q.looked(l)
}

// TestQueueKeepsOrder checks, for random plans and outcomes: what a change
// needs is made before it leaves, two changes of one item are never on their
// way together, changes of one item keep their order, and all come to an end.
func TestQueueKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		changes := drawPlan(t)
		q := newQueue(0, false)
		seen := rapid.SampledFrom([]time.Time{{}, time.Now()}).Draw(t, "seen")
		skipped := q.add(changes, nil, seen)
		q.loaded()
		size := rapid.IntRange(1, 7).Draw(t, "size")
		made := map[string]bool{}
		lastSeq := map[ItemKey]int64{}
		for {
			w := q.next(context.Background(), func() int { return size })
			if w.batch == nil && w.look == nil {
				break
			}
			settle := func(task *task) {
				c := task.change
				c.State = rapid.SampledFrom([]State{StateDone, StateDone, StateDone, StateFailed, StatePlanned, StateUnknown}).Draw(t, "outcome")
				if c.State == StateUnknown && task.looks > 2 {
					c.State = StateDone
				}
				c.SentAt = time.Now().Add(-time.Minute).UnixMilli()
				if c.State == StateDone && c.Kind == KindCreate {
					c.ID = 100 + c.Seq
					made[c.Ref] = true
				}
			}
			if w.look != nil {
				skipped = append(skipped, compare(t, q, w.look, made, settle)...)
				continue
			}
			batch := w.batch
			onTheirWay := map[ItemKey]bool{}
			upload := int64(0)
			for _, task := range batch {
				c := task.change
				if c.State != StatePlanned {
					t.Fatalf("change %d leaves, and is %s", c.Seq, c.State)
				}
				if upload += c.upload(); upload > BatchUpload && len(batch) > 1 {
					t.Fatalf("a batch of %d changes carries %d bytes of files", len(batch), upload)
				}
				if onTheirWay[c.itemKey()] {
					t.Fatalf("two changes of %v leave together", c.itemKey())
				}
				onTheirWay[c.itemKey()] = true
				if c.Seq < lastSeq[c.itemKey()] {
					t.Fatalf("change %d of %v leaves after change %d", c.Seq, c.itemKey(), lastSeq[c.itemKey()])
				}
				lastSeq[c.itemKey()] = c.Seq
				for _, ref := range c.Needs {
					if !made[ref] {
						t.Fatalf("change %d leaves before %s is made", c.Seq, ref)
					}
				}
			}
			over := slices.Clone(batch)
			for _, task := range batch {
				if settle(task); task.change.State != StateDone {
					continue
				}
				next := q.nextOfItem(task)
				switch {
				case next == nil:
				case rapid.IntRange(0, 4).Draw(t, "drifted behind") == 0:
					next.change.State, next.change.Error = StateConflict, "changed"
					over = append(over, next)
				default:
					q.saw(next)
				}
			}
			skipped = append(skipped, q.settle(over)...)
		}
		for _, c := range changes {
			if !c.State.Final() {
				t.Fatalf("change %d ends as %s", c.Seq, c.State)
			}
		}
		for _, c := range skipped {
			if c.State != StateSkipped || c.Error == "" {
				t.Fatalf("skipped change %d is %s with reason %q", c.Seq, c.State, c.Error)
			}
		}
	})
}

// What happens between a worker's decision to wait and its waiting wakes it: a
// run whose last answer came just then would else sleep on, for an hour at worst.
func TestQueueMissesNoNews(t *testing.T) {
	t.Parallel()
	q := newQueue(0, false)
	c := &Change{Seq: 1, Kind: KindUpdate, TypeID: 3, ID: 1, State: StatePlanned}
	q.add([]*Change{c}, nil, q.clock())
	q.loaded()
	sent, _, _ := q.decide(q.clock(), 50)
	idle, wait, news := q.decide(q.clock(), 50)
	if len(sent.batch) != 1 || idle.batch != nil || idle.look != nil || wait <= 0 {
		t.Fatalf("%d changes leave, then %+v after %s", len(sent.batch), idle, wait)
	}
	c.State = StateDone
	q.settle(sent.batch)
	select {
	case <-news:
	default:
		t.Error("the answer is no news to who had decided to wait")
	}
}

// TestQueueWaitsForFullBatches checks that a batch that is not full waits for
// what is on its way, and that the later step leaves first.
func TestQueueWaitsForFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []*Change
		for i := range 6 {
			ref := fmt.Sprintf("client@rows.csv:%d", i)
			changes = append(changes,
				&Change{Seq: int64(i + 1), Kind: KindCreate, State: StatePlanned, TypeID: 3, Ref: ref},
				&Change{Seq: int64(i + 101), Index: 1, Kind: KindCreate, State: StatePlanned, TypeID: 128, Ref: "card" + ref[6:], Needs: []string{ref}})
		}
		q := newQueue(0, false)
		q.add(changes, nil, time.Now())
		q.loaded()
		first := q.next(t.Context(), func() int { return 4 }).batch
		if got := len(first); got != 4 {
			t.Fatalf("first batch has %d changes, want 4", got)
		}
		second := make(chan []*task)
		go func() {
			batch := q.next(t.Context(), func() int { return 4 }).batch
			second <- batch
		}()
		synctest.Wait()
		select {
		case batch := <-second:
			t.Fatalf("a batch of %d left while a fuller one was coming", len(batch))
		default:
		}
		for _, task := range first {
			task.change.State, task.change.ID = StateDone, task.change.Seq
		}
		q.settle(first)
		batch := <-second
		if len(batch) != 4 || batch[0].change.Index != 1 {
			t.Fatalf("second batch has %d changes and begins with step %d, want 4 of step 1", len(batch), batch[0].change.Index)
		}
	})
}

// TestQueueBoundsUploads checks that only so many bytes of files are on their way,
// whatever asks for work, and that what is too large for the rest still leaves.
func TestQueueBoundsUploads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []*Change
		for i := range 5 {
			changes = append(changes, &Change{
				Seq: int64(i + 1), Kind: KindUpdate, State: StatePlanned, TypeID: 3, ID: int64(i + 1),
				Fields: map[string]FieldChange{"photo": {After: File{Size: MaxFile - 6_000_000, SHA256: "x"}}},
			})
		}
		q := newQueue(75*time.Second, false)
		q.answered = true
		q.add(changes, nil, time.Now())
		q.loaded()
		var onTheirWay [][]*task
		for range changes {
			for {
				w, _, _ := q.decide(time.Now(), 1)
				if w.look != nil {
					t.Fatal("it looks at the portal while it waits for uploads")
				}
				if w.batch == nil {
					break
				}
				onTheirWay = append(onTheirWay, w.batch)
			}
			if n := len(onTheirWay); n == 0 || n > 2 {
				t.Fatalf("%d uploads of 14 MB are on their way, want 1 or 2", n)
			}
			onTheirWay[0][0].change.State = StateDone
			q.settle(onTheirWay[0])
			onTheirWay = onTheirWay[1:]
		}
		if !q.over() || q.uploading != 0 {
			t.Fatalf("over: %v, %d bytes still on their way", q.over(), q.uploading)
		}
	})
}

// TestQueueLooksDoubtsUpInTime checks when lost answers are looked up: soon,
// and at the fence.
func TestQueueLooksDoubtsUpInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &Change{Seq: 1, Kind: KindCreate, State: StatePlanned, TypeID: 3, Ref: "client@rows.csv:1"}
		q := newQueue(75*time.Second, false)
		q.add([]*Change{c}, nil, time.Now())
		q.loaded()
		batch := q.next(t.Context(), func() int { return 50 }).batch
		sent := time.Now()
		c.State, c.SentAt = StateUnknown, sent.UnixMilli()
		q.settle(batch)
		var at []time.Duration
		for range 2 {
			l := q.next(t.Context(), func() int { return 50 }).look
			at = append(at, time.Since(sent).Round(time.Second))
			q.looked(l)
		}
		want := []time.Duration{2 * time.Second, 75 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("looked up after %v, want %v", at, want)
		}
	})
}

// TestQueueGathersLastLooks checks that the last changes of a run do not have a look
// each: it waits for what is on its way, and for the doubts that need one anyway.
func TestQueueGathersLastLooks(t *testing.T) {
	t.Parallel()
	const size = 50
	update := func(id int64) *Change {
		return &Change{Seq: id, Kind: KindUpdate, State: StatePlanned, TypeID: TypeDeal, ID: id}
	}
	lost := func(sent time.Time) *Change {
		return &Change{Seq: 1, Kind: KindCreate, State: StateUnknown, TypeID: TypeContact, Ref: "client@rows.csv:1", SentAt: sent.UnixMilli()}
	}
	tests := map[string]struct {
		begin func(q *queue)
		after time.Duration // of the first look
		asks  int           // about how many changes
	}{
		"a few and a doubt": {
			begin: func(q *queue) {
				q.doubt(newTask(lost(time.Now())))
				q.add([]*Change{update(2)}, nil, time.Time{})
			},
			after: firstLook, asks: 2,
		},
		"a batch and a doubt": {
			begin: func(q *queue) {
				q.doubt(newTask(lost(time.Now())))
				for id := range int64(size) {
					q.add([]*Change{update(2 + id)}, nil, time.Time{})
				}
			},
			after: 0, asks: size,
		},
		"a batch and others on their way": {
			begin: func(q *queue) {
				onTheirWay := lost(time.Now())
				onTheirWay.State = StatePlanned
				q.add([]*Change{onTheirWay}, nil, time.Now())
				q.full = true
				sent, _, _ := q.decide(time.Now(), size)
				for id := range int64(size) {
					q.add([]*Change{update(2 + id)}, nil, time.Time{})
				}
				q.answered = true
				time.AfterFunc(time.Second, func() {
					onTheirWay.State = StateDone
					q.settle(sent.batch)
				})
			},
			after: time.Second, asks: size,
		},
		"many and others on their way": {
			begin: func(q *queue) {
				q.add([]*Change{lost(time.Now())}, nil, time.Now())
				q.full = true
				q.decide(time.Now(), size)
				for id := range int64(fewBatches * size) {
					q.add([]*Change{update(2 + id)}, nil, time.Time{})
				}
				q.answered = true
			},
			after: 0, asks: fewBatches * size,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(75*time.Second, false)
				tt.begin(q)
				q.loaded()
				began := time.Now()
				l := q.next(t.Context(), func() int { return size }).look
				if l == nil {
					t.Fatal("it sends what the portal was not asked about")
				}
				if after, asks := time.Since(began), len(l.doubts)+len(l.stale); after != tt.after || asks != tt.asks {
					t.Errorf("a look at %d changes after %s, want at %d after %s", asks, after, tt.asks, tt.after)
				}
			})
		})
	}
}

// TestQueueLooksBesideWork checks that while others leave, lost answers wait for a
// look that asks for many, from the first on.
func TestQueueLooksBesideWork(t *testing.T) {
	t.Parallel()
	q := newQueue(75*time.Second, false)
	var changes []*Change
	for seq := range int64(3) {
		changes = append(changes, &Change{Seq: seq + 1, Kind: KindCreate, State: StatePlanned, TypeID: TypeContact, Ref: fmt.Sprintf("client@rows.csv:%d", seq+1)})
	}
	began := time.Now()
	q.add(changes, nil, began)
	lost, _, _ := q.decide(began, 1)
	lost.batch[0].change.State, lost.batch[0].change.SentAt = StateUnknown, began.UnixMilli()
	q.settle(lost.batch)
	if w, _, _ := q.decide(began.Add(2*firstLook), 1); w.look != nil {
		t.Error("a single lost answer is looked up while others may leave")
	}
}
