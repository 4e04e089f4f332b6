package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
)

// ending is how a life of the program ends before its time: after a while, or
// when it comes by a point for the nth time. The zero value is not at all.
type ending struct {
	after  time.Duration
	point  crash.Point
	nth    int
	gently bool // interrupted, as by Ctrl-C, and not killed
}

func (e ending) String() string {
	how := "killed"
	if e.gently {
		how = "interrupted"
	}
	switch {
	case e.after > 0:
		return fmt.Sprintf("%s after %s", how, e.after)
	case e.nth > 0:
		return fmt.Sprintf("%s at %s, time %d", how, e.point, e.nth)
	}
	return "left alone"
}

// errDead is what a dead process would see of its journal, if it saw anything.
var errDead = errors.New("the process is dead")

// life is one process of the program. From the moment it dies, nothing that it
// does reaches its journal, no request of it leaves, and no answer arrives; what
// the portal got before, it works on.
type life struct {
	world   *world
	journal *journal.Journal
	job     *engine.Job
	client  *portal.Client
	ctx     context.Context //nolint:containedctx // it is the life
	end     context.CancelCauseFunc
	ending  ending
	timer   *time.Timer

	mu     sync.Mutex
	passed int // how often it came by the ending's point
	dead   bool
}

// begin starts a process.
func (w *world) begin(e ending) *life {
	w.t.Helper()
	l := &life{world: w, journal: w.journal, job: w.job, ending: e}
	l.ctx, l.end = context.WithCancelCause(w.t.Context())
	l.client = w.open(wire{l, w.portal.Transport()})
	if e.after > 0 {
		l.timer = time.AfterFunc(e.after, l.fall)
	}
	return l
}

// fall ends the life, now.
func (l *life) fall() {
	l.mu.Lock()
	l.dead = !l.ending.gently
	l.mu.Unlock()
	l.end(errDead)
}

// over ends the life, if nothing else did, and says whether something had.
func (l *life) over() (ended bool) {
	if l.timer != nil {
		l.timer.Stop()
	}
	ended = l.ctx.Err() != nil
	l.end(nil)
	return ended
}

// at is called at a point of the program's way. The error is that it is dead.
func (l *life) at(p crash.Point) error {
	l.mu.Lock()
	if p == l.ending.point && l.ending.nth > 0 {
		if l.passed++; l.passed == l.ending.nth {
			l.mu.Unlock()
			l.fall()
			l.mu.Lock()
		}
	}
	defer l.mu.Unlock()
	if l.dead {
		return errDead
	}
	return nil
}

// work does what a user would have the program do: go on with the run that was
// cut short, if there is one, or run the job.
func (l *life) work(anew bool) (*engine.Result, error) {
	lease, err := l.hold()
	if err != nil {
		return nil, err
	}
	defer lease()
	if err := l.at(crash.LeaseTaken); err != nil {
		return nil, err
	}
	open, err := l.journal.Unfinished(l.ctx)
	if err != nil {
		return nil, err
	}
	if len(open) > 0 && !anew {
		return l.resume(open[0])
	}
	return l.run()
}

// hold takes the right to write to the portal.
func (l *life) hold() (release func(), err error) {
	if l.world.lawless {
		return func() {}, nil
	}
	lease, err := l.journal.Lease(l.ctx, journal.Claim{Portal: l.client.ID(), Job: l.job.Name, Shared: l.world.shared, Wait: true})
	if err != nil {
		return nil, err
	}
	return func() {
		if err := lease.Release(); err != nil {
			l.world.t.Error(err)
		}
	}, nil
}

// run plans the job and applies the plan, as the command run does.
func (l *life) run() (*engine.Result, error) {
	before := l.client.Usage()
	h, catalog, err := l.plan()
	if err != nil {
		return nil, err
	}
	return l.apply(h, catalog, before)
}

// plan waits until nothing that an earlier life sent can be under way, and plans
// the job.
func (l *life) plan() (*engine.Header, *engine.Catalog, error) {
	if err := l.outlast(); err != nil {
		return nil, nil, err
	}
	h, err := l.planOnce()
	for {
		unlisted, ok := errors.AsType[*engine.UnlistedError](err)
		if !ok {
			break
		}
		if err := l.wait(min(time.Until(unlisted.Until), 5*time.Second)); err != nil {
			return nil, nil, err
		}
		h, err = l.planOnce()
	}
	if err != nil {
		return nil, nil, err
	}
	catalog, err := l.client.Catalog(l.ctx, h.Needs)
	return h, catalog, err
}

func (l *life) planOnce() (*engine.Header, error) {
	made, err := l.journal.NewDraft(l.ctx)
	if err != nil {
		return nil, err
	}
	o := engine.PlanOptions{
		Job: l.job, Catalogue: l.client, Reader: l.client, Gauge: l.client, Draft: draft{made, l}, Now: time.Now(),
	}
	if !l.world.hasty {
		o.Fence = l.world.fence
	}
	return engine.Plan(l.ctx, o)
}

// wait waits, unless the life ends first.
func (l *life) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return l.ctx.Err()
	case <-timer.C:
		return nil
	}
}

// outlast waits as the program does before it plans.
func (l *life) outlast() error {
	for {
		sent, err := l.journal.InDoubt(l.ctx, l.client.ID())
		wait := time.Until(sent.Add(l.world.fence))
		if err != nil || sent.IsZero() || wait <= 0 || l.world.hasty {
			return err
		}
		if err := l.wait(wait); err != nil {
			return err
		}
	}
}

// apply applies a plan that was just made.
func (l *life) apply(h *engine.Header, catalog *engine.Catalog, before engine.Usage) (*engine.Result, error) {
	if err := l.outlast(); err != nil {
		return nil, err
	}
	if err := l.at(crash.RunBeginning); err != nil {
		return nil, err
	}
	run, err := l.journal.Begin(l.ctx, h.ID, time.Now())
	if err != nil {
		return nil, err
	}
	if err := l.at(crash.RunBegun); err != nil {
		return nil, err
	}
	o := l.options(run, catalog)
	o.Before = before
	return engine.Apply(l.ctx, o)
}

// resume goes on with a run, as the command resume does.
func (l *life) resume(run *journal.Run) (*engine.Result, error) {
	before := l.client.Usage()
	catalog, err := l.client.Catalog(l.ctx, run.Header().Needs)
	if err != nil {
		return nil, err
	}
	earlier := run.Result()
	if err := run.Resume(l.ctx); err != nil {
		return nil, err
	}
	if err := l.at(crash.RunResumed); err != nil {
		return nil, err
	}
	o := l.options(run, catalog)
	o.Before, o.Earlier, o.Recheck = before, earlier, true
	return engine.Apply(l.ctx, o)
}

func (l *life) options(run *journal.Run, catalog *engine.Catalog) engine.ApplyOptions {
	var reader engine.Reader = eyes{l.client, l}
	if l.world.blind {
		reader = blind{reader}
	}
	return engine.ApplyOptions{
		Header: run.Header(), RunID: run.ID(), Started: time.Now(), Catalog: catalog,
		Reader: reader, Writer: l.client, Gauge: l.client, Log: diary{run, l}, Fence: l.world.fence,
	}
}

// wire carries requests while the process lives.
type wire struct {
	life *life
	http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.life.at(crash.RequestBefore); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// What an interrupted process has sent, it hears out.
	defer context.AfterFunc(w.life.ctx, func() { //nolint:contextcheck // a process dies whatever the contexts of its requests say
		if w.life.at("") != nil {
			cancel()
		}
	})()
	res, err := w.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := w.life.at(crash.AnswerBegun); err != nil {
		return nil, err
	}
	return res, nil
}

// diary is the journal of a run while the process lives.
type diary struct {
	engine.Log

	life *life
}

// between does something that is to be on disk, between two points.
func (l *life) between(before crash.Point, do func() error, after crash.Point) error {
	if err := l.at(before); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return l.at(after)
}

// Sent implements [engine.Log].
func (d diary) Sent(ctx context.Context, changes []*engine.Change, at time.Time) error {
	return d.life.between(crash.IntentBefore, func() error { return d.Log.Sent(ctx, changes, at) }, crash.IntentDurable)
}

// Settle implements [engine.Log].
func (d diary) Settle(ctx context.Context, changes []*engine.Change) error {
	return d.life.between(crash.OutcomeBefore, func() error { return d.Log.Settle(ctx, changes) }, crash.OutcomeDurable)
}

// Finish implements [engine.Log].
func (d diary) Finish(ctx context.Context, r *engine.Result) error {
	return d.life.between(crash.RunFinishing, func() error { return d.Log.Finish(ctx, r) }, crash.RunFinished)
}

// draft is a plan in the making while the process lives.
type draft struct {
	engine.Draft

	life *life
}

// Append implements [engine.Draft].
func (d draft) Append(ctx context.Context, changes []*engine.Change) error {
	return d.life.between("", func() error { return d.Draft.Append(ctx, changes) }, "")
}

// Rewrite implements [engine.Draft].
func (d draft) Rewrite(ctx context.Context, revise func(*engine.Change) bool) error {
	return d.life.between("", func() error { return d.Draft.Rewrite(ctx, revise) }, "")
}

// Seal implements [engine.Draft].
func (d draft) Seal(ctx context.Context, h *engine.Header) error {
	return d.life.between(crash.PlanSealing, func() error { return d.Draft.Seal(ctx, h) }, crash.PlanSealed)
}

// eyes are what a run looks the portal's items up with.
type eyes struct {
	engine.Reader

	life *life
}

// Find implements [engine.Reader].
func (e eyes) Find(ctx context.Context, l engine.Lookup) (found [][]engine.Item, err error) {
	err = e.life.between(crash.LookupBefore, func() error {
		found, err = e.Reader.Find(ctx, l)
		return err
	}, crash.LookupAnswered)
	return found, err
}

// FindAll implements [engine.Reader].
func (e eyes) FindAll(ctx context.Context, lookups []engine.Lookup) (found [][][]engine.Item, err error) {
	err = e.life.between(crash.LookupBefore, func() error {
		found, err = e.Reader.FindAll(ctx, lookups)
		return err
	}, crash.LookupAnswered)
	return found, err
}

// Get implements [engine.Reader].
func (e eyes) Get(ctx context.Context, entity *engine.Entity, ids []int64, fields []string) (found map[int64]engine.Item, err error) {
	err = e.life.between(crash.LookupBefore, func() error {
		found, err = e.Reader.Get(ctx, entity, ids, fields)
		return err
	}, crash.LookupAnswered)
	return found, err
}

// blind is a reader that finds no item by its external key.
type blind struct{ engine.Reader }

// Find implements [engine.Reader].
func (b blind) Find(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	found, err := b.Reader.Find(ctx, l)
	b.close(l, found)
	return found, err
}

// FindAll implements [engine.Reader].
func (b blind) FindAll(ctx context.Context, lookups []engine.Lookup) ([][][]engine.Item, error) {
	found, err := b.Reader.FindAll(ctx, lookups)
	for i, items := range found {
		b.close(lookups[i], items)
	}
	return found, err
}

// close takes away what was found by an external key.
func (b blind) close(l engine.Lookup, found [][]engine.Item) {
	if len(l.Match) > 0 && slices.Contains([]string{"xmlId", "originId"}, l.Match[0].Name) {
		clear(found)
	}
}

// points are where a life may end, by name.
func points() []crash.Point {
	return []crash.Point{
		crash.LeaseTaken, crash.PlanSealing, crash.PlanSealed, crash.RunBeginning, crash.RunBegun, crash.RunResumed,
		crash.IntentBefore, crash.IntentDurable, crash.RequestBefore, crash.AnswerBegun, crash.OutcomeBefore, crash.OutcomeDurable,
		crash.LookupBefore, crash.LookupAnswered, crash.RunFinishing, crash.RunFinished,
	}
}
