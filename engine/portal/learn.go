package portal

import (
	"context"
	"slices"
	"time"
)

// report is what the governor learns from a request.
type report struct {
	fault   *Error // of the whole request; nil if it was answered
	outer   Timing // of the request
	replies []reply
}

// done learns from a ticket's request and gives its room to the next.
func (g *governor) done(ctx context.Context, t *ticket, r report) {
	took := min(time.Since(t.admitted), g.limits.Request) // longer it can't have run, even if this machine slept
	void := false
	g.update(ctx, func(f *figures, now time.Time) {
		expected := g.drop(f, t)
		switch {
		case r.fault == nil:
			void = f.Bucket.accepted(now, g.limits, t.slot)
			g.learn(f, now, t, r, took)
			f.compare(expected, g.used(t, r))
		case r.fault.Code == codeQueryLimit:
			void = f.Bucket.refused(now, t.admitted, g.limits, t.slot)
		case r.fault.Code == codeOperationLimit:
			g.overdrawn(f, now, t, r.fault.Method)
		case r.fault.Verdict == Unknown:
			g.suspect(f, now, t, took)
		}
	})
	troubled := r.fault != nil && r.fault.Verdict == Unknown
	g.gate.leave(len(t.methods), t.admitted, troubled)
	g.answered.announce()
	if void {
		g.voided.announce()
	}
}

// learn takes in the times of an answered request.
func (g *governor) learn(f *figures, now time.Time, t *ticket, r report, took time.Duration) {
	f.Metered = f.Metered || r.metered()
	f.Untold = f.Untold || (r.outer.FinishedAt > 0 && !r.metered())
	byMethod := map[string]time.Duration{}
	count := map[string]int{}
	var sum time.Duration
	charged := r.charged(t.methods)
	for i, reply := range r.replies {
		method := t.methods[i]
		if reply.Err != nil {
			if reply.Err.Code == codeOperationLimit {
				g.overdrawn(f, now, t, method)
			}
			continue
		}
		byMethod[method] += reply.Result.Time.Duration
		count[method] += t.weight(i)
		sum += reply.Result.Time.Duration
		account := g.user + "/" + method
		if t.batch {
			account += "@batch"
			f.Nested = f.Nested || (reply.Result.Time.Operating > 0 && r.outer.Operating == 0)
		}
		at := finished(t, now, r.outer, reply.Result.Time)
		used := reply.Result.Time.Duration
		if !charged[method] {
			used = 0
		}
		g.bill(f, at, at, account, reply.Result.Time, used)
	}
	if t.batch {
		f.Nested = f.Nested && r.outer.Operating == 0
		used := sum
		if r.outer.Operating == 0 {
			used = 0
		}
		g.bill(f, t.admitted, now, g.user+"/"+methodBatch, r.outer, used)
		if m := f.Methods[g.user+"/"+methodBatch]; m != nil {
			m.InARow = 0
		}
	}
	// Some builds begin their counters at whole seconds: what the calls took
	// is then too much, or nothing.
	scale := 1.0
	switch {
	case sum > took:
		scale = float64(took) / float64(sum)
	case sum == 0:
		f.share(count, took)
		return
	}
	f.Overhead.observe((took - min(sum, took)).Seconds())
	for method, n := range count {
		f.observe(method, n, time.Duration(float64(byMethod[method])*scale))
	}
}

// metered says whether an answer tells of execution time.
func (r report) metered() bool {
	return r.outer.Metered || slices.ContainsFunc(r.replies, func(one reply) bool { return one.Result.Time.Metered })
}

// charged are the methods whose calls count in full: up to a tenth of a second
// of them in a request the portal counts nothing, then all of it (observed).
func (r report) charged(methods []string) map[string]bool {
	charged := map[string]bool{}
	for i, reply := range r.replies {
		if reply.Result.Time.Operating > 0 {
			charged[methods[i]] = true
		}
	}
	return charged
}

// used is what a request used of each account.
func (g *governor) used(t *ticket, r report) map[string]float64 {
	used := map[string]float64{}
	for i, reply := range r.replies {
		for _, account := range g.billed(t.methods[i], t.batch) {
			used[account] += reply.Result.Time.Duration.Seconds()
		}
	}
	return used
}

// compare has accounts learn from what they expected of a request.
func (f *figures) compare(expected, used map[string]float64) {
	for account, seconds := range expected {
		if m := f.Methods[account]; m != nil {
			m.compare(seconds, used[account])
		}
	}
}

// share takes what a request took for the cost of its calls, where the portal
// does not tell them apart.
func (f *figures) share(count map[string]int, took time.Duration) {
	all := 0
	for _, n := range count {
		all += n
	}
	for method, n := range count {
		f.observe(method, n, took*time.Duration(n)/time.Duration(all))
	}
}

// finished is when a call ended by our clock: as long before its request as by
// the portal's.
func finished(t *ticket, now time.Time, outer, call Timing) time.Time {
	if !t.batch || outer.FinishedAt == 0 || call.FinishedAt == 0 || call.FinishedAt > outer.FinishedAt {
		return now
	}
	at := now.Add(-seconds(outer.FinishedAt - call.FinishedAt))
	if at.Before(t.admitted) {
		return t.admitted
	}
	return at
}

// bill counts what calls used of an account from one time to another, and takes
// in what the portal says of it.
func (g *governor) bill(f *figures, since, at time.Time, account string, t Timing, used time.Duration) {
	if g.limits.Operating <= 0 || !t.Metered || (t.Operating == 0 && used == 0 && f.Methods[account] == nil) {
		return
	}
	f.use(account).report(since, at, used.Seconds(), g.limits, t)
}

// overdrawn notes a 429 of a method.
func (g *governor) overdrawn(f *figures, now time.Time, t *ticket, method string) {
	f.Metered = true // it limits what it may not tell
	limits := g.limits
	if limits.Window <= 0 {
		limits.Window = CloudLimits().Window
	}
	account := g.user + "/" + method
	if t.batch && method != methodBatch {
		account += "@batch"
	}
	f.use(account).refused(now, limits)
}

// suspect counts a request of which no answer came as if it had run, and plans
// with smaller batches if it took long.
func (g *governor) suspect(f *figures, now time.Time, t *ticket, took time.Duration) {
	if took < g.limits.Request/2 {
		took = 0
	}
	all, count := 0, map[string]int{}
	for i, method := range t.methods {
		all += t.weight(i)
		count[method] += t.weight(i)
	}
	for method, n := range count {
		seconds := f.charge(method)
		if g.metered(f) {
			f.use(g.billed(method, t.batch)[0]).spend(now, g.limits, seconds*float64(n))
		}
		if took > 0 {
			likely := max(took/time.Duration(all), time.Duration(2*seconds*float64(time.Second)))
			f.observe(method, 1, min(likely, g.limits.Request))
		}
	}
}
