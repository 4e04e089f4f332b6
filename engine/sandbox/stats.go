package sandbox

import (
	"maps"
	"sync"
	"time"
)

// Stats are figures about what was asked of a portal, since it was opened or
// reset.
type Stats struct {
	Requests          int                    `json:"requests"`           // all that came in
	Commands          int                    `json:"commands"`           // methods that ran, those in batches too
	RejectedBucket    int                    `json:"rejected_bucket"`    // answers 503 QUERY_LIMIT_EXCEEDED
	RejectedOperating int                    `json:"rejected_operating"` // answers 429 OPERATION_TIME_LIMIT, those in batches too
	Timeouts          int                    `json:"timeouts"`           // requests that were cut off
	Faults            int                    `json:"faults"`             // faults that struck
	PeakSecond        int                    `json:"peak_second"`        // the most requests within any second
	MaxInFlight       int                    `json:"max_in_flight"`      // the most requests at work at a time
	MaxBatch          int                    `json:"max_batch"`          // the most commands that a batch ran
	ByMethod          map[string]MethodStats `json:"by_method"`
	Automation        int                    `json:"automation"` // robots that would have fired
}

// MethodStats are the figures of one method.
type MethodStats struct {
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"` // execution time
}

type counters struct {
	mu       sync.Mutex
	s        Stats
	inFlight int
	arrivals []time.Time // within the last second, after the first few
	gone     int         // how many those first few are
}

func newCounters() *counters { return &counters{s: Stats{ByMethod: map[string]MethodStats{}}} }

// Stats returns the figures so far.
func (p *Portal) Stats() Stats {
	s := p.stats.get()
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	s.Automation = p.store.robots
	return s
}

func (c *counters) get() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.ByMethod = maps.Clone(c.s.ByMethod)
	for name, m := range s.ByMethod {
		m.Seconds = round6(m.Seconds)
		s.ByMethod[name] = m
	}
	return s
}

func (c *counters) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s = Stats{ByMethod: map[string]MethodStats{}}
	c.arrivals, c.gone = nil, 0
}

func (c *counters) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *counters) rejectedBucket() { c.add(&c.s.RejectedBucket) }
func (c *counters) rejected()       { c.add(&c.s.RejectedOperating) }
func (c *counters) timeout()        { c.add(&c.s.Timeouts) }
func (c *counters) fault()          { c.add(&c.s.Faults) }

// request counts a request, looks for the busiest second and returns the
// request's number.
func (c *counters) request() int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Requests++
	for c.gone < len(c.arrivals) && now.Sub(c.arrivals[c.gone]) >= time.Second {
		c.gone++
	}
	if c.gone > len(c.arrivals)/2 {
		c.arrivals = c.arrivals[:copy(c.arrivals, c.arrivals[c.gone:])]
		c.gone = 0
	}
	c.arrivals = append(c.arrivals, now)
	c.s.PeakSecond = max(c.s.PeakSecond, len(c.arrivals)-c.gone)
	return c.s.Requests
}

// enter counts a request that is at work, until the returned function is called.
func (c *counters) enter() (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight++
	c.s.MaxInFlight = max(c.s.MaxInFlight, c.inFlight)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight--
	}
}

func (c *counters) command(name string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Commands++
	m := c.s.ByMethod[name]
	m.Calls++
	m.Seconds += took.Seconds()
	c.s.ByMethod[name] = m
}

func (c *counters) batch(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.MaxBatch = max(c.s.MaxBatch, size)
}
