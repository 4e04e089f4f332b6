package engine_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Planning tells every second that it is still there, whatever it waits for, and
// nothing once it is over.
func TestPlan_progress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Latency: 5 * time.Second, RequestLimit: time.Minute})
		w.rows(manyRows(10))
		draft, err := w.journal.NewDraft(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var told, rows atomic.Int64
		start := time.Now()
		if _, err := engine.Plan(t.Context(), engine.PlanOptions{
			Job: w.job(matched), Catalogue: w.client, Reader: w.client, Gauge: w.client, Draft: draft, Now: start,
			Progress: func(at engine.Progress) {
				told.Add(1)
				rows.Store(int64(at.Done))
				if at.Phase != "plan" || at.Requests < 1 {
					t.Errorf("progress %+v", at)
				}
			},
		}); err != nil {
			t.Fatal(err)
		}
		seconds := int64(time.Since(start).Seconds())
		if n := told.Load(); n < seconds-1 || rows.Load() != 10 {
			t.Errorf("told %d times in %d seconds, of %d rows at last", n, seconds, rows.Load())
		}
		before := told.Load()
		<-time.After(5 * time.Second)
		if told.Load() != before {
			t.Error("told after the end")
		}
	})
}
