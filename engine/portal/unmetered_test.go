package portal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// A portal of one's own tells no execution time and limits none: neither does
// the client wait for any, nor does it foresee that.
func TestGovernor_unmetered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, box := openSandbox(t, sandbox.Options{
			Seed: "demo", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond, Cost: map[string]time.Duration{"crm.item.add": 500 * time.Millisecond},
		}, portal.CloudLimits())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		adds(t, c, card, 100)
		const items = 3000 // 1500 seconds of work, which would be three windows
		foreseen := c.Forecast(map[string]int{"crm.item.add": items})
		began := time.Now()
		adds(t, c, card, items)
		took := time.Since(began).Seconds()
		t.Logf("took %.0f s, foreseen %+v, %+v", took, foreseen, c.Load())
		if foreseen.LimitedBy == "execution_time" || foreseen.Seconds > 1.5*took {
			t.Errorf("%.0f s, limited by %s, were foreseen; it took %.0f s", foreseen.Seconds, foreseen.LimitedBy, took)
		}
		if work := items * 0.5 / 16; took > 1.3*work {
			t.Errorf("took %.0f s, want about %.0f s", took, work)
		}
		if s := box.Stats(); s.RejectedBucket+s.RejectedOperating+s.Timeouts > 0 {
			t.Errorf("the portal refused %+v", s)
		}
		for _, e := range c.Load().Execution {
			t.Errorf("execution time is shown that there is not: %+v", e)
		}
	})
}

// One that tells nothing and refuses a method all the same is taken at its word:
// the method waits, and all of it is done.
func TestGovernor_untoldLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "demo", Rate: 2, Burst: 50, Faults: []string{"limit-429:method=crm.item.add,after=3,count=2"}})
		c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits()}, box.WebhookPath())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		began := time.Now()
		adds(t, c, card, 500)
		if took := time.Since(began); took > 15*time.Minute {
			t.Errorf("took %s", took)
		}
		if n := c.Usage().Rejected; n != 2 {
			t.Errorf("%d refusals were counted, want 2", n)
		}
	})
}
