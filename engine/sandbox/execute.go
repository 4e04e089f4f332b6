package sandbox

import (
	"context"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/sourcegraph/conc/panics"
)

// exchange is one request that was let in.
type exchange struct {
	portal  *Portal
	store   *store
	ctx     context.Context // ends at the cut-off of the request
	bill    *bill
	user    int64
	cause   cause // which request it is
	record  *requestRecord
	half    bool          // the connection breaks half-way through a batch
	nested  bool          // inside a batch
	aborted bool          // the portal closed before the command began
	lag     time.Duration // how long lists don't show what the request makes
}

// result is what one command came to.
type result struct {
	value any
	total *int64
	next  *int64
	time  object
	err   *apiError
}

// execute runs one command: the checks, the time that it takes, the method.
func (x *exchange) execute(m *method, params *array) *result {
	p := x.portal
	if err := p.allowed(m, x.nested); err != nil {
		return &result{err: err}
	}
	if p.limits.charge == ChargeNested || !x.nested {
		if p.limits.blocked(m.name) {
			p.stats.rejected()
			return &result{err: fault(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")}
		}
	}
	began := time.Now()
	if !p.wait(p.paced(p.cost(m.name))) {
		x.aborted = true
		return &result{err: fault(500, "INTERNAL_SERVER_ERROR", "Internal server error")}
	}
	c := &call{ctx: x.ctx, portal: p, store: x.store, params: params, user: x.user, lag: x.lag, cause: x.cause}
	value, err := c.run(m)
	took := time.Since(began)
	p.stats.command(m.name, took)
	x.bill.charge(x.payer(m), took)
	if err != nil {
		return &result{err: err}
	}
	return &result{value: value, total: c.total, next: c.next, time: x.timing(began, x.payer(m))}
}

// payer is the method that a command's execution time is billed to.
func (x *exchange) payer(m *method) string {
	if x.nested && x.portal.limits.charge == ChargeBatch {
		return "batch"
	}
	return m.name
}

// allowed checks the scope that a method needs. In a batch the refusal has no
// text (observed).
func (p *Portal) allowed(m *method, nested bool) *apiError {
	if m.scope == "" || p.scopes == nil || p.scopes[m.scope] {
		return nil
	}
	if nested {
		return fault(403, "insufficient_scope", "")
	}
	return fault(403, "insufficient_scope", "The request requires higher privileges than provided by the webhook token")
}

// cost is how long a command of a method is told to take.
func (p *Portal) cost(name string) time.Duration {
	if d, ok := p.options.Cost[name]; ok {
		return d
	}
	for key, d := range p.options.Cost {
		if strings.EqualFold(key, name) {
			return d
		}
	}
	return p.options.Cost["*"]
}

// paced is a cost at this hour.
func (p *Portal) paced(cost time.Duration) time.Duration {
	if p.options.Pace == nil || cost == 0 {
		return cost
	}
	return time.Duration(float64(cost) * p.options.Pace(time.Since(p.limits.start)))
}

// run calls the method with the store locked, and has what it changed in the
// data file before it returns.
func (c *call) run(m *method) (value any, err *apiError) {
	s := c.store
	if m.writes {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cause = c.cause
		s.cause.method = m.name
		defer func() {
			if s.log.flush() != nil {
				value, err = nil, fault(500, "INTERNAL_SERVER_ERROR", "Internal server error")
			}
		}()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	if caught := panics.Try(func() { value, err = m.run(c) }); caught != nil {
		return nil, fault(500, "INTERNAL_SERVER_ERROR", "Internal server error: "+caught.AsError().Error())
	}
	return value, err
}

// created notes a new item for the faults that hide it for a while.
func (c *call) created(e *entity, it *item) {
	if c.lag > 0 {
		now := time.Now()
		maps.DeleteFunc(c.store.lagging, func(_ itemKey, at time.Time) bool { return at.Before(now) })
		c.store.lagging[itemKey{e.typeID, it.id}] = now.Add(c.lag)
	}
}

// timing is the time object of an answer.
func (x *exchange) timing(began time.Time, method string) object {
	ahead := x.portal.options.Ahead
	began, now := began.Add(ahead), time.Now().Add(ahead)
	const layout = "2006-01-02T15:04:05-07:00"
	took := round6(now.Sub(began).Seconds())
	out := object{
		{"start", unixSeconds(began)},
		{"finish", unixSeconds(now)},
		{"duration", took},
		{"processing", took},
		{"date_start", began.In(x.portal.zone).Format(layout)},
		{"date_finish", now.In(x.portal.zone).Format(layout)},
	}
	return append(out, x.bill.operating(method, ahead)...)
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func round6(f float64) float64 { return math.Round(f*1e6) / 1e6 }
