package sandbox

import (
	"maps"
	"sync"
	"time"
)

// subWindows is how many parts the window of execution time has; each is
// forgotten as a whole.
const subWindows = 10

// minCharge is the execution time of a method within one request, in seconds,
// up to which it is free (observed).
const minCharge = 0.1

// maxBuckets bounds how many client addresses are remembered.
const maxBuckets = 4096

// limiter is what keeps clients from asking too much: a leaky bucket per client
// address, and the execution time of each method.
type limiter struct {
	mu      sync.Mutex
	start   time.Time
	rate    float64
	burst   int
	step    bool
	limit   float64 // seconds; 0: none
	window  time.Duration
	charge  string
	buckets map[string]*bucket
	methods map[string]*usage
}

// bucket is the level that a client's requests have filled.
type bucket struct {
	level float64
	at    time.Duration // since the start, of the last draining
}

// usage is the execution time of a method in the sub-windows of the last window.
type usage struct {
	spent [subWindows]float64
	first [subWindows]time.Time // of the first charge in the sub-window
	slot  [subWindows]int64     // which sub-window since the start that is
}

func newLimiter(o Options) *limiter {
	return &limiter{
		start: time.Now(), rate: o.Rate, burst: o.Burst, step: o.Drain == DrainStep,
		limit: o.OperatingLimit.Seconds(), window: o.OperatingWindow, charge: o.Charge,
		buckets: map[string]*bucket{}, methods: map[string]*usage{},
	}
}

// admit counts a request of a client, unless its bucket is full: a request that
// is turned away doesn't count.
func (l *limiter) admit(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.rate <= 0 {
		return true
	}
	now := time.Since(l.start)
	b, ok := l.buckets[client]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			maps.DeleteFunc(l.buckets, func(_ string, b *bucket) bool { l.drain(b, now); return b.level == 0 })
		}
		b = &bucket{at: now}
		l.buckets[client] = b
	}
	l.drain(b, now)
	// Half a millionth is what adding and draining fractions may be off by.
	if b.level+1 > float64(l.burst)+5e-7 {
		return false
	}
	b.level++
	return true
}

func (l *limiter) drain(b *bucket, now time.Duration) {
	passed := (now - b.at).Seconds()
	if l.step {
		passed = float64(now/time.Second - b.at/time.Second)
	}
	b.level = max(0, b.level-passed*l.rate)
	b.at = now
}

// change sets the bucket's rate and burst where they are given; clients keep
// their levels. It reports false for figures that let nothing through.
func (l *limiter) change(rate *float64, burst *int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	newRate, newBurst := l.rate, l.burst
	if rate != nil {
		newRate = *rate
	}
	if burst != nil {
		newBurst = *burst
	}
	if newRate < 0 || newRate > 0 && newBurst < 1 {
		return false
	}
	l.rate, l.burst = newRate, newBurst
	return true
}

// reset forgets all clients and all execution times.
func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.buckets)
	clear(l.methods)
}

// sub is the sub-window of a time.
func (l *limiter) sub(at time.Time) int64 {
	return int64(at.Sub(l.start) / (l.window / subWindows))
}

// spent returns a method's execution time within the window, in seconds, and
// when the oldest part of it is forgotten.
func (l *limiter) spent(method string, now time.Time) (sum float64, reset time.Time) {
	u := l.methods[method]
	if u == nil {
		return 0, time.Time{}
	}
	sub := l.sub(now)
	for i := range u.slot {
		if u.first[i].IsZero() || u.slot[i] <= sub-subWindows {
			continue
		}
		sum += u.spent[i]
		if at := u.first[i].Add(l.window); reset.IsZero() || at.Before(reset) {
			reset = at
		}
	}
	return sum, reset
}

// blocked reports whether a method has used up its execution time.
func (l *limiter) blocked(method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.limit <= 0 {
		return false
	}
	sum, _ := l.spent(method, time.Now())
	return sum > l.limit
}

func (l *limiter) add(method string, seconds float64, now time.Time) {
	u := l.methods[method]
	if u == nil {
		u = &usage{}
		l.methods[method] = u
	}
	sub := l.sub(now)
	i := int(sub % subWindows)
	if u.first[i].IsZero() || u.slot[i] != sub {
		u.slot[i], u.spent[i], u.first[i] = sub, 0, now
	}
	u.spent[i] += seconds
}

// bill is the execution time of one request, by method.
type bill struct {
	limiter *limiter
	began   time.Time
	sums    map[string]float64
	charged map[string]float64
}

func (l *limiter) open(now time.Time) *bill {
	return &bill{limiter: l, began: now, sums: map[string]float64{}, charged: map[string]float64{}}
}

// charge adds a command's execution time. It counts once the sum of the
// method's commands in this request is over [minCharge].
func (b *bill) charge(method string, d time.Duration) {
	l := b.limiter
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.limit <= 0 {
		return
	}
	b.sums[method] += d.Seconds()
	if b.sums[method] > minCharge {
		l.add(method, b.sums[method]-b.charged[method], time.Now())
		b.charged[method] = b.sums[method]
	}
}

// operating returns the two members of the time object that tell how much a
// method has used up, by a clock that is so far ahead; none where nothing is
// limited.
func (b *bill) operating(method string, ahead time.Duration) object {
	l := b.limiter
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.limit <= 0 {
		return nil
	}
	sum, reset := l.spent(method, time.Now())
	if reset.IsZero() {
		reset = b.began.Add(l.window)
	}
	return object{{"operating_reset_at", reset.Add(ahead).Unix()}, {"operating", round6(sum)}}
}
