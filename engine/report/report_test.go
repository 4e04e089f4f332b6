package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

func TestDuration(t *testing.T) {
	t.Parallel()

	tests := map[float64]string{
		0: "under 0.1 s", 0.44: "0.4 s", 1: "1 s", 9.94: "9.9 s", 59.4: "59 s", 60: "1 min", 75.2: "1 min 15 s",
		3599.9: "1 h", 7500: "2 h 5 min",
	}
	for seconds, want := range tests {
		if got := report.Duration(seconds); got != want {
			t.Errorf("duration(%v) = %q, want %q", seconds, got, want)
		}
	}
}

// Whatever comes in, what goes to a terminal is text that it shows, and what it
// could show all along is left as it is.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "Ana", "\x1b[31m", "\u202e", "a\nb\tc\r\n", "\xff\xfe", "日本", "\u009b2J", "\U000e0001\ufeff\u2028\u00ad\u00a0", "a\\x1b", "é\u0301"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := func(text, kept string) bool {
			return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(kept, r) })
		}
		got, lines := report.Clean(s), report.CleanLines(s)
		if !shown(got, "") || !shown(lines, "\n\t") || strings.Count(lines, "\n") != strings.Count(s, "\n") {
			t.Errorf("%q is shown as %q, and in lines as %q", s, got, lines)
		}
		if report.Clean(got) != got || report.CleanLines(lines) != lines || shown(s, "") && got != s || shown(s, "\n\t") && lines != s {
			t.Errorf("%q is shown as %q, and in lines as %q, and then otherwise", s, got, lines)
		}
	})
}

// A JSON text says the same when it is made harmless.
func FuzzCleanJSON(f *testing.F) {
	for _, seed := range []string{"{\n\t\"a\": \"é日😀\"\n}", "\"\u009b2J\u202e\"", "\"\U000e0001\"", "[1, \"\\u001b\", null]", "\"\xff\"", "{\"\u00ad\":\"\x7f\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := report.CleanJSON(bytes.Clone(raw))
		if i := bytes.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(" \t\r\n", r) }); i >= 0 || !utf8.Valid(got) {
			t.Fatalf("%q becomes %q", raw, got)
		}
		var want, have any
		if json.Unmarshal(raw, &want) != nil {
			return
		}
		if err := json.Unmarshal(got, &have); err != nil || !cmp.Equal(want, have) {
			t.Fatalf("%q becomes %q: %v", raw, got, err)
		}
	})
}

func TestCleanLines(t *testing.T) {
	t.Parallel()

	if got, want := report.CleanLines("a\x1b[2J\n\tb\u009b\r\n"), "a\\x1b[2J\n\tb\\x9b\\x0d\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCleanJSON(t *testing.T) {
	t.Parallel()

	tests := map[string]string{
		"{\n\t\"a\": \"é日😀\"\n}": "{\n\t\"a\": \"é日😀\"\n}",
		"\"\u009b2J\u202e\"":     `"\u009b2J\u202e"`,
		"\"\U000e0001\"":         `"\udb40\udc01"`,
	}
	for raw, want := range tests {
		if got := string(report.CleanJSON([]byte(raw))); got != want {
			t.Errorf("CleanJSON(%q) = %q, want %q", raw, got, want)
		}
	}
}

// TestPlan_longTextsAreCut: a cell may hold a book, and its line stays a line.
func TestPlan_longTextsAreCut(t *testing.T) {
	t.Parallel()

	p := testPlan(t)
	book := strings.Repeat("word ", 14_000)
	for _, c := range p.Changes.(changes) {
		for name := range c.Fields {
			c.Fields[name] = engine.FieldChange{Before: book, After: "x" + book}
		}
		c.Reason = book
	}
	for name, terminal := range map[string]report.Terminal{"a file": {}, "a wide terminal": {Width: 400}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var b bytes.Buffer
			if err := p.Text(t.Context(), &b, terminal); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(line); n > 520 {
					t.Errorf("a line of %d characters: %s…", n, line[:60])
				}
			}
		})
	}
	var b bytes.Buffer
	if err := p.JSON(t.Context(), &b); err != nil || !strings.Contains(b.String(), book) {
		t.Errorf("the JSON has cut texts: %v", err)
	}
}

// TestText_noEmptyTable: where there are no steps to sum up, no line is kept
// free for them.
func TestText_noEmptyTable(t *testing.T) {
	t.Parallel()

	p := testPlan(t)
	p.Header.Steps, p.Header.Summary, p.Header.Warnings, p.Header.Cleared = nil, engine.Counts{}, nil, 0
	r := testRun(t)
	r.Result.Steps = nil
	var b bytes.Buffer
	if err := errors.Join(p.Text(t.Context(), &b, report.Terminal{}), r.Text(t.Context(), &b, report.Terminal{})); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\n\n\n") || !strings.Contains(b.String(), "\n\nNothing to change.\n") {
		t.Errorf("the texts are:\n%s", b.String())
	}
}

// broken are changes that can't be read to their end.
type broken struct{ err error }

// Changes implements [engine.Changes].
func (b broken) Changes(context.Context, engine.Filter) iter.Seq2[*engine.Change, error] {
	return func(yield func(*engine.Change, error) bool) { yield(nil, b.err) }
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no space left")

// Write implements [io.Writer].
func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReports_passErrorsOn(t *testing.T) {
	t.Parallel()

	damaged := errors.New("row 7 is damaged")
	for name, tt := range map[string]struct {
		changes engine.Changes
		sink    interface{ Write(p []byte) (int, error) }
		want    error
	}{
		"changes that can't be read": {broken{damaged}, &bytes.Buffer{}, damaged},
		"a disk without room":        {testChanges(), full{}, errFull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p, r := testPlan(t), testRun(t)
			p.Changes, r.Changes = tt.changes, tt.changes
			_, failed := report.Failed(tt.sink, nil, report.FailedChanges(t.Context(), tt.changes, ""))
			for kind, err := range map[string]error{
				"plan text":   p.Text(t.Context(), tt.sink, report.Terminal{}),
				"plan JSON":   p.JSON(t.Context(), tt.sink),
				"plan HTML":   p.HTML(t.Context(), tt.sink),
				"plan CSV":    p.CSV(t.Context(), tt.sink),
				"run text":    r.Text(t.Context(), tt.sink, report.Terminal{}),
				"failed rows": failed,
				"failed JSON": report.FailedJSON(tt.sink, r.Result, report.FailedChanges(t.Context(), tt.changes, "")),
			} {
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: error %v, want %v", kind, err, tt.want)
				}
			}
		})
	}
}
