package portal

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// load is how much of the limits is in use right now.
func (g *governor) load() engine.Load {
	var out engine.Load
	waiting := slices.Sorted(maps.Keys(g.busyLines()))
	g.store.view(func(f *figures) {
		now := time.Now()
		if g.limits.Rate > 0 {
			f.Bucket.drain(now, g.limits)
			out.Bucket = engine.Bucket{Used: min(f.Bucket.Level, g.limits.Burst), Burst: g.limits.Burst, Rate: f.Bucket.rate(g.limits)}
		}
		out.Execution = g.execution(f, now)
		out.Wait = g.wait(f, now, waiting)
	})
	return out
}

// execution is the execution time in use by method, the fullest first. Of a
// method's accounts the fullest counts.
func (g *governor) execution(f *figures, now time.Time) []engine.Execution {
	if !g.metered(f) {
		return nil
	}
	fullest := map[string]engine.Execution{}
	for account, m := range f.Methods {
		user, method, _ := strings.Cut(account, "/")
		method = strings.TrimSuffix(method, "@batch")
		used := m.used(now)
		if user != g.user || used < tiny || used <= fullest[method].Used {
			continue
		}
		e := engine.Execution{Method: method, Used: used, Limit: g.limits.Operating.Seconds()}
		if len(m.Spent) > 0 {
			e.ResetsIn = time.Duration(m.Spent[0].Until - now.UnixNano()).Seconds()
		}
		fullest[method] = e
	}
	return slices.SortedFunc(maps.Values(fullest), func(a, b engine.Execution) int {
		return cmp.Or(cmp.Compare(b.Used, a.Used), cmp.Compare(a.Method, b.Method))
	})
}

// leastWait is how long a wait must be to be worth telling.
const leastWait = time.Second

// wait is the longest of what requests wait for. Slots in the bucket are not
// told: its rate says that.
func (g *governor) wait(f *figures, now time.Time, methods []string) engine.Wait {
	var longest time.Duration
	var out engine.Wait
	note := func(wait time.Duration, what string) {
		if wait >= leastWait && wait > longest {
			longest, out = wait, engine.Wait{For: what, Seconds: wait.Seconds()}
		}
	}
	note(min(time.Duration(f.Bucket.Blocked-now.UnixNano()), longestBlock), "the portal, which has refused requests")
	for _, method := range methods {
		needs := map[string]float64{method: max(f.charge(method), g.limits.budget()*worthwhileShare)} // of many calls
		p := packing{figures: f, governor: g, now: now, batch: true, needs: needs, waits: map[string]time.Duration{}}
		note(p.wait(method), "execution time of "+method)
	}
	return out
}
