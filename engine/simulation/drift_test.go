package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Of many items that a plan is to change, one in a hundred is changed by
// somebody before it is applied: each of these is reported with what it was, is
// and was to be, and left alone; all others are changed.
func TestDrift(t *testing.T) {
	t.Parallel()
	items := 2000
	switch {
	case long():
		items = 20_000
	case testing.Short():
		items = 500
	}
	synctest.Test(t, func(t *testing.T) { drift(t, items) })
}

func drift(t *testing.T, n int) {
	t.Helper()
	o := sandbox.Defaults()
	o.Seed, o.Latency = fmt.Sprintf("demo,contacts=%d,items=1", n), 300*time.Millisecond
	w := newWorld(t, o, "  - select: contact\n  - update: contact\n    set: {post: \"Client ${{ contact.id }}\"}\n", "")
	l := w.begin(ending{})
	before := l.client.Usage()
	h, catalog, err := l.plan()
	if err != nil {
		t.Fatal(err)
	}
	planned := w.items()["contact"]
	pass(time.Hour)
	edited := map[int64]string{}
	var edits []portal.Command
	for _, i := range rand.New(rand.NewPCG(1, 0)).Perm(n)[:n/100] {
		id := planned[i].ID
		edited[id] = fmt.Sprintf("Edited %d", id)
		edits = append(edits, portal.Command{Method: "crm.item.update", Params: map[string]any{
			"entityTypeId": 3, "id": id, "fields": map[string]any{"post": edited[id]},
		}})
	}
	w.ask(edits)
	result, err := l.apply(h, catalog, before)
	l.over()
	if err != nil || result.Status != engine.StatusPartial {
		t.Fatalf("the run ends %v with error %v", result, err)
	}
	if s := result.Steps[0]; s.Conflicts != len(edited) || s.Updated != n-len(edited) {
		t.Errorf("steps %+v, want %d conflicts and %d updates", result.Steps, len(edited), n-len(edited))
	}
	was := map[int64]string{}
	for _, c := range planned {
		was[c.ID] = c.Post
	}
	overwritten, left := 0, 0
	for _, c := range w.items()["contact"] {
		want := fmt.Sprintf("Client %d", c.ID)
		if text, ok := edited[c.ID]; ok {
			if c.Post != text {
				overwritten++
			}
		} else if c.Post != want {
			left++
		}
	}
	if overwritten+left > 0 {
		t.Errorf("%d edits were overwritten, and %d items not changed", overwritten, left)
	}
	reported := w.reported(t, result.Run, was, edited)
	t.Logf("%d items, %d edited: %d reported, %d overwritten, %d not changed; %d requests", n, len(edited), reported, overwritten, left, result.Requests)
}

// reported checks that the conflicts of a run say what each item was, is and was
// to be, and returns how many they are.
func (w *world) reported(t *testing.T, id string, was, edited map[int64]string) (n int) {
	t.Helper()
	run, err := w.journal.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range run.Changes(t.Context(), engine.Filter{States: []engine.State{engine.StateConflict}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		base, now, wanted := was[c.ID], edited[c.ID], fmt.Sprintf("Client %d", c.ID)
		f := c.Fields["post"]
		if !f.Drifted || f.Before != base || f.Now != now || f.After != wanted {
			t.Errorf("conflict of contact %d tells %+v, want %q, %q, %q", c.ID, f, base, now, wanted)
		}
		if want := fmt.Sprintf("post was %q in the plan, is %q now, and was to be %q", base, now, wanted); c.Error != want {
			t.Errorf("conflict of contact %d says %q, want %q", c.ID, c.Error, want)
		}
	}
	if n != len(edited) {
		t.Errorf("%d conflicts, want %d", n, len(edited))
	}
	return n
}
