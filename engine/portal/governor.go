package portal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Limits are what a portal allows. The documented ones of the cloud are
// [CloudLimits] and [EnterpriseLimits].
type Limits struct {
	Rate      float64       // requests a second that the bucket drains; 0: no bucket
	Burst     float64       // requests that the bucket holds
	Operating time.Duration // execution time per method and window; 0: not limited
	Window    time.Duration // of Operating
	Request   time.Duration // how long the portal lets one request run
}

// CloudLimits are those of a portal in the cloud ("Limits" of the REST guide).
func CloudLimits() Limits {
	return Limits{Rate: 2, Burst: 50, Operating: 480 * time.Second, Window: 10 * time.Minute, Request: time.Minute}
}

// EnterpriseLimits are those of the Enterprise plan.
func EnterpriseLimits() Limits {
	l := CloudLimits()
	l.Rate, l.Burst = 5, 250
	return l
}

// check refuses limits under which nothing could ever be sent.
func (l Limits) check() error {
	switch {
	case l.Rate < 0 || l.Rate > 1e6 || l.Rate != l.Rate:
		return fmt.Errorf("limits: rate %v is not a number of requests a second", l.Rate)
	case l.Rate > 0 && (l.Burst < 1 || l.Burst != l.Burst):
		return fmt.Errorf("limits: burst %v is less than one request", l.Burst)
	case l.Operating < 0:
		return fmt.Errorf("limits: operating %v is less than nothing", l.Operating)
	case l.Operating > 0 && l.Window <= 0:
		return fmt.Errorf("limits: window %v is no time", l.Window)
	case l.Request <= 0:
		return fmt.Errorf("limits: request %v is no time", l.Request)
	}
	return nil
}

// governor gives leave to every request to one portal. What it knows is in
// figures, shared by all processes of the machine; who is in flight here, in
// the gate.
type governor struct {
	limits Limits
	user   string // of the webhook: execution time is counted per user
	store  *store
	gate   *gate

	// probes are the methods of which the first writes are on their way, by which
	// their cost will be known. They change with the figures.
	probes map[string]bool

	// next is who of us waits for a slot in the bucket: one at a time, so that a
	// process with many requests to send takes no more slots than one with few.
	next queue

	answered signal // a request of ours was answered
	voided   signal // slots in the bucket became void

	mu    sync.Mutex
	lines map[string]*queue // by method: who waits for execution time
}

// ticket is the leave to send one request with some calls.
type ticket struct {
	id       string
	methods  []string
	weights  []int // items that each call is about; nil: one each
	batch    bool
	slot     slot
	admitted time.Time
}

// weight is how many items the i-th call is about: what a call costs is
// reckoned by item.
func (t *ticket) weight(i int) int {
	if t.weights == nil {
		return 1
	}
	return t.weights[i]
}

// admit waits until a request may be sent, and says how many of the calls it
// may carry: the first ones of those marked in the answer, which are as long as
// methods. A call is left out where its method's execution time is used up and
// others can go on, or where the request would run too long. At least one call
// is let through. The error is ctx's.
func (g *governor) admit(ctx context.Context, methods []string, batch bool) (*ticket, []bool, error) {
	t := &ticket{id: strconv.FormatUint(rand.Uint64(), 36), batch: batch} //nolint:gosec // a name, not a secret
	chosen, err := g.awaitBudget(ctx, t, methods)
	if err != nil {
		return nil, nil, err
	}
	if err := g.gate.enter(ctx); err != nil {
		g.update(ctx, func(f *figures, _ time.Time) { g.drop(f, t) })
		return nil, nil, err
	}
	if err := g.awaitBucket(ctx, t); err != nil {
		g.gate.leave(0, time.Now(), false)
		return nil, nil, err
	}
	t.admitted = time.Now()
	return t, chosen, nil
}

// awaitBudget waits until some of the calls fit into their methods' execution
// time, and sets it aside. Those who wait for one method keep their order;
// other methods pass them.
func (g *governor) awaitBudget(ctx context.Context, t *ticket, methods []string) ([]bool, error) {
	var chosen []bool
	var wait time.Duration
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.update(ctx, func(f *figures, now time.Time) {
		chosen, wait = g.choose(f, now, t, methods, g.busyLines())
	})
	if wait <= 0 {
		return chosen, nil
	}
	line := g.line(methods[0])
	if _, err := line.enter(ctx); err != nil {
		return nil, err
	}
	defer line.leave()
	for {
		answered := g.answered.next()
		g.update(ctx, func(f *figures, now time.Time) {
			chosen, wait = g.choose(f, now, t, methods, nil)
		})
		if wait <= 0 {
			return chosen, nil
		}
		if err := sleepUntil(ctx, min(wait, recheck), answered); err != nil {
			return nil, err
		}
	}
}

// recheck is how often those who wait look at what other processes did.
const recheck = 10 * time.Second

// line is where calls of method wait for execution time.
func (g *governor) line(method string) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lines == nil {
		g.lines = map[string]*queue{}
	}
	q := g.lines[method]
	if q == nil {
		q = &queue{width: 1}
		g.lines[method] = q
	}
	return q
}

// busyLines are the methods that somebody waits for.
func (g *governor) busyLines() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy := map[string]bool{}
	for method, line := range g.lines {
		if line.busy() {
			busy[method] = true
		}
	}
	return busy
}

// choose marks the calls that may go now and expects their use; if none may, it
// says how long to wait. Methods that are taken go to others first.
func (g *governor) choose(f *figures, now time.Time, t *ticket, methods []string, taken map[string]bool) ([]bool, time.Duration) {
	p := packing{
		figures: f, governor: g, now: now, batch: t.batch, size: f.newSizing(g.limits),
		loads: map[string]float64{}, needs: g.needs(f, methods), waits: map[string]time.Duration{},
	}
	chosen := make([]bool, len(methods))
	for i, method := range methods {
		if !taken[method] && p.wait(method) <= 0 && p.fits(method) {
			if !p.size.add(method) {
				break
			}
			p.add(method)
			chosen[i] = true
		}
	}
	if len(p.methods) > 0 {
		t.methods = p.methods
		g.expect(f, now, t)
		g.probe(f, t.methods)
		return chosen, 0
	}
	wait := time.Duration(-1)
	for _, method := range methods {
		if w := p.wait(method); wait < 0 || w < wait {
			wait = w
		}
	}
	return nil, max(wait, time.Millisecond)
}

// worthwhileShare is the part of a budget that must be left before calls go of
// which not all fit: crumbs would only cost requests.
const worthwhileShare = 1.0 / 100

// needs is how much execution time must be left for each method to go: that of
// all its calls, or a worthwhile part.
func (g *governor) needs(f *figures, methods []string) map[string]float64 {
	needs := map[string]float64{}
	for _, method := range methods {
		needs[method] += f.charge(method)
	}
	for method, total := range needs {
		needs[method] = min(total, max(f.charge(method), g.limits.budget()*worthwhileShare))
	}
	return needs
}

// packing gathers the calls of one request as far as their accounts allow.
type packing struct {
	*governor
	figures *figures
	now     time.Time
	batch   bool
	size    *sizing
	methods []string
	loads   map[string]float64       // by account
	needs   map[string]float64       // by method
	waits   map[string]time.Duration // by method, as far as known
}

// wait is how long until enough is left for a method, and its cost is known if
// somebody is finding it out: few of an unknown kind go at once, and more of them
// beside those would be requests wasted.
func (p *packing) wait(method string) time.Duration {
	if p.probes[method] {
		return recheck
	}
	if !p.metered(p.figures) {
		return p.blocked(method)
	}
	if wait, known := p.waits[method]; known {
		return wait
	}
	var wait time.Duration
	for _, account := range p.accounts(method, p.batch) {
		if m := p.figures.Methods[account]; m != nil {
			wait = max(wait, m.wait(p.now, p.limits, max(p.needs[method], 10*tiny)))
		}
	}
	p.waits[method] = wait
	return wait
}

// blocked is how long a method is refused by a portal that we thought sets no
// limit to it.
func (p *packing) blocked(method string) time.Duration {
	var wait time.Duration
	for _, account := range p.accounts(method, p.batch) {
		if m := p.figures.Methods[account]; m != nil {
			wait = max(wait, time.Duration(m.Blocked-p.now.UnixNano()))
		}
	}
	return wait
}

// fits says whether one more call of method fits into what is left of its
// accounts. A call dearer than a whole budget goes when all of it is left.
func (p *packing) fits(method string) bool {
	if !p.metered(p.figures) {
		return true
	}
	seconds := p.figures.charge(method)
	for _, account := range p.accounts(method, p.batch) {
		load, left := p.loads[account]+seconds, p.limits.budget()
		if m := p.figures.Methods[account]; m != nil {
			left = m.left(p.now, p.limits)
		}
		alone := p.loads[account] == 0 && left >= p.limits.budget()-tiny
		if left <= 0 || (load > left+tiny && !alone) {
			return false
		}
	}
	return true
}

func (p *packing) add(method string) {
	seconds := p.figures.charge(method)
	p.methods = append(p.methods, method)
	for _, account := range p.accounts(method, p.batch) {
		p.loads[account] += seconds
	}
}

// accounts are the sums that a call of method is counted in. What is called
// inside a batch may be billed to the method or to the batch, and apart from
// what is called directly; the documentation and measurements disagree. The
// strictest of all of them is obeyed.
func (g *governor) accounts(method string, batch bool) []string {
	accounts := []string{g.user + "/" + method, g.user + "/" + method + "@batch"}
	if batch {
		accounts = append(accounts, g.user+"/"+methodBatch)
	}
	return accounts
}

// billed are the accounts that a call of method is expected to be charged to.
func (g *governor) billed(method string, batch bool) []string {
	all := g.accounts(method, batch)
	if batch {
		return all[1:]
	}
	return all[:1]
}

// expect sets the use of the ticket's calls aside until it will be known, if the
// request leaves at some time. A process that dies never takes it back, so it is
// not kept for long: one that has to wait longer expects it anew.
func (g *governor) expect(f *figures, leaves time.Time, t *ticket) {
	if !g.metered(f) {
		return
	}
	loads := map[string]float64{}
	for _, method := range t.methods {
		seconds := f.charge(method)
		for _, account := range g.billed(method, t.batch) {
			loads[account] += seconds
		}
	}
	for account, load := range loads {
		if account == g.user+"/"+methodBatch && f.Nested {
			continue // this portal doesn't bill batches
		}
		f.use(account).expect(t.id, load, leaves.Add(2*g.limits.Request))
	}
}

// metered says whether execution time is limited, as far as is known: a portal
// of one's own limits none as a rule, and then tells none ("Limits" of the REST
// guide).
func (g *governor) metered(f *figures) bool {
	return g.limits.Operating > 0 && (f.Metered || !f.Untold)
}

// probe notes that the cost of methods which is not known yet soon will be.
func (g *governor) probe(f *figures, methods []string) {
	for _, method := range methods {
		if _, known := f.cost(method); !known {
			if g.probes == nil {
				g.probes = map[string]bool{}
			}
			g.probes[method] = true
		}
	}
}

// drop takes back what a ticket set aside, and says what that was by account.
func (g *governor) drop(f *figures, t *ticket) map[string]float64 {
	for _, method := range t.methods {
		delete(g.probes, method)
	}
	dropped := map[string]float64{}
	for account, m := range f.Methods {
		if p, ok := m.Pending[t.id]; ok {
			dropped[account] = p.Seconds
			delete(m.Pending, t.id)
		}
	}
	return dropped
}

// use is the account of that name.
func (f *figures) use(account string) *methodUse {
	m := f.Methods[account]
	if m == nil {
		m = &methodUse{}
		f.Methods[account] = m
	}
	return m
}

// awaitBucket waits for a slot in the bucket. A refusal meanwhile makes the
// slot void: the bucket was not what it seemed.
func (g *governor) awaitBucket(ctx context.Context, t *ticket) error {
	if _, err := g.next.enter(ctx); err != nil {
		g.update(ctx, func(f *figures, _ time.Time) { g.drop(f, t) })
		return err
	}
	defer g.next.leave()
	for void := true; void; {
		voided := g.voided.next()
		g.update(ctx, func(f *figures, now time.Time) {
			t.slot = f.Bucket.take(now, g.limits)
			g.expect(f, now.Add(t.slot.wait), t)
		})
		if t.slot.wait <= 0 {
			return nil
		}
		if err := sleepUntil(ctx, t.slot.wait, voided); err != nil {
			g.update(ctx, func(f *figures, now time.Time) {
				f.Bucket.giveBack(now, g.limits, t.slot)
				g.drop(f, t)
			})
			return err
		}
		g.update(ctx, func(f *figures, _ time.Time) { void = f.Bucket.Refusals != t.slot.refusals })
	}
	return nil
}

// cancel takes back a ticket whose request was not sent.
func (g *governor) cancel(ctx context.Context, t *ticket) {
	g.update(ctx, func(f *figures, now time.Time) {
		f.Bucket.giveBack(now, g.limits, t.slot)
		g.drop(f, t)
	})
	g.gate.leave(0, t.admitted, false)
	g.answered.announce()
}

// update changes the figures at one moment.
func (g *governor) update(ctx context.Context, change func(f *figures, now time.Time)) {
	g.store.update(ctx, func(f *figures) { change(f, time.Now()) })
}

// signal tells all who wait that something happened.
type signal struct {
	mu   sync.Mutex
	open chan struct{} // nil if nobody waits
}

// next returns a channel that is closed when it happens next.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(chan struct{})
	}
	return s.open
}

func (s *signal) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		close(s.open)
		s.open = nil
	}
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error { return sleepUntil(ctx, d, nil) }

// sleepUntil waits, but not past something else.
func sleepUntil(ctx context.Context, d time.Duration, something <-chan struct{}) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-something:
	case <-ctx.Done():
	}
	return ctx.Err()
}
