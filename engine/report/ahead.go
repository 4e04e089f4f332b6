package report

import (
	"context"
	"iter"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine"
)

const (
	aheadParts = 4   // that wait to be taken
	aheadPart  = 250 // changes in each
)

// ahead yields changes while the next ones are read: reading a plan takes about as
// long as writing it down.
func ahead(ctx context.Context, changes iter.Seq2[*engine.Change, error]) iter.Seq2[*engine.Change, error] {
	return func(yield func(*engine.Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var reading conc.WaitGroup
		defer reading.Wait()
		defer cancel()
		parts := make(chan []*engine.Change, aheadParts)
		var fault error // after parts was closed
		reading.Go(func() {
			defer close(parts)
			part := make([]*engine.Change, 0, aheadPart)
			for c, err := range changes {
				if err != nil {
					fault = err
					break
				}
				if part = append(part, c); len(part) < aheadPart {
					continue
				}
				select {
				case parts <- part:
				case <-ctx.Done():
					return
				}
				part = make([]*engine.Change, 0, aheadPart)
			}
			select {
			case parts <- part:
			case <-ctx.Done():
			}
		})
		for part := range parts {
			for _, c := range part {
				if !yield(c, nil) {
					return
				}
			}
		}
		if fault == nil {
			fault = ctx.Err()
		}
		if fault != nil {
			yield(nil, fault)
		}
	}
}
