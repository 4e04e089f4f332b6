package engine_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// What a plan says that its run will take is what it takes: the requests, and the
// time within a tenth once the portal is known.
func TestEstimate(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	everything := matched + "  - update: card\n    when: row.plan == \"gold\"\n    set: {Priority: High}\n  - move: card\n    when: row.paid == \"sim\"\n    to: In progress\n"
	imports := "  - read: rows.csv\n  - import: contact\n    match: CPF\n    automation: off\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n"
	updates := "  - select: contact\n  - update: contact\n    set: {post: Boss}\n"
	twice := updates + "  - update: contact\n    set: {secondName: Ana}\n"
	tests := map[string]struct {
		job     string
		rows    int
		box     sandbox.Options
		limited string
		fresh   bool // nothing is known of what calls cost
	}{
		"a few rows":         {job: everything, rows: 30, box: sandbox.Options{Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "none"},
		"a portal not known": {job: everything, rows: 200, box: sandbox.Options{Rate: 2, Burst: 50, Latency: 100 * time.Millisecond}, limited: "none", fresh: true},
		"some hundred":       {job: everything, rows: 400, box: sandbox.Options{Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "none"},
		"bound by requests":  {job: everything, rows: 3000, box: sandbox.Options{Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "bucket"},
		"imports":            {job: imports, rows: 8000, box: sandbox.Options{Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "none"},
		"updates":            {job: updates, rows: 1, box: sandbox.Options{Seed: "demo,contacts=4000", Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "bucket"},
		"two updates each":   {job: twice, rows: 1, box: sandbox.Options{Seed: "demo,contacts=4000", Rate: 2, Burst: 50, Latency: 300 * time.Millisecond}, limited: "bucket"},
		"slow calls":         {job: updates, rows: 1, box: sandbox.Options{Seed: "demo,contacts=900", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond, Cost: map[string]time.Duration{"crm.item.update": 200 * time.Millisecond}}, limited: "none"},
		"bound by execution": {job: updates, rows: 1, box: sandbox.Options{Seed: "demo,contacts=3000", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond, OperatingLimit: 480 * time.Second, OperatingWindow: 10 * time.Minute, Cost: map[string]time.Duration{"crm.item.update": 500 * time.Millisecond}}, limited: "execution_time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.box.RequestLimit = time.Minute
				if tt.box.Cost == nil {
					tt.box.Cost = map[string]time.Duration{}
				}
				tt.box.Cost["*"] = time.Millisecond
				w := newWorld(t, tt.box)
				// What calls cost is known from a run before.
				w.rows(manyRows(20))
				for _, job := range []string{everything, imports} {
					if tt.fresh {
						break
					}
					w.run(w.job(job))
					if err := w.sandbox.Reset(); err != nil {
						t.Fatal(err)
					}
				}
				w.rows(manyRows(tt.rows))
				<-time.After(time.Hour)
				h, _ := w.plan(w.job(tt.job))
				before, began := w.sandbox.Stats().Requests, time.Now()
				result := w.apply(h)
				requests, took := w.sandbox.Stats().Requests-before, time.Since(began).Seconds()
				e := h.Estimate
				text := fmt.Sprintf("%d requests in %.1f s, and %d in %.1f s, limited by %s, were foreseen", requests, took, e.Requests, e.Seconds, e.LimitedBy)
				t.Log(text)
				inexact := 1.0 // which of two answers at one moment comes first is chance
				if tt.limited == "execution_time" {
					inexact = 0.15 * float64(requests) // and so is which crumbs of it are used when
				}
				wrong := math.Abs(float64(e.Requests-requests)) > inexact
				late := math.Abs(e.Seconds-took) > max(0.1*took, 0.5) && !tt.fresh
				if result.Status != engine.StatusSucceeded || wrong || late || e.LimitedBy != tt.limited {
					t.Errorf("%s; the run %s", text, result.Status)
				}
			})
		})
	}
}
