package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
)

// planProgress tells how far planning is: whenever some rows are done, and every
// second meanwhile, since reading may have to wait for the portal's limits.
type planProgress struct {
	tell  func(Progress) // nil: nobody wants to know
	gauge Gauge
	rows  atomic.Int64
}

// begin tells progress until the returned function is called.
func (t *planProgress) begin(ctx context.Context) (end func()) {
	if t.tell == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling conc.WaitGroup
	telling.Go(func() { every(ctx, reportEvery, t.report) })
	return func() {
		cancel()
		telling.Wait()
	}
}

// done tells that so many rows are planned.
func (t *planProgress) done(rows int) {
	t.rows.Store(int64(rows))
	if t.tell != nil {
		t.report()
	}
}

func (t *planProgress) report() {
	at := Progress{Phase: "plan", Done: int(t.rows.Load())}
	if t.gauge != nil {
		at.Requests, at.Load = t.gauge.Usage().Requests, t.gauge.Load()
	}
	t.tell(at)
}

// every calls do at intervals until ctx is done.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}
