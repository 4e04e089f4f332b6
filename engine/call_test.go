package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

const todos = `
  - read: rows.csv
    key: n
  - call: crm.activity.todo.add
    params: {ownerTypeId: 3, ownerId: 1, deadline: "2026-12-01T10:00:00Z", title: "Call ${{ row.n }}"}
    undo: crm.timeline.comment.delete
    undo_params: {id: "$result[id]"}
`

// called is how often a method was called.
func (w *world) called(method string) int { return w.sandbox.Stats().ByMethod[method].Calls }

// The portal can't be asked for a call, so the journal's word is asked whenever one
// is to be made: none is made twice for a record, by whatever run.
func TestCallsAreMadeOnce(t *testing.T) {
	t.Parallel()
	const method = "crm.activity.todo.add"
	tests := map[string]func(w *world, job *engine.Job) *engine.Result{
		"a run that died while they were on their way, and a new one": func(w *world, job *engine.Job) *engine.Result {
			h, changes := w.plan(job)
			o := w.options(h)
			if err := o.Log.Sent(w.t.Context(), changes, time.Now()); err != nil { // they leave, and the program dies
				w.t.Fatal(err)
			}
			<-time.After(2 * o.Fence)
			return w.run(job)
		},
		"a run that was cut short, a new one, and the first one resumed": func(w *world, job *engine.Job) *engine.Result {
			h, _ := w.plan(job)
			o := w.options(h)
			ctx, cancel := context.WithCancel(w.t.Context())
			cancel()
			if _, err := engine.Apply(ctx, o); !errors.Is(err, context.Canceled) {
				w.t.Fatal(err)
			}
			w.run(job)
			w.resume(&o)
			result, err := engine.Apply(w.t.Context(), o)
			if err != nil {
				w.t.Fatal(err)
			}
			return result
		},
		"a plan that was saved, and applied after a run": func(w *world, job *engine.Job) *engine.Result {
			h, _ := w.plan(job)
			w.run(job)
			w.saved = true
			return w.apply(h)
		},
	}
	for name, lives := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{})
				w.rows("n\n1\n2\n")
				result := lives(w, w.job(todos))
				if got := result.Steps[0]; got.Created != 0 || got.Unchanged != 2 {
					t.Errorf("%+v, want two unchanged", got)
				}
				if n := w.called(method); n > 2 {
					t.Errorf("%d calls for two records", n)
				}
			})
		})
	}
}

// A call that an undo has taken back is not taken back by another one.
func TestCallsAreTakenBackOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{})
		w.rows("n\n1\n2\n")
		run := w.run(w.job(todos))
		w.undo(run.Run)
		if again := w.planUndo(run.Run, false); again.Summary.Writes() != 0 {
			t.Errorf("the second undo plans %+v", again.Summary)
		}
	})
}
