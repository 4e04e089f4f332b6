package engine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Contacts 3, 4 and 5 are one: 4 has a phone in common with either of the others,
// which have none in common. What changed on the portal since the plan leaves those
// concerned alone, and what is a duplicate only through them.
func TestMerge(t *testing.T) {
	t.Parallel()
	const byPhone, byPost = "  - select: contact\n  - merge: contact\n    by: phone\n", "  - select: contact\n  - merge: contact\n    by: post\n"
	contact := func(id int, fields map[string]any) map[string]any {
		return map[string]any{"entityTypeId": 3, "id": id, "fields": fields}
	}
	merged := func(deleted, unchanged, skipped, conflicts int) []engine.StepResult {
		return []engine.StepResult{{
			ID: "merge_contact", Verb: "merge", Entity: "contact",
			Deleted: deleted, Unchanged: unchanged, Skipped: skipped, Conflicts: conflicts,
		}}
	}
	tests := map[string]struct {
		job  string
		edit func(w *world)
		want []engine.StepResult
		says string
		left int // of the three
	}{
		"nothing": {job: byPhone, edit: func(*world) {}, want: merged(2, 0, 0, 0), left: 1},
		"the one that stays is gone": {
			job: byPhone, edit: func(w *world) { w.edit("crm.item.delete", map[string]any{"entityTypeId": 3, "id": 3}) },
			want: merged(0, 0, 1, 1), says: "contact 3, which it was to go into, is gone\ncontact 4 is kept, and only through it is this one a duplicate", left: 2,
		},
		"the one that stays is no duplicate any more": {
			job: byPost, edit: func(w *world) { w.edit("crm.item.update", contact(3, map[string]any{"post": "Queen"})) },
			want: merged(0, 0, 0, 2), says: "contact 3, which it was to go into, has another post by now", left: 3,
		},
		"the one that goes was changed": {
			job: byPhone, edit: func(w *world) { w.edit("crm.item.update", contact(4, map[string]any{"name": "Zoe"})) },
			want: merged(0, 0, 1, 1), says: `name was "B" in the plan and is "Zoe" now`, left: 3,
		},
		"the one that goes is gone": {
			job: byPost, edit: func(w *world) { w.edit("crm.item.delete", map[string]any{"entityTypeId": 3, "id": 5}) },
			want: merged(1, 1, 0, 0), left: 1,
		},
		"the portal wants a person": {
			job: byPhone, edit: func(w *world) { w.edit("crm.item.update", contact(3, map[string]any{"ufCrm_1737980095947": "1"})) },
			want: merged(0, 0, 1, 1), says: "/crm/contact/merge/?id=3,4", left: 3,
		},
	}
	for name, tt := range tests {
		for _, strict := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", strictly"}[strict], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := duplicated(t)
					h, changes := w.plan(w.job(tt.job))
					for _, c := range changes {
						if c.Kind == engine.KindDelete && c.MergedInto() != 3 {
							t.Errorf("%s %d goes into %d", c.Entity, c.ID, c.MergedInto())
						}
					}
					later(t, 2*time.Hour)
					tt.edit(w)
					w.strict = strict
					result, err := w.tryApply(h)
					if _, refused := errors.AsType[*engine.DriftError](err); refused && strict && tt.says != "" {
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(tt.want, result.Steps); diff != "" {
						t.Errorf("(-want +got):\n%s\n%s", diff, w.errors(result.Run))
					}
					if says := w.errors(result.Run); !strings.Contains(says, tt.says) {
						t.Errorf("the run says %q, want %q", says, tt.says)
					}
					if left := len(w.items("contact")) - 2; left != tt.left {
						t.Errorf("%d contacts are left, want %d", left, tt.left)
					}
				})
			})
		}
	}
}

// duplicated is a world with three contacts that are one.
func duplicated(t *testing.T, faults ...string) *world {
	t.Helper()
	w := newWorld(t, sandbox.Options{Seed: "demo,contacts=2,items=1", Faults: faults})
	phones := func(numbers ...string) []any {
		var rows []any
		for _, n := range numbers {
			rows = append(rows, map[string]any{"typeId": "PHONE", "value": n})
		}
		return rows
	}
	for _, fields := range []map[string]any{
		{"name": "A", "post": "King", "fm": phones("+55 11 90000-0001")},
		{"name": "B", "post": "King", "fm": phones("5511900000001", "5511900000002"), "ufCrm_1737980095947": "2"},
		{"name": "C", "post": "King", "fm": phones("+5511900000002")},
	} {
		w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": fields})
	}
	return w
}

// A merge whose answer is lost is not done twice, and one that was not done is.
func TestMerge_lostAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"drop-after:", "drop-before:", "error-500:done=0.5,", "truncate:", "late:delay=800ms,"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := duplicated(t, kind+"method=crm.entity.mergebatch,count=2")
				h, _ := w.plan(w.job("  - select: contact\n  - merge: contact\n    by: phone\n    keep: newest\n"))
				result := w.apply(h)
				if s := result.Steps[0]; s.Deleted != 2 || s.Failed+s.Conflicts > 0 {
					t.Errorf("%+v\n%s", s, w.errors(result.Run))
				}
				if left := w.items("contact"); len(left) != 3 || left[2]["name"] != "C" {
					t.Errorf("contacts are %v", left)
				}
			})
		})
	}
}
