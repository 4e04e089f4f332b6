package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/proof"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// trial is some hundred rows on a portal that is as treacherous as one may be,
// with two crashes.
type trial struct {
	faults []string
	anew   bool         // lives run the job anew, instead of resuming it
	change func(*world) // takes away what keeps things from being made twice
	lives  func(*scenario, *world)
}

// late are requests that take effect up to 59 s after they were sent. A fault has
// one delay, so there are several.
func late(seed int) []string {
	faults := []string{fmt.Sprintf("drop-after:p=0.05,seed=%d", seed)}
	for i, delay := range []time.Duration{59 * time.Second, 45 * time.Second, 20 * time.Second, 5 * time.Second} {
		faults = append(faults, fmt.Sprintf("late:p=0.06,delay=%s,method=batch,seed=%d", delay, seed+i))
	}
	return faults
}

// treacherous are late requests, and lists that show a new item up to 10 s late.
func treacherous(seed int) []string {
	faults := late(seed)
	for i, delay := range []time.Duration{10 * time.Second, 3 * time.Second} {
		faults = append(faults, fmt.Sprintf("lag:p=0.3,delay=%s,seed=%d", delay, seed+10+i))
	}
	return faults
}

// try makes the trial in its own simulated time and returns what is wrong in
// the end.
func (tr trial) try(t *testing.T, seed uint64, rows int, f *figures) (found []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := &scenario{seed: seed, random: r, job: drawOnboarding(r, rows, 0.1, 0.1), faults: tr.faults}
		s.job.write("on", "on")
		s.box = sandbox.Options{Rate: 2, Burst: 50, RequestLimit: time.Minute, Latency: 300 * time.Millisecond}
		s.lives = []ending{{after: between(r, 2*time.Second, 20*time.Second)}, {point: crash.IntentDurable, nth: 2}}
		s.pauses, s.anew, s.reopened = make([]time.Duration, 2), []bool{tr.anew, tr.anew}, make([]bool, 2)
		w := newWorld(t, s.box, s.job.job, s.job.rows())
		w.ask(s.job.before())
		if err := w.portal.SetFaults(s.faults...); err != nil {
			t.Fatal(err)
		}
		if tr.change != nil {
			tr.change(w)
		}
		lives, ends := 1, 0
		if tr.lives != nil {
			tr.lives(s, w)
		} else {
			lives, ends, found = s.live(w)
		}
		w.settle()
		for _, finding := range w.findings(tr.anew) {
			found = append(found, finding.String())
		}
		found = append(found, amiss(s.job.want(), w.got(false))...)
		f.add(w, lives, ends, len(found))
	})
	return found
}

// Requests that take effect almost a minute after they were sent, and lists that
// lag behind, make nothing twice and lose nothing.
func TestLateRequestsAndLaggingLists(t *testing.T) {
	t.Parallel()
	tries, rows := 6, 300
	switch {
	case long():
		tries, rows = 100, 600
	case testing.Short():
		tries = 2
	}
	var f figures
	t.Cleanup(func() { t.Log(&f) })
	for seed := range uint64(tries) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			found := trial{faults: treacherous(int(seed))}.try(t, seed, rows, &f)
			if len(found) > 0 {
				t.Error(strings.Join(found, "\n"))
			}
		})
	}
}

// Without what keeps things from being made twice, they are, and the tests
// notice: each safeguard is needed, and each is tested.
func TestSafeguardsAreNeeded(t *testing.T) {
	t.Parallel()
	tests := map[string]trial{
		"the fence":   {faults: treacherous(1), change: func(w *world) { w.fence = 0 }},
		"the look-up": {faults: treacherous(1), change: func(w *world) { w.blind = true }},
		"the wait":    {faults: late(1), anew: true, change: func(w *world) { w.hasty = true }},
		"the lease":   {change: func(w *world) { w.lawless = true }, lives: bothAtOnce},

		"none, resumed": {faults: treacherous(1)},
		"none, anew":    {faults: late(1), anew: true},
		"none, at once": {lives: bothAtOnce},
	}
	for name, tr := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f figures
			twice := 0
			found := tr.try(t, 1, 200, &f)
			for _, text := range found {
				if strings.HasPrefix(text, proof.RuleTwice+":") && strings.Contains(text, "was made as item") {
					twice++
				}
			}
			t.Logf("%s; %d items were made twice", &f, twice)
			switch {
			case tr.change == nil && len(found) > 0:
				t.Errorf("with all of them: %s", strings.Join(found, "\n"))
			case tr.change != nil && twice == 0:
				t.Errorf("without %s nothing is made twice", name)
			}
		})
	}
}

// bothAtOnce has two processes with different state folders run the job at the
// same time.
func bothAtOnce(_ *scenario, w *world) {
	var err error
	if w.other, err = journal.Open(w.t.Context(), w.t.TempDir()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.other.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.shared = w.t.TempDir()
	var both conc.WaitGroup
	for _, j := range []*journal.Journal{w.journal, w.other} {
		both.Go(func() {
			l := w.begin(ending{})
			l.journal, l.job = j, w.load()
			if _, err := l.work(true); err != nil {
				w.t.Error(err)
			}
			l.over()
		})
	}
	both.Wait()
}
