package portal

import (
	"math"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// batchSize is how many calls like the last ones the next batch should carry.
func (g *governor) batchSize(methods []string) int {
	size := maxBatch * maxImport
	g.store.view(func(f *figures) {
		for _, method := range methods {
			size = min(size, g.sizeOf(f, time.Now(), method))
		}
	})
	return size
}

// firstBatch is how many calls the first batch of writes should carry.
func (g *governor) firstBatch() int {
	size := 0
	g.store.view(func(f *figures) { size = f.firstBatch(g.limits) })
	return size
}

func (f *figures) firstBatch(limits Limits) int { return min(maxBatch, f.cut(methodAdd, limits)) }

// sizeOf is the size of a batch of one method: what runs in the target time,
// and fits the execution time that is left, or that will be when some is again.
func (g *governor) sizeOf(f *figures, now time.Time, method string) int {
	seconds, known := f.cost(method)
	if !known { // of which a few are sent; what else is in the batch goes, too
		return maxBatch
	}
	size := f.cut(method, g.limits)
	if !g.metered(f) || seconds <= 0 {
		return size
	}
	left := g.limits.budget()
	for _, account := range g.accounts(method, true) {
		if m := f.Methods[account]; m != nil {
			left = min(left, m.left(now, g.limits))
		}
	}
	if fit := int(left / seconds); fit >= 1 && left >= g.limits.budget()*worthwhileShare {
		return min(size, fit)
	}
	return size // it waits; by then more is left
}

// forecast predicts how long these calls take from now.
func (g *governor) forecast(calls map[string]int) engine.Forecast {
	var out engine.Forecast
	g.store.view(func(f *figures) { out = g.predict(f, time.Now(), calls) })
	return out
}

// predict is the longest of three times: the bucket's, that of the tightest
// execution budget, and that of the work itself.
func (g *governor) predict(f *figures, now time.Time, calls map[string]int) engine.Forecast {
	var requests, work, budget float64
	for method, n := range calls {
		seconds := f.guess(method)
		size := float64(maxBatch)
		if seconds > 0 {
			size = min(size, max(1, math.Floor(g.limits.target()/seconds)))
		}
		requests += float64(n) / size
		work += float64(n) * seconds
		budget = max(budget, g.predictBudget(f, now, method, float64(n)*seconds))
	}
	out := engine.Forecast{Requests: int(math.Ceil(requests - tiny)), LimitedBy: "none"}
	_, width := g.gate.queue.state()
	work = (work + float64(out.Requests)*f.Overhead.Seconds) / float64(min(max(1, width), max(1, out.Requests)))
	bucket := 0.0
	if g.limits.Rate > 0 {
		f.Bucket.drain(now, g.limits)
		bucket = max(0, (f.Bucket.Level+float64(out.Requests)-f.Bucket.room(g.limits))/f.Bucket.rate(g.limits))
	}
	out.Seconds = max(work, bucket, budget)
	switch {
	case budget > 0 && budget >= out.Seconds:
		out.LimitedBy = "execution_time"
	case bucket > 0 && bucket >= out.Seconds:
		out.LimitedBy = "bucket"
	}
	return out
}

// guess is the cost of a method for a forecast. One that was never measured is
// taken for ten times the dearest read, as documented answers suggest.
func (f *figures) guess(method string) float64 {
	seconds, known := f.cost(method)
	if known {
		return seconds
	}
	seconds, _ = f.cost(methodList)
	return 10 * seconds
}

// predictBudget is how long a method's execution budget makes its work take.
func (g *governor) predictBudget(f *figures, now time.Time, method string, seconds float64) float64 {
	if !g.metered(f) || seconds <= 0 {
		return 0
	}
	left := g.limits.budget()
	for _, account := range g.accounts(method, true) {
		if m := f.Methods[account]; m != nil {
			left = min(left, m.left(now, g.limits))
		}
	}
	over := seconds - max(left, 0)
	if over <= 0 {
		return 0
	}
	// What fits is spent at once; then every window brings one budget more.
	windows := math.Ceil(over / g.limits.budget())
	rest := over - (windows-1)*g.limits.budget()
	return windows*g.limits.Window.Seconds() + rest/leastInFlight
}
