package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Every verb does its work on every entity, a second run of the same changes
// nothing, and an undo takes all of it back.
func TestEveryVerbOnEveryEntity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dump  string // as the sandbox's dump calls it
		title string // the field that is its name
		set   string // a field, and what update gives it
		link  string // a link to the contact or company, "" if it has none
		stage string // "" where it has no stages
		stay  string // the stage's id
		more  string // settings of create
	}{
		"contact":    {dump: "contact", title: "name", set: `post: Director`, link: `companyIds: ["${{ firm.id }}"]`},
		"company":    {dump: "company", title: "title", set: `industry: Information technology`, link: `contactIds: ["${{ person.id }}"]`},
		"lead":       {dump: "lead", title: "title", set: `opportunity: 12.5`, link: `contactIds: ["${{ person.id }}"]`, stage: "In progress", stay: "IN_PROCESS"},
		"deal":       {dump: "deal", title: "title", set: `opportunity: 12.5`, link: `contactIds: ["${{ person.id }}"]`, stage: "Won", stay: "WON"},
		"quote":      {dump: "quote", title: "title", set: `opportunity: 12.5`, link: `companyId: "${{ firm.id }}"`, stage: "Sent to client", stay: "SENT", more: "    external_key: External code\n"},
		"invoice":    {dump: "smart_invoice", title: "title", set: `opportunity: 12.5`, link: `contactId: "${{ person.id }}"`, stage: "Paid", stay: "DT31_3:P"},
		"Onboarding": {dump: "dynamic_128", title: "title", set: `opportunity: 12.5`, link: `contactId: "${{ person.id }}"`, stage: "In progress", stay: "DT128_42:PREPARATION"},
	}
	for entity, tt := range tests {
		t.Run(entity, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{RequestLimit: 4 * time.Second})
				w.rows("name\nA1\nA2\nA3\n")
				move := ""
				if tt.stage != "" {
					move = fmt.Sprintf("  - move: item\n    to: %q\n", tt.stage)
				}
				field, value, _ := strings.Cut(tt.set, ": ")
				job := w.job(strings.NewReplacer(
					"ENTITY", entity, "TITLE", tt.title, "SET", tt.set, "LINK", tt.link, "FIELD", field, "MORE", tt.more, "MOVE", move,
				).Replace(`
  - read: rows.csv
    key: name
  - import: contact
    id: person
    match: name
    fields: {name: "Person ${{ row.name }}"}
  - import: company
    id: firm
    match: title
    fields: {title: "Firm ${{ row.name }}"}
  - import: ENTITY
    id: item
    match: TITLE
MORE    fields: {TITLE: "Imported ${{ row.name }}"}
  - update: item
    set: {SET}
  - update: item
    id: linked
    set: {LINK}
MOVE  - comment: item
    text: "Seen ${{ row.name }}"
  - create: ENTITY
    id: made
MORE    fields: {TITLE: "Made ${{ row.name }}", FIELD: ` + value + `}
  - clear: made
    fields: [FIELD]
  - find: ENTITY
    id: found
    by: {TITLE: "Made ${{ row.name }}"}
`))
				before := w.portal()
				before["quote"], before["smart_invoice"] = w.items("quote"), w.items("smart_invoice")
				run := w.run(job)
				if run.Status != engine.StatusSucceeded {
					t.Fatalf("run ends %s: %s %s", run.Status, run.Error, w.errors(run.Run))
				}
				for i, name := range []string{"A1", "A2", "A3"} {
					imported, made := w.named(tt.dump, tt.title, "Imported "+name), w.named(tt.dump, tt.title, "Made "+name)
					if len(imported) != 1 || len(made) != 1 {
						t.Fatalf("row %d: %d imported and %d made", i+1, len(imported), len(made))
					}
					if got := imported[0][field]; got == nil || got == "" || got == 0.0 {
						t.Errorf("%s was set to %v", field, got)
					}
					if got := made[0][field]; got != nil && got != "" && got != 0.0 {
						t.Errorf("%s was cleared to %v", field, got)
					}
					if got := imported[0]["stageId"]; tt.stage != "" && got != tt.stay {
						t.Errorf("moved to %v, want %s", got, tt.stay)
					}
				}
				if h, _ := w.plan(job); h.Summary.Writes() != 0 {
					t.Errorf("the same again is to write: %+v", h.Summary)
				}

				drop := w.job(fmt.Sprintf("  - select: %s\n    id: x\n    where: {\"%%%s\": Imported}\n  - delete: x\n", entity, tt.title))
				deleted := w.run(drop)
				if left := w.named(tt.dump, tt.title, "Imported A1"); deleted.Status != engine.StatusSucceeded || len(left) > 0 {
					t.Errorf("delete ends %s with %d left: %s", deleted.Status, len(left), w.errors(deleted.Run))
				}
				<-time.After(time.Minute)
				// A quote has no field of its own that could keep it from being made twice.
				status, back := engine.StatusSucceeded, 1
				if entity == "quote" {
					status, back = engine.StatusPartial, 0
				}
				if again := w.undo(deleted.Run); again.Status != status || len(w.named(tt.dump, tt.title, "Imported A1")) != back {
					t.Errorf("the deletion's undo ends %s, want %s: %s", again.Status, status, w.errors(again.Run))
				}
				if back := w.run(drop); back.Status != engine.StatusSucceeded {
					t.Errorf("the deletion again ends %s", back.Status)
				}
				undone := w.undo(run.Run)
				after := w.portal()
				after["quote"], after["smart_invoice"] = w.items("quote"), w.items("smart_invoice")
				volatile := cmpopts.IgnoreMapEntries(func(name string, _ any) bool {
					return strings.HasPrefix(name, "updated") || strings.HasPrefix(name, "lastActivity")
				})
				if diff := cmp.Diff(before, after, volatile); diff != "" || undone.Status != engine.StatusSucceeded {
					t.Errorf("undo ends %s, portal (-before +after):\n%s", undone.Status, diff)
				}
			})
		})
	}
}
