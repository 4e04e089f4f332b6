package portal_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Three jobs at once on one portal share its bucket: as jobs of one bxflow serve,
// which have one client, and as jobs of three processes or of three webhooks of
// one portal, which share what they know in a file. None is rejected, none waits
// for the others to end, and together they take no longer than one would.
func TestGovernor_threeJobs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		clients int
		atOnce  [3]int // requests that a job has under way or waiting
	}{
		"one client":              {1, [3]int{16, 16, 16}},
		"three clients":           {3, [3]int{16, 16, 16}},
		"one client, unlike jobs": {1, [3]int{48, 16, 4}},
		"three clients, unlike":   {3, [3]int{48, 16, 4}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const each = 400
				box, err := sandbox.New(sandbox.Options{Seed: "empty", Rate: 2, Burst: 50, Latency: 300 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { box.Close() })
				var clients []*portal.Client
				folder := t.TempDir()
				for range tt.clients {
					clients = append(clients, openTransport(t, portal.Options{Transport: box.Transport(), State: folder}, box.WebhookPath()))
				}
				var done [3]atomic.Int64
				var first sync.Once
				var shares [3]float64
				began := time.Now()
				var jobs sync.WaitGroup
				for i := range done {
					c := clients[i%len(clients)]
					ctx := portal.ForJob(t.Context(), strconv.Itoa(i))
					jobs.Go(func() {
						work := pool.New().WithMaxGoroutines(tt.atOnce[i])
						for range each {
							work.Go(func() {
								if _, err := c.Call(ctx, "profile", nil); err != nil {
									t.Error(err)
								}
								done[i].Add(1)
							})
						}
						work.Wait()
						first.Do(func() {
							for i := range done {
								shares[i] = float64(done[i].Load()) / float64(done[0].Load()+done[1].Load()+done[2].Load())
							}
						})
					})
				}
				jobs.Wait()
				took, bound := time.Since(began).Seconds(), float64(3*each-50)/2
				t.Logf("took %.1f s, bound %.1f s, shares %.2f", took, bound, shares)
				if took > 1.05*bound {
					t.Errorf("took %.1f s, want at most 1.05 times %.1f s", took, bound)
				}
				if s := box.Stats(); s.RejectedBucket > 0 || s.Requests != 3*each {
					t.Errorf("%d of %d requests were rejected", s.RejectedBucket, s.Requests)
				}
				for i, share := range shares {
					if share < 0.25 {
						t.Errorf("job %d had %.2f of the requests while all ran, want a quarter at least", i, share)
					}
				}
			})
		})
	}
}
