package portal_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Whatever the limits, the costs and the load, nothing is rejected or cut off
// that the client could have foreseen.
func FuzzGovernor(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			limits := portal.Limits{
				Rate: float64(1 + random.IntN(10)), Burst: float64(2 + random.IntN(99)), Request: time.Minute,
				Window: time.Duration(1+random.IntN(10)) * time.Minute,
			}
			if random.IntN(4) > 0 {
				limits.Operating = time.Duration(float64(limits.Window) * (0.1 + 0.8*random.Float64()))
			}
			cost := func() time.Duration {
				return time.Duration(random.Float64() * random.Float64() * float64(4*time.Second))
			}
			o := sandbox.Options{
				Seed: "demo", Rate: limits.Rate, Burst: int(limits.Burst), OperatingLimit: limits.Operating, OperatingWindow: limits.Window,
				Latency: time.Duration(random.IntN(2000)) * time.Millisecond, Charge: []string{sandbox.ChargeNested, sandbox.ChargeBatch}[random.IntN(2)],
				Cost: map[string]time.Duration{"crm.item.add": cost(), "crm.item.update": cost(), "*": time.Duration(random.IntN(300)) * time.Millisecond},
			}
			c, box := openSandbox(t, o, limits)
			card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
			var workers sync.WaitGroup
			for range 1 + random.IntN(8) {
				items, update := 1+random.IntN(200), random.IntN(2) == 0
				workers.Go(func() { load(t, c, card, items, update) })
			}
			workers.Wait()
			if s := box.Stats(); s.RejectedBucket+s.RejectedOperating+s.Timeouts > 0 {
				t.Errorf("seed %d: %d requests over the bucket, %d commands over their time, %d requests cut off; limits %+v, sandbox %+v",
					seed, s.RejectedBucket, s.RejectedOperating, s.Timeouts, limits, o)
			}
		})
	})
}

// load writes items and looks some up in between.
func load(t *testing.T, c *portal.Client, card *engine.Entity, items int, update bool) {
	t.Helper()
	for items > 0 {
		commands := make([]engine.Command, min(items, c.BatchSize()))
		for i := range commands {
			commands[i] = engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "x"}}
			if update && i%2 == 0 {
				commands[i].Kind, commands[i].ID = engine.CommandUpdate, 1
			}
		}
		outcomes, err := c.Write(t.Context(), commands, func() error { return nil })
		if err != nil {
			t.Error(err)
			return
		}
		for _, o := range outcomes {
			switch o.Kind {
			case engine.OutcomeDone:
				items--
			case engine.OutcomeRefused:
			default:
				t.Errorf("outcome %+v", o)
				return
			}
		}
		if _, err := c.Get(t.Context(), card, []int64{1, 2, 3}, []string{"title"}); err != nil {
			t.Error(err)
			return
		}
	}
}
