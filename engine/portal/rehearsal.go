package portal

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// rehearsal is the governor in an imagined time. It goes by a copy of what is
// known of the limits, and expects every call to cost what the last ones did.
type rehearsal struct {
	*governor
	figures  figures
	began    time.Time
	writes   []string
	flying   map[string]flight // by ticket
	requests int
	bucket   time.Duration            // that requests waited for the bucket
	waits    map[string]time.Duration // that they waited for execution time, by method
}

// flight is a request that was imagined to leave.
type flight struct {
	ticket *ticket
	left   time.Time
	at     time.Time // when it is answered
}

// Rehearse implements [engine.Gauge].
func (c *Client) Rehearse() engine.Rehearsal {
	r := &rehearsal{
		governor: &governor{limits: c.governor.limits, user: c.governor.user, gate: c.governor.gate},
		began:    time.Now(), flying: map[string]flight{}, waits: map[string]time.Duration{},
	}
	c.governor.store.view(func(f *figures) { r.figures = f.copied() })
	c.mu.Lock()
	r.writes = c.writes
	c.mu.Unlock()
	return r
}

// copied are figures of their own, without what is on its way.
func (f *figures) copied() figures {
	var own figures
	if raw, err := json.Marshal(f); err == nil {
		_ = json.Unmarshal(raw, &own) // what was just written can be read
	}
	own.prepare()
	for _, m := range own.Methods {
		m.Pending = nil
	}
	own.Bucket.Trial = nil
	return own
}

// BatchSize implements [engine.Rehearsal].
func (r *rehearsal) BatchSize() int {
	if len(r.writes) == 0 {
		return r.figures.firstBatch(r.limits)
	}
	size := maxBatch * maxImport
	for _, method := range r.writes {
		size = min(size, r.sizeOf(&r.figures, r.began, method))
	}
	return size
}

// Write implements [engine.Rehearsal].
func (r *rehearsal) Write(now time.Time, methods []string) (carried []bool, answered time.Time, wait time.Duration) {
	calls := make([]string, len(methods))
	imports := grouping{}
	fits := make([]bool, len(methods))
	for i, method := range methods {
		if method == methodImport && len(methods) > 1 {
			method = methodBatchImport
		}
		calls[i] = method
		fits[i] = imports.add(call{Method: method, Params: map[string]any{"fields": nil, "entityTypeId": 0}}, i)
	}
	sent := pick(calls, fits)
	t := r.newTicket()
	chosen, wait := r.choose(&r.figures, now, t, sent, nil)
	if chosen == nil {
		r.waits[sent[0]] += wait
		return nil, time.Time{}, wait
	}
	r.writes = distinct(sent)
	n := 0
	for i := range fits {
		if fits[i] {
			fits[i] = chosen[n]
			n++
		}
	}
	return fits, r.leave(now, t), 0
}

// Look implements [engine.Rehearsal].
func (r *rehearsal) Look(now time.Time, keys int) (answered time.Time) {
	lists := int(math.Ceil(float64(keys) / pageSize))
	for lists > 0 {
		t := r.newTicket()
		for range min(lists, maxBatch) {
			t.methods = append(t.methods, methodList)
		}
		lists -= len(t.methods)
		answered = r.leave(now, t)
	}
	return answered
}

func (r *rehearsal) newTicket() *ticket {
	return &ticket{id: strconv.Itoa(r.requests), batch: true}
}

// leave has a request take its slot in the bucket, and says when it is answered.
func (r *rehearsal) leave(now time.Time, t *ticket) time.Time {
	t.slot = r.figures.Bucket.take(now, r.limits)
	r.bucket += t.slot.wait
	left := now.Add(t.slot.wait)
	r.expect(&r.figures, left, t)
	took := r.figures.Overhead.Seconds
	for _, method := range t.methods {
		took += r.figures.guess(method)
	}
	r.requests++
	answered := left.Add(seconds(took))
	r.flying[t.id] = flight{ticket: t, left: left, at: answered}
	return answered
}

// Answered implements [engine.Rehearsal].
func (r *rehearsal) Answered(now time.Time) {
	for id, f := range r.flying {
		if f.at.After(now) {
			continue
		}
		delete(r.flying, id)
		expected := r.drop(&r.figures, f.ticket)
		used := map[string]float64{}
		for _, method := range f.ticket.methods {
			cost := r.figures.guess(method)
			r.figures.Costs[method] = costPerCall{Seconds: cost, Seen: true}
			for _, account := range r.billed(method, true) {
				used[account] += cost
			}
		}
		for account, seconds := range used {
			if !r.metered(&r.figures) || seconds <= minBilled || (account == r.user+"/"+methodBatch && r.figures.Nested) {
				continue
			}
			r.figures.use(account).spread(f.left, now, r.limits, seconds)
		}
		r.figures.compare(expected, used)
	}
}

// minBilled is the execution time of a request up to which the portal counts
// nothing, in seconds (observed).
const minBilled = 0.1

// Forecast implements [engine.Rehearsal].
func (r *rehearsal) Forecast(ended time.Time) engine.Forecast {
	f := engine.Forecast{Requests: r.requests, Seconds: ended.Sub(r.began).Seconds(), LimitedBy: "none"}
	method, longest := "", time.Duration(0)
	for m, wait := range r.waits {
		if wait > longest || (wait == longest && m < method) {
			method, longest = m, wait
		}
	}
	switch part := seconds(f.Seconds / 20); {
	case longest > part && r.metered(&r.figures):
		f.LimitedBy = "execution_time"
		cost := seconds(r.figures.guess(method)).Round(time.Millisecond)
		f.Limit = fmt.Sprintf("execution time: %s may run %s in %s, and a call takes %s", method, r.limits.Operating, r.limits.Window, cost)
	case r.bucket > part && r.limits.Rate > 0:
		f.LimitedBy = "bucket"
		f.Limit = fmt.Sprintf("%g requests a second after %g at once", r.limits.Rate, r.limits.Burst)
	}
	return f
}
