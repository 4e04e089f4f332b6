package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// planUndo plans the undoing of a run.
func (w *world) planUndo(id string, force bool) *engine.Header {
	w.t.Helper()
	run, err := w.journal.Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	needs := run.Header().Needs
	needs.Linkers = true
	catalog, err := w.client.Catalog(w.t.Context(), needs)
	if err != nil {
		w.t.Fatal(err)
	}
	draft, err := w.journal.NewDraft(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := engine.Undo(w.t.Context(), engine.UndoOptions{
		Header: run.Header(), RunID: id, Log: run, Catalog: catalog, Reader: w.client, Gauge: w.client, Draft: draft, Now: time.Now(), Force: force,
		Fence: w.limits.Request * 5 / 4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// undo takes a run back.
func (w *world) undo(id string) *engine.Result {
	w.t.Helper()
	w.saved = true
	defer func() { w.saved = false }()
	return w.apply(w.planUndo(id, false))
}

// portal is all that the portal holds, by entity.
func (w *world) portal() map[string][]map[string]any {
	w.t.Helper()
	all := map[string][]map[string]any{}
	for _, entity := range []string{"contact", "company", "deal", "lead", "dynamic_128"} {
		all[entity] = w.items(entity)
		for _, item := range all[entity] {
			delete(item, "closedate")       // the portal's own, of when a deal was closed
			delete(item, "previousStageId") // and its memory
		}
	}
	return all
}

// changesEverything is a job that makes, updates and moves, and does so with
// items of before and with items that it makes, one of them twice.
const changesEverything = `
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", phone: "${{ row.phone }}"}
  - create: Onboarding
    id: card
    category: Clients
    fields: {title: "Card of ${{ row.name }}", contactId: "${{ client.id }}"}
  - update: card
    when: row.plan == "gold"
    set: {Priority: High, Notes: gold}
  - move: card
    when: row.paid == "yes"
    to: In progress
  - select: deal
    id: deal
    where: {"<=id": 5}
  - update: deal
    set: {title: "Deal ${{ deal.id }}", contactIds: [3], comments: null}
  - update: deal
    set: {title: "Deal again", opportunity: 12.5}
  - move: deal
    to: Won
`

// A run that is undone leaves the portal as it was, an undone undo as the run
// left it, but for the ids of what was made anew.
func TestUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Rate: 20, Burst: 50, RequestLimit: 4 * time.Second})
		const n = 120
		w.rows(manyRows(n))
		w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": map[string]any{
			"name": "Old", "ufCrm_1737980095947": "70003", "fm": []any{map[string]any{"typeId": "PHONE", "valueType": "WORK", "value": "+550"}},
		}})
		before := w.portal()

		run := w.run(w.job(changesEverything))
		if run.Status != engine.StatusSucceeded {
			t.Fatalf("run ends %s: %s\n%s", run.Status, run.Error, w.errors(run.Run))
		}
		after := w.portal()
		later(t, time.Hour)
		undo := w.undo(run.Run)
		if undo.Status != engine.StatusSucceeded {
			t.Fatalf("undo ends %s: %s\n%s", undo.Status, undo.Error, w.errors(undo.Run))
		}
		if diff := gocmp.Diff(before, w.portal()); diff != "" {
			t.Errorf("after the undo (-before +now):\n%s", diff)
		}
		later(t, time.Hour)
		redo := w.undo(undo.Run)
		if redo.Status != engine.StatusSucceeded {
			t.Fatalf("undo of the undo ends %s: %s\n%s", redo.Status, redo.Error, w.errors(redo.Run))
		}
		if diff := gocmp.Diff(anonymous(after), anonymous(w.portal())); diff != "" {
			t.Errorf("after the undo of the undo (-run +now):\n%s", diff)
		}
	})
}

// anonymous puts names in the place of the ids of items that bxflow made, as
// they differ when these are made again.
func anonymous(all map[string][]map[string]any) map[string][]map[string]any {
	names := map[any]any{}
	for _, c := range all["contact"] {
		names[c["id"]] = c["name"]
	}
	for _, items := range all {
		for _, item := range items {
			delete(item, "id")
			if id, linked := item["contactId"]; linked {
				item["contactId"] = names[id]
			}
			if list, ok := item["contactIds"].([]any); ok {
				for i, id := range list {
					list[i] = names[id]
				}
			}
			delete(item, "previousStageId") // the portal's memory
			for name, v := range item {
				if v == "N" || v == 0.0 { // said, and what the portal takes it for if not said
					delete(item, name)
				}
			}
		}
		slices.SortFunc(items, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return all
}

// What somebody has changed since is listed and left alone, with what it links
// to.
func TestUndoKeepsWhatWasChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows(rows)
	run := w.run(w.job(onboarding))
	card := w.named("dynamic_128", "title", "Card of Cliente Um")[0]
	w.edit("crm.item.update", map[string]any{"entityTypeId": 128, "id": card["id"], "fields": map[string]any{"opportunity": 5}})
	third := w.named("contact", "name", "Cliente Tres")[0]
	w.edit("crm.item.add", map[string]any{"entityTypeId": 2, "fields": map[string]any{"title": "Theirs", "contactIds": []any{1, third["id"]}}}) // as their second contact
	contact := w.named("contact", "name", "Cliente Dois")[0]
	w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": contact["id"], "fields": map[string]any{"post": "Boss"}})

	h := w.planUndo(run.Run, false)
	want := engine.Counts{Delete: 2, Conflict: 3, Skip: 1} // two cards; changed: a card and a contact; linked to by a company of theirs: a contact; by the card: another
	if diff := gocmp.Diff(want, h.Summary); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if len(h.Lasting) == 0 || !strings.Contains(h.Lasting[0], "robots") {
		t.Errorf("what can't be undone: %q, want robots first", h.Lasting)
	}
	w.saved = true
	undo := w.apply(h)
	if undo.Status != engine.StatusPartial {
		t.Errorf("undo ends %s: %s", undo.Status, undo.Error)
	}
	for entity, left := range map[string]int{"contact": 3, "dynamic_128": 1} {
		n := 0
		for _, item := range w.items(entity) {
			name, _ := item["name"].(string)
			title, _ := item["title"].(string)
			if strings.HasPrefix(name, "Cliente") || strings.HasPrefix(title, "Card of") {
				n++
			}
		}
		if n != left {
			t.Errorf("%d of %s are left, want %d", n, entity, left)
		}
	}
	if h := w.planUndo(run.Run, true); h.Summary.Delete != 4 || h.Summary.Conflict != 0 {
		t.Errorf("with force: %+v", h.Summary)
	}
}

// Of what was imported, too, though the portal's answer to an import does not
// tell the whole item.
func TestUndoKeepsWhatWasChanged_imported(t *testing.T) {
	t.Parallel()
	for name, created := range map[string]string{
		"now":             "",
		"with their date": "    on_create: {createdTime: \"1999-05-01T12:00:00+00:00\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Seed: "empty"})
				w.rows(rows)
				run := w.run(w.job("  - read: rows.csv\n    key: cpf\n  - import: contact\n    match: CPF\n    automation: \"off\"\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n" + created))
				later(t, 2*time.Minute)
				w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": 1, "fields": map[string]any{"post": "Boss"}})
				h := w.planUndo(run.Run, false)
				if want := (engine.Counts{Delete: 2, Conflict: 1}); h.Summary != want {
					t.Errorf("plan %+v, want %+v", h.Summary, want)
				}
				if h := w.planUndo(run.Run, true); h.Summary.Delete != 3 {
					t.Errorf("with force: %+v", h.Summary)
				}
			})
		})
	}
}

// What the run itself did to an imported item later is no edit: here its product
// rows follow after some seconds.
func TestUndoOfImportsWithProductRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Seed: "empty", Latency: 3 * time.Second, RequestLimit: time.Minute})
		w.rows(rows)
		run := w.run(w.job(`
  - read: rows.csv
    key: cpf
  - import: deal
    match: originId
    automation: "off"
    fields: {originId: "${{ row.cpf }}", title: "Deal of ${{ row.name }}"}
  - products: deal
    rows: {name: Beam, price: 3, quantity: 2}
`))
		if h := w.planUndo(run.Run, false); h.Summary != (engine.Counts{Delete: 3}) {
			t.Errorf("plan %+v, want 3 deleted", h.Summary)
		}
	})
}

// A company that the run gave contacts goes with the run, though they have it
// among their companies; one that somebody else has given a contact stays.
func TestUndoOfLinksThatGoBothWays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Seed: "demo,contacts=5"})
		w.rows(rows)
		before := w.portal()
		run := w.run(w.job(`
  - read: rows.csv
    key: cpf
  - create: contact
    id: person
    fields: {name: "${{ row.name }}"}
  - create: company
    id: firm
    fields: {title: "Firm of ${{ row.name }}", contactIds: ["${{ person.id }}", 3]}
  - create: deal
    fields: {title: "Deal of ${{ row.name }}", companyId: "${{ firm.id }}", contactId: "${{ person.id }}"}
`))
		if h := w.planUndo(run.Run, false); h.Summary != (engine.Counts{Delete: 9}) {
			t.Errorf("plan %+v, want 9 deleted", h.Summary)
		}
		second := w.named("company", "title", "Firm of Cliente Dois")[0]
		w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": map[string]any{"name": "Theirs", "companyIds": []any{second["id"]}}})
		if h := w.planUndo(run.Run, false); h.Summary != (engine.Counts{Delete: 8, Conflict: 1}) {
			t.Errorf("with a contact of theirs: plan %+v, want 8 deleted", h.Summary)
		}
		if undo := w.undo(run.Run); undo.Status != engine.StatusPartial {
			t.Errorf("the undo ends %s", undo.Status)
		}
		if left := w.named("company", "title", "Firm of Cliente Dois"); len(left) != 1 {
			t.Error("the company with a contact of theirs is gone")
		}
		if after := w.portal(); len(after["contact"]) != len(before["contact"])+1 || len(after["company"]) != len(before["company"])+1 || len(after["deal"]) != len(before["deal"]) {
			t.Errorf("%d contacts, %d companies and %d deals are left", len(after["contact"]), len(after["company"]), len(after["deal"]))
		}
	})
}

// What is changed between the plan of an undo and its end is kept, too, and
// shows what it was and is.
func TestUndoSeesDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows(rows)
	run := w.run(w.job(onboarding))
	h := w.planUndo(run.Run, false)
	card := w.named("dynamic_128", "title", "Card of Cliente Um")[0]
	w.edit("crm.item.update", map[string]any{"entityTypeId": 128, "id": card["id"], "fields": map[string]any{"title": "Mine"}})
	w.saved = true
	undo := w.apply(h)
	if undo.Status != engine.StatusPartial {
		t.Errorf("undo ends %s: %s", undo.Status, undo.Error)
	}
	if got := w.errors(undo.Run); !strings.Contains(got, `title was "Card of Cliente Um" in the plan and is "Mine" now`) || !strings.Contains(got, "is kept and links to it") {
		t.Errorf("it says\n%s", got)
	}
	if got := w.named("contact", "name", "Cliente Um"); len(got) != 1 {
		t.Error("the contact of a card that is kept was deleted")
	}
	if got := w.named("contact", "name", "Cliente Dois"); len(got) != 0 {
		t.Error("another contact was kept")
	}
}

// What an item links to that the portal won't have restored is kept, as what links to
// it is: also where the undo is cut short in between.
func TestUndoKeepsWhatARefusedRestoreLinksTo(t *testing.T) {
	t.Parallel()
	for name, interrupted := range map[string]bool{"at once": false, "resumed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": map[string]any{"name": "Only", "ufCrm_1737980095947": "70001"}})
			w.rows("cpf,firm\n70001,Novo Ltda\n")
			run := w.run(w.job("\n  - read: rows.csv\n    key: cpf\n  - import: company\n    match: title\n    fields: {title: \"${{ row.firm }}\"}\n" +
				"  - find: contact\n    by: {CPF: \"${{ row.cpf }}\"}\n  - update: contact\n    set: {lastName: Silva, companyId: \"${{ company.id }}\"}\n"))
			contact := w.named("contact", "lastName", "Silva")[0]
			w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": contact["id"], "fields": map[string]any{"name": ""}})

			w.saved = true
			o := w.options(w.planUndo(run.Run, false))
			if interrupted {
				for c, err := range o.Log.Changes(t.Context(), engine.Filter{States: []engine.State{engine.StatePlanned}, Limit: 1}) {
					if err != nil {
						t.Fatal(err)
					}
					c.State, c.Error = engine.StateFailed, "a name is required"
					if err := o.Log.Settle(t.Context(), []*engine.Change{c}); err != nil {
						t.Fatal(err)
					}
				}
				w.resume(&o)
			}
			undo, err := engine.Apply(t.Context(), o)
			if err != nil || undo.Status != engine.StatusPartial {
				t.Errorf("undo ends %s, %v\n%s", undo.Status, err, w.errors(undo.Run))
			}
			if got := w.errors(undo.Run); !strings.Contains(got, "is kept and links to it") {
				t.Errorf("it says\n%s", got)
			}
			if got := w.named("company", "title", "Novo Ltda"); len(got) != 1 {
				t.Error("the company of a contact that links to it still was deleted")
			}
		})
	}
}

// The canary of an undo deletes no item whose links are ended only after it.
func TestUndoByCanaryKeepsLinkedItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("cpf,firm\n70001,Novo Ltda\n70002,Novo Ltda\n")
	for _, cpf := range []string{"70001", "70002"} {
		w.edit("crm.item.add", map[string]any{"entityTypeId": 3, "fields": map[string]any{"name": "Ana", "ufCrm_1737980095947": cpf}})
	}
	before := w.portal()
	run := w.run(w.job("\n  - read: rows.csv\n    key: cpf\n  - import: company\n    match: title\n    fields: {title: \"${{ row.firm }}\"}\n" +
		"  - find: contact\n    by: {CPF: \"${{ row.cpf }}\"}\n  - update: contact\n    set: {companyId: \"${{ company.id }}\"}\n" +
		"  - create: deal\n    when: row.cpf == \"70001\"\n    fields: {title: Novo}\n"))
	w.saved = true
	o := w.options(w.planUndo(run.Run, false))
	for o.Canary = 1; ; w.resume(&o) {
		undo, err := engine.Apply(t.Context(), o)
		if _, stopped := errors.AsType[*engine.CanaryError](err); stopped {
			if got := w.named("company", "title", "Novo Ltda"); len(got) != 1 {
				t.Fatal("the company of contacts that link to it still was deleted")
			}
			continue
		}
		if err != nil || undo.Status != engine.StatusSucceeded {
			t.Errorf("the undo ends %s, %v\n%s", undo.Status, err, w.errors(undo.Run))
		}
		break
	}
	if diff := gocmp.Diff(before, w.portal()); diff != "" {
		t.Errorf("after the undo (-before +now):\n%s", diff)
	}
}

// A change of which the portal took one part and dropped another counts as failed, and
// is taken back all the same: nobody else has made it.
func TestUndoOfWhatWasTakenInPart(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]string{
		"an item of before":         "  - select: deal\n    where: {id: 1}\n  - update: deal\n    set: {title: Again}\n  - move: deal\n    to: Gone\n",
		"an item that the run made": "  - read: rows.csv\n  - create: deal\n    fields: {title: Novo}\n  - update: deal\n    when: true\n    set: {title: Again}\n  - move: deal\n    to: Gone\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.rows("cpf\n1\n")
			w.edit("crm.status.add", map[string]any{"fields": map[string]any{"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "GONE", "NAME": "Gone", "SORT": 25}})
			h, _ := w.plan(w.job("version: 1\nname: test\nfuse: true\nsteps:\n" + job))
			o := w.options(h)
			if err := w.sandbox.Reset(); err != nil { // the stage goes
				t.Fatal(err)
			}
			before := w.portal()
			run, err := engine.Apply(t.Context(), o)
			if err != nil || run.Status != engine.StatusPartial || !strings.Contains(w.errors(run.Run), "kept the old value of stageId") {
				t.Fatalf("the run ends %s, %v\n%s", run.Status, err, w.errors(run.Run))
			}
			if undo := w.undo(run.Run); undo.Status != engine.StatusSucceeded {
				t.Errorf("undo ends %s: %s\n%s", undo.Status, undo.Error, w.errors(undo.Run))
			}
			if diff := gocmp.Diff(before, w.portal()); diff != "" {
				t.Errorf("after the undo (-before +now):\n%s", diff)
			}
		})
	}
}

// Items that a job deletes may have a key of another system that others have, too: all
// are made again, and none twice. They get keys of their own, so that none of the
// others is taken for them.
func TestUndoOfDeletedItemsWithOneKey(t *testing.T) {
	t.Parallel()
	for fault, spec := range map[string]string{"": "", "answers lost": "drop-after:method=crm.item.import,nth=1", "requests lost": "drop-before:method=crm.item.import,nth=1"} {
		for kept := range 3 {
			t.Run(fmt.Sprintf("%s, %d stay", fault, kept), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { undoOfOneKey(t, spec, kept) })
			})
		}
	}
}

func undoOfOneKey(t *testing.T, fault string, kept int) {
	t.Helper()
	w := newWorld(t, sandbox.Options{})
	titles := []string{"Novo A", "Novo B", "Novo C", "Novo D"}[:2+kept]
	for _, title := range titles {
		w.edit("crm.item.add", map[string]any{"entityTypeId": 2, "fields": map[string]any{"title": title, "originatorId": "erp", "originId": "55"}})
	}
	later(t, time.Minute)
	run := w.run(w.job("\n  - select: deal\n    where: {title: [Novo A, Novo B]}\n  - delete: deal\n"))
	if run.Steps[0].Deleted != 2 {
		t.Fatalf("%+v, want two deleted", run.Steps)
	}
	later(t, time.Minute)
	w.saved = true
	h := w.planUndo(run.Run, false)
	if fault != "" {
		if err := w.sandbox.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
	}
	if undo := w.apply(h); undo.Status != engine.StatusSucceeded || undo.Steps[0].Created != 2 {
		t.Errorf("the undo ends %s: %+v\n%s", undo.Status, undo.Steps, w.errors(undo.Run))
	}
	later(t, time.Hour)
	if again := w.undo(run.Run); again.Status != engine.StatusSucceeded || again.Steps[0].Unchanged != 2 {
		t.Errorf("a second undo ends %s: %+v", again.Status, again.Steps)
	}
	for _, title := range titles {
		if deals := w.named("deal", "title", title); len(deals) != 1 {
			t.Errorf("there are %d of %s: %v", len(deals), title, deals)
		}
	}
	if keyed := w.named("deal", "originId", "55"); len(keyed) != max(1, kept) {
		t.Errorf("%d have the key", len(keyed))
	}
	if told := strings.Join(h.Lasting, "\n"); !strings.Contains(told, "keys that other items have, too") {
		t.Errorf("the plan says\n%s", told)
	}
}

// A run that was cut short with answers lost can be taken back: what became of
// its last changes is found out first, and it can't be resumed afterwards.
func TestUndoOfAnInterruptedRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{
			Rate: 2, Burst: 10, RequestLimit: 4 * time.Second, Latency: 300 * time.Millisecond,
			Faults: []string{"drop-after:after=14,p=0.5,seed=3", "drop-before:after=14,p=0.3,seed=4"},
		})
		w.rows(manyRows(500))
		before := w.portal()
		h, _ := w.plan(w.job(onboarding))
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		o := w.options(h)
		if result, err := engine.Apply(ctx, o); err == nil || result.Status != engine.StatusInterrupted {
			t.Fatalf("run ends %s with %v, want an interruption", result.Status, err)
		}
		if err := w.sandbox.SetFaults(); err != nil {
			t.Fatal(err)
		}
		doubts, planned := w.count(o.Log, engine.StateUnknown)+w.count(o.Log, engine.StateSent), w.count(o.Log, engine.StatePlanned)
		if doubts == 0 || planned == 0 {
			t.Fatalf("%d changes are in doubt and %d to be done, want both", doubts, planned)
		}
		if err := engine.SettleDoubts(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if n := w.count(o.Log, engine.StateUnknown) + w.count(o.Log, engine.StateSent); n != 0 {
			t.Fatalf("%d changes are in doubt still", n)
		}
		undo := w.planUndo(o.RunID, false)
		if undo.Summary.Delete < doubts/2 {
			t.Errorf("the undo deletes %d items, and %d creates were in doubt", undo.Summary.Delete, doubts)
		}
		if err := engine.Abandon(t.Context(), o.Log, "given up: the run was undone"); err != nil {
			t.Fatal(err)
		}
		w.saved = true
		if result := w.apply(undo); result.Status != engine.StatusSucceeded {
			t.Errorf("undo ends %s: %s\n%s", result.Status, result.Error, w.errors(result.Run))
		}
		if diff := gocmp.Diff(before, w.portal()); diff != "" {
			t.Errorf("after the undo (-before +now):\n%s", diff)
		}
		open, err := w.journal.Unfinished(t.Context())
		if err != nil || len(open) != 0 {
			t.Errorf("%d runs can be resumed, want none: %v", len(open), err)
		}
	})
}

// count counts the changes of a run in a state.
func (w *world) count(log engine.Log, s engine.State) (n int) {
	w.t.Helper()
	for _, err := range log.Changes(w.t.Context(), engine.Filter{States: []engine.State{s}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// What a run has just made and the portal's lists don't show yet is neither made
// again by the next plan nor gone for an undo.
func TestLaggingLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Rate: 20, Burst: 50, RequestLimit: 60 * time.Second})
		const n = 60
		w.rows(manyRows(n))
		job := w.job(changesEverything)
		before := w.portal()
		if err := w.sandbox.SetFaults("lag:delay=10s"); err != nil {
			t.Fatal(err)
		}
		run := w.run(job)
		if run.Status != engine.StatusSucceeded {
			t.Fatalf("the run ends %s", run.Status)
		}

		_, draft, err := w.try(job)
		unlisted, ok := errors.AsType[*engine.UnlistedError](err)
		if !ok || time.Until(unlisted.Until) > 75*time.Second || time.Until(unlisted.Until) <= 10*time.Second {
			t.Fatalf("a plan that repeats the run: %v", err)
		}
		if err := draft.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		undo := w.undo(run.Run)
		if took := time.Since(began); took < 5*time.Second || took > time.Minute {
			t.Errorf("the undo takes %s", took)
		}
		<-time.After(10 * time.Second)
		if diff := gocmp.Diff(before, w.portal()); undo.Status != engine.StatusSucceeded || diff != "" {
			t.Errorf("the undo ends %s; the portal (-before +after):\n%s", undo.Status, diff)
		}
		if again := w.run(job); again.Status != engine.StatusSucceeded { // what was deleted since is made again at once
			t.Errorf("the run after the undo ends %s", again.Status)
		}
	})
}

// A run that was cut short and one of the same job since: what the later one made
// is held as it is by now, and what lists don't show of it yet is waited for.
func TestResumeAfterAnotherRun(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]string{"listed": nil, "not listed yet": {"lag:delay=10s"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Rate: 20, Burst: 50, RequestLimit: 60 * time.Second})
				w.rows(rows)
				job := w.job(onboarding)
				h, _ := w.plan(job)
				o := w.options(h)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := engine.Apply(ctx, o); !errors.Is(err, context.Canceled) {
					t.Fatalf("a run that is cut short: %v", err)
				}
				if err := w.sandbox.SetFaults(faults...); err != nil {
					t.Fatal(err)
				}
				if later := w.run(job); later.Status != engine.StatusSucceeded {
					t.Fatalf("the later run ends %s", later.Status)
				}
				before := w.portal()
				w.resume(&o)
				result, err := engine.Apply(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				made := 0
				for _, s := range result.Steps {
					made += s.Created
				}
				if diff := gocmp.Diff(before, w.portal()); result.Status != engine.StatusSucceeded || made != 0 || diff != "" {
					t.Errorf("the resumed run ends %s and made %d items; the portal (-before +after):\n%s", result.Status, made, diff)
				}
			})
		})
	}
}

// A run that was just taken back can be taken back again at once: the journal
// knows that what the portal does not show is gone.
func TestUndoTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{})
		w.rows(rows)
		run := w.run(w.job(onboarding))
		w.saved = true
		w.apply(w.planUndo(run.Run, false))
		began := time.Now()
		again := w.planUndo(run.Run, false)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it takes %s", took)
		}
		if again.Summary.Writes() != 0 || again.Summary.Unchanged == 0 {
			t.Errorf("the second undo plans %+v", again.Summary)
		}
	})
}
