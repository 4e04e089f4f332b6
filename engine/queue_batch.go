package engine

import (
	"container/heap"
	"slices"
	"time"
)

const (
	// mostLostTogether is how many requests may be lost with a change before it goes
	// with fewer others: it may be what the portal breaks on, and none of its batch
	// would ever be done. After mostLost it has failed.
	mostLostTogether = 4
	mostLost         = 12
)

// takeFresh takes a batch of what was seen on the portal lately. What was not is
// held back for the next look, which is due when the rest does not fill a batch:
// then there is none.
func (q *queue) takeFresh(size int, now time.Time) []*task {
	var batch []*task
	upload, full := int64(0), false
	for len(batch) < size && q.ready.Len() > 0 {
		t, ok := heap.Pop(&q.ready).(*task)
		if !ok {
			panic("queue: not a task")
		}
		if q.stale(t, now) {
			t.state = taskStale
			q.held = append(q.held, t)
			continue
		}
		if full = !q.carries(len(batch), upload, t.upload); full {
			heap.Push(&q.ready, t)
			break
		}
		if size = min(size, t.company(size)); len(batch) > 0 && (len(batch) >= size || t.suspect() != batch[0].suspect()) {
			full = true
			heap.Push(&q.ready, t)
			break
		}
		upload += t.upload
		for ; t != nil; t = q.follower(t, now) {
			t.state = taskSending
			batch = append(batch, t)
			if len(batch) == size {
				break
			}
		}
	}
	if !full && len(batch) < size && len(q.held) > 0 {
		for _, t := range batch {
			q.putBack(t)
		}
		return nil
	}
	if len(batch) == 0 {
		return nil
	}
	q.sending += len(batch)
	q.uploading += upload
	q.batches++
	return batch
}

// suspect says whether the portal may break on a change.
func (t *task) suspect() bool { return t.lost > mostLostTogether }

// company is how many changes a batch of so many at the most has with this one: of
// suspects a quarter each time, so that few requests part the one that the portal
// breaks on from the others.
func (t *task) company(size int) int { return max(1, size>>(2*max(0, t.lost-mostLostTogether))) }

// carries says whether a batch of so many tasks and bytes of files may carry one
// more: files are in memory while they are on their way, and a batch that takes long
// to upload would still be on it past the fence. What is too much for a batch goes
// alone.
func (q *queue) carries(tasks int, upload, more int64) bool {
	if more == 0 {
		return upload <= BatchUpload
	}
	total := q.uploading + upload
	return (tasks == 0 || upload+more <= BatchUpload) && (total == 0 || total+more <= MaxUpload)
}

// leave takes a task out of the batch that it was in.
func (q *queue) leave(t *task) {
	q.sending--
	q.uploading -= t.upload
}

// follower takes the task that waits for nothing but a dated create before it,
// which has just been put into a batch, nil if there is none.
func (q *queue) follower(t *task, now time.Time) *task {
	for i, next := range t.behind {
		if next.after == t && next.waits == 1 && next.state == taskWaiting && !next.checking && next.upload == 0 && !next.suspect() && !q.stale(next, now) {
			t.behind = slices.Delete(t.behind, i, i+1)
			next.waits = 0
			return next
		}
	}
	return nil
}

// putBack has a task that was in a batch wait again: to be sent, or for the dated
// create before it.
func (q *queue) putBack(t *task) {
	if t.after != nil && t.after.state != taskSettled {
		t.after.behind = append(t.after.behind, t)
		t.waits++
		t.state = taskWaiting
		return
	}
	q.push(t)
}

// giveBack returns a batch that was not sent.
func (q *queue) giveBack(batch []*task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range batch {
		q.leave(t)
		q.putBack(t)
	}
	q.wakeLocked()
}
