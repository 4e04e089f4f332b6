package engine_test

import (
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// BenchmarkPlan plans 5,000 rows into 10,000 changes against a portal without
// limits.
func BenchmarkPlan(b *testing.B) {
	w := newWorld(b, sandbox.Options{RequestLimit: time.Minute})
	w.rows(manyRows(5000))
	job := w.job(matched)
	changes := 0
	for b.Loop() {
		h, draft, err := w.try(job)
		if err != nil {
			b.Fatal(err)
		}
		changes += h.Summary.Writes()
		if err := draft.Discard(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}

// BenchmarkApply applies 10,000 changes with a durable journal to a portal
// without limits.
func BenchmarkApply(b *testing.B) {
	changes := 0
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, sandbox.Options{RequestLimit: time.Minute})
		w.rows(manyRows(5000))
		h, _ := w.plan(w.job(matched))
		b.StartTimer()
		w.apply(h)
		changes += h.Summary.Writes()
	}
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}
