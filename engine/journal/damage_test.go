package journal_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
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
	want := path + ": has format 99, and this bxflow knows formats up to 2; use a newer bxflow"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// seen is all that a reader can learn of a journal.
type seen struct {
	Runs    []engine.Result
	Header  *engine.Header
	Changes []*engine.Change
	Totals  []engine.Total
}

// read opens a journal and reads all of it, the first error ends it.
func read(tb testing.TB, dir string) (s seen, err error) {
	tb.Helper()
	j, err := journal.Open(tb.Context(), dir)
	if err != nil {
		return s, err
	}
	defer j.Close()
	if s.Runs, err = j.Runs(tb.Context()); err != nil {
		return s, err
	}
	r, err := j.Run(tb.Context(), "")
	if err != nil {
		return s, err
	}
	s.Header = r.Header()
	for c, err := range r.Changes(tb.Context(), engine.Filter{}) {
		if err != nil {
			return s, err
		}
		s.Changes = append(s.Changes, c)
	}
	_, err = r.Made(tb.Context(), []string{"client@clients.csv:2"})
	return s, err
}

// recorded is a journal of a run that has sent one change after another and a
// list of what it held after each of these steps.
func recorded(tb testing.TB) (dir string, states []seen) {
	tb.Helper()
	dir = tb.TempDir()
	j := openIn(tb, dir)
	r := runOf(tb, j, creates(1, 40), others())
	runs, err := j.Runs(tb.Context())
	must(tb, err)
	look := func() {
		states = append(states, seen{Runs: runs, Header: r.Header(), Changes: all(tb, r, engine.Filter{})})
	}
	look()
	for _, c := range all(tb, r, engine.Filter{Limit: 20}) {
		must(tb, r.Sent(tb.Context(), []*engine.Change{c}, at()))
		look()
	}
	return dir, states
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

func TestJournal_cutWriteAheadLog(t *testing.T) {
	t.Parallel()
	dir, states := recorded(t)
	wal, err := os.ReadFile(filepath.Join(dir, journal.FileName+"-wal"))
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		at := len(wal) - rng.IntN(len(wal)/2) - 1
		copied := copyOf(t, dir)
		must(t, os.WriteFile(filepath.Join(copied, journal.FileName+"-wal"), wal[:at], 0o600))
		if s, err := read(t, copied); !known(s, err, states) {
			t.Fatalf("cut after %d of %d bytes: %v, %d changes", at, len(wal), err, len(s.Changes))
		}
		flipped := slices.Clone(wal)
		flipped[at] ^= 1 << rng.IntN(8)
		copied = copyOf(t, dir)
		must(t, os.WriteFile(filepath.Join(copied, journal.FileName+"-wal"), flipped, 0o600))
		if s, err := read(t, copied); !known(s, err, states) {
			t.Fatalf("byte %d of %d altered: %v, %d changes", at, len(wal), err, len(s.Changes))
		}
	}
}

func TestJournal_damagedFile(t *testing.T) {
	t.Parallel()
	dir, states := recorded(t)
	folded := copyOf(t, dir)
	if s, err := read(t, folded); err != nil || !known(s, nil, states[len(states)-1:]) { // folds the log in
		t.Fatalf("the whole journal reads otherwise: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(folded, journal.FileName))
	must(t, err)
	rng := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for n := range 120 {
		damaged := slices.Clone(text)
		at := rng.IntN(len(text))
		switch n % 4 {
		case 0:
			damaged = damaged[:at]
		case 1:
			at = rng.IntN(4096) // the schema
			fallthrough
		default:
			damaged[at] ^= 1 << rng.IntN(8)
		}
		to := t.TempDir()
		must(t, os.WriteFile(filepath.Join(to, journal.FileName), damaged, 0o600))
		s, err := read(t, to)
		if !known(s, err, states[len(states)-1:]) {
			t.Fatalf("damage %d at byte %d of %d: %v\n%s", n, at, len(text), err, cmp.Diff(states[len(states)-1], s))
		}
		if err != nil {
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("only %d of 120 damaged files were refused", refused)
	}
}
