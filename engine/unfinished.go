package engine

import (
	"context"
	"errors"

	"github.com/sourcegraph/conc/pool"
)

// SettleDoubts finds out what became of the changes that an interrupted run left
// in doubt, and sends nothing: what was not done is planned again. Of the
// options it needs neither Writer nor Gauge.
func SettleDoubts(ctx context.Context, o ApplyOptions) error {
	header := *o.Header
	header.OnError, header.StepError = OnError{}, nil // failures stop nothing here
	o.Header = &header
	r := newRunner(&o)
	if err := r.tally.begin(&o, nil); err != nil {
		return err
	}
	if err := r.recallDoubts(ctx); err != nil {
		return err
	}
	r.queue.close()
	p := pool.New().WithErrors().WithFirstError()
	p.Go(func() error {
		for {
			w := r.queue.next(ctx, func() int { return 1 })
			if w.look == nil {
				return nil
			}
			if err := r.look(ctx, w.look); err != nil {
				return err
			}
		}
	})
	return errors.Join(p.Wait(), context.Cause(ctx))
}

// Abandon gives up what a run has not done, so that it can't be resumed. The run
// must have nothing in doubt.
func Abandon(ctx context.Context, log Log, reason string) error {
	for {
		var page []*Change
		for c, err := range log.Changes(ctx, Filter{States: []State{StatePlanned}, Limit: pageSize}) {
			if err != nil {
				return err
			}
			page = append(page, skip(c, reason))
		}
		if len(page) == 0 {
			return nil
		}
		if err := log.Settle(ctx, page); err != nil {
			return err
		}
	}
}

// Retry names the records that a run failed on: by their keys, and by their
// places for those that never had one.
type Retry struct {
	Run string
	// Rows are those of the run, against which the job's guards hold failures.
	Rows    int
	keys    map[string]bool
	sources map[string]bool
}

// Failures returns the records of a run that failed, conflicted or were skipped
// since what they needed did, and how many changes of them there are.
func Failures(ctx context.Context, run string, rows int, changes Changes) (*Retry, int, error) {
	retry := &Retry{Run: run, Rows: rows, keys: map[string]bool{}, sources: map[string]bool{}}
	n := 0
	f := Filter{States: []State{StateFailed, StateQuarantined, StateConflict, StateSkipped}}
	for c, err := range changes.Changes(ctx, f) {
		if err != nil {
			return nil, 0, err
		}
		if c.Kind == KindSkip {
			continue // as the job says, or for want of a row that is listed itself
		}
		n++
		if c.Key != "" {
			retry.keys[c.Key] = true
		}
		retry.sources[c.Source] = true
	}
	return retry, n, nil
}

// only keeps the records that are to be planned.
func (r *Retry) only(chunk []*Record) []*Record {
	if r == nil {
		return chunk
	}
	var kept []*Record
	for _, record := range chunk {
		if r.sources[record.Source] || record.Key != "" && r.keys[record.Key] {
			kept = append(kept, record)
		}
	}
	return kept
}
