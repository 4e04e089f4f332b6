package journal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	header := func(app, version uint32) []byte {
		text := make([]byte, 4096)
		copy(text, "SQLite format 3\x00")
		binary.BigEndian.PutUint32(text[60:], version)
		binary.BigEndian.PutUint32(text[68:], app)
		return text
	}
	tests := map[string]struct {
		file []byte
		want string
	}{
		"an empty file":           {nil, "is damaged: ends after 0 bytes"},
		"a stub of a file":        {[]byte("SQLite format 3\x00"), "is damaged: ends after 16 bytes"},
		"a text file":             {[]byte(strings.Repeat("name;cpf\n", 100)), "is not a bxflow journal"},
		"another SQLite file":     {header(0, 1), "is not a bxflow journal"},
		"a file of zeros":         {make([]byte, 8192), "is not a bxflow journal"},
		"a header without a body": {header(0x6278666a, 1), "is damaged"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, journal.FileName)
			must(t, os.WriteFile(path, tt.file, 0o600))
			j, err := journal.Open(t.Context(), dir)
			if err == nil {
				_ = j.Close()
				t.Fatal("it was opened")
			}
			if !strings.HasPrefix(err.Error(), path+": "+tt.want) {
				t.Errorf("got %q, want %q", err, path+": "+tt.want)
			}
			left, err := os.ReadFile(path)
			must(t, err)
			if !slices.Equal(left, tt.file) {
				t.Error("the file was written to")
			}
		})
	}
}

func TestOpen_refusesANewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, openIn(t, dir).Close())
	path := filepath.Join(dir, journal.FileName)
	text, err := os.ReadFile(path)
	must(t, err)
	binary.BigEndian.PutUint32(text[60:], 99)
	must(t, os.WriteFile(path, text, 0o600))
	_, err = journal.Open(t.Context(), dir)
	want := path + ": has format 99, and this bxflow knows formats up to 4; use a newer bxflow"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// seen is all that a reader can learn of a journal.
type seen struct {
	Runs    []engine.Result
	Header  *engine.Header
	Changes []*engine.Change
}

// read opens a journal and reads all of it, the first error ends it.
func read(tb testing.TB, dir string) (s seen, err error) {
	tb.Helper()
	j, err := journal.Open(tb.Context(), dir)
	if err != nil {
		return s, err
	}
	defer j.Close()
	r, err := j.Run(tb.Context(), "")
	if err != nil {
		return s, err
	}
	return look(tb.Context(), j, r)
}

func look(ctx context.Context, j *journal.Journal, r *journal.Run) (s seen, err error) {
	if s.Runs, err = j.Runs(ctx); err != nil {
		return s, err
	}
	s.Header = r.Header()
	for c, err := range r.Changes(ctx, engine.Filter{}) {
		if err != nil {
			return s, err
		}
		s.Changes = append(s.Changes, c)
	}
	return s, nil
}

// dying is the log of a run that notes what the journal holds after each call,
// and whose process dies just before one: nothing is recorded from then on.
type dying struct {
	*journal.Run

	j      *journal.Journal
	mu     sync.Mutex
	left   int // calls until it dies
	states []seen
}

var errDead = errors.New("dead")

func (d *dying) note(ctx context.Context, record func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return errDead
	}
	if err := record(); err != nil {
		return err
	}
	s, err := look(ctx, d.j, d.Run)
	d.states = append(d.states, s)
	return err
}

func (d *dying) Sent(ctx context.Context, cs []*engine.Change, at time.Time) error {
	return d.note(ctx, func() error { return d.Run.Sent(ctx, cs, at) })
}

func (d *dying) Settle(ctx context.Context, cs []*engine.Change) error {
	return d.note(ctx, func() error { return d.Run.Settle(ctx, cs) })
}

func (d *dying) Finish(context.Context, *engine.Result) error { return errDead }

// wreck is what a process leaves that died while it applied a run: its journal,
// all states that the journal went through, and the portal.
type wreck struct {
	files  map[string][]byte
	states []seen
	portal []byte
	place  *place
	tally  *tally
}

// tally counts what came of damage.
type tally struct{ opened, refused, written atomic.Int64 }

const wreckSecret = "wreck0123456789"

// wreckLimit is how long the portal lets a request run: these tests are in real
// time, and a busy machine may take long.
const wreckLimit = 10 * time.Second

func newWreck(tb testing.TB) *wreck {
	tb.Helper()
	data := filepath.Join(tb.TempDir(), "portal.data")
	p := newPlace(tb, 12, sandbox.Options{DataFile: data, Secret: wreckSecret, RequestLimit: wreckLimit})
	dir := tb.TempDir()
	now := p.start(dir)
	now.batch = 4
	r := now.begin()
	log := &dying{Run: r, j: now.journal, left: 9}
	must(tb, log.note(tb.Context(), func() error { return nil }))
	if _, err := now.apply(tb.Context(), r, log, false); !errors.Is(err, errDead) {
		tb.Fatalf("the run ends with %v", err)
	}
	w := &wreck{files: filesOf(tb, dir), states: log.states, place: p, tally: &tally{}}
	var err error
	w.portal, err = os.ReadFile(data)
	must(tb, err)
	if made := len(p.made()); made == 0 || made == 2*p.rows {
		tb.Fatalf("%d of %d items were made", made, 2*p.rows)
	}
	return w
}

// folded is the wreck of a process that died with its log folded into the file,
// which then is all there is.
func (w *wreck) folded(tb testing.TB) *wreck {
	tb.Helper()
	dir := folderOf(tb, w.files)
	must(tb, openIn(tb, dir).Close())
	f := *w
	f.files, f.states = filesOf(tb, dir), w.states[len(w.states)-1:]
	if len(f.files) != 1 {
		tb.Fatalf("there are %d files", len(f.files))
	}
	return &f
}

// with is the wreck's files with another content of one.
func (w *wreck) with(name string, text []byte) map[string][]byte {
	files := maps.Clone(w.files)
	files[name] = text
	return files
}

// try opens damaged files twice. To be read: all of it is as it once was, or it
// is refused. To go on with the run: what is refused sends nothing, and
// otherwise nothing is written twice, and nothing left out without a word.
func (w *wreck) try(t *testing.T, files map[string][]byte) {
	t.Helper()
	s, err := read(t, folderOf(t, files))
	if !known(s, err, w.states) {
		t.Fatalf("it is read as nothing that ever was: %v, %d changes", err, len(s.Changes))
	}
	p := &place{t: t, rows: w.place.rows, o: w.place.o}
	res, going := w.goOn(p, folderOf(t, files))
	var history []sandbox.Effect
	if p.box != nil {
		defer p.box.Close()
		history = p.box.History()
	}
	var damaged *journal.DamagedError
	switch {
	case going != nil && !known(seen{}, going, nil):
		t.Errorf("going on ends with %v", going)
	case err != nil && len(history) > 0:
		t.Errorf("it is refused (%v), and going on wrote %d times (%v)", err, len(history), going)
	case errors.As(going, &damaged) && len(history) > 0:
		t.Errorf("going on ends with %v, after it wrote %d times", going, len(history))
	}
	if err == nil {
		w.tally.opened.Add(1)
	} else {
		w.tally.refused.Add(1)
	}
	w.tally.written.Add(int64(len(history)))
	if p.box == nil {
		return
	}
	made := map[string]int{}
	for _, entity := range []string{"contact", "dynamic_128"} {
		for _, item := range p.items(entity) {
			made[fmt.Sprint(item["name"], item["title"])]++
		}
	}
	for n := range p.rows {
		for _, name := range []string{fmt.Sprintf("Cliente %d<nil>", n), fmt.Sprintf("<nil>Card of Cliente %d", n)} {
			if made[name] > 1 || made[name] == 0 && res != nil && res.Status == engine.StatusSucceeded {
				t.Errorf("%s was made %d times; the run ended %+v", name, made[name], res)
			}
		}
	}
}

// goOn does what the program does with a run that did not end, once it may send
// something on a portal of its own.
func (w *wreck) goOn(p *place, dir string) (*engine.Result, error) {
	j, err := journal.Open(p.t.Context(), dir)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	open, err := j.Unfinished(p.t.Context())
	if err != nil || len(open) == 0 {
		return nil, err
	}
	if err := open[0].Resume(p.t.Context()); err != nil {
		return nil, err
	}
	data := filepath.Join(p.t.TempDir(), "portal.data")
	must(p.t, os.WriteFile(data, w.portal, 0o600))
	p.box, err = sandbox.New(sandbox.Options{DataFile: data, Secret: wreckSecret, RequestLimit: wreckLimit, History: true})
	must(p.t, err)
	now := &process{place: p, Client: p.client(&wire{RoundTripper: p.box.Transport()}), journal: j}
	return now.apply(p.t.Context(), open[0], open[0], true)
}

// known says whether s is one of the states, or damage was found instead, or
// the run is not there yet.
func known(s seen, err error, states []seen) bool {
	if err != nil {
		var damaged *journal.DamagedError
		var unknown *journal.UnknownError
		return errors.As(err, &damaged) || errors.As(err, &unknown) ||
			strings.Contains(err.Error(), "is not a bxflow journal") || strings.Contains(err.Error(), "use a newer bxflow")
	}
	return slices.ContainsFunc(states, func(k seen) bool { return reflect.DeepEqual(k, s) })
}

// places are bytes of a text of that length: some of all, and some of the last
// pages. With BXFLOW_PROOF=long it is every byte of the last pages, which takes
// about an hour: go test ./engine/journal -run damage -timeout 3h.
func places(length, some int) []int {
	const last = 3 * 4096
	var places []int
	spread := func(from, some int) {
		step := max((length-from)/some, 1) | 1 // odd, so that all parts of a page have their turn
		for at := from; at < length; at += step {
			places = append(places, at)
		}
	}
	if os.Getenv("BXFLOW_PROOF") == "long" {
		spread(0, 20*some)
		spread(max(length-last, 0), last)
	} else {
		spread(0, some)
		spread(max(length-last, 0), some)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// Whatever is cut from or altered at the ends of a journal's files, it is opened
// as it once was or refused, and going on doubles nothing.
func TestJournal_damage(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	t.Cleanup(func() {
		opened, refused, written := w.tally.opened.Load(), w.tally.refused.Load(), w.tally.written.Load()
		t.Logf("%d were opened, %d refused; what was opened wrote %d times", opened, refused, written)
		if opened < 30 || refused < 30 || written < opened {
			t.Error("that tests too little")
		}
	})
	wrecks := map[string]*wreck{journal.FileName + "-wal": w, journal.FileName: w.folded(t)}
	for name, w := range wrecks {
		text := w.files[name]
		for _, at := range places(len(text), 14) {
			t.Run(fmt.Sprintf("%s cut after %d bytes", name, at), func(t *testing.T) {
				t.Parallel()
				w.try(t, w.with(name, text[:at]))
			})
			t.Run(fmt.Sprintf("%s with another byte %d", name, at), func(t *testing.T) {
				t.Parallel()
				flipped := slices.Clone(text)
				flipped[at] ^= 1 << rand.New(rand.NewPCG(uint64(at), 0)).IntN(8)
				w.try(t, w.with(name, flipped))
			})
		}
	}
}

// A run is gone on with only if all of its record is sound, that too which the
// rest of the run would not read: what is done already, and each index.
func TestResume_refusesDamage(t *testing.T) {
	t.Parallel()
	w := newWreck(t).folded(t)
	text := w.files[journal.FileName]
	ref := []byte("client@rows.csv:2")
	found, refused := 0, 0
	for at := 0; ; at++ {
		next := bytes.Index(text[at:], ref)
		if next < 0 {
			break
		}
		at += next
		found++
		damaged := slices.Clone(text)
		damaged[at+3] ^= 1
		j, err := journal.Open(t.Context(), folderOf(t, w.with(journal.FileName, damaged)))
		must(t, err)
		open, err := j.Unfinished(t.Context())
		must(t, err)
		err = open[0].Resume(t.Context())
		must(t, j.Close())
		if known(seen{}, err, nil) {
			refused++
		} else if s, err2 := read(t, folderOf(t, w.with(journal.FileName, damaged))); err != nil || !known(s, err2, w.states) {
			t.Errorf("place %d: got %v", at, err) // and it is not what was left of a page's earlier content
		}
	}
	if refused < 3 { // the change that makes it, one that needs it, an index
		t.Errorf("%d of %d places were noticed", refused, found)
	}
}
