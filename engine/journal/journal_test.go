package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/journal"
)

// at is when the tests' plans are made and applied.
func at() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }

func openIn(tb testing.TB, dir string) *journal.Journal {
	tb.Helper()
	j, err := journal.Open(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close() })
	return j
}

func header() *engine.Header {
	return &engine.Header{
		Job: "onboarding", JobFile: "onboarding.yaml", Params: map[string]string{"file": "clients <1>.csv"},
		Portal:  engine.PortalInfo{Address: "https://host/rest/1/***/", ID: "host/1", UserID: 1},
		Created: at(), Expires: at().Add(24 * time.Hour), Rows: 2,
		Steps: []engine.StepSummary{{ID: "client", Verb: "import", Entity: "contact"}},
	}
}

// create is the n-th change of a test plan: it makes a contact.
func create(n int) *engine.Change {
	source := fmt.Sprintf("clients.csv:%d", n+1)
	return &engine.Change{
		Step: "client", Kind: engine.KindCreate, Entity: "contact", TypeID: engine.TypeContact,
		Ref: "client@" + source, Source: source, Key: fmt.Sprintf("%011d", n), ExternalKey: fmt.Sprintf("x%08d", n), KeyField: "originId", Match: []string{"name"},
		Line: n + 1, Row: []string{"Ana", "12345678900"},
		Fields: map[string]engine.FieldChange{
			"name":                   {After: fmt.Sprintf("Cliente %d", n)},
			"ufCrm_1737980095947":    {After: fmt.Sprintf("%011d", n)},
			"opportunity":            {After: 12.0},
			"assignedById":           {After: int64(7)},
			"birthdate":              {After: "1990-02-03"},
			"phone":                  {Add: []engine.MultiValue{{Type: "WORK", Value: "+5511999"}}},
			"sourceDescription":      {After: "line one\nline \"two\" <b>"},
			"ufCrm_1737980412420":    {Before: int64(81), After: []any{int64(1), "b", true, nil}},
			"ufCrm_1737980412421":    {After: expression.Ref{Step: "firm@clients.csv:2"}},
			"ufCrm_1737980412422":    {After: expression.Text{Parts: []any{"Card of ", expression.Ref{Step: "firm@x:1"}}}},
			"ufCrm_1737980412423":    {Before: []engine.MultiValue{{ID: 4, Value: "a@b.c"}}, After: []engine.MultiValue{}},
			"ufCrm_1737980412424":    {Before: map[string]any{"$ref": "no ref", "n": 1e300}, After: nil},
			"ufCrm_1737980412425_ёé": {Before: false, After: 0.1},
		},
		Needs: []string{"firm@clients.csv:2"},
	}
}

func creates(from, to int) []*engine.Change {
	var cs []*engine.Change
	for n := from; n <= to; n++ {
		cs = append(cs, create(n))
	}
	return cs
}

// others are one change of each kind but create.
func others() []*engine.Change {
	return []*engine.Change{
		{Step: "card", Index: 1, Kind: engine.KindUpdate, Entity: "Onboarding", TypeID: 128, ID: 5, Source: "a.csv:2"},
		{Step: "card", Index: 1, Kind: engine.KindMove, Entity: "contact", TypeID: 3, Ref: "client@clients.csv:2"},
		{Step: "card", Index: 1, Kind: engine.KindDelete, Entity: "Onboarding", TypeID: 128, ID: 6},
		{Step: "card", Index: 1, Kind: engine.KindNone, Entity: "Onboarding", TypeID: 128, ID: 5},
		{Step: "card", Index: 1, Kind: engine.KindSkip, Entity: "Onboarding", TypeID: 128, Reason: "no"},
		{Step: "card", Index: 1, Kind: engine.KindInvalid, Reason: "bad", Row: []string{"=1+1", "ё"}},
		{Step: "card", Index: 1, Kind: engine.KindConflict, Entity: "Onboarding", TypeID: 128, ID: 9},
	}
}

func draftOf(tb testing.TB, j *journal.Journal, batches ...[]*engine.Change) engine.Draft {
	tb.Helper()
	d, err := j.NewDraft(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, cs := range batches {
		if err := d.Append(tb.Context(), cs); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func planOf(tb testing.TB, j *journal.Journal, batches ...[]*engine.Change) *journal.Plan {
	tb.Helper()
	h := header()
	if err := draftOf(tb, j, batches...).Seal(tb.Context(), h); err != nil {
		tb.Fatal(err)
	}
	p, err := j.Plan(tb.Context(), h.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func runOf(tb testing.TB, j *journal.Journal, batches ...[]*engine.Change) *journal.Run {
	tb.Helper()
	r, err := j.Begin(tb.Context(), planOf(tb, j, batches...).ID(), at())
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func all(tb testing.TB, cs engine.Changes, f engine.Filter) []*engine.Change {
	tb.Helper()
	var list []*engine.Change
	for c, err := range cs.Changes(tb.Context(), f) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func seqs(cs []*engine.Change) []int64 {
	var list []int64
	for _, c := range cs {
		list = append(list, c.Seq)
	}
	return list
}

func equal(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestOpen_makesPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state #1?%20", "ё")
	j := openIn(t, dir)
	planOf(t, j, creates(1, 3))
	want := map[string]os.FileMode{
		"": 0o700, journal.FileName: 0o600, journal.FileName + "-wal": 0o600, "journal.lock": 0o600, "scratch.lock": 0o600,
	}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, want %v", name, info.Mode().Perm(), mode)
		}
	}
	must(t, j.Close())
	left, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	equal(t, "files after Close", []string{"journal.db", "journal.lock", "scratch.lock"}, names)
}

func TestDraft_keepsChangesAsTheyAre(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	put := append(creates(1, 3), others()...)
	d := draftOf(t, j, put[:2], nil, put[2:])
	equal(t, "numbers", []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, seqs(put))
	equal(t, "changes of the draft", put, all(t, d, engine.Filter{}))

	h := header()
	must(t, d.Seal(t.Context(), h))
	p, err := j.Plan(t.Context(), h.ID[:12])
	must(t, err)
	equal(t, "header", h, p.Header())
	equal(t, "changes of the plan", put, all(t, p, engine.Filter{}))
	if h.Format != engine.PlanFormat || h.ID == "" || p.ID() != h.ID {
		t.Errorf("Seal left the header incomplete: %+v", h)
	}
}

// TestDraft_keepsEveryField fails when a change gets a field that is not kept.
func TestDraft_keepsEveryField(t *testing.T) {
	t.Parallel()
	c := &engine.Change{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, engine.Kind, engine.State:
			f.SetString(v.Type().Field(i).Name)
		case int, int64:
			f.SetInt(int64(i + 1))
		case bool:
			f.SetBool(true)
		case []string:
			f.Set(reflect.ValueOf([]string{"a", "b\n"}))
		case map[string]engine.FieldChange:
			f.Set(reflect.ValueOf(create(1).Fields))
		default:
			t.Fatalf("this test does not know how to fill a %s", f.Type())
		}
	}
	c.Kind = engine.KindCreate
	j := openIn(t, t.TempDir())
	r := runOf(t, j, []*engine.Change{c})
	must(t, r.Sent(t.Context(), []*engine.Change{c}, at()))
	equal(t, "change of a run", []*engine.Change{c}, all(t, r, engine.Filter{}))

	var file bytes.Buffer
	must(t, j.Export(t.Context(), planOf(t, j, []*engine.Change{c}), &file))
	p, err := openIn(t, t.TempDir()).Import(t.Context(), &file)
	must(t, err)
	c.Attempt, c.SentAt, c.Error, c.Warnings = 0, 0, "", "" // a run's, not a plan's
	equal(t, "change of a saved plan", []*engine.Change{c}, all(t, p, engine.Filter{}))
}

func TestChanges_filters(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	p := planOf(t, j, creates(1, 3), others())
	tests := map[string]struct {
		filter engine.Filter
		want   []int64
	}{
		"by kind":             {engine.Filter{Kinds: []engine.Kind{engine.KindMove, engine.KindSkip}}, []int64{5, 8}},
		"by state":            {engine.Filter{States: []engine.State{engine.StateFailed}}, []int64{9}},
		"by open states":      {engine.Filter{States: []engine.State{engine.StatePlanned, engine.StateSent}}, []int64{1, 2, 3, 4, 5, 6}},
		"by mixed states":     {engine.Filter{States: []engine.State{engine.StatePlanned, engine.StateSkipped}}, []int64{1, 2, 3, 4, 5, 6, 8}},
		"by step":             {engine.Filter{Step: "card", Limit: 2}, []int64{4, 5}},
		"from a place on":     {engine.Filter{After: 8}, []int64{9, 10}},
		"up to a limit":       {engine.Filter{Limit: 3}, []int64{1, 2, 3}},
		"everything together": {engine.Filter{Step: "card", Kinds: []engine.Kind{engine.KindUpdate}, After: 3, Limit: 9}, []int64{4}},
		"nothing":             {engine.Filter{Step: "' OR 1=1 --"}, nil},
		"past the end":        {engine.Filter{After: 10}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			equal(t, "changes", tt.want, seqs(all(t, p, tt.filter)))
		})
	}
}

func TestChanges_pagesWithoutHoldingTheDatabase(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	r := runOf(t, j, creates(1, 2500))
	n := 0
	for c, err := range r.Changes(t.Context(), engine.Filter{States: []engine.State{engine.StatePlanned}}) {
		must(t, err)
		if n++; c.Seq%500 == 0 { // the one connection is free, and what is read goes on
			must(t, r.Sent(t.Context(), []*engine.Change{c}, at()))
		}
	}
	if n != 2500 {
		t.Errorf("read %d changes, want 2500", n)
	}
	for _, limit := range []int{1000, 1500, 2499} {
		if got := len(all(t, r, engine.Filter{Limit: limit})); got != limit {
			t.Errorf("read %d changes, want %d", got, limit)
		}
	}
}

func TestDraft_indexIsAMap(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	d, other := draftOf(t, j), draftOf(t, j)
	a, b, c := engine.HashOf("a", 1), engine.HashOf("b"), engine.HashOf("c")
	must(t, d.Put(t.Context(), map[engine.Hash][]byte{a: []byte("1"), b: nil}))
	must(t, d.Put(t.Context(), map[engine.Hash][]byte{a: []byte("2")}))
	must(t, other.Put(t.Context(), map[engine.Hash][]byte{c: []byte("3")}))
	got, err := d.Get(t.Context(), []engine.Hash{a, b, c, a})
	must(t, err)
	equal(t, "entries", map[engine.Hash][]byte{a: []byte("2"), b: {}}, got)
	got, err = d.Get(t.Context(), nil)
	must(t, err)
	equal(t, "no entries", map[engine.Hash][]byte{}, got)
}

func TestDraft_findsTheChangesOfAnItem(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	d := draftOf(t, j, creates(1, 3), others(), others())
	tests := map[string]struct {
		items []engine.ItemKey
		want  []int64
	}{
		"one that there is":    {[]engine.ItemKey{{TypeID: 128, ID: 5}}, []int64{4, 11}},
		"one that is planned":  {[]engine.ItemKey{{TypeID: 3, Ref: "client@clients.csv:2"}}, []int64{1, 5, 12}},
		"several, each once":   {[]engine.ItemKey{{TypeID: 128, ID: 6}, {TypeID: 128, ID: 5}, {TypeID: 128, ID: 6}}, []int64{4, 6, 11, 13}},
		"of another entity":    {[]engine.ItemKey{{TypeID: 3, ID: 5}}, nil},
		"none for an empty id": {[]engine.ItemKey{{TypeID: 128}}, nil},
		"no items":             {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := d.ByItem(t.Context(), tt.items)
			must(t, err)
			equal(t, "changes", tt.want, seqs(got))
		})
	}
}

func TestDraft_rewrites(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	d := draftOf(t, j, creates(1, 1200))
	n := 0
	must(t, d.Rewrite(t.Context(), func(c *engine.Change) bool {
		n++
		if _, err := d.Get(t.Context(), []engine.Hash{engine.HashOf(c.Seq)}); err != nil {
			t.Error(err) // the draft may be asked meanwhile
		}
		c.Kind, c.Reason, c.Fields, c.Needs = engine.KindSkip, "dropped", nil, []string{"x@y:1"}
		return c.Seq%100 == 0
	}))
	if n != 1200 {
		t.Errorf("saw %d changes, want 1200", n)
	}
	skipped := all(t, d, engine.Filter{States: []engine.State{engine.StateSkipped}})
	if len(skipped) != 12 {
		t.Fatalf("%d changes are skipped, want 12", len(skipped))
	}
	want := create(1100)
	want.Seq, want.Kind, want.State, want.Reason, want.Fields = 1100, engine.KindSkip, engine.StateSkipped, "dropped", nil
	want.Needs = []string{"x@y:1"}
	equal(t, "change", want, skipped[10])
}

func TestDraft_refuses(t *testing.T) {
	t.Parallel()
	field := func(v any) *engine.Change {
		c := create(1)
		c.Fields = map[string]engine.FieldChange{"f": {After: v}}
		return c
	}
	tests := map[string]struct {
		change *engine.Change
		want   string
	}{
		"two changes that make one item": {create(2), `change 2 (step client, clients.csv:3): "client@clients.csv:3": another change makes it already`},
		"a value of a foreign type":      {field(struct{}{}), `change 2 (step client, clients.csv:2): field "f": a value of type struct {} cannot be kept`},
		"a number that is none":          {field(1 / zero()), "+Inf is not a number"},
		"text in another encoding":       {field("\xff"), `text "\xff" is not UTF-8`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := draftOf(t, openIn(t, t.TempDir()), creates(2, 2))
			err := d.Append(t.Context(), []*engine.Change{tt.change})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			equal(t, "changes kept", []int64{1}, seqs(all(t, d, engine.Filter{})))
			must(t, d.Append(t.Context(), creates(7, 7))) // it goes on with the right number
			equal(t, "changes kept", []int64{1, 2}, seqs(all(t, d, engine.Filter{})))
		})
	}
}

func zero() float64 { return 0 }

func TestDraft_endsWithSealOrDiscard(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	d := draftOf(t, j, creates(1, 3))
	must(t, d.Discard(t.Context()))
	must(t, d.Discard(t.Context()))
	if err := d.Append(t.Context(), creates(4, 4)); err == nil {
		t.Error("a discarded draft takes changes")
	}
	h := header()
	d = draftOf(t, j, creates(1, 3))
	must(t, d.Seal(t.Context(), h))
	must(t, d.Discard(t.Context()))
	if err := d.Append(t.Context(), creates(4, 4)); err == nil {
		t.Error("a sealed plan takes changes")
	}
	if err := d.Seal(t.Context(), header()); err == nil {
		t.Error("a plan can be sealed twice")
	}
	_, err := j.Plan(t.Context(), h.ID)
	must(t, err)
}

func TestJournal_findsByPrefix(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	var unknown *journal.UnknownError
	if _, err := j.Run(t.Context(), ""); !errors.As(err, &unknown) || err.Error() != "there is no run yet" {
		t.Errorf("got %v", err)
	}
	draftOf(t, j, creates(1, 1)) // is not a plan yet
	if _, err := j.Plan(t.Context(), ""); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
	first, last := runOf(t, j), runOf(t, j)
	got, err := j.Run(t.Context(), "")
	must(t, err)
	equal(t, "last run", last.ID(), got.ID())
	got, err = j.Run(t.Context(), first.ID())
	must(t, err)
	equal(t, "first run", first.ID(), got.ID())
	if _, err = j.Run(t.Context(), "20261123"); !errors.As(err, &unknown) || len(unknown.Fits) != 2 {
		t.Errorf("got %v, want an ambiguous prefix", err)
	}
	if _, err = j.Run(t.Context(), "2026%"); !errors.As(err, &unknown) || len(unknown.Fits) != 0 {
		t.Errorf("got %v, want no run", err)
	}
	if !strings.HasPrefix(first.ID(), "20261123-100000-000-") {
		t.Errorf("id %q does not begin with the time", first.ID())
	}
}

func TestScratch_leavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "scratch-123")
	must(t, os.Mkdir(dead, 0o700))
	must(t, os.WriteFile(filepath.Join(dead, journal.FileName), []byte("x"), 0o600))
	j, err := journal.Scratch(t.Context(), dir)
	must(t, err)
	p := planOf(t, j, creates(1, 100))
	other, err := journal.Scratch(t.Context(), dir) // does not remove the first
	must(t, err)
	must(t, other.Close())
	var file bytes.Buffer
	must(t, j.Export(t.Context(), p, &file))
	must(t, j.Close())
	left, err := filepath.Glob(filepath.Join(dir, "scratch-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestJournal_stopsWhenCancelled(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	r := runOf(t, j, creates(1, 10))
	cs := all(t, r, engine.Filter{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, planErr := j.NewDraft(ctx)
	_, madeErr := r.Made(ctx, []string{"a"})
	_, scratchErr := journal.Open(ctx, t.TempDir())
	var readErr error
	for _, readErr = range r.Changes(ctx, engine.Filter{}) {
	}
	for what, err := range map[string]error{
		"NewDraft": planErr, "Made": madeErr, "Open": scratchErr, "Changes": readErr,
		"Sent": r.Sent(ctx, cs, at()), "Settle": r.Settle(ctx, cs), "Finish": r.Finish(ctx, r.Result()),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
	}
	equal(t, "changes after a cancelled Sent", cs, all(t, r, engine.Filter{}))
	must(t, r.Sent(t.Context(), cs, at())) // the journal goes on
}
