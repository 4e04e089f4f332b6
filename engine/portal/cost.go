package portal

import (
	"strings"
	"time"
)

// costPerCall is a moving estimate of how long the portal works on one call of
// a method. It rises at once and falls slowly.
type costPerCall struct {
	Seconds float64 `json:"seconds"`
	Seen    bool    `json:"seen"`
}

// observe takes in a new measurement.
func (c *costPerCall) observe(seconds float64) {
	if !c.Seen || seconds > c.Seconds {
		c.Seconds, c.Seen = seconds, true
		return
	}
	c.Seconds += (seconds - c.Seconds) * 0.3
}

// sound refuses figures that no process can have written.
func (c costPerCall) sound() bool { return c.Seconds >= 0 && c.Seconds < 1e6 }

const (
	// maxBatch is the portal's limit on the commands of a batch.
	maxBatch = 50
	// probeBatch is how many writes of a method go while nobody knows what one
	// costs. Adds of 1.8 to 3.7 seconds are documented, and a request that
	// runs into the portal's limit leaves all of its commands in doubt.
	probeBatch = 5
	// targetShare is the part of the time that the portal lets a request run
	// which a batch is planned to take: 15 of 60 seconds. One of calls that take
	// four times as long as the last ones still ends in time, and where calls are
	// so dear that this makes batches smaller, execution time is what is scarce,
	// not requests.
	targetShare = 15.0 / 60
)

// target is how long a batch should take on the portal's side at most.
func (l Limits) target() float64 { return l.Request.Seconds() * targetShare }

// reads says whether a method only reads, by the portal's way of naming them.
func reads(method string) bool {
	method = strings.ToLower(method)
	last := method[strings.LastIndexByte(method, '.')+1:]
	switch last {
	case "list", "get", "fields", "current", "search", "types", "items", "findbycomm", "getbyentitytypeid",
		"profile", "scope", "time", "info", "admin", "methods", "ownertype", "addresstype":
		return true
	}
	return false
}

// cost is the estimate for a method; ok is false while none of its calls was
// measured. Until then a read counts as the dearest read that was.
func (f *figures) cost(method string) (seconds float64, ok bool) {
	if c := f.Costs[method]; c.Seen {
		return c.Seconds, true
	}
	switch method { // either shows what the other will cost
	case methodImport:
		c := f.Costs[methodBatchImport]
		return c.Seconds, c.Seen
	case methodBatchImport:
		c := f.Costs[methodImport]
		return c.Seconds, c.Seen
	}
	if !reads(method) {
		return 0, false
	}
	for other, c := range f.Costs {
		if reads(other) {
			seconds = max(seconds, c.Seconds)
		}
	}
	return seconds, true
}

// dearest is what one call of an unknown kind may use of the execution time:
// additions of up to 3.7 seconds are documented.
const dearest = 4.0

// charge is what a call is expected to use of its method's execution time.
func (f *figures) charge(method string) float64 {
	if seconds, known := f.cost(method); known {
		return seconds
	}
	return dearest
}

// observe takes in what a request of these methods took on the portal's side.
func (f *figures) observe(method string, calls int, took time.Duration) {
	if calls == 0 {
		return
	}
	c := f.Costs[method]
	c.observe(took.Seconds() / float64(calls))
	f.Costs[method] = c
}

// sizing says how many calls, in order, one request can carry: fifty (where one
// of crm.item.batchImport counts for each of its rows), or as many as run in the
// target time, or a few of an unknown kind. At least one.
type sizing struct {
	figures *figures
	target  float64
	calls   int
	rows    int // that fifty calls of as many rows as they take would have, so far
	unknown int
	seconds float64
}

func (f *figures) newSizing(limits Limits) *sizing {
	return &sizing{figures: f, target: limits.target()}
}

// add takes one more call in, or says that the request is full.
func (s *sizing) add(method string) bool {
	seconds, known := s.figures.cost(method)
	unknown, rows := s.unknown, s.rows+maxImport
	if method == methodBatchImport {
		rows = s.rows + 1
	}
	if !known {
		unknown++
	}
	if rows > maxBatch*maxImport || (s.calls > 0 && (s.seconds+seconds > s.target || unknown > probeBatch)) {
		return false
	}
	s.calls, s.rows, s.unknown, s.seconds = s.calls+1, rows, unknown, s.seconds+seconds
	return true
}

// cut is how many calls of one method a request can carry.
func (f *figures) cut(method string, limits Limits) int {
	s := f.newSizing(limits)
	for s.add(method) {
	}
	return s.calls
}
