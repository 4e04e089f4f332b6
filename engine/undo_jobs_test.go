package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// drawJob draws a job whose steps make items of any entity, link them with each
// other and with items of before, in either direction, and change them again.
func drawJob(r *rand.Rand) string {
	entities := []string{"contact", "company", "deal", "lead", "Onboarding"}
	taken := map[string]bool{}    // entities of which items are made or read already
	links := map[string][]string{ // by the entity that has the field
		"contact":    {"companyId company", "companyIds company"},
		"company":    {"contactIds contact"},
		"deal":       {"contactId contact", "contactIds contact", "companyId company"},
		"lead":       {"contactId contact", "companyId company"},
		"Onboarding": {"contactId contact", "contactIds contact", "companyId company"},
	}
	stages := map[string]string{"deal": "Won", "Onboarding": "In progress"}
	beside := []string{"  - comment: %s\n    text: Seen %d\n", "  - clear: %s\n    fields: [comments]\n    id: clear%d\n", "  - address: %s\n    fields: {city: \"Recife %d\"}\n"}
	made := map[string][]string{} // ids of steps, by entity
	old := map[string]bool{}      // ids of steps that read items of before
	key := "row.cpf"              // what tells the records of a stream apart
	// Both sides of a link that goes both ways are not written at once.
	link := func(entity string, update bool) string {
		if r.IntN(3) == 0 || update && (entity == "contact" || entity == "company") {
			return ""
		}
		field, to, _ := strings.Cut(links[entity][r.IntN(len(links[entity]))], " ")
		var ids []string
		for _, id := range made[to] {
			ids = append(ids, fmt.Sprintf("\"${{ %s.id }}\"", id))
		}
		ids = append(ids, "4")
		value := ids[r.IntN(len(ids))]
		if strings.HasSuffix(field, "Ids") {
			value = "[" + value + "]"
			if r.IntN(2) == 0 {
				value = "[" + strings.Join(ids, ", ") + "]"
			}
		}
		return ", " + field + ": " + value
	}
	name := func(entity string) string {
		if entity == "contact" {
			return "name"
		}
		return "title"
	}
	var b strings.Builder
	b.WriteString("  - read: rows.csv\n    key: cpf\n")
	for n := range 2 + r.IntN(5) {
		entity, id := entities[r.IntN(len(entities))], fmt.Sprintf("s%d", n)
		switch all := made[entity]; {
		case r.IntN(4) == 0 && len(all) > 0:
			one := all[r.IntN(len(all))]
			kinds := len(beside)
			if entity == "deal" || entity == "Onboarding" {
				kinds = 1                        // they have no addresses, and not all have comments of their own
				if r.IntN(2) == 0 && !old[one] { // the amount that an old one had beside its rows is not told
					fmt.Fprintf(&b, "  - products: %s\n    id: rows%d\n    rows: {name: Beam, price: %d, quantity: 2}\n", one, n, n+1)
				}
			}
			fmt.Fprintf(&b, beside[r.IntN(kinds)], one, n)
			if stage := stages[entity]; stage != "" {
				fmt.Fprintf(&b, "  - move: %s\n    to: %s\n", one, stage)
			}
			continue
		case r.IntN(4) == 0 && len(all) > 0:
			fmt.Fprintf(&b, "  - update: %s\n    set: {%s: \"Again %d\"%s}\n", all[r.IntN(len(all))], name(entity), n, link(entity, true))
			continue
		case r.IntN(4) == 0 && !taken[entity]:
			old[id] = true
			made, key = map[string][]string{}, id+".id" // a select begins a stream of its own
			fmt.Fprintf(&b, "  - select: %s\n    id: %s\n    where: {id: %d}\n  - update: %s\n    set: {%s: \"Old %d\"%s}\n", entity, id, 1+r.IntN(3), id, name(entity), n, link(entity, true))
		case r.IntN(2) == 0 || entity == "Onboarding":
			fmt.Fprintf(&b, "  - create: %s\n    id: %s\n    fields: {%s: \"New %d ${{ %d }}\"%s}\n", entity, id, name(entity), n, n, link(entity, false))
		default:
			automation := ""
			if r.IntN(2) == 0 {
				automation = "    automation: \"off\"\n"
			}
			fmt.Fprintf(&b, "  - import: %s\n    id: %s\n    match: originId\n%s    fields: {originId: \"o%d-${{ %s }}\", %s: \"New %d\"%s}\n", entity, id, automation, n, key, name(entity), n, link(entity, false))
		}
		made[entity], taken[entity] = append(made[entity], id), true
	}
	return b.String()
}

// Whatever a run made, changed and linked, its undo gives the portal back as it
// was, all of it; and so does the undo of a run that did it once more.
func TestUndoOfAnyJob(t *testing.T) {
	t.Parallel()
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	for seed := range uint64(seeds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Seed: "demo,contacts=5,items=3"})
				w.rows(rows)
				before := w.portal()
				text := drawJob(rand.New(rand.NewPCG(seed, 0)))
				run := w.run(w.job(text))
				if run.Status != engine.StatusSucceeded {
					t.Fatalf("run ends %s: %s %+v\n%s%s", run.Status, run.Error, run.Steps, w.errors(run.Run), text)
				}
				undone := run.Run
				for n, what := range []string{"undo", "undo of the undo", "undo of that"} {
					later(t, time.Minute)
					undo := w.undo(undone)
					if undo.Status != engine.StatusSucceeded {
						t.Errorf("%s ends %s: %s %+v\n%s", what, undo.Status, undo.Error, undo.Steps, w.errors(undo.Run))
					}
					if diff := gocmp.Diff(before, w.portal()); diff != "" && n != 1 {
						t.Errorf("after the %s (-before +now):\n%s", what, diff)
					}
					undone = undo.Run
				}
				if t.Failed() {
					t.Log(text)
				}
			})
		})
	}
}
