package portal_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// calls makes n independent requests, as many at once as the client lets out.
func calls(t *testing.T, c *portal.Client, n int) {
	t.Helper()
	work := pool.New().WithMaxGoroutines(64)
	for range n {
		work.Go(func() {
			if _, err := c.Call(t.Context(), "profile", nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
}

func TestGovernor_bucket(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		requests int
		rate     float64
		burst    int
		latency  time.Duration
		drain    string
		rejected int // at most
	}{
		"a few over the burst":           {requests: 60, rate: 2, burst: 50, latency: 50 * time.Millisecond},
		"five times the burst":           {requests: 250, rate: 2, burst: 50, latency: 200 * time.Millisecond},
		"a long run":                     {requests: 5000, rate: 2, burst: 50, latency: 300 * time.Millisecond},
		"slow answers":                   {requests: 300, rate: 2, burst: 50, latency: 2 * time.Second},
		"very slow answers":              {requests: 60, rate: 2, burst: 50, latency: 5 * time.Second},
		"very slow answers, a long run":  {requests: 5000, rate: 2, burst: 50, latency: 5 * time.Second},
		"answers at once":                {requests: 60, rate: 2, burst: 50},
		"the Enterprise plan":            {requests: 2000, rate: 5, burst: 250, latency: 100 * time.Millisecond},
		"a portal that drains by second": {requests: 400, rate: 2, burst: 50, latency: 100 * time.Millisecond, drain: sandbox.DrainStep},
		"drained by second, a long run":  {requests: 5000, rate: 2, burst: 50, latency: 300 * time.Millisecond, drain: sandbox.DrainStep},
		// What drains a second's worth at a time is up to that fuller than it seems.
		// One refusal shows it and the trial after it is refused, too; from then on
		// so much more is kept free.
		"Enterprise, drained by second": {requests: 2000, rate: 5, burst: 250, latency: 100 * time.Millisecond, drain: sandbox.DrainStep, rejected: 2},
		"a small bucket":                {requests: 100, rate: 20, burst: 5, latency: 20 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limits := portal.CloudLimits()
				limits.Rate, limits.Burst = tt.rate, float64(tt.burst)
				c, box := openSandbox(t, sandbox.Options{
					Seed: "empty", Rate: tt.rate, Burst: tt.burst, Latency: tt.latency, Drain: tt.drain,
				}, limits)
				began := time.Now()
				calls(t, c, tt.requests)
				took := time.Since(began).Seconds()
				allowed := 1.03*float64(tt.requests-tt.burst)/tt.rate + 2/tt.rate + tt.latency.Seconds()
				if took > allowed {
					t.Errorf("took %.1f s, want at most %.1f s", took, allowed)
				}
				if s := box.Stats(); s.RejectedBucket > tt.rejected || c.Usage().Rejected != s.RejectedBucket {
					t.Errorf("%d requests were rejected, %d by the client's count; want %d", s.RejectedBucket, c.Usage().Rejected, tt.rejected)
				}
				t.Logf("took %.2f s of %.2f s, %s", took, allowed, c.Status())
			})
		})
	}
}

// A neighbour behind the same address costs a refusal a minute at most, and the
// rest of the bucket is used. When it leaves, its share is taken up again.
func TestGovernor_neighbour(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rate  float64       // of the neighbour, requests a second
		until time.Duration // 0: to the end
		least float64       // part of what it leaves
	}{
		"a quarter of ours": {rate: 0.25, least: 0.95},
		"half the bucket":   {rate: 1, least: 0.95},
		"most of it":        {rate: 1.5, least: 0.95},
		"one that leaves":   {rate: 1, until: 5 * time.Minute, least: 0.85},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const requests = 1800
				c, box := openSandbox(t, sandbox.Options{Seed: "empty", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond}, portal.CloudLimits())
				ctx, stop := context.WithCancel(t.Context())
				if tt.until > 0 {
					ctx, stop = context.WithTimeout(t.Context(), tt.until)
				}
				var neighbour sync.WaitGroup
				neighbour.Go(func() { ask(ctx, box, tt.rate) })
				began := time.Now()
				calls(t, c, requests)
				took := time.Since(began)
				stop()
				neighbour.Wait()
				theirs := min(took, tt.until).Seconds() * tt.rate
				if tt.until == 0 {
					theirs = took.Seconds() * tt.rate
				}
				share := (requests - 50) / (took.Seconds()*2 - theirs)
				perMinute := float64(c.Usage().Rejected) / took.Minutes()
				t.Logf("took %.1f s, %.3f of what was left, %.2f rejected a minute, %s", took.Seconds(), share, perMinute, c.Status())
				if share < tt.least {
					t.Errorf("%.3f of what was left, want %v", share, tt.least)
				}
				// One that takes more than its half is asked after more often.
				if perMinute > 1 && tt.rate <= 1 || perMinute > 1.2 {
					t.Errorf("%.2f rejected a minute, want one at most", perMinute)
				}
			})
		})
	}
}

// ask is a program that sends requests at an even rate until ctx ends.
func ask(ctx context.Context, box *sandbox.Portal, rate float64) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://sandbox.test"+box.WebhookPath()+"profile", nil)
		if err != nil {
			return
		}
		if response, err := box.Transport().RoundTrip(request); err == nil {
			response.Body.Close()
		}
	}
}

// Refusals that mean nothing don't slow a client down for long.
func TestGovernor_slips(t *testing.T) {
	t.Parallel()
	for share, most := range map[string]float64{"0.01": 1.5, "0.03": 2, "0.1": 3.5} {
		t.Run(share, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := openSandbox(t, sandbox.Options{
					Seed: "empty", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond, Faults: []string{"limit-503:p=" + share},
				}, portal.CloudLimits())
				began := time.Now()
				calls(t, c, 1000)
				took := time.Since(began).Seconds()
				t.Logf("took %.1f s, rejected %d, %s", took, c.Usage().Rejected, c.Status())
				if took > most*475 {
					t.Errorf("took %.1f s, want at most %.1f times the 475 s without them", took, most)
				}
			})
		})
	}
}

// adds writes n items of an entity in the batches that the client asks for.
func adds(t *testing.T, c *portal.Client, e *engine.Entity, n int) {
	t.Helper()
	if lost := add(t, c, e, n); lost > 0 {
		t.Errorf("%d answers were lost", lost)
	}
}

// add does so, and says how many answers were lost.
func add(t *testing.T, c *portal.Client, e *engine.Entity, n int) int64 {
	t.Helper()
	var lost atomic.Int64
	work := pool.New().WithMaxGoroutines(16)
	left := make(chan int, n)
	for i := range n {
		left <- i
	}
	close(left)
	for range 16 {
		work.Go(func() {
			var open []int
			for {
				size := c.BatchSize()
				for len(open) < size {
					i, ok := <-left
					if !ok {
						break
					}
					open = append(open, i)
				}
				if len(open) == 0 {
					return
				}
				some := open[:min(size, len(open))]
				commands := make([]engine.Command, 0, len(some))
				for _, i := range some {
					commands = append(commands, engine.Command{Kind: engine.CommandAdd, Entity: e, Fields: map[string]any{"title": fmt.Sprint("item ", i)}})
				}
				outcomes, err := c.Write(t.Context(), commands, func() error { return nil })
				if err != nil {
					t.Error(err)
					return
				}
				again := append([]int(nil), open[len(some):]...)
				for i, o := range outcomes {
					switch o.Kind {
					case engine.OutcomeDone:
					case engine.OutcomeRefused:
						again = append(again, some[i])
					case engine.OutcomeUnknown:
						lost.Add(1)
					default:
						t.Errorf("outcome %+v", o)
					}
				}
				open = again
			}
		})
	}
	work.Wait()
	return lost.Load()
}

// Where execution time binds, a run takes hardly longer than somebody would who
// knows all costs in advance: no such planner uses more than the limit in a
// window, and all are free to have sixteen requests on their way at once.
func TestGovernor_executionTime(t *testing.T) {
	t.Parallel()
	type test struct {
		cost, total    time.Duration // of a command and of all
		limit, window  time.Duration
		latency        time.Duration
		jitter         bool    // half as dear to half again
		slow           float64 // times as dear in four of seventeen minutes
		rejected, late int     // at most: commands over their time, and requests cut off
	}
	cloud := portal.CloudLimits()
	tests := map[string]test{
		"cheap calls":         {cost: 100 * time.Millisecond, total: 1500 * time.Second, latency: 300 * time.Millisecond},
		"calls of half a sec": {cost: 500 * time.Millisecond, total: 2500 * time.Second, latency: 300 * time.Millisecond},
		"dear calls":          {cost: 2 * time.Second, total: 5000 * time.Second, latency: 300 * time.Millisecond},
		"just over a window":  {cost: 500 * time.Millisecond, total: 1000 * time.Second},
		"slow answers":        {cost: 500 * time.Millisecond, total: 2600 * time.Second, latency: 5 * time.Second, jitter: true},
		"jitter":              {cost: 2 * time.Second, total: 2600 * time.Second, latency: 100 * time.Millisecond, jitter: true},
		"jitter, cheap calls": {cost: 100 * time.Millisecond, total: 1500 * time.Second, latency: 100 * time.Millisecond, jitter: true},
		// What is on its way when calls get dearer can't be called back.
		"slow hours":       {cost: 500 * time.Millisecond, total: 2400 * time.Second, jitter: true, slow: 2, rejected: 50},
		"very slow hours":  {cost: 700 * time.Millisecond, total: 2600 * time.Second, jitter: true, slow: 4, rejected: 200, late: 2},
		"a small limit":    {cost: 20 * time.Millisecond, total: 70 * time.Second, limit: 20 * time.Second, window: time.Minute, latency: 100 * time.Millisecond},
		"a very small one": {cost: 50 * time.Millisecond, total: 64 * time.Second, limit: 10 * time.Second, window: 20 * time.Second, latency: 100 * time.Millisecond},
	}
	for name, tt := range tests {
		if testing.Short() && tt.total/tt.cost > 10_000 {
			continue
		}
		for _, charge := range []string{sandbox.ChargeNested, sandbox.ChargeBatch} {
			t.Run(name+"/"+charge, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					limits := cloud
					if tt.limit > 0 {
						limits.Operating, limits.Window = tt.limit, tt.window
					}
					var mu sync.Mutex
					var total float64
					random := rand.New(rand.NewPCG(1, 1))
					pace := func(since time.Duration) float64 {
						mu.Lock()
						defer mu.Unlock()
						factor := 1.0
						if tt.jitter {
							factor = 0.5 + random.Float64()
						}
						if tt.slow > 0 && int(since.Minutes())%17 >= 13 {
							factor *= tt.slow
						}
						total += factor * tt.cost.Seconds()
						return factor
					}
					c, box := openSandbox(t, sandbox.Options{
						Seed: "demo", Rate: 2, Burst: 50, OperatingLimit: limits.Operating, OperatingWindow: limits.Window, Charge: charge,
						Latency: tt.latency, Cost: map[string]time.Duration{"crm.item.add": tt.cost}, Pace: pace,
					}, limits)
					catalog := loadCatalog(t, c, "Onboarding")
					began := time.Now()
					lost := add(t, c, catalog.Entities[0], int(tt.total/tt.cost))
					took := time.Since(began).Seconds()
					windows := math.Ceil(total/limits.Operating.Seconds()) - 1
					ideal := windows*limits.Window.Seconds() + (total-windows*limits.Operating.Seconds())/16
					t.Logf("took %.0f s, ideal %.0f s, ratio %.3f, %+v, %s", took, ideal, took/ideal, c.Usage(), c.Status())
					if lost > 0 && tt.late == 0 {
						t.Errorf("%d answers were lost", lost)
					}
					if s := box.Stats(); s.RejectedOperating > tt.rejected || s.RejectedBucket > 0 || s.Timeouts > tt.late {
						t.Errorf("%d commands over their time, %d requests over the bucket, %d cut off", s.RejectedOperating, s.RejectedBucket, s.Timeouts)
					}
					// The probes at the beginning and the last answer take their time.
					if allowed := ideal*1.08 + 2*tt.latency.Seconds(); took > allowed {
						t.Errorf("took %.0f s, want at most %.0f s", took, allowed)
					}
				})
			})
		}
	}
}

// A method that has used up its time waits, others pass it, and cancellation
// ends the wait at once.
func TestGovernor_othersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := portal.CloudLimits()
		limits.Operating, limits.Window = 10*time.Second, time.Minute
		c, box := openSandbox(t, sandbox.Options{
			Seed: "demo", OperatingLimit: limits.Operating, OperatingWindow: limits.Window,
			Cost: map[string]time.Duration{"crm.item.add": time.Second},
		}, limits)
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		add := engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "x"}}
		update := engine.Command{Kind: engine.CommandUpdate, Entity: card, ID: 1, Fields: map[string]any{"title": "y"}}
		write(t, c, add, add, add, add, add, add, add, add, add)

		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() {
				if _, err := c.Write(ctx, []engine.Command{add}, func() error { return nil }); !errors.Is(err, context.Canceled) {
					t.Errorf("a cancelled wait ended with %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		write(t, c, update)
		outcomes, err := c.Write(t.Context(), []engine.Command{add, update, add}, func() error { return nil })
		if err != nil || outcomes[0].Kind != engine.OutcomeRefused || outcomes[1].Kind != engine.OutcomeDone || outcomes[2].Kind != engine.OutcomeRefused {
			t.Errorf("got %+v, %v; want the update only", outcomes, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("updates waited %s for additions", took)
		}
		cancel()
		waiting.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("cancelling took %s", took)
		}
		write(t, c, add)
		if took := time.Since(began); took < 40*time.Second || box.Stats().RejectedOperating != 0 {
			t.Errorf("the tenth addition went after %s, %d rejected", took, box.Stats().RejectedOperating)
		}
	})
}

// Cancellation ends every kind of wait at once, and gives back what was taken.
func TestGovernor_cancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := portal.CloudLimits()
		limits.Rate, limits.Burst = 1, 2
		c, _ := openSandbox(t, sandbox.Options{Seed: "empty", Rate: 1, Burst: 2, Latency: time.Second}, limits)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var asking sync.WaitGroup
		for range 40 {
			asking.Go(func() {
				if _, err := c.Call(ctx, "profile", nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		asking.Wait()
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("the last call ended after %s", took)
		}
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("slots of cancelled calls were kept: the next one took until %s", took)
		}
		if _, err := c.Call(ctx, "profile", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call after the end gave %v", err)
		}
	})
}

// Many who wait are served in the order in which they came. Two who come to the
// next line at the same instant may change places.
func TestGovernor_fair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := portal.CloudLimits()
		limits.Rate, limits.Burst = 1, 1
		c, _ := openSandbox(t, sandbox.Options{Seed: "empty", Rate: 1, Burst: 1}, limits)
		began := time.Now()
		var served [30]time.Duration
		var asking sync.WaitGroup
		for i := range served {
			asking.Go(func() {
				if _, err := c.Call(t.Context(), "profile", nil); err != nil {
					t.Error(err)
				}
				served[i] = time.Since(began)
			})
			synctest.Wait()
		}
		asking.Wait()
		for i := range len(served) - 2 {
			if served[i] > served[i+2] {
				t.Errorf("call %d was served after %s, two later ones after %s and %s", i, served[i], served[i+1], served[i+2])
			}
		}
	})
}

// A forecast is about what it then takes.
func TestForecast(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		items   int
		cost    time.Duration
		limited string
	}{
		"few":                         {100, time.Millisecond, "none"},
		"bound by the bucket":         {5000, time.Millisecond, "bucket"},
		"bound by the work":           {150, 500 * time.Millisecond, "none"},
		"bound by the execution time": {2000, time.Second, "execution_time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := sandbox.Defaults()
				o.Cost, o.Latency = map[string]time.Duration{"crm.item.add": tt.cost}, 50*time.Millisecond
				c, _ := openSandbox(t, o, portal.CloudLimits())
				card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
				adds(t, c, card, 10)
				forecast := c.Forecast(map[string]int{"crm.item.add": tt.items})
				requests, began := c.Usage().Requests, time.Now()
				adds(t, c, card, tt.items)
				took, requests := time.Since(began).Seconds(), c.Usage().Requests-requests
				t.Logf("took %.1f s and %d requests, forecast %+v, %s", took, requests, forecast, c.Status())
				if forecast.LimitedBy != tt.limited {
					t.Errorf("limited by %s, want %s", forecast.LimitedBy, tt.limited)
				}
				if math.Abs(forecast.Seconds-took) > 0.35*took+1 {
					t.Errorf("took %.1f s, forecast %.1f s", took, forecast.Seconds)
				}
				if math.Abs(float64(forecast.Requests-requests)) > 0.3*float64(requests)+2 {
					t.Errorf("took %d requests, forecast %d", requests, forecast.Requests)
				}
			})
		})
	}
}

// However often requests run into the portal's limit, a call is not taken to
// last longer than the portal lets a request run.
func TestForecast_afterCutOffs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := sandbox.Defaults()
		o.Latency, o.Faults = 45*time.Second, []string{"drop-after:method=crm.item.list"}
		limits := portal.CloudLimits()
		limits.Operating = 0
		c, _ := openSandbox(t, o, limits)
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			if _, err := c.Call(ctx, "crm.item.list", map[string]any{"entityTypeId": 3}); err == nil {
				t.Error("an answer came")
			}
			cancel()
		}
		if f := c.Forecast(map[string]int{"crm.item.list": 1}); f.Seconds > 2*limits.Request.Seconds() {
			t.Errorf("one list is to take %.0f s", f.Seconds)
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	address, err := portal.Parse("https://a.test/rest/1/" + secret + "/")
	if err != nil {
		t.Fatal(err)
	}
	good := portal.EnterpriseLimits()
	c, err := portal.Open(portal.Options{Address: address, ID: "sandbox:x", Limits: good})
	if err != nil || c.ID() != "sandbox:x" || c.Limits() != good {
		t.Errorf("got %v, %v", c, err)
	}
	for name, change := range map[string]func(o *portal.Options){
		"no address":        func(o *portal.Options) { o.Address = portal.Address{} },
		"a negative rate":   func(o *portal.Options) { o.Limits.Rate = -1 },
		"no burst":          func(o *portal.Options) { o.Limits.Burst = 0 },
		"a negative limit":  func(o *portal.Options) { o.Limits.Operating = -1 },
		"no window":         func(o *portal.Options) { o.Limits.Window = 0 },
		"no time to answer": func(o *portal.Options) { o.Limits.Request = 0 },
		"no number":         func(o *portal.Options) { o.Limits.Rate = math.NaN() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := portal.Options{Address: address, Limits: good}
			change(&o)
			if _, err := portal.Open(o); err == nil {
				t.Error("want an error")
			}
		})
	}
	for _, method := range []string{"", "crm.item.list?x", "../x", "crm..x", "a b"} {
		if _, err := c.Call(t.Context(), method, nil); err == nil {
			t.Errorf("method %q was called", method)
		}
		if _, err := c.Batch(t.Context(), []portal.Command{{Method: method}}); err == nil {
			t.Errorf("method %q was batched", method)
		}
	}
}
