package journal_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// breaking is the log of a run whose disk breaks just before a call of Sent or
// of Settle.
type breaking struct {
	*journal.Run

	sent, settle int // before which call; 0: none
	calls        [2]atomic.Int64
	breaks       func()
	broken       atomic.Bool
	pad          string // what the portal warns of from then on
}

func (b *breaking) strike(cs []*engine.Change, call, at int) {
	if b.calls[call].Add(1) == int64(at) {
		b.breaks()
		b.broken.Store(true)
	}
	for _, c := range cs {
		if b.broken.Load() && b.pad != "" {
			c.Warnings = b.pad
		}
	}
}

func (b *breaking) Sent(ctx context.Context, cs []*engine.Change, at time.Time) error {
	b.strike(cs, 0, b.sent)
	return b.Run.Sent(ctx, cs, at)
}

func (b *breaking) Settle(ctx context.Context, cs []*engine.Change) error {
	b.strike(cs, 1, b.settle)
	return b.Run.Settle(ctx, cs)
}

// breakage is a way in which a disk fails.
type breakage struct {
	// breaks makes the disk of the journal in a folder fail, until mend.
	breaks func(tb testing.TB, j *journal.Journal, dir string) (mend func())
	want   string // in the error
	// blind says that what was written can't be read either, so that there is
	// no result.
	blind bool
	pad   string // what changes must record to need room
}

// brokenDisk has a disk fail in the middle of a run: the run ends, says why,
// and nothing was sent whose intent is not on disk. Once the disk is mended, the
// run goes on and each row is written once.
func brokenDisk(t *testing.T, b breakage, sent, settle int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, 60, sandbox.Options{Rate: 10, Burst: 10, RequestLimit: 4 * time.Second, Latency: 100 * time.Millisecond})
		dir := t.TempDir()
		first := p.start(dir)
		first.batch = 10
		r := first.begin()
		mend := func() {}
		log := &breaking{Run: r, sent: sent, settle: settle, pad: b.pad, breaks: func() { mend = b.breaks(t, first.journal, dir) }}
		res, err := first.apply(t.Context(), r, log, false)
		if err == nil || !strings.Contains(err.Error(), "journal: "+dir) || !strings.Contains(err.Error(), b.want) {
			t.Fatalf("the run ends with %v, want %q", err, b.want)
		}
		if !b.blind && res == nil || res != nil && res.Status != engine.StatusFailed {
			t.Errorf("the result is %+v", res)
		}
		if res != nil && !strings.Contains(res.Error, b.want) {
			t.Errorf("the result says %q", res.Error)
		}
		before := len(p.box.History())
		mend()
		must(t, first.journal.Close())

		next := p.start(dir)
		p.intended(next.journal)
		if before == 2*p.rows+p.rows/2 {
			t.Error("nothing was left to do: the disk broke too late")
		}
		if res, err := next.resume(t.Context()); err != nil || res.Status != engine.StatusSucceeded {
			t.Fatalf("resumed, it ends %+v, %v", res, err)
		}
		p.complete()
	})
}

// intended checks that whatever reached the portal had been recorded before.
func (p *place) intended(j *journal.Journal) {
	p.t.Helper()
	r, err := j.Run(p.t.Context(), "")
	must(p.t, err)
	created, altered := map[string]bool{}, map[string]bool{}
	refs := map[string]string{}
	for _, c := range all(p.t, r, engine.Filter{}) {
		if c.Kind == engine.KindCreate {
			created[c.ExternalKey], refs[c.Ref] = c.SentAt > 0, c.ExternalKey
		} else {
			altered[refs[c.Ref]] = c.SentAt > 0
		}
	}
	for _, e := range p.box.History() {
		if e.Kind == sandbox.EffectCreate && !created[e.Key] || e.Kind == sandbox.EffectUpdate && !altered[e.Key] {
			p.t.Errorf("%s of %s reached the portal, and the journal does not know that it left", e.Kind, e.Key)
		}
	}
}

// breakPoints are the places of a run where its disk breaks: before which call
// of Sent or of Settle.
func breakPoints() map[string][2]int {
	return map[string][2]int{
		"before the first intent":  {1, 0},
		"before a later intent":    {5, 0},
		"before the first outcome": {0, 1},
		"before a later outcome":   {0, 7},
	}
}

// A full disk is SQLite's own: the file may not have one page more.
func TestRun_diskFull(t *testing.T) {
	t.Parallel()
	full := breakage{
		breaks: func(tb testing.TB, j *journal.Journal, _ string) func() {
			tb.Helper()
			must(tb, j.Full(tb.Context()))
			return func() {}
		},
		want: ": no space left; make room and try again: ",
		pad:  strings.Repeat("a long warning; ", 10_000), // the file has pages that are free
	}
	for name, at := range breakPoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokenDisk(t, full, at[0], at[1])
		})
	}
}
