package schedule

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"
)

const (
	// maxSleep bounds how late a stepped clock is noticed: timers count real
	// time, whatever the wall clock does.
	maxSleep = time.Minute
	// lateness is how long after its time a due time still counts as met;
	// more means that nothing ran when it was due.
	lateness = 2 * time.Minute
	// backwards is how far the clock must be put back before due times are
	// reckoned anew. Less is waited out, so that none comes twice.
	backwards = time.Hour
)

// History remembers, past the end of the program, how far the schedule of each
// entry has been dealt with.
type History interface {
	// Last returns the time last given to Fired, the zero time if there is
	// none.
	Last(ctx context.Context, name string) (time.Time, error)
	// Fired records, before the run begins, that all due times up to due
	// are dealt with. For an entry that is new it is called once with the
	// present, so that it can be told what it missed after the first stop.
	Fired(ctx context.Context, name string, due time.Time) error
}

// Entry is a job with its schedule.
type Entry struct {
	Name     string
	Schedule *Schedule
	// Do runs the job that was due at due. Its context ends when the
	// runner's does; what it returns is reported, nothing else. A panic in
	// it is recovered and reported as a [*PanicError].
	Do func(ctx context.Context, due time.Time) error
}

// EventKind says what happened to a due time.
type EventKind int

// The kinds of events.
const (
	Started  EventKind = iota + 1
	Finished           // Err is what the job returned
	Queued             // the job still runs; it will run once more
	Skipped            // the job still runs; the due time passes
	Missed             // nothing ran when it was due, and catch_up is none
	Refused            // Err kept it from being started
)

// String returns the word for k in logs and metrics.
func (k EventKind) String() string {
	switch k {
	case Started:
		return "started"
	case Finished:
		return "finished"
	case Queued:
		return "queued"
	case Skipped:
		return "skipped"
	case Missed:
		return "missed"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("EventKind(%d)", int(k))
}

// Event tells what happened to one due time of one entry.
type Event struct {
	Kind EventKind
	Name string
	Due  time.Time
	// CatchUp is true if the run makes up for due times that were missed.
	CatchUp bool
	Err     error
}

// PanicError is what is reported of a job that panicked.
type PanicError struct {
	Value any
	Stack string
}

// Error leaves the stack to the log.
func (e *PanicError) Error() string { return fmt.Sprintf("the job panicked: %v", e.Value) }

// Status is where one entry stands.
type Status struct {
	Name     string
	Schedule *Schedule
	Next     time.Time // zero: never again
	Running  time.Time // what the present run was due at, zero if there is none
	Queued   time.Time // what the next run was due at, zero if there is none
}

// Runner starts entries when they are due. Its methods are safe for concurrent
// use; entries may be set, replaced and removed while it runs.
type Runner struct {
	history History
	observe func(Event)
	wake    chan struct{}

	mu      sync.Mutex
	tasks   map[string]*task
	checked time.Time // all due times up to here are dealt with
}

// task is what the runner knows about one name.
type task struct {
	entry   Entry
	next    time.Time
	running time.Time
	queued  time.Time
	removed bool // while a run goes on, the task outlives its entry

	marking sync.Mutex
	marked  time.Time // what the history was told last
}

// NewRunner returns a runner without entries. It calls observe for everything
// that happens, from several goroutines; observe must not call the runner.
func NewRunner(history History, observe func(Event)) *Runner {
	return &Runner{
		history: history,
		observe: observe,
		wake:    make(chan struct{}, 1),
		tasks:   map[string]*task{},
	}
}

// Set adds an entry or replaces the one of that name. A run of the old one
// goes on, and a queued one becomes a run of the new. An entry whose schedule
// catches up and whose history lies behind a due time is due at once.
func (r *Runner) Set(ctx context.Context, entry Entry) error {
	r.mu.Lock()
	known := r.tasks[entry.Name]
	r.mu.Unlock()
	since := present()
	if known == nil && entry.Schedule.spec.CatchUp == Once {
		last, err := r.since(ctx, entry.Name, since)
		if err != nil {
			return fmt.Errorf("schedule of %q: %w", entry.Name, err)
		}
		since = last
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tasks[entry.Name]; t != nil {
		// What fell due between the last look and now is not lost.
		if !t.removed && !r.checked.IsZero() && r.checked.Before(since) {
			since = r.checked
		}
		t.entry, t.removed = entry, false
		t.next = entry.Schedule.Next(since)
	} else {
		r.tasks[entry.Name] = &task{entry: entry, next: entry.Schedule.Next(since)}
	}
	r.nudge()
	return nil
}

// since returns the time up to which the due times of a name are dealt with.
func (r *Runner) since(ctx context.Context, name string, now time.Time) (time.Time, error) {
	last, err := r.history.Last(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	if last.IsZero() || last.After(now) {
		// New, or written under a clock that was ahead.
		return now, r.history.Fired(ctx, name, now)
	}
	return last, nil
}

// Remove takes an entry out. A run of it goes on, a queued one is dropped.
func (r *Runner) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tasks[name]
	switch {
	case t == nil:
	case t.running.IsZero():
		delete(r.tasks, name)
	default:
		t.removed, t.queued, t.next = true, time.Time{}, time.Time{}
	}
}

// Entries returns where every entry stands, by name.
func (r *Runner) Entries() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.tasks))
	for name, t := range r.tasks {
		if !t.removed {
			list = append(list, Status{
				Name: name, Schedule: t.entry.Schedule,
				Next: t.next, Running: t.running, Queued: t.queued,
			})
		}
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Run starts what is due until ctx is done, then waits for the runs that are
// under way, whose context is done as well. Call it once.
func (r *Runner) Run(ctx context.Context) {
	var runs conc.WaitGroup
	defer runs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		for _, start := range r.collect(present()) {
			runs.Go(func() { r.run(ctx, start) })
		}
		timer.Reset(r.pause(present()))
	}
}

// start is one run that is to begin.
type start struct {
	task    *task
	entry   Entry
	due     time.Time
	catchUp bool
	dropped EventKind // instead of a run, if not 0
}

// collect takes down what has become due and what is to be done about it.
func (r *Runner) collect(now time.Time) []start {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.checked.Add(-backwards)) {
		for _, t := range r.tasks {
			if !t.removed {
				t.next = t.entry.Schedule.Next(now)
			}
		}
	}
	r.checked = now
	var starts []start
	for _, t := range r.tasks {
		if t.next.IsZero() || t.next.After(now) {
			continue
		}
		s := start{task: t, entry: t.entry, due: t.entry.Schedule.latest(t.next, now)}
		t.next = t.entry.Schedule.Next(now)
		late := now.Sub(s.due) > lateness
		s.catchUp = late
		spec := t.entry.Schedule.spec
		switch {
		case late && spec.CatchUp == None:
			s.dropped = Missed
		case t.running.IsZero():
			t.running = s.due
		case spec.Overlap == Queue && t.queued.IsZero():
			t.queued = s.due
			s.dropped = Queued
		case spec.Overlap == Queue:
			// One run waits, for the latest time.
			s.due, t.queued = t.queued, s.due
			s.dropped = Skipped
		default:
			s.dropped = Skipped
		}
		starts = append(starts, s)
	}
	slices.SortFunc(starts, func(a, b start) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return strings.Compare(a.entry.Name, b.entry.Name)
	})
	return starts
}

// pause returns how long nothing is due.
func (r *Runner) pause(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause := maxSleep
	for _, t := range r.tasks {
		if !t.next.IsZero() {
			pause = min(pause, t.next.Sub(now))
		}
	}
	return max(pause, 0)
}

// run does what collect decided, and then what was queued in the meantime.
func (r *Runner) run(ctx context.Context, s start) {
	event := Event{Name: s.entry.Name, Due: s.due, CatchUp: s.catchUp}
	if s.dropped != 0 {
		event.Kind = s.dropped
		if s.dropped != Queued {
			event.Err = r.mark(ctx, s.task, s.entry.Name, s.due)
		}
		r.observe(event)
		return
	}
	for more := true; more; s.entry, event, more = r.following(ctx, s) {
		if ctx.Err() == nil {
			r.once(ctx, s.task, s.entry, event)
		}
	}
}

// once runs an entry for one due time.
func (r *Runner) once(ctx context.Context, t *task, entry Entry, event Event) {
	if err := r.mark(ctx, t, entry.Name, event.Due); err != nil {
		// A run that is not recorded would run again after a restart.
		event.Kind, event.Err = Refused, fmt.Errorf("it cannot be recorded: %w", err)
		r.observe(event)
		return
	}
	event.Kind = Started
	r.observe(event)
	var caught panics.Catcher
	caught.Try(func() { event.Err = entry.Do(ctx, event.Due) })
	if p := caught.Recovered(); p != nil {
		event.Err = &PanicError{Value: p.Value, Stack: string(p.Stack)}
	}
	event.Kind = Finished
	r.observe(event)
}

// mark tells the history that the due times up to due are dealt with. It never
// takes the history back: a skipped time may be reported after a later run.
func (r *Runner) mark(ctx context.Context, t *task, name string, due time.Time) error {
	t.marking.Lock()
	defer t.marking.Unlock()
	if !due.After(t.marked) {
		return nil
	}
	if err := r.history.Fired(ctx, name, due); err != nil {
		return err
	}
	t.marked = due
	return nil
}

// following ends a run and returns the one that was queued behind it, if any.
func (r *Runner) following(ctx context.Context, s start) (Entry, Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := s.task
	t.running = time.Time{}
	if t.removed {
		delete(r.tasks, s.entry.Name)
		return Entry{}, Event{}, false
	}
	if t.queued.IsZero() || ctx.Err() != nil {
		return Entry{}, Event{}, false
	}
	t.running, t.queued = t.queued, time.Time{}
	return t.entry, Event{Name: t.entry.Name, Due: t.running}, true
}

// nudge makes Run look again.
func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// present returns the wall clock's time without the monotonic one beside it,
// which would hide that the clock was put forward or back.
func present() time.Time { return time.Now().Round(0) }
