package journal_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

func TestRun_recordsWhatBecameOfChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	r := runOf(t, j, creates(1, 4), others())
	cs := all(t, r, engine.Filter{Kinds: []engine.Kind{engine.KindCreate}})
	must(t, r.Sent(t.Context(), cs, at()))
	if c := cs[0]; c.State != engine.StateSent || c.Attempt != 1 || c.SentAt != at().UnixMilli() {
		t.Errorf("Sent did not mark the change: %+v", c)
	}
	cs[0].State, cs[0].ID, cs[0].Warnings = engine.StateDone, 101, "name: was cut"
	cs[0].Fields["name"] = engine.FieldChange{Before: nil, After: "Clie"}
	cs[1].State, cs[1].Error = engine.StateFailed, "ERROR_CORE: no"
	cs[2].State = engine.StateUnknown
	cs[3].State = engine.StatePlanned // refused before it ran
	must(t, r.Settle(t.Context(), cs))
	must(t, r.Sent(t.Context(), cs[3:], at().Add(time.Second)))

	for _, again := range []*journal.Journal{j, openIn(t, copyOf(t, dir))} { // as a crash would leave it
		r, err := again.Run(t.Context(), r.ID())
		must(t, err)
		equal(t, "changes", cs, all(t, r, engine.Filter{Kinds: []engine.Kind{engine.KindCreate}}))
		equal(t, "second attempt", 2, cs[3].Attempt)
		made, err := r.Made(t.Context(), []string{cs[0].Ref, cs[1].Ref, "nobody@x:1"})
		must(t, err)
		equal(t, "made", map[string]engine.Made{
			cs[0].Ref: {Kind: engine.KindCreate, State: engine.StateDone, ID: 101}, cs[1].Ref: {Kind: engine.KindCreate, State: engine.StateFailed},
		}, made)
		totals, err := r.Totals(t.Context())
		must(t, err)
		equal(t, "totals", []engine.Total{
			{Step: "client", Kind: engine.KindCreate, State: engine.StateDone, N: 1},
			{Step: "client", Kind: engine.KindCreate, State: engine.StateFailed, N: 1},
			{Step: "client", Kind: engine.KindCreate, State: engine.StateSent, N: 1},
			{Step: "client", Kind: engine.KindCreate, State: engine.StateUnknown, N: 1},
			{Step: "card", Kind: engine.KindConflict, State: engine.StateConflict, N: 1},
			{Step: "card", Kind: engine.KindDelete, State: engine.StatePlanned, N: 1},
			{Step: "card", Kind: engine.KindInvalid, State: engine.StateFailed, N: 1},
			{Step: "card", Kind: engine.KindMove, State: engine.StatePlanned, N: 1},
			{Step: "card", Kind: engine.KindSkip, State: engine.StateSkipped, N: 1},
			{Step: "card", Kind: engine.KindNone, State: engine.StateUnchanged, N: 1},
			{Step: "card", Kind: engine.KindUpdate, State: engine.StatePlanned, N: 1},
		}, totals)
	}
}

func TestRun_keepsStatesOnTheirArrows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before engine.State
		then   func(*journal.Run, []*engine.Change) error
		want   string // "": allowed
	}{
		"a finished change does not leave":         {engine.StateDone, sent(t), "is done already and cannot become sent"},
		"a change in doubt does not leave":         {engine.StateUnknown, sent(t), "is unknown already and cannot become sent"},
		"one that was refused leaves again":        {engine.StatePlanned, sent(t), ""},
		"a finished change keeps its state":        {engine.StateDone, settle(t, engine.StateFailed), "is done already and cannot become failed"},
		"a finished change may be told more about": {engine.StateDone, settle(t, engine.StateDone), ""},
		"a change in doubt is settled":             {engine.StateUnknown, settle(t, engine.StateQuarantined), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runOf(t, openIn(t, t.TempDir()), creates(1, 2))
			cs := all(t, r, engine.Filter{})
			must(t, sent(t)(r, cs))
			must(t, settle(t, tt.before)(r, cs[1:]))
			must(t, settle(t, engine.StatePlanned)(r, cs[:1]))
			held := all(t, r, engine.Filter{})
			err := tt.then(r, cs)
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			equal(t, "changes after the refusal: all or none", held, all(t, r, engine.Filter{}))
		})
	}
}

func sent(tb testing.TB) func(*journal.Run, []*engine.Change) error {
	tb.Helper()
	return func(r *journal.Run, cs []*engine.Change) error { return r.Sent(tb.Context(), cs, at()) }
}

func settle(tb testing.TB, s engine.State) func(*journal.Run, []*engine.Change) error {
	tb.Helper()
	return func(r *journal.Run, cs []*engine.Change) error {
		for _, c := range cs {
			c.State = s
		}
		return r.Settle(tb.Context(), cs)
	}
}

func TestRun_endsAndResumes(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	r := runOf(t, j, creates(1, 2))
	unfinished := func() []string {
		t.Helper()
		runs, err := j.Unfinished(t.Context())
		must(t, err)
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID())
		}
		return ids
	}
	equal(t, "at first", []string{r.ID()}, unfinished())
	if r.Crashed() {
		t.Error("a run of this process is said to have crashed")
	}
	equal(t, "beginning", &engine.Result{
		Format: 1, Run: r.ID(), Plan: r.Header().ID, Job: "onboarding", Portal: "https://host/rest/1/***/",
		Status: engine.StatusRunning, Started: at(),
		Steps: []engine.StepResult{{ID: "client", Verb: "import", Entity: "contact"}},
	}, r.Result())

	res := r.Result()
	res.Status, res.Finished, res.Seconds, res.Commands = engine.StatusInterrupted, at().Add(time.Second), 1.5, 4
	must(t, r.Finish(t.Context(), res))
	equal(t, "interrupted", []string{r.ID()}, unfinished())
	runs, err := j.Runs(t.Context())
	must(t, err)
	equal(t, "runs", []engine.Result{*res}, runs)

	r, err = j.Run(t.Context(), "")
	must(t, err)
	other, err := j.Run(t.Context(), "")
	must(t, err)
	must(t, r.Resume(t.Context()))
	if r.Result().Status != engine.StatusRunning || r.Result().Commands != 4 {
		t.Errorf("resumed as %+v", r.Result())
	}
	if err := other.Resume(t.Context()); err == nil {
		t.Error("one run was resumed twice at once")
	}
	cs := all(t, r, engine.Filter{})
	must(t, settle(t, engine.StateDone)(r, cs))
	res.Status = engine.StatusFailed
	must(t, r.Finish(t.Context(), res))
	equal(t, "with nothing left", []string(nil), unfinished())
	if err := r.Resume(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing to resume") {
		t.Errorf("got %v", err)
	}
}

func TestBegin_takesAPlanOnce(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	p := planOf(t, j, creates(1, 2))
	r, err := j.Begin(t.Context(), p.ID(), at())
	must(t, err)
	var used *journal.UsedError
	if _, err := j.Begin(t.Context(), p.ID(), at()); !errors.As(err, &used) || used.Run != r.ID() {
		t.Errorf("got %v, want a UsedError", err)
	}
	if p, err = j.Plan(t.Context(), p.ID()); err != nil {
		t.Fatal(err)
	}
	if err := j.Export(t.Context(), p, io.Discard); !errors.As(err, &used) {
		t.Errorf("got %v, want a UsedError", err)
	}
	var unknown *journal.UnknownError
	if _, err := j.Begin(t.Context(), "20261123-100000-000-aaaaaaaa", at()); !errors.As(err, &unknown) {
		t.Errorf("got %v, want an UnknownError", err)
	}
}

func TestOpen_forgetsDraftsOfTheDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	draft := draftOf(t, j, creates(1, 5))
	must(t, draft.Put(t.Context(), map[engine.Hash][]byte{{1}: {1}}))
	beside := openIn(t, dir) // another process would see the same
	must(t, draft.Append(t.Context(), creates(6, 6)))
	must(t, beside.Close())

	crashed := openIn(t, copyOf(t, dir))
	d := draftOf(t, crashed)
	if got := all(t, d, engine.Filter{}); got != nil {
		t.Errorf("a new draft has %d changes", len(got))
	}
	_, err := crashed.Plan(t.Context(), "")
	if _, ok := errors.AsType[*journal.UnknownError](err); !ok {
		t.Errorf("got %v, want no plan", err)
	}
}

func TestRun_survivesInTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	r := runOf(t, j, creates(1, 60))
	cs := all(t, r, engine.Filter{})
	for i, c := range cs {
		must(t, r.Sent(t.Context(), []*engine.Change{c}, at()))
		if i%20 == 0 {
			copied := openIn(t, copyOf(t, dir))
			again, err := copied.Run(t.Context(), "")
			must(t, err)
			equal(t, "changes", cs, all(t, again, engine.Filter{}))
		}
		must(t, settle(t, engine.StateDone)(r, []*engine.Change{c}))
	}
}

// copyOf copies the files of an open journal, as a crash would leave them.
func copyOf(tb testing.TB, dir string) string {
	tb.Helper()
	to := tb.TempDir()
	for _, name := range []string{journal.FileName, journal.FileName + "-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(tb, err)
		must(tb, os.WriteFile(filepath.Join(to, name), text, 0o600))
	}
	return to
}

func TestRun_isUsedByManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	r := runOf(t, j, creates(1, 400))
	cs := all(t, r, engine.Filter{})
	beside := openIn(t, dir)
	p := pool.New().WithContext(t.Context()).WithMaxGoroutines(8)
	for at := range 8 {
		p.Go(func(ctx context.Context) error { return apply(ctx, r, cs[at*50:at*50+50]) })
	}
	p.Go(func(ctx context.Context) error {
		for range 20 {
			if _, err := beside.Runs(ctx); err != nil {
				return err
			}
			if _, err := r.Totals(ctx); err != nil {
				return err
			}
		}
		d, err := beside.NewDraft(ctx)
		if err != nil {
			return err
		}
		return d.Append(ctx, creates(1, 100))
	})
	must(t, p.Wait())
	totals, err := r.Totals(t.Context())
	must(t, err)
	equal(t, "totals", []engine.Total{{Step: "client", Kind: engine.KindCreate, State: engine.StateDone, N: 400}}, totals)
}

// apply marks changes as sent and done, ten at a time.
func apply(ctx context.Context, r *journal.Run, cs []*engine.Change) error {
	for len(cs) > 0 {
		batch := cs[:10]
		cs = cs[10:]
		if err := r.Sent(ctx, batch, at()); err != nil {
			return err
		}
		for _, c := range batch {
			c.State, c.ID = engine.StateDone, c.Seq
		}
		if err := r.Settle(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func TestJournal_worksInSimulatedTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(t.Context(), dir)
		must(t, err)
		began := time.Now()
		p := planOf(t, j, creates(1, 100))
		<-time.After(time.Hour)
		r, err := j.Begin(t.Context(), p.ID(), time.Now())
		must(t, err)
		g := pool.New().WithContext(t.Context()).WithMaxGoroutines(4)
		cs := all(t, r, engine.Filter{})
		for at := range 4 {
			g.Go(func(ctx context.Context) error { return apply(ctx, r, cs[at*20:at*20+20]) })
		}
		must(t, g.Wait())
		if took := time.Since(began); took != time.Hour {
			t.Errorf("took %v of simulated time, want an hour", took)
		}
		must(t, j.Close())
	})
}

// Of each end of a run people are told once, by the process that it ended in, and
// that is remembered when the run goes on.
func TestRun_tellsOnce(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	r := runOf(t, j, creates(1, 2))
	finish := func(status engine.Status) {
		t.Helper()
		res := r.Result()
		res.Status, res.Finished = status, at()
		must(t, r.Finish(t.Context(), res))
	}
	tell := func(r *journal.Run, end engine.End) bool {
		t.Helper()
		first, err := r.Tell(t.Context(), end)
		must(t, err)
		return first
	}
	finish(engine.StatusFailed)
	stale, err := j.Run(t.Context(), r.ID())
	must(t, err)
	equal(t, "told once", []bool{true, false}, []bool{tell(r, engine.EndFailure), tell(r, engine.EndFailure)})

	must(t, r.Resume(t.Context()))
	equal(t, "by one that lost the run meanwhile", false, tell(stale, engine.EndPartial))
	finish(engine.StatusFailed)
	equal(t, "after it went on", []bool{false, true}, []bool{tell(r, engine.EndFailure), tell(r, engine.EndSuccess)})
	again, err := j.Run(t.Context(), r.ID())
	must(t, err)
	equal(t, "told", []engine.End{engine.EndFailure, engine.EndSuccess}, again.Result().Told)
}
