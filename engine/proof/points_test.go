package proof_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// death is where a process is to die.
type death struct {
	args  []string
	at    crash.Point
	after crash.Point // from where on hits count
	hit   int
}

// deaths are the lives of the program before the last one, which ends at a
// point, and the fault of the portal that leads there.
func (w *world) deaths(at crash.Point, method string, hit int) (lives []death, fault string) {
	switch at {
	case crash.RunResumed:
		return []death{{w.command, crash.OutcomeDurable, "", 1}, {resume, at, "", 1}}, ""
	case crash.DriftRead: // what is fresh isn't read again
		return []death{{w.command, crash.RunBegun, "", 1}, {resume, at, "", 1}}, ""
	case crash.LookupBefore, crash.LookupAnswered:
		return []death{{w.command, at, "", 1}}, "drop-after:count=1,method=" + method
	case crash.RequestBefore, crash.RequestWritten, crash.AnswerBegun, crash.AnswerRead: // of what writes
		return []death{{w.command, at, crash.IntentDurable, hit}}, ""
	case crash.IntentBefore, crash.IntentWritten, crash.IntentDurable, crash.OutcomeBefore, crash.OutcomeWritten, crash.OutcomeDurable:
		return []death{{w.command, at, "", hit}}, ""
	default: // by which a run comes once
		return []death{{w.command, at, "", 1}}, ""
	}
}

// TestPoints kills the program at every named point of every verb, each once,
// and lets it go on. In the end the portal is as if nothing had happened.
func TestPoints(t *testing.T) {
	t.Parallel()
	// Most of the time is spent waiting for fences: more run at once than there
	// are processors.
	lanes := pool.New().WithMaxGoroutines(6)
	for i, v := range verbs() { //nolint:paralleltest // they run in lanes
		want := sync.OnceValue(func() string { return undisturbed(t, &v) })
		for n, point := range crash.Points() {
			if testing.Short() && n%4 != i%4 {
				continue
			}
			hits := []int{1 + (i+n)%3}
			if long() {
				hits = []int{1, 2, 3}
			}
			for _, hit := range hits {
				hit += v.hits
				lanes.Go(func() {
					t.Run(fmt.Sprintf("%s/%s/%d", v.name, point, hit), func(t *testing.T) { dieAt(t, &v, point, hit, want()) })
				})
			}
		}
	}
	lanes.Wait()
}

// verbWorld is the world of a verb's job. What is to be taken back is done.
func verbWorld(t *testing.T, v *verb) *world {
	t.Helper()
	o := worldOptions{sandbox: sandbox.Options{Seed: v.seed}, request: time.Second, job: v.job}
	if v.rows != nil {
		o.rows = v.rows(t)
	}
	w := newWorld(t, o)
	if v.undo {
		w.command = []string{"undo", w.finish().Run, "--yes", "--format", "json", "--quiet"}
	}
	return w
}

// undisturbed is what a portal holds after a verb's job to which nothing
// happened.
func undisturbed(t *testing.T, v *verb) string {
	t.Helper()
	w := verbWorld(t, v)
	before, effects := contents(t, w.portal), len(w.portal.History())
	w.finish()
	w.judge("verbs, undisturbed")
	after := contents(t, w.portal)
	more := max(0, strings.Count(after, "\n")-strings.Count(before, "\n")) // comments and addresses have no effects on items
	if n := len(w.evidence.Effects) - effects + more; n < 100 || before == after {
		t.Errorf("%s had %d effects; it should have a hundred and more", v.name, n)
	}
	return after
}

// dieAt lets a process die at a point, and others go on.
func dieAt(t *testing.T, v *verb, at crash.Point, hit int, want string) {
	t.Helper()
	w := verbWorld(t, v)
	lives, fault := w.deaths(at, v.method, hit)
	if fault != "" {
		if err := w.portal.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range lives {
		l := w.start(programDies, []string{
			"PROOF_DIES_AT=" + string(d.at), "PROOF_DIES_AFTER=" + string(d.after), fmt.Sprintf("PROOF_DIES_HIT=%d", d.hit),
		}, d.args...)
		w.end(l)
		if !l.killed() || !strings.Contains(l.stderr.String(), "dies at "+string(d.at)) {
			t.Fatalf("it didn't come to %s: %s", d.at, l.tells())
		}
		w.kills++
		w.note()
	}
	w.finish()
	w.judge("named points × verbs")
	for _, d := range differences(want, contents(t, w.portal)) {
		t.Errorf("the portal is not as without a crash: %s", d)
	}
}
