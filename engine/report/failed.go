package report

import (
	"bufio"
	"context"
	"fmt"
	"io"
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

// failedJSON is a change of a run that did not make it.
type failedJSON struct {
	changeJSON
	State engine.State `json:"state,omitempty"`
	Line  int          `json:"line"`
	Row   []string     `json:"row"`
}

// FailedJSON writes a run's result with the changes that did not make it under
// "changes", one a line, as they are read.
func FailedJSON(w io.Writer, res *engine.Result, rows iter.Seq2[*engine.Change, error]) error {
	out := bufio.NewWriter(w)
	copied := *res
	copied.Steps = list(res.Steps)
	head, err := marshal(copied)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s,\n\"changes\":[", head[:len(head)-1])
	comma := "\n"
	for c, err := range rows {
		if err != nil {
			return err
		}
		j := failedJSON{changeJSON: changeOf(c), State: c.State, Line: c.Line, Row: list(c.Row)}
		j.Error = problem(c)
		line, err := marshal(j)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s%s", comma, line)
		comma = ",\n"
	}
	fmt.Fprint(out, "]}\n")
	return out.Flush()
}
