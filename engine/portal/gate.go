package portal

import (
	"context"
	"sync"
	"time"
)

const (
	// maxInFlight lets the whole burst of a portal be on its way at once: where
	// answers take seconds, fewer would leave requests unused that the bucket
	// allows. What takes long is kept back by its execution time.
	maxInFlight = 48
	// leastInFlight is how far a gate closes because more did not help.
	leastInFlight = 2
	// worthwhile is by how much one more request at once must raise throughput.
	worthwhile = 1.05
	// retryWider is after how many rounds a wider gate is tried again.
	retryWider = 10
)

// gate bounds the requests in flight. It is open until there is trouble, which
// closes it by half; then it opens by one while throughput grows with it. A
// round is as many answers as the gate is wide.
type gate struct {
	queue queue

	mu      sync.Mutex
	width   int
	growing bool      // the last step wider paid, or none was tried
	best    float64   // calls a second before it
	rounds  int       // since it did not pay
	answers int       // requests answered in this round
	calls   int       // calls in them
	crowded bool      // someone had to wait in this round
	since   time.Time // when the round began
	trouble time.Time // when the gate last closed by half
}

func newGate() *gate {
	return &gate{queue: queue{width: maxInFlight}, width: maxInFlight}
}

// enter waits for room. The error is ctx's.
func (g *gate) enter(ctx context.Context) error {
	waited, err := g.queue.enter(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.crowded = g.crowded || waited
	if g.since.IsZero() {
		g.since = time.Now()
	}
	return err
}

// leave gives the room back. Calls is how many were answered; 0 for a request
// that was not sent.
func (g *gate) leave(calls int, started time.Time, troubled bool) {
	g.queue.resize(g.measure(calls, started, troubled))
	g.queue.leave()
}

// measure takes in what became of a request and returns the width from now on.
func (g *gate) measure(calls int, started time.Time, troubled bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case troubled && started.After(g.trouble):
		g.width = max(1, g.width/2)
		g.trouble, g.growing, g.best, g.rounds = now, true, 0, 0
		g.newRound(now)
	case calls > 0 && !troubled:
		g.answers++
		g.calls += calls
		if g.answers >= g.width {
			g.judge(float64(g.calls) / max(now.Sub(g.since).Seconds(), tiny))
			g.newRound(now)
		}
	}
	return g.width
}

// judge ends a round: was the last step wider worth it, is it time for another?
func (g *gate) judge(throughput float64) {
	switch {
	case !g.crowded:
	case g.growing && throughput > g.best*worthwhile:
		g.best = throughput
		g.width = min(g.width+1, maxInFlight)
	case g.growing:
		g.width = max(leastInFlight, g.width-1)
		g.growing, g.rounds = false, 0
	default:
		g.rounds++
		if g.rounds >= retryWider {
			g.growing, g.best = true, throughput
			g.width = min(g.width+1, maxInFlight)
		}
	}
}

func (g *gate) newRound(now time.Time) {
	g.answers, g.calls, g.crowded, g.since = 0, 0, false, now
}
