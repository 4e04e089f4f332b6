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
// better than, in the mean.
func mix(luck int) []string {
	faults := []string{"drop-after:p=0.05", "drop-before:p=0.05", "limit-503:p=0.10", "truncate:p=0.02", "html-502:p=0.02"}
	for i := range faults {
		faults[i] += fmt.Sprintf(",seed=%d", luck*len(faults)+i+1)
	}
	return faults
}

// How many times what a day without faults takes bad days may take in the mean:
// requests that write, and all requests, look-ups included.
const (
	mostWrites   = 1.3
	mostRequests = 1.2
)

// On a bad day nothing is made twice and nothing is lost, and hardly more is
// asked than has to be. How many of a few thousand requests faults hit is chance,
// by a percent either way; the long form takes the mean of twelve days: 1.192 where
// it was measured, 1.194 of twenty-three.
func TestFaultMix(t *testing.T) {
	t.Parallel()
	rows, days := 3000, 1
	switch {
	case long():
		rows, days = 20_000, 12
	case testing.Short():
		rows = 500
	}
	good := badDay(t, rows, nil)
	t.Logf("%d rows, without faults: %s", rows, good)
	var requests, writes float64
	for luck := range days {
		bad := badDay(t, rows, mix(luck))
		ratio := float64(bad.requests) / float64(good.requests)
		t.Logf("%d rows, on a bad day: %s; %.3f times the requests", rows, bad, ratio)
		requests += ratio / float64(days)
		writes += float64(bad.writes) / float64(good.writes) / float64(days)
	}
	t.Logf("in the mean %.3f times the requests, %.3f times those that write", requests, writes)
	if writes > mostWrites && !testing.Short() { // of so few chance has too large a part
		t.Errorf("it took %.3f times the requests that write, want at most %g", writes, mostWrites)
	}
	if requests > mostRequests && long() {
		t.Errorf("it took %.3f times the requests, want at most %g", requests, mostRequests)
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
