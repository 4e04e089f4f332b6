package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// mix are the faults of a bad day. Of the requests that meet them, 15.4 % are
// turned away or lost before any work is done: they have to be sent again, and so
// 1.18 times the requests of a day without faults is what no client can do
// better than.
func mix() []string {
	return []string{"drop-after:p=0.05,seed=1", "drop-before:p=0.05,seed=2", "limit-503:p=0.10,seed=3", "truncate:p=0.02,seed=4", "html-502:p=0.02,seed=5"}
}

// How many times what a day without faults takes a bad day may take: requests
// that write, and all requests, look-ups included.
const (
	mostWrites   = 1.3
	mostRequests = 1.2
)

// On a bad day nothing is made twice and nothing is lost, and hardly more is
// written than has to be.
//
// The bound of all requests is the long form's. It is not kept yet: refusals make
// the client slow, and what is looked up by the clock (drift, lost answers) is
// then looked up for every few batches.
func TestFaultMix(t *testing.T) {
	t.Parallel()
	rows := 3000
	switch {
	case long():
		rows = 20_000
	case raced:
		rows = 500
	}
	good := badDay(t, rows, nil)
	bad := badDay(t, rows, mix())
	ratio := float64(bad.requests) / float64(good.requests)
	t.Logf("%d rows, without faults: %s", rows, good)
	t.Logf("%d rows, on a bad day: %s; %.3f times the requests", rows, bad, ratio)
	if writes := float64(bad.writes) / float64(good.writes); writes > mostWrites && !raced { // of so few as under the race detector chance has too large a part
		t.Errorf("it took %.3f times the requests that write, want at most %g", writes, mostWrites)
	}
	if ratio > mostRequests && long() {
		t.Errorf("it took %.3f times the requests, want at most %g", ratio, mostRequests)
	}
}

// day is what a run took.
type day struct {
	requests, writes, lookups int
	faults, refused           int
	took                      time.Duration
}

func (d day) String() string {
	return fmt.Sprintf("%d requests (%d to write, %d to look up) in %s, %d faults, %d of them refusals by a limit", d.requests, d.writes, d.lookups, d.took, d.faults, d.refused)
}

// badDay runs the onboarding of so many rows through faults, at the real limits.
func badDay(t *testing.T, rows int, faults []string) (d day) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scenario{random: rand.New(rand.NewPCG(1, 0)), box: sandbox.Defaults()}
		s.box.Latency = 300 * time.Millisecond
		s.job = drawOnboarding(s.random, rows, 0, 0)
		s.job.write("on", "on")
		w := newWorld(t, s.box, s.job.job, s.job.rows())
		if err := w.portal.SetFaults(faults...); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		l := w.begin(ending{})
		result, err := l.work(false)
		l.over()
		d.took = time.Since(began).Round(time.Second)
		if err != nil || result.Status != engine.StatusSucceeded {
			t.Errorf("the run ends %v with error %v: %s", result, err, strings.Join(w.errors(), "\n"))
			return
		}
		stats := w.portal.Stats()
		d.requests, d.faults, d.refused = stats.Requests, stats.Faults, stats.RejectedBucket
		w.settle()
		for _, finding := range w.findings(false) {
			t.Error(finding)
		}
		for _, r := range w.evidence.Requests {
			switch r.Commands[0].Method {
			case "crm.item.list":
				d.lookups++
			case "crm.item.add", "crm.item.update":
				d.writes++
			}
		}
		if wrong := amiss(s.job.want(), w.got(false)); len(wrong) > 0 {
			t.Errorf("portal (-want +got):\n%s", strings.Join(wrong, "\n"))
		}
	})
	return d
}
