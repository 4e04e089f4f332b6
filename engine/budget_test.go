package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// skipLarge leaves out what takes many thousand rows from the short form: with
// the race detector that takes minutes, and .ci/run does it without.
func skipLarge(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("of many thousand rows: not in the short form")
	}
}

// matched is onboarding as far as its figures go: contacts by key, a card each.
const matched = `
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", phone: "${{ row.phone }}"}
  - create: Onboarding
    id: card
    category: Clients
    fields: {title: "Card of ${{ row.name }}", contactId: "${{ client.id }}"}
`

// The budget is requests: 5,000 contacts and as many cards are 200 full
// batches, and what planning needs on top; all of them at the full rate, none
// rejected.
func TestRequestBudget(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	for name, seed := range map[string]string{"an empty portal": "empty", "a portal in use": "demo,contacts=6000,items=6000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n, rate, burst = 5000, 20.0, 50
				w := newWorld(t, sandbox.Options{Seed: seed, Rate: rate, Burst: burst, RequestLimit: time.Minute})
				w.rows(manyRows(n))
				job := w.job(matched)
				if seed == "empty" {
					job = w.job("  - read: rows.csv\n  - import: contact\n    id: client\n    match: originId\n    fields: {originId: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n  - create: deal\n    fields: {title: \"Card of ${{ row.name }}\", contactId: \"${{ client.id }}\"}\n")
				}
				start := time.Now()
				result := w.run(job)
				took := time.Since(start)
				stats := w.sandbox.Stats()
				t.Logf("first run: %d requests, %s, %+v", stats.Requests, took, result.Steps)
				if stats.Requests > 215 {
					t.Errorf("%d requests, want at most 215", stats.Requests)
				}
				if most := time.Duration(1.10 * float64(stats.Requests-burst) / rate * float64(time.Second)); took > most {
					t.Errorf("took %s, want at most %s", took, most)
				}
				if stats.RejectedBucket+stats.RejectedOperating > 0 {
					t.Errorf("%d requests were rejected", stats.RejectedBucket+stats.RejectedOperating)
				}
				if result.Status != engine.StatusSucceeded {
					t.Errorf("run ends %s: %s", result.Status, result.Error)
				}
				w.run(job)
				again := w.sandbox.Stats()
				t.Logf("second run: %d requests", again.Requests-stats.Requests)
				if more := again.Requests - stats.Requests; more > 20 {
					t.Errorf("the same again takes %d requests, want at most 20", more)
				}
				if again.Automation != stats.Automation {
					t.Errorf("the same again changed something")
				}
			})
		})
	}
}

// Without automation a request carries a thousand rows: 50,000 are 50 requests.
// Small ones before them show what a row costs, and the plan needs a few.
func TestRequestBudget_withoutAutomation(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	synctest.Test(t, func(t *testing.T) {
		const n, most = 50_000, 60
		w := newWorld(t, sandbox.Options{Seed: "empty", Rate: 20, Burst: 50, RequestLimit: time.Minute})
		w.rows(manyRows(n))
		result := w.run(w.job("  - read: rows.csv\n  - import: contact\n    match: originId\n    automation: off\n    fields: {originId: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n"))
		stats := w.sandbox.Stats()
		t.Logf("%d requests, %s: %s, %+v", stats.Requests, result.Status, result.Error, result.Steps)
		if stats.Requests > most {
			t.Errorf("%d requests, want at most %d", stats.Requests, most)
		}
		if result.Status != engine.StatusSucceeded || result.Steps[0].Created != n {
			t.Errorf("run ends %s with %d contacts, want %d", result.Status, result.Steps[0].Created, n)
		}
	})
}
