package portal

import (
	"container/list"
	"context"
	"sync"
)

// queue lets a number of holders in at once, first come first served.
type queue struct {
	mu      sync.Mutex
	width   int
	inside  int
	waiting list.List // of chan struct{}, closed to let one in
}

// enter waits for room and says whether it had to. The error is ctx's.
func (q *queue) enter(ctx context.Context) (waited bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	q.mu.Lock()
	if q.inside < q.width && q.waiting.Len() == 0 {
		q.inside++
		q.mu.Unlock()
		return false, nil
	}
	ready := make(chan struct{})
	place := q.waiting.PushBack(ready)
	q.mu.Unlock()

	select {
	case <-ready:
		return true, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-ready: // let in at the same moment: hand the room on
		q.inside--
		q.admit()
	default:
		q.waiting.Remove(place)
	}
	return true, ctx.Err()
}

// leave gives the room back.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inside--
	q.admit()
}

// busy says whether anyone is inside or waits.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inside > 0
}

// state is how many are inside, and how many may be.
func (q *queue) state() (inside, width int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inside, q.width
}

// resize changes how many may be inside.
func (q *queue) resize(width int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.width = width
	q.admit()
}

// admit lets in those who have waited longest.
func (q *queue) admit() {
	for q.inside < q.width && q.waiting.Len() > 0 {
		front := q.waiting.Front()
		q.waiting.Remove(front)
		q.inside++
		if ready, ok := front.Value.(chan struct{}); ok {
			close(ready)
		}
	}
}
