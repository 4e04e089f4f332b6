package portal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Whoever waits for execution time is told for what and how long.
func TestLoad(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		o := sandbox.Defaults()
		o.Cost = map[string]time.Duration{"crm.item.add": time.Second}
		c, _ := openSandbox(t, o, portal.CloudLimits())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		if wait := c.Load().Wait; wait.For != "" {
			t.Errorf("waits for %q before anything was sent", wait.For)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			adds(t, c, card, 600)
		}()
		<-time.After(5 * time.Minute)
		load := c.Load()
		if load.Wait.For != "execution time of crm.item.add" || load.Wait.Seconds < 60 || load.Wait.Seconds > 600 {
			t.Errorf("waits %.0f s for %q", load.Wait.Seconds, load.Wait.For)
		}
		if len(load.Execution) == 0 || load.Execution[0].Share() < 0.9 || load.Execution[0].ResetsIn <= 0 {
			t.Errorf("execution time %+v", load.Execution)
		}
		<-done
		if n := c.Load().InFlight; n != 0 {
			t.Errorf("%d requests in flight after all", n)
		}
	})
}
