package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine/expression"
)

// workers is how many requests the runner may have on their way at once. How
// many really are is the Writer's decision, by what the portal bears. Each holds
// a batch that was compared with the portal: more would hold them for longer
// where the portal is slow.
const workers = 8

// ApplyOptions is what applying a plan takes.
type ApplyOptions struct {
	Header  *Header
	RunID   string
	Started time.Time
	Catalog *Catalog
	Reader  Reader // for what is in doubt
	Writer  Writer
	Gauge   Gauge
	// Earlier is how the run stood when it was cut short; nil for a new run.
	Earlier *Result
	// Before is what the portal had been asked when the run's planning began,
	// so that the result counts the run alone.
	Before Usage
	Log    Log
	// Fence is how long after a create was sent it may still take effect: 1.25
	// times the portal's limit for one request. Only after it is a create
	// whose answer was lost sent again.
	Fence time.Duration
	// Recheck compares the portal with the plan before anything of it is
	// written, however fresh it is: for plans that were saved.
	Recheck bool
	// Strict refuses the whole run, with a [DriftError], if the portal is not
	// as the plan saw it. Otherwise only the changes concerned are conflicts.
	Strict bool
	// Canary applies only the changes of so many records, the first that have
	// any, and then stops with a [CanaryError]; 0: all.
	Canary   int
	Progress func(Progress)
}

// CanaryError says that a run stopped after its canary. It can be resumed.
type CanaryError struct {
	Records int
	Left    int // changes
}

// Error says how far the run is.
func (e *CanaryError) Error() string {
	return fmt.Sprintf("stopped after the canary of %d records; %d changes are left", e.Records, e.Left)
}

// StopError says why a run stopped before its end. It can be resumed.
type StopError struct {
	Reason string
	Err    error // nil where the rows' failures are the reason
}

// Error is the reason and what to do.
func (e *StopError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Reason, e.Err)
	}
	return e.Reason
}

// Unwrap returns the cause.
func (e *StopError) Unwrap() error { return e.Err }

// Apply writes what is left of a run's plan to the portal: all of a new run,
// the rest of one that was interrupted. Cancelling the context stops it at a
// safe point: what is in flight finishes, nothing more is sent.
//
// The result comes back whatever the error, unless the journal can't be read any
// more: then it is nil. The error is a [StopError], the context's cause, or the
// journal's fault; failed rows alone are none.
func Apply(ctx context.Context, o ApplyOptions) (*Result, error) {
	r := newRunner(&o)
	err := r.run(ctx)
	result, sumErr := r.result(ctx, err)
	if sumErr != nil {
		return result, errors.Join(err, sumErr)
	}
	return result, errors.Join(err, o.Log.Finish(context.WithoutCancel(ctx), result))
}

type runner struct {
	o        *ApplyOptions
	canary   canary
	queue    *queue
	tally    tally
	refusals refusals
	recalled map[int64]bool // changes that were in doubt when the run was resumed, by Seq
}

// run loads changes into the queue and lets workers send them.
func (r *runner) run(ctx context.Context) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	if err := r.awaitListed(ctx); err != nil {
		return err
	}
	if r.o.Strict {
		if err := r.checkStrictly(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, r.queue.wake)
	defer stop()
	p := pool.New().WithErrors().WithFirstError()
	p.Go(func() error { return r.guard(cancel, r.load(ctx)) })
	for range workers {
		p.Go(func() error { return r.guard(cancel, r.work(ctx)) })
	}
	if err := r.reporting(ctx, p.Wait); err != nil {
		return err
	}
	if !r.queue.over() {
		return context.Cause(ctx)
	}
	return r.canary.stopped() // a stop that came too late stops nothing
}

// reporting tells progress every second while something is waited for.
func (r *runner) reporting(ctx context.Context, wait func() error) error {
	ctx, stop := context.WithCancel(ctx)
	var reports conc.WaitGroup
	defer reports.Wait()
	defer stop()
	reports.Go(func() { r.tally.keepReporting(ctx, r.o) })
	return wait()
}

func newRunner(o *ApplyOptions) *runner {
	return &runner{o: o, queue: newQueue(o.Fence, o.Recheck || o.Earlier != nil), recalled: map[int64]bool{}, canary: newCanary(o.Canary)}
}

// guard stops all workers when one can't go on.
func (r *runner) guard(cancel context.CancelCauseFunc, err error) error {
	if err != nil {
		cancel(err)
	}
	return err
}

// recall takes up what an interrupted run left in doubt, which items it found to be
// in conflict, and of which a change failed.
func (r *runner) recall(ctx context.Context) error {
	if err := r.recallDoubts(ctx); err != nil {
		return err
	}
	for c, err := range r.o.Log.Changes(ctx, Filter{States: []State{StateConflict, StateFailed, StateQuarantined}}) {
		if err != nil {
			return err
		}
		if c.Kind.Writes() {
			r.queue.settled(c)
		}
	}
	totals, err := r.o.Log.Totals(ctx)
	if err != nil {
		return err
	}
	return r.tally.begin(r.o, totals)
}

// awaitListed waits until the portal's lists show what another run of the job
// made since the plan was: the plan would make it again.
func (r *runner) awaitListed(ctx context.Context) error {
	if !r.queue.old {
		return nil
	}
	now := time.Now()
	sent, err := r.o.Log.Repeats(ctx, now.Add(-r.o.Fence))
	if err != nil || sent.IsZero() {
		return err
	}
	left := sent.Add(r.o.Fence).Sub(now)
	if r.o.Progress != nil {
		r.o.Progress(Progress{Phase: "apply", Load: Load{Wait: Wait{For: "the portal's lists to show what another run has just made", Seconds: left.Seconds()}}})
	}
	pause(ctx, nil, left)
	return nil
}

// recallDoubts takes up what an interrupted run left in doubt, and the ids of the
// items that it needs: it may have to be sent again.
func (r *runner) recallDoubts(ctx context.Context) error {
	var doubts []*Change
	for c, err := range r.o.Log.Changes(ctx, Filter{States: []State{StateSent, StateUnknown}}) {
		if err != nil {
			return err
		}
		doubts = append(doubts, c)
	}
	made, err := r.made(ctx, doubts)
	if err != nil {
		return err
	}
	r.queue.know(made)
	for _, c := range doubts {
		r.recalled[c.Seq] = true
		r.queue.doubt(newTask(c))
	}
	return nil
}

// made returns what became of the items that changes need.
func (r *runner) made(ctx context.Context, changes []*Change) (map[string]Made, error) {
	refs := map[string]bool{}
	for _, c := range changes {
		for _, ref := range c.Needs {
			refs[ref] = true
		}
	}
	return r.o.Log.Made(ctx, slices.Sorted(maps.Keys(refs)))
}

// load feeds the queue from the journal, as far as its window allows.
func (r *runner) load(ctx context.Context) error {
	after := int64(0)
	for {
		page, err := r.page(ctx, after)
		if err != nil {
			return stopped(ctx, err)
		}
		if len(page) == 0 {
			r.queue.loaded()
			return nil
		}
		after = page[len(page)-1].Seq
		if err := r.admit(ctx, page); err != nil {
			return stopped(ctx, err)
		}
		if !r.queue.room(ctx) {
			return nil
		}
	}
}

// page reads the next planned changes.
func (r *runner) page(ctx context.Context, after int64) ([]*Change, error) {
	var page []*Change
	for c, err := range r.o.Log.Changes(ctx, Filter{States: []State{StatePlanned}, After: after, Limit: pageSize}) {
		if err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	return page, nil
}

// stopped hides the errors that a cancelled context causes everywhere.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// admit puts changes into the queue, behind what they need. What was recalled in
// doubt is there already, though by now it may be planned again.
func (r *runner) admit(ctx context.Context, page []*Change) error {
	page = slices.DeleteFunc(page, func(c *Change) bool { return r.recalled[c.Seq] })
	page, err := r.uncalled(ctx, page)
	if err != nil {
		return err
	}
	made, err := r.made(ctx, page)
	if err != nil {
		return err
	}
	page = r.canary.pick(page, made)
	seen := r.o.Header.Created
	if r.queue.old {
		seen = time.Time{}
	}
	return r.settle(ctx, r.queue.add(page, made, seen))
}

// work sends batches and looks at the portal until nothing is left.
func (r *runner) work(ctx context.Context) error {
	for {
		w := r.queue.next(ctx, r.o.Writer.BatchSize)
		var err error
		switch {
		case w.batch != nil:
			err = r.send(ctx, w.batch)
		case w.look != nil:
			err = r.look(ctx, w.look)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send writes one batch: intent on disk, wire, outcome on disk.
func (r *runner) send(ctx context.Context, batch []*task) error {
	commands := make([]Command, len(batch))
	changes := make([]*Change, len(batch))
	for i, t := range batch {
		c, err := r.command(t)
		if err != nil {
			return fmt.Errorf("change %d: %w", t.change.Seq, err)
		}
		commands[i], changes[i] = c, t.change
	}
	intended := false
	outcomes, err := r.o.Writer.Write(ctx, commands, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		intended = true
		return r.o.Log.Sent(context.WithoutCancel(ctx), changes, time.Now())
	})
	if err != nil {
		if !intended && ctx.Err() != nil {
			r.queue.giveBack(batch)
			return nil
		}
		return fmt.Errorf("journal: %w", err)
	}
	return r.outcome(ctx, batch, outcomes)
}

// outcome records what became of a batch and lets go on what waited for it.
func (r *runner) outcome(ctx context.Context, batch []*task, outcomes []Outcome) error {
	var fatal error
	settled := make([]*Change, 0, len(batch))
	over := slices.Clone(batch)
	for i, t := range batch {
		c, o := t.change, outcomes[i]
		c.Error = ""
		switch o.Kind {
		case OutcomeDone:
			r.done(c, o)
		case OutcomeFailed:
			c.State, c.Error = StateFailed, refusal(o)
		case OutcomeConflict:
			c.State, c.Error = StateConflict, refusal(o)
		case OutcomeUnknown:
			c.State, c.Error, t.fault = StateUnknown, "answer lost: "+refusal(o), refusal(o)
		case OutcomeRefused:
			c.State = StatePlanned
		case OutcomeFatal:
			c.State = StatePlanned
			fatal = &StopError{Reason: "the portal refuses all requests", Err: errors.New(refusal(o))}
		}
		settled = append(settled, c)
		if c.State == StateDone && o.Item != nil {
			r.queue.followUpload(t, *o.Item)
			if next := r.recheckBehind(t, *o.Item); next != nil {
				settled, over = append(settled, next.change), append(over, next)
			}
		}
	}
	if err := r.settle(ctx, settled); err != nil {
		return err
	}
	if err := errors.Join(r.release(ctx, over), fatal); err != nil {
		return err
	}
	return r.backOff(ctx, outcomes)
}

// patience is how long the portal may refuse everything before a run stops.
const patience = 10 * time.Minute

// backOff waits while the portal executes nothing at all, longer each time.
func (r *runner) backOff(ctx context.Context, outcomes []Outcome) error {
	refused := !slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Kind != OutcomeRefused })
	wait, since := r.refusals.note(refused)
	if !refused {
		return nil
	}
	r.queue.refused()
	if since > patience {
		return &StopError{Reason: fmt.Sprintf("the portal refused every request for %s", since.Round(time.Second)), Err: errors.New(refusal(outcomes[0]))}
	}
	pause(ctx, nil, wait)
	return nil
}

// refusals counts the batches in a row of which the portal executed nothing.
type refusals struct {
	mu    sync.Mutex
	count int
	first time.Time
}

func (f *refusals) note(refused bool) (wait, since time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !refused {
		f.count = 0
		return 0, 0
	}
	if f.count == 0 {
		f.first = time.Now()
	}
	f.count++
	return min(250*time.Millisecond<<min(f.count, 7), 30*time.Second), time.Since(f.first)
}

// release lets go on what waited for settled tasks, and skips what can't be
// done without them.
func (r *runner) release(ctx context.Context, batch []*task) error {
	return r.settle(ctx, r.queue.settle(batch))
}

func refusal(o Outcome) string {
	switch {
	case o.Code == "":
		return o.Message
	case o.Message == "":
		return o.Code
	}
	return o.Code + ": " + o.Message
}

// settle makes states durable, skips what can't be done any more, and stops
// the run where the job's on_error says so.
func (r *runner) settle(ctx context.Context, changes []*Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := r.o.Log.Settle(context.WithoutCancel(ctx), changes); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return r.tally.count(r.o, changes)
}

// done checks that the portal took what it was sent: it drops some values
// without a word (an unknown stage, an unreadable date).
func (r *runner) done(c *Change, o Outcome) {
	c.State, c.ID, c.Image = StateDone, o.ID, ""
	if c.TypeID == TypeCall {
		c.answered(o.Item)
		return
	}
	entity := r.o.Catalog.EntityByType(c.TypeID)
	if o.Item == nil || entity == nil {
		return
	}
	if c.Ref != "" { // an item that this run makes may be deleted to undo it
		c.Image = entity.Image(*o.Item)
	}
	c.land(entity, *o.Item)
	var kept, other []string
	for name, f := range c.Fields {
		field := entity.FieldByName(name)
		got, answered := o.Item.Fields[name]
		if field == nil || !answered || taken(field, r.queue.resolve(f.After), got) {
			continue
		}
		if c.Kind != KindCreate && field.Equal(got, f.Before) {
			kept = append(kept, name)
		} else {
			other = append(other, name)
		}
	}
	slices.Sort(kept)
	slices.Sort(other)
	if len(kept) > 0 {
		c.State, c.Image = StateFailed, entity.Image(*o.Item) // so that undo takes back the rest
		c.Error = "the portal kept the old value of " + strings.Join(kept, ", ") + "; the value is not allowed there, or an automation set it back"
	}
	if len(other) > 0 {
		c.Warnings = "the portal holds another value than was sent in " + strings.Join(other, ", ")
	}
}

func taken(f *Field, want, got any) bool {
	if f.Type == FieldMulti {
		return f.covers(multiRows(got), multiRows(want))
	}
	return f.Equal(want, got)
}

// command turns a change into a write, its references filled in.
func (r *runner) command(t *task) (Command, error) {
	c := t.change
	entity := r.o.Catalog.EntityByType(c.TypeID)
	if entity == nil {
		return Command{}, fmt.Errorf("the portal has no entity type %d", c.TypeID)
	}
	cmd := Command{Kind: CommandUpdate, Entity: entity, ID: c.ID, Fields: map[string]any{}}
	switch {
	case c.Kind == KindCreate && c.Import:
		cmd.Kind = CommandImport
	case c.Kind == KindCreate:
		cmd.Kind = CommandAdd
	case c.MergedInto() != 0:
		cmd.Kind, cmd.Into = CommandMerge, c.MergedInto()
	case c.Kind == KindDelete:
		cmd.Kind = CommandDelete
	}
	if c.Kind != KindCreate && c.ID == 0 {
		id := r.queue.made(c.Ref)
		if id == 0 {
			return Command{}, fmt.Errorf("planned item %s has no id", c.Ref)
		}
		cmd.ID, c.ID = id, id
	}
	if c.Kind == KindDelete {
		if c.TypeID == TypeCall { // what it is deleted by
			for name, f := range c.Fields {
				cmd.Fields[name] = f.Before
			}
		}
		return cmd, nil // its fields are the image of before
	}
	for name, f := range c.Fields {
		if ref := r.queue.unmade(f.After); ref != "" {
			return Command{}, fmt.Errorf("planned item %s has no id, and %s is to hold it", ref, name)
		}
		if len(f.Add)+len(f.Remove) > 0 {
			if cmd.Multi == nil {
				cmd.Multi = map[string][]MultiValue{}
			}
			cmd.Multi[name] = multiCommand(f)
			continue
		}
		cmd.Fields[name] = r.queue.resolve(f.After)
	}
	return cmd, nil
}

// multiCommand lists the rows to be added, and those to be removed with an
// empty value.
func multiCommand(f FieldChange) []MultiValue {
	rows := slices.Clone(f.Add)
	for _, row := range f.Remove {
		rows = append(rows, MultiValue{ID: row.ID, Type: row.Type})
	}
	return rows
}

// resolve fills the ids of made items into a value.
func (q *queue) resolve(v any) any {
	switch v := v.(type) {
	case expression.Ref:
		return q.made(v.Step)
	case expression.Text:
		var b strings.Builder
		for _, part := range v.Parts {
			fmt.Fprint(&b, q.resolve(part))
		}
		return b.String()
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = q.resolve(e)
		}
		return out
	default:
		return v
	}
}

// unmade names a planned item in a value whose id is not known; empty if there
// is none. The portal would take the zero for no link at all.
func (q *queue) unmade(v any) string {
	switch v := v.(type) {
	case expression.Ref:
		if q.made(v.Step) == 0 {
			return v.Step
		}
	case expression.Text:
		return q.unmade(v.Parts)
	case []any:
		for _, e := range v {
			if ref := q.unmade(e); ref != "" {
				return ref
			}
		}
	}
	return ""
}
