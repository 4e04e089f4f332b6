package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/schedule"
)

// memory is a history that a stop of the runner survives.
type memory struct {
	mu    sync.Mutex
	last  map[string]time.Time
	fault error
}

func (m *memory) Last(_ context.Context, name string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last[name], m.fault
}

func (m *memory) Fired(_ context.Context, name string, due time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault == nil {
		m.last[name] = due
	}
	return m.fault
}

// bench is a runner in simulated time, which begins on Saturday 2000-01-01 at
// midnight UTC, and a diary of what happened in it.
type bench struct {
	*schedule.Runner
	history *memory
	mu      sync.Mutex
	diary   []string
}

func newBench() *bench {
	b := &bench{history: &memory{last: map[string]time.Time{}}}
	b.restart()
	return b
}

// restart is what a new process would do.
func (b *bench) restart() {
	b.Runner = schedule.NewRunner(b.history, b.note)
}

func (b *bench) note(e schedule.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := fmt.Sprintf("%s %s %s %s", time.Now().UTC().Format("02T15:04:05"), e.Kind, e.Name, e.Due.UTC().Format("02T15:04:05"))
	if e.CatchUp {
		line += " late"
	}
	if e.Err != nil {
		line += ": " + e.Err.Error()
	}
	b.diary = append(b.diary, line)
}

// set adds a job that takes its time, unless it is cancelled.
func (b *bench) set(t *testing.T, name string, spec schedule.Spec, takes time.Duration) {
	t.Helper()
	if spec.Timezone == "" {
		spec.Timezone = "UTC"
	}
	err := b.Set(t.Context(), schedule.Entry{Name: name, Schedule: parse(t, spec), Do: func(ctx context.Context, _ time.Time) error {
		return wait(ctx, takes)
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// runFor runs the runner for a simulated while.
func (b *bench) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	b.Run(ctx)
}

func (b *bench) want(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.diary); diff != "" {
		t.Errorf("diary (-want +got):\n%s", diff)
	}
	b.diary = nil
}

func TestRunner_Run(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		spec  schedule.Spec
		takes time.Duration
		runs  time.Duration
		want  []string
	}{
		"starts a job when it is due": {
			spec: schedule.Spec{Cron: "30 1,6 * * *"}, takes: time.Minute, runs: 26 * time.Hour,
			want: []string{
				"01T01:30:00 started job 01T01:30:00", "01T01:31:00 finished job 01T01:30:00",
				"01T06:30:00 started job 01T06:30:00", "01T06:31:00 finished job 01T06:30:00",
				"02T01:30:00 started job 02T01:30:00", "02T01:31:00 finished job 02T01:30:00",
			},
		},
		"skips what falls due while the job runs": {
			spec: schedule.Spec{Cron: "*/5 * * * *"}, takes: 12 * time.Minute, runs: 21 * time.Minute,
			want: []string{
				"01T00:05:00 started job 01T00:05:00",
				"01T00:10:00 skipped job 01T00:10:00",
				"01T00:15:00 skipped job 01T00:15:00",
				"01T00:17:00 finished job 01T00:05:00",
				"01T00:20:00 started job 01T00:20:00",
				"01T00:21:00 finished job 01T00:20:00: context deadline exceeded",
			},
		},
		"queues one run, for the latest time": {
			spec: schedule.Spec{Cron: "*/5 * * * *", Overlap: schedule.Queue}, takes: 12 * time.Minute, runs: 18 * time.Minute,
			want: []string{
				"01T00:05:00 started job 01T00:05:00",
				"01T00:10:00 queued job 01T00:10:00",
				"01T00:15:00 skipped job 01T00:10:00",
				"01T00:17:00 finished job 01T00:05:00",
				"01T00:17:00 started job 01T00:15:00",
				"01T00:18:00 finished job 01T00:15:00: context deadline exceeded",
			},
		},
		"every second": {
			spec: schedule.Spec{Cron: "@every 1s"}, runs: 2500 * time.Millisecond,
			want: []string{
				"01T00:00:01 started job 01T00:00:01", "01T00:00:01 finished job 01T00:00:01",
				"01T00:00:02 started job 01T00:00:02", "01T00:00:02 finished job 01T00:00:02",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.set(t, "job", tt.spec, tt.takes)
				b.runFor(t, tt.runs)
				b.want(t, tt.want...)
			})
		})
	}
}

// A daily job runs through both changes of the clocks of a year.
func TestRunner_Run_throughAYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.set(t, "job", schedule.Spec{Cron: "30 2 * * *", Timezone: "Europe/Berlin"}, time.Second)
		b.runFor(t, 366*24*time.Hour)
		started := 0
		for _, line := range b.diary {
			var at, kind string
			if _, err := fmt.Sscan(line, &at, &kind); err != nil {
				t.Fatal(err)
			}
			if kind == schedule.Started.String() {
				started++
			}
		}
		if started != 366 {
			t.Errorf("started %d times on the 366 days of 2000", started)
		}
	})
}

func TestRunner_Run_catchesUp(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		catchUp schedule.CatchUp
		want    []string
	}{
		"once": {schedule.Once, []string{
			"03T12:00:00 started job 03T06:00:00 late", "03T12:00:00 finished job 03T06:00:00 late",
			"04T06:00:00 started job 04T06:00:00", "04T06:00:00 finished job 04T06:00:00",
		}},
		"none": {schedule.None, []string{
			"04T06:00:00 started job 04T06:00:00", "04T06:00:00 finished job 04T06:00:00",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				spec := schedule.Spec{Cron: "0 6 * * *", CatchUp: tt.catchUp}
				b := newBench()
				// Stopped before the first due time ever: that, too, is
				// missed later on.
				b.set(t, "job", spec, 0)
				b.runFor(t, time.Hour)
				b.want(t)

				if err := wait(t.Context(), 59*time.Hour); err != nil {
					t.Fatal(err)
				}
				b.restart()
				b.set(t, "job", spec, 0)
				b.runFor(t, 20*time.Hour)
				b.want(t, tt.want...)

				b.restart()
				b.set(t, "job", spec, 0)
				b.runFor(t, time.Hour)
				b.want(t)
			})
		})
	}
}

func TestRunner_Run_survivesAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		var caught *schedule.PanicError
		b.Runner = schedule.NewRunner(b.history, func(e schedule.Event) {
			b.note(e)
			errors.As(e.Err, &caught)
		})
		err := b.Set(t.Context(), schedule.Entry{
			Name: "job", Schedule: parse(t, schedule.Spec{Cron: "0 * * * *", Timezone: "UTC"}),
			Do: func(_ context.Context, due time.Time) error {
				if due.Hour() == 1 {
					panic("no such row")
				}
				return errors.New("portal is down")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.set(t, "other", schedule.Spec{Cron: "30 1 * * *"}, 0)
		b.runFor(t, 150*time.Minute)
		b.want(t,
			"01T01:00:00 started job 01T01:00:00", "01T01:00:00 finished job 01T01:00:00: the job panicked: no such row",
			"01T01:30:00 started other 01T01:30:00", "01T01:30:00 finished other 01T01:30:00",
			"01T02:00:00 started job 01T02:00:00", "01T02:00:00 finished job 01T02:00:00: portal is down",
		)
		if caught == nil || caught.Stack == "" {
			t.Errorf("the panic was reported as %+v, want its stack", caught)
		}
	})
}

func TestRunner_Run_refusesWhatItCannotRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.set(t, "job", schedule.Spec{Cron: "0 * * * *"}, 0)
		b.history.fault = errors.New("disk is full")
		b.runFor(t, 90*time.Minute)
		b.want(t, "01T01:00:00 refused job 01T01:00:00: it cannot be recorded: disk is full")

		err := b.Set(t.Context(), schedule.Entry{Name: "new", Schedule: parse(t, schedule.Spec{Cron: "@daily", CatchUp: schedule.Once})})
		if want := `schedule of "new": disk is full`; err == nil || err.Error() != want {
			t.Errorf("Set returns %v, want %s", err, want)
		}
	})
}

// Entries come, change and go while the runner runs, as files of a folder do.
func TestRunner_Set_whileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Run(ctx)
		}()
		pass := func(d time.Duration) {
			t.Helper()
			if err := wait(ctx, d); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}

		pass(30 * time.Second)
		b.set(t, "a", schedule.Spec{Cron: "@every 10s"}, 7*time.Second)
		pass(5 * time.Second)
		b.want(t)
		pass(6 * time.Second)
		b.want(t, "01T00:00:40 started a 01T00:00:40")

		// Replaced and removed in mid-run: that run goes on.
		b.set(t, "a", schedule.Spec{Cron: "0 * * * *"}, time.Second)
		pass(19 * time.Second)
		b.want(t, "01T00:00:47 finished a 01T00:00:40")
		status := b.Entries()
		if len(status) != 1 || status[0].Next.UTC().Hour() != 1 || !status[0].Running.IsZero() {
			t.Errorf("entries %+v, want a, next at one o'clock", status)
		}
		b.set(t, "b", schedule.Spec{Cron: "@every 1m", Overlap: schedule.Queue}, 90*time.Second)
		pass(61 * time.Second)
		b.want(t, "01T00:02:00 started b 01T00:02:00")
		if status := b.Entries(); len(status) != 2 || status[1].Running.IsZero() {
			t.Errorf("entries %+v, want b to run", status)
		}
		pass(60 * time.Second)
		b.want(t, "01T00:03:00 queued b 01T00:03:00")
		b.Remove("b")
		b.Remove("unknown")
		if status := b.Entries(); len(status) != 1 {
			t.Errorf("entries %+v, want b to be gone", status)
		}
		pass(5 * time.Minute)
		b.want(t, "01T00:03:30 finished b 01T00:02:00")

		cancel()
		<-done
	})
}

// A run that is under way when the runner is told to stop is told so, too, and
// waited for; what was queued behind it does not begin.
func TestRunner_Run_stops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		err := b.Set(t.Context(), schedule.Entry{
			Name: "job", Schedule: parse(t, schedule.Spec{Cron: "@every 1m", Overlap: schedule.Queue}),
			Do: func(ctx context.Context, _ time.Time) error {
				<-ctx.Done()
				return wait(context.WithoutCancel(ctx), 5*time.Second)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.runFor(t, 150*time.Second)
		b.want(t,
			"01T00:01:00 started job 01T00:01:00",
			"01T00:02:00 queued job 01T00:02:00",
			"01T00:02:35 finished job 01T00:01:00",
		)
		if last := b.history.last["job"]; last.UTC().Minute() != 1 {
			t.Errorf("the history says %v, so the queued run would not be caught up", last)
		}
	})
}

// The machine sleeps, or someone sets its clock.
func TestRunner_clockSteps(t *testing.T) {
	t.Parallel()

	at := func(clock string) time.Time {
		t.Helper()
		moment, err := time.Parse("02T15:04:05 2006-01", clock+" 2000-01")
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	type look struct{ at, due, kind string }
	tests := map[string]struct {
		spec  schedule.Spec
		looks []look
	}{
		"a little forward: the due time is met": {
			schedule.Spec{Cron: "0 * * * *"},
			[]look{{"01T00:59:00", "", ""}, {"01T01:01:59", "01T01:00:00", "started"}, {"01T02:00:00", "01T02:00:00", "started"}},
		},
		"far forward: the due times are missed": {
			schedule.Spec{Cron: "0 * * * *"},
			[]look{{"01T00:59:00", "", ""}, {"05T12:30:00", "05T12:00:00", "missed"}, {"05T13:00:00", "05T13:00:00", "started"}},
		},
		"far forward: one run makes up for them": {
			schedule.Spec{Cron: "0 * * * *", CatchUp: schedule.Once},
			[]look{{"01T00:59:00", "", ""}, {"05T12:30:00", "05T12:00:00", "started"}, {"05T13:00:00", "05T13:00:00", "started"}},
		},
		"a little back: nothing is due twice": {
			schedule.Spec{Cron: "0 * * * *"},
			[]look{{"01T01:00:00", "01T01:00:00", "started"}, {"01T00:30:00", "", ""}, {"01T01:00:00", "", ""}, {"01T02:00:00", "01T02:00:00", "started"}},
		},
		"far back: due times are reckoned anew": {
			schedule.Spec{Cron: "0 * * * *"},
			[]look{{"25T01:00:00", "25T01:00:00", "started"}, {"02T01:30:00", "", ""}, {"02T02:00:00", "02T02:00:00", "started"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.set(t, "job", tt.spec, 0)
				for _, want := range tt.looks {
					due, kind, found := b.Look(at(want.at))
					got := look{at: want.at}
					if found {
						got.due, got.kind = due.UTC().Format("02T15:04:05"), kind.String()
					}
					if got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				}
			})
		})
	}
}
