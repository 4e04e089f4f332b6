package journal_test

import (
	"fmt"
	"testing"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

// usual is a change as most jobs have it.
func usual(n int) *engine.Change {
	source := fmt.Sprintf("clients.csv:%d", n+1)
	return &engine.Change{
		Step: "client", Kind: engine.KindCreate, Entity: "contact", TypeID: engine.TypeContact,
		Ref: "client@" + source, Source: source, Key: fmt.Sprintf("%011d", n), ExternalKey: fmt.Sprintf("%016x", n), KeyField: "originId", Match: []string{"name"},
		Line: n + 1, Needs: []string{"firm@" + source},
		Fields: map[string]engine.FieldChange{
			"name":                {After: fmt.Sprintf("Cliente %d", n)},
			"ufCrm_1737980095947": {After: fmt.Sprintf("%011d", n)},
			"assignedById":        {After: int64(7)},
			"email":               {Add: []engine.MultiValue{{Value: fmt.Sprintf("cliente%d@example.com", n)}}},
			"phone":               {Add: []engine.MultiValue{{Value: fmt.Sprintf("+55119%08d", n)}}},
		},
	}
}

func usuals(from, to int) []*engine.Change {
	cs := make([]*engine.Change, 0, to-from)
	for n := from; n < to; n++ {
		cs = append(cs, usual(n))
	}
	return cs
}

func BenchmarkAppend(b *testing.B) {
	j, err := journal.Scratch(b.Context(), b.TempDir())
	must(b, err)
	defer j.Close()
	d := draftOf(b, j)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		cs := usuals(n*1000, n*1000+1000)
		b.StartTimer()
		must(b, d.Append(b.Context(), cs))
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "changes/s")
}

func BenchmarkAppendDurable(b *testing.B) {
	d := draftOf(b, openIn(b, b.TempDir()))
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		cs := usuals(n*1000, n*1000+1000)
		b.StartTimer()
		must(b, d.Append(b.Context(), cs))
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "changes/s")
}

func BenchmarkSentSettle(b *testing.B) {
	r := runOf(b, openIn(b, b.TempDir()), usuals(0, 20000))
	cs := all(b, r, engine.Filter{})
	for n := 0; b.Loop(); n++ {
		batch := cs[n*50%20000:][:50]
		must(b, r.Sent(b.Context(), batch, at()))
		for _, c := range batch {
			c.ID, c.State = c.Seq, engine.StatePlanned
			if n < 400 {
				c.State = engine.StatePlanned
			}
		}
		must(b, r.Settle(b.Context(), batch))
	}
}

func BenchmarkChanges(b *testing.B) {
	p := planOf(b, openIn(b, b.TempDir()), usuals(0, 20000))
	for b.Loop() {
		all(b, p, engine.Filter{})
	}
	b.ReportMetric(float64(b.N)*20000/b.Elapsed().Seconds(), "changes/s")
}

func BenchmarkIndex(b *testing.B) {
	d := draftOf(b, openIn(b, b.TempDir()))
	for n := 0; b.Loop(); n++ {
		entries := make(map[engine.Hash][]byte, 1000)
		keys := make([]engine.Hash, 0, 1000)
		for i := range 1000 {
			h := engine.HashOf(n, i)
			entries[h] = []byte("client@clients.csv:12")
			keys = append(keys, h)
		}
		must(b, d.Put(b.Context(), entries))
		_, err := d.Get(b.Context(), keys)
		must(b, err)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "entries/s")
}
