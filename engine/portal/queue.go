package portal

import (
	"context"
	"slices"
	"sync"
)

// queue lets a number of holders in at once. Of those who wait, the jobs take
// turns, and within a job it is first come first served.
type queue struct {
	mu      sync.Mutex
	width   int
	inside  int
	waiting []*place
	turns   int
	last    map[string]int // the last turn of each job
}

// place is that of one who waits.
type place struct {
	job   string
	ready chan struct{} // closed to let it in
}

// jobKey is the key of a context's job.
type jobKey struct{}

// ForJob names the job that requests are made for. Where several jobs have one
// client, each gets its share of the portal's limits, however many requests the
// others have waiting.
func ForJob(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, jobKey{}, name)
}

// enter waits for room and says whether it had to. The error is ctx's.
func (q *queue) enter(ctx context.Context) (waited bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	job, _ := ctx.Value(jobKey{}).(string) // empty: a command's own
	q.mu.Lock()
	if q.inside < q.width && len(q.waiting) == 0 {
		q.let(job)
		q.mu.Unlock()
		return false, nil
	}
	p := &place{job: job, ready: make(chan struct{})}
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()

	select {
	case <-p.ready:
		return true, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-p.ready: // let in at the same moment: hand the room on
		q.inside--
		q.admit()
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(other *place) bool { return other == p })
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

// admit lets in as many as there is room for: of the jobs, the one that has not
// had a turn for longest, and of that the one who has waited longest.
func (q *queue) admit() {
	for q.inside < q.width && len(q.waiting) > 0 {
		next := 0
		for i, p := range q.waiting {
			if q.last[p.job] < q.last[q.waiting[next].job] {
				next = i
			}
		}
		p := q.waiting[next]
		q.waiting = slices.Delete(q.waiting, next, next+1)
		q.let(p.job)
		close(p.ready)
	}
}

// let lets one of a job in.
func (q *queue) let(job string) {
	q.inside++
	q.turns++
	if q.last == nil {
		q.last = map[string]int{}
	}
	q.last[job] = q.turns
}
