package report

import (
	"context"
	"iter"

	"github.com/bxflow/bxflow/engine"
)

// FailedChanges yields the changes of a run that did not make it: first the
// rows that could not become a change, then the changes that failed, are
// quarantined or in conflict, each in the order of the plan. A step's id narrows
// it to that step.
func FailedChanges(ctx context.Context, changes engine.Changes, step string) iter.Seq2[*engine.Change, error] {
	filters := []engine.Filter{
		{Step: step, Kinds: []engine.Kind{engine.KindInvalid, engine.KindConflict}},
		{
			Step:   step,
			Kinds:  []engine.Kind{engine.KindCreate, engine.KindUpdate, engine.KindMove, engine.KindDelete},
			States: []engine.State{engine.StateFailed, engine.StateQuarantined, engine.StateConflict},
		},
	}
	return func(yield func(*engine.Change, error) bool) {
		for _, f := range filters {
			for c, err := range changes.Changes(ctx, f) {
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}
