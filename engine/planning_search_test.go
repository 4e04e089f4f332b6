package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Items are looked up by their keys, or all of them are read: what takes less for
// the rows that are still to come.
func TestPlan_searches(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	const match = `
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", phone: "${{ row.phone }}"}
  - find: contact
    id: found
    by: {phone: "${{ row.phone }}"}
    required: false
`
	tests := map[string]struct {
		seed     string
		rows     int
		whole    bool
		commands int // that look up by fields
	}{
		// 120 for the CPF and 80 for the keys of new ones would go by keys. Forty
		// pages have all, and two more say that there are no others.
		"more rows than contacts": {"demo,contacts=2000", 6000, true, 42},
		"fewer rows":              {"demo,contacts=2000", 600, false, 12 + 12},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Seed: tt.seed})
				w.rows(manyRows(tt.rows))
				before := w.sandbox.Stats()
				h, _ := w.plan(w.job(match))
				after := w.sandbox.Stats()
				commands := after.ByMethod["crm.item.list"].Calls - before.ByMethod["crm.item.list"].Calls - 1 // the catalog's
				t.Logf("%d requests, %d commands: %+v", after.Requests-before.Requests, commands, h.Searches)
				if got := h.Searches[0]; got.Whole != tt.whole || got.Keys != tt.rows || got.Items < 2000 || got.By[0] == "" || got.Step != "client" {
					t.Errorf("search %+v, want whole %t", got, tt.whole)
				}
				if commands != tt.commands {
					t.Errorf("%d commands, want %d", commands, tt.commands)
				}
			})
		})
	}
}

// Whoever tries a few failed rows again looks those up, however long the file is.
func TestPlan_searchesOfRetry(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	synctest.Test(t, func(t *testing.T) {
		const job = "  - read: rows.csv\n  - import: contact\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n"
		w := newWorld(t, sandbox.Options{Seed: "demo,contacts=2000"})
		w.rows(manyRows(6000) + ",Nobody,,,\n")
		_, draft, err := w.try(w.job(job))
		if err != nil {
			t.Fatal(err)
		}
		retry, n, err := engine.Failures(t.Context(), "run", 6001, draft)
		if err != nil || n != 1 {
			t.Fatalf("%d failures, %v", n, err)
		}
		w.rows(manyRows(6000) + "1,Nobody,,,\n")
		if draft, err = w.journal.NewDraft(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := engine.Plan(t.Context(), engine.PlanOptions{
			Job: w.job(job), Catalogue: w.client, Reader: w.client, Gauge: w.client, Draft: draft, Now: time.Now(), Retry: retry,
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := h.Searches[0]; s.Whole || s.Keys != 1 || h.Summary.Create != 1 {
			t.Errorf("search %+v, summary %+v", s, h.Summary)
		}
	})
}

// byKeys looks everything up by its keys.
type byKeys struct{ engine.Reader }

func (r byKeys) Find(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	l.Whole = time.Time{}
	return r.Reader.Find(ctx, l)
}

// A plan is the same, however its items were looked up.
func TestPlan_sameByKeysAndWhole(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	const job = `
  - read: rows.csv
  - import: contact
    id: client
    match: [[CPF, name], originId, name]
    on_many: first
    duplicates: last
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", originId: "${{ row.origin }}", post: "${{ row.post }}"}
  - find: contact
    id: other
    by: {post: "${{ row.post }}"}
    on_many: newest
    required: false
  - create: Onboarding
    category: Clients
    fields: {title: "${{ row.post }}", contactId: "${{ client.id }}", assignedById: 1}
`
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 5))
				w := newWorld(t, sandbox.Options{Seed: "demo"})
				few := func(of int, forms ...string) string {
					return fmt.Sprintf(forms[random.IntN(len(forms))], random.IntN(of))
				}
				rows := func(n int) string {
					var b strings.Builder
					b.WriteString("cpf,name,origin,post\n")
					for range n {
						fmt.Fprintf(&b, "%s,%s,%s,%s\n", few(90, "7%04d", ""), few(90, "Ana %d", "ANA %d", "ána %d"), few(90, "o%d", "O%d", ""), few(60, "Desk %d", "desk %d"))
					}
					return b.String()
				}
				w.rows(rows(60 + random.IntN(200)))
				w.run(w.job(job))
				w.rows(rows(300 + random.IntN(3000)))
				contents := map[string]string{}
				for name, reader := range map[string]engine.Reader{"whole": w.client, "by keys": byKeys{w.open()}} {
					draft, err := w.journal.NewDraft(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					h, err := engine.Plan(t.Context(), engine.PlanOptions{
						Job: w.job(job), Catalogue: w.client, Reader: reader, Gauge: w.client, Draft: draft, Now: time.Now(),
					})
					if err != nil {
						t.Fatal(err)
					}
					contents[name] = h.Content
					if s := h.Searches[0]; !s.Whole {
						t.Errorf("%s: %+v", name, h.Searches)
					}
					t.Logf("%s: %+v", name, h.Summary)
				}
				if diff := cmp.Diff(contents["by keys"], contents["whole"]); diff != "" {
					t.Errorf("content (-by keys +whole):\n%s", diff)
				}
			})
		})
	}
}
