package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// edit changes an item as a person would, past bxflow.
func (w *world) edit(method string, params map[string]any) {
	w.t.Helper()
	if _, err := w.client.Call(w.t.Context(), method, params); err != nil {
		w.t.Fatal(err)
	}
}

// later lets simulated time pass.
func later(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
}

// What changed between plan and apply is a conflict, left alone and reported;
// what already is as wanted is unchanged.
func TestDrift(t *testing.T) {
	t.Parallel()
	const update = `
  - select: contact
    where: {"<=id": 3}
  - update: contact
    set: {post: Boss}
`
	contact := func(id int, fields map[string]any) map[string]any {
		return map[string]any{"entityTypeId": 3, "id": id, "fields": fields}
	}
	tests := map[string]struct {
		job  string
		edit func(w *world)
		want []engine.StepResult
		says string
	}{
		"nothing": {
			job: update, edit: func(*world) {},
			want: []engine.StepResult{{ID: "update_contact", Verb: "update", Entity: "contact", Updated: 3}},
		},
		"a field that is to be changed": {
			job:  update,
			edit: func(w *world) { w.edit("crm.item.update", contact(2, map[string]any{"post": "Queen"})) },
			want: []engine.StepResult{{ID: "update_contact", Verb: "update", Entity: "contact", Updated: 2, Conflicts: 1}},
			says: `post was "HVAC Technician" in the plan, is "Queen" now, and was to be "Boss"`,
		},
		"another field": {
			job:  update,
			edit: func(w *world) { w.edit("crm.item.update", contact(2, map[string]any{"name": "Eva"})) },
			want: []engine.StepResult{{ID: "update_contact", Verb: "update", Entity: "contact", Updated: 3}},
		},
		"it is as wanted already": {
			job:  update,
			edit: func(w *world) { w.edit("crm.item.update", contact(2, map[string]any{"post": "Boss"})) },
			want: []engine.StepResult{{ID: "update_contact", Verb: "update", Entity: "contact", Updated: 2, Unchanged: 1}},
		},
		"the item is gone": {
			job:  update,
			edit: func(w *world) { w.edit("crm.item.delete", map[string]any{"entityTypeId": 3, "id": 2}) },
			want: []engine.StepResult{{ID: "update_contact", Verb: "update", Entity: "contact", Updated: 2, Conflicts: 1}},
			says: "contact 2 is gone",
		},
		"a conflict skips the item's other changes": {
			job: "\n  - select: Onboarding\n    where: {id: 1}\n  - update: onboarding\n    set: {Notes: x}\n  - move: onboarding\n    to: Lost\n",
			edit: func(w *world) {
				w.edit("crm.item.update", map[string]any{"entityTypeId": 128, "id": 1, "fields": map[string]any{"ufCrm41_1737980095947": "y"}})
			},
			want: []engine.StepResult{
				{ID: "update_onboarding", Verb: "update", Entity: "Onboarding", Conflicts: 1},
				{ID: "move_onboarding", Verb: "move", Entity: "Onboarding", Skipped: 1},
			},
		},
		"a set grows from what it is now": {
			job: "\n  - select: deal\n    where: {id: 1}\n  - update: deal\n    set: {contactIds: [2]}\n",
			edit: func(w *world) {
				w.edit("crm.item.update", map[string]any{"entityTypeId": 2, "id": 1, "fields": map[string]any{"contactIds": []int{1, 3}}})
			},
			want: []engine.StepResult{{ID: "update_deal", Verb: "update", Entity: "deal", Updated: 1}},
		},
		"somebody else made the item": {
			job: "\n  - read: rows.csv\n  - import: contact\n    id: client\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n  - create: Onboarding\n    id: card\n    fields: {title: x, contactId: \"${{ client.id }}\"}\n  - update: client\n    set: {post: z}\n",
			edit: func(w *world) {
				w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": map[string]any{"name": "Novo Z", "ufCrm_1737980095947": "901"}})
			},
			want: []engine.StepResult{
				{ID: "client", Verb: "import", Entity: "contact", Created: 1, Conflicts: 1},
				{ID: "card", Verb: "create", Entity: "Onboarding", Created: 2},
				{ID: "update_client", Verb: "update", Entity: "contact", Updated: 1, Skipped: 1},
			},
			says: "by now",
		},
	}
	for name, tt := range tests {
		for _, strict := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", strictly"}[strict], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, sandbox.Options{})
					w.rows("cpf,name\n901,Novo A\n902,Novo B\n")
					h, _ := w.plan(w.job(tt.job))
					later(t, 2*time.Hour)
					tt.edit(w)
					before := w.items("contact")
					w.strict = strict
					result, err := w.tryApply(h)
					if _, refused := errors.AsType[*engine.DriftError](err); refused {
						if !strict || tt.says == "" && !strings.Contains(err.Error(), "conflicts") {
							t.Fatal(err)
						}
						if diff := cmp.Diff(before, w.items("contact")); diff != "" {
							t.Errorf("a refused run wrote (-before +after):\n%s", diff)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(tt.want, result.Steps); diff != "" {
						t.Errorf("steps (-want +got):\n%s", diff)
					}
					if strict && tt.says != "" {
						t.Error("a strict run went on in spite of conflicts")
					}
					if tt.says != "" && !strings.Contains(w.errors(result.Run), tt.says) {
						t.Errorf("errors %q don't say %q", w.errors(result.Run), tt.says)
					}
				})
			})
		}
	}
}

// A plan that was applied from elsewhere finds its own items and makes none
// again.
func TestAnotherPlanOfTheSameRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{})
		w.rows(rows)
		first, _ := w.plan(w.job(onboarding))
		second, _ := w.plan(w.job(onboarding))
		w.apply(first)
		w.saved = true
		result, err := w.tryApply(second)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range result.Steps {
			if s.Created > 0 {
				t.Errorf("step %s made %d items again", s.ID, s.Created)
			}
		}
		if got := w.named("contact", "name", "Cliente Um"); len(got) != 1 {
			t.Errorf("portal has %d contacts, want one", len(got))
		}
	})
}

// An item that an earlier run made and a person changed since is not moved back
// by a plan that was made before.
func TestStalePlanOnAdoptedItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{})
		w.rows(rows)
		first, _ := w.plan(w.job(onboarding))
		second, _ := w.plan(w.job(onboarding))
		w.apply(first)
		card := w.named("dynamic_128", "title", "Card of Cliente Um")[0]
		w.edit("crm.item.update", map[string]any{"entityTypeId": 128, "id": card["id"], "fields": map[string]any{"stageId": "DT128_42:SUCCESS"}})
		w.saved = true
		result, err := w.tryApply(second)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.named("dynamic_128", "title", "Card of Cliente Um")[0]["stageId"]; got != "DT128_42:SUCCESS" {
			t.Errorf("the card is in %v, want it where it was put\n%+v", got, result.Steps)
		}
	})
}

// What is changed while a long run is on its way is seen, too: an item is read
// again just before its turn. The other changes cost little more for it.
func TestDriftWhileTheRunIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1400
		w := newWorld(t, sandbox.Options{Seed: fmt.Sprintf("demo,contacts=%d", n), Rate: 0.2, Burst: 5, RequestLimit: time.Minute})
		h, _ := w.plan(w.job("\n  - select: contact\n  - update: contact\n    set: {post: Boss}\n  - update: contact\n    set: {secondName: Ana}\n"))
		edited := make(chan struct{})
		go func() {
			defer close(edited)
			later(t, 2*time.Minute)
			w.sandbox.SetLimits(0, 0)
			w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": n - 1, "fields": map[string]any{"post": "Queen"}})
			w.sandbox.SetLimits(0.2, 5)
		}()
		requests := w.sandbox.Stats().Requests
		result := w.apply(h)
		<-edited
		if got := result.Steps[0]; got.Updated != n-1 || got.Conflicts != 1 {
			t.Errorf("%+v, want one conflict", got)
		}
		if got := result.Steps[1]; got.Updated != n-1 || got.Skipped != 1 {
			t.Errorf("%+v, want the item's other change to be skipped", got)
		}
		if got := w.errors(result.Run); !strings.Contains(got, `post was "`) || !strings.Contains(got, `is "Queen" now, and was to be "Boss"`) {
			t.Errorf("it says %q", got)
		}
		// 56 batches, and a look every 44 of them.
		if got := w.sandbox.Stats().Requests - requests; got > 2*n/50+12 {
			t.Errorf("%d requests, want at most %d", got, 2*n/50+12)
		}
	})
}

// A value that is to hold the id of an item which the run makes tells nothing of what
// the field holds until then: what somebody has put there since stays, or is kept
// beside it where the field is a set.
func TestDriftOfLinksToNewItems(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.rows("cpf,deal\n70001,Novo A\n70002,Novo B\n70003,Novo C\n")
			ids := map[string]any{}
			for _, title := range []string{"Novo A", "Novo B", "Novo C"} {
				w.edit("crm.item.add", map[string]any{"entityTypeId": 2, "fields": map[string]any{"title": title, "comments": "Old", "contactIds": []any{1}}})
				ids[title] = w.named("deal", "title", title)[0]["id"]
			}
			h, _ := w.plan(w.job("\n  - read: rows.csv\n    key: cpf\n  - import: contact\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"Cliente ${{ row.cpf }}\"}\n" +
				"  - find: deal\n    by: {title: \"${{ row.deal }}\"}\n  - update: deal\n    set: {contactIds: \"${{ contact.id }}\", comments: \"Of ${{ contact.id }}\"}\n"))
			w.edit("crm.item.update", map[string]any{"entityTypeId": 2, "id": ids["Novo A"], "fields": map[string]any{"comments": "Mine"}})
			w.edit("crm.item.update", map[string]any{"entityTypeId": 2, "id": ids["Novo B"], "fields": map[string]any{"contactIds": []any{1, 2}}})
			w.saved, w.strict = true, strict
			result, err := w.tryApply(h)
			if drift, drifted := errors.AsType[*engine.DriftError](err); drifted && strict {
				if drift.Conflicts != 1 || !strings.Contains(err.Error(), `comments was "Old" in the plan, is "Mine" now`) {
					t.Error(err)
				}
				return
			}
			if err != nil || strict {
				t.Fatalf("the run ends %s, %v", result.Status, err)
			}
			if got := result.Steps[2]; got.Updated != 2 || got.Conflicts != 1 {
				t.Errorf("%+v, want one conflict", got)
			}
			if got := w.named("deal", "title", "Novo A")[0]["comments"]; got != "Mine" {
				t.Errorf("what somebody wrote became %q", got)
			}
			for title, want := range map[string]int{"Novo B": 3, "Novo C": 2} {
				if got, _ := w.named("deal", "title", title)[0]["contactIds"].([]any); len(got) != want {
					t.Errorf("%s has the contacts %v, want %d", title, got, want)
				}
			}
		})
	}
}

// A field that is given the id of an item which the run makes, and then another value,
// is no conflict, and undo gives it the value of before.
func TestValuesWithNewIdsAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("cpf,deal\n70001,Novo A\n")
	w.edit("crm.item.add", map[string]any{"entityTypeId": 2, "fields": map[string]any{"title": "Novo A", "comments": "Old", "companyId": 1}})
	before := w.portal()
	h, _ := w.plan(w.job("\n  - read: rows.csv\n    key: cpf\n  - import: company\n    match: title\n    fields: {title: \"${{ row.cpf }}\"}\n" +
		"  - find: deal\n    by: {title: \"${{ row.deal }}\"}\n  - update: deal\n    set: {companyId: \"${{ company.id }}\", comments: \"Of ${{ company.id }}\"}\n" +
		"  - update: deal\n    set: {companyId: 2, comments: Done}\n"))
	w.saved = true
	result := w.apply(h)
	if result.Status != engine.StatusSucceeded || result.Steps[3].Updated != 1 {
		t.Fatalf("the run ends %s: %+v\n%s", result.Status, result.Steps, w.errors(result.Run))
	}
	if undo := w.undo(result.Run); undo.Status != engine.StatusSucceeded {
		t.Errorf("the undo ends %s\n%s", undo.Status, w.errors(undo.Run))
	}
	if diff := cmp.Diff(before, w.portal()); diff != "" {
		t.Errorf("after the undo (-before +now):\n%s", diff)
	}
}

// What somebody changes while an item's first change is on its way is seen by the
// portal's answer to that one: the next is in conflict, or nothing is left to do, and
// the run goes on.
func TestDriftBetweenTwoChangesOfAnItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 400
		w := newWorld(t, sandbox.Options{Seed: fmt.Sprintf("demo,contacts=%d", n), Rate: 2, Burst: 50, RequestLimit: time.Minute, Latency: 300 * time.Millisecond})
		h, _ := w.plan(w.job("\n  - select: contact\n  - update: contact\n    set: {post: Boss}\n  - update: contact\n    set: {secondName: Ana}\n"))
		for id, name := range map[int]string{7: "Queen", 8: "Ana"} {
			w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": id, "fields": map[string]any{"secondName": name}})
		}
		result := w.apply(h)
		if got := result.Steps[0]; got.Updated != n {
			t.Errorf("%+v, want all updated", got)
		}
		if got := result.Steps[1]; got.Updated != n-2 || got.Conflicts != 1 || got.Unchanged != 1 {
			t.Errorf("%+v, want one conflict and one unchanged", got)
		}
	})
}

// A canary takes no change of an item past an earlier one that waits: the rest would
// find what the later one made of it.
func TestCanaryKeepsTheOrderOfAnItem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("cpf,deal,note\n70001,Novo A,First\n70002,Novo A,Second\n")
	w.edit("crm.item.add", map[string]any{"entityTypeId": 2, "fields": map[string]any{"title": "Novo A", "comments": "Old"}})
	contacts := "\n  - read: rows.csv\n    key: cpf\n  - import: contact\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"Cliente ${{ row.cpf }}\"}\n"
	w.run(w.job(strings.Replace(contacts, "match: CPF", "match: CPF\n    when: row.note == \"First\"", 1)))
	h, _ := w.plan(w.job(contacts + "  - find: deal\n    by: {title: \"${{ row.deal }}\"}\n  - update: deal\n    set: {comments: \"${{ row.note }}\"}\n"))
	o := w.options(h)
	o.Canary = 1
	canary, err := engine.Apply(t.Context(), o)
	if stopped, ok := errors.AsType[*engine.CanaryError](err); !ok || stopped.Left != 2 || canary.Steps[0].Created != 1 {
		t.Fatalf("the canary: %v, %+v", err, canary.Steps)
	}
	o.Canary = 0
	w.resume(&o)
	result := w.finish(o)
	if got := w.named("deal", "title", "Novo A")[0]["comments"]; result.Status != engine.StatusSucceeded || got != "Second" {
		t.Errorf("the run ends %s, and the deal is left with %q\n%s", result.Status, got, w.errors(result.Run))
	}
}

// finish applies what is left of a run.
func (w *world) finish(o engine.ApplyOptions) *engine.Result {
	w.t.Helper()
	result, err := engine.Apply(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// A run that is resumed keeps off the items that it found in conflict before.
func TestConflictsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Seed: "demo,contacts=120", Rate: 1, Burst: 4, RequestLimit: 4 * time.Second, Latency: time.Second})
		h, _ := w.plan(w.job("\n  - select: contact\n  - update: contact\n    set: {post: Boss}\n  - update: contact\n    set: {secondName: Ana}\n"))
		w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": 1, "fields": map[string]any{"post": "Queen"}})
		w.saved = true
		o := w.options(h)
		for after := 2 * time.Second; ; after = 2500 * time.Millisecond {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			result, err := engine.Apply(ctx, o)
			cancel()
			if err == nil {
				if got := result.Steps[1]; got.Updated != 119 || got.Skipped != 1 {
					t.Errorf("%+v, want one skipped", got)
				}
				return
			}
			if result.Status != engine.StatusInterrupted {
				t.Fatal(err)
			}
			w.resume(&o)
		}
	})
}

// An item that the run has just made, and that lists don't show yet, is not
// taken for one that somebody deleted.
func TestUnlistedItemsAreNotGone(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]string{
		"when it is compared": nil,
		"when it is in doubt": {"drop-before:method=crm.item.update,nth=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{RequestLimit: time.Minute, Latency: time.Second, Faults: append(faults, "lag:delay=10s,method=crm.item.add")})
				w.rows(rows)
				h, _ := w.plan(w.job(onboarding))
				catalog, err := w.client.Catalog(t.Context(), h.Needs)
				if err != nil {
					t.Fatal(err)
				}
				run, err := w.journal.Begin(t.Context(), h.ID, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				o := engine.ApplyOptions{
					Header: h, RunID: run.ID(), Started: time.Now(), Catalog: catalog, Reader: w.client, Writer: w.client, Gauge: w.client,
					Log: run, Fence: 75 * time.Second,
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // the cards are made, one is changed and not moved
				defer cancel()
				if _, err := engine.Apply(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("run ends with error %v, want an interruption", err)
				}
				if err := run.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				o.Recheck = true
				if result, err := engine.Apply(t.Context(), o); err != nil || result.Status != engine.StatusSucceeded {
					t.Errorf("run ends %s with error %v: %s", result.Status, err, w.errors(result.Run))
				}
			})
		})
	}
}
