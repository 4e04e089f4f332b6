package proof_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// deaths are the lives of the program before the last one, which ends at the
// point of that name, and the faults of the portal that lead there.
func deaths(at crash.Point, v *verb, hit int) (faults []string, lives []death) {
	switch at {
	case crash.RunResumed:
		return nil, []death{{run, crash.OutcomeDurable, "", 1}, {resume, at, "", 1}}
	case crash.DriftRead: // what is fresh isn't read again
		return nil, []death{{run, crash.RunBegun, "", 1}, {resume, at, "", 1}}
	case crash.LookupBefore, crash.LookupAnswered:
		return []string{"drop-after:count=1,method=" + v.method}, []death{{run, at, "", 1}}
	case crash.RequestBefore, crash.RequestWritten, crash.AnswerBegun, crash.AnswerRead: // of what writes
		return nil, []death{{run, at, crash.IntentDurable, hit}}
	case crash.IntentBefore, crash.IntentWritten, crash.IntentDurable, crash.OutcomeBefore, crash.OutcomeWritten, crash.OutcomeDurable:
		return nil, []death{{run, at, "", hit}}
	default: // by which a run comes once
		return nil, []death{{run, at, "", 1}}
	}
}

// TestPoints kills the program at every named point of every verb, each once,
// and lets it go on. In the end the portal is as if nothing had happened.
func TestPoints(t *testing.T) {
	t.Parallel()
	type combination struct {
		verb  verb
		want  string
		point crash.Point
		hit   int
	}
	var all []combination
	for i, v := range verbs() {
		want := undisturbed(t, &v)
		for n, point := range crash.Points() {
			hits := []int{1 + (i+n)%3}
			if long() {
				hits = []int{1, 2, 3}
			}
			for _, hit := range hits {
				all = append(all, combination{v, want, point, hit})
			}
		}
	}
	// Most of the time is spent waiting for fences: more at once than there are
	// processors.
	lanes := pool.New().WithMaxGoroutines(6)
	for _, c := range all {
		lanes.Go(func() {
			t.Run(fmt.Sprintf("%s/%s/%d", c.verb.name, c.point, c.hit), func(t *testing.T) {
				dieAt(t, &c.verb, c.point, c.hit, c.want)
			})
		})
	}
	lanes.Wait()
}

// verbWorld is the world of a verb's job.
func verbWorld(t *testing.T, v *verb, faults []string) *world {
	t.Helper()
	o := worldOptions{sandbox: sandbox.Options{Seed: v.seed, Faults: faults}, request: time.Second, job: v.job}
	if v.rows != nil {
		o.rows = v.rows(t)
	}
	return newWorld(t, o)
}

// undisturbed is what a portal holds after a verb's job to which nothing
// happened.
func undisturbed(t *testing.T, v *verb) string {
	t.Helper()
	w := verbWorld(t, v, nil)
	before := contents(t, w.portal)
	w.finish()
	w.judge("verbs undisturbed")
	after := contents(t, w.portal)
	if n := len(w.evidence.Effects); n < 100 || before == after {
		t.Fatalf("%s had %d effects; it should have a hundred and more", v.name, n)
	}
	return after
}

// dieAt lets a process die at a point, and others go on.
func dieAt(t *testing.T, v *verb, at crash.Point, hit int, want string) {
	t.Helper()
	faults, lives := deaths(at, v, hit)
	w := verbWorld(t, v, faults)
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
	if diff := cmp.Diff(want, contents(t, w.portal)); diff != "" {
		t.Errorf("the portal is not as without a crash (-want +got):\n%s", diff)
	}
}
