package report_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

func testRun(tb testing.TB) report.Run {
	tb.Helper()
	cs := testChanges()
	for _, c := range cs {
		if c.Kind.Writes() {
			c.State = engine.StateDone
		}
	}
	cs[2].State, cs[2].Error = engine.StateFailed, `crm.item.update: ERROR_CORE: Field "E-mail" → не верно`
	cs[2].Line, cs[2].Row = 3, []string{"Joao", "1,5", "old", "a;b\nc"}
	cs[4].State, cs[4].Reason = engine.StateConflict, `stageId: is "DT128_42:FAIL" now; the plan saw "DT128_42:NEW"`
	started := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return report.Run{
		Result: &engine.Result{
			Format: 1, Run: "0199bb-run", Plan: "0199aa-plan", Job: "onboarding", Portal: "https://sandbox/rest/1/***/",
			Status: engine.StatusPartial, Started: started, Finished: started.Add(75 * time.Second),
			Steps: []engine.StepResult{
				{ID: "client", Verb: "import", Entity: "contact", Created: 1, Unchanged: 1, Failed: 2},
				{ID: "card", Verb: "create", Entity: "Onboarding", Created: 1, Skipped: 1},
				{ID: "move", Verb: "move", Entity: "Onboarding", Conflicts: 1},
			},
			Usage:   engine.Usage{Requests: 8, Commands: 190, Rejected: 1, Retried: 2},
			Seconds: 75,
		},
		Changes: cs, Rows: 20,
		Next: "bxflow show 0199bb --failed --format csv > failed.csv",
	}
}

func TestRun_goldens(t *testing.T) {
	t.Parallel()

	tests := map[string]func(report.Run, *bytes.Buffer) error{
		"run.txt": func(r report.Run, b *bytes.Buffer) error { return r.Text(t.Context(), b, report.Terminal{}) },
		"run-80.txt": func(r report.Run, b *bytes.Buffer) error {
			return r.Text(t.Context(), b, report.Terminal{Width: 80, Color: true})
		},
		"run-failed.txt": func(r report.Run, b *bytes.Buffer) error {
			r.Rows = 1
			r.Result.Status, r.Result.Error = engine.StatusFailed, "more than 50 rows failed"
			return r.Text(t.Context(), b, report.Terminal{Width: 80})
		},
		"run.json": func(r report.Run, b *bytes.Buffer) error { return r.JSON(b) },
		"failed.csv": func(r report.Run, b *bytes.Buffer) error {
			files := []engine.FileInfo{{Path: "data/clients.csv", Columns: []string{"nome", "celular", "_error", "cidade"}, Delimiter: ";", Encoding: "windows-1252"}}
			_, err := report.Failed(b, files, report.FailedChanges(t.Context(), r.Changes, ""))
			return err
		},
	}
	for name, write := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var b bytes.Buffer
			if err := write(testRun(t), &b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestList_writes(t *testing.T) {
	t.Parallel()

	l := report.List{
		Columns: []string{"name", "id", "read_only"},
		Rows:    [][]any{{"=HYPERLINK(1)", 42, true}, {"-1 +2", nil, false}, {"esc \x1b[2J", 7, false}},
		Right:   []string{"id"},
	}
	tests := map[string]struct {
		write func(*bytes.Buffer) error
		want  string
	}{
		"text": {
			write: func(b *bytes.Buffer) error { return l.Text(b, report.Terminal{}) },
			want:  "name           id  read only\n=HYPERLINK(1)  42  yes\n-1 +2\nesc \\x1b[2J     7\n",
		},
		"json": {
			write: func(b *bytes.Buffer) error { return l.JSON(b) },
			want: `[
{"name":"=HYPERLINK(1)","id":42,"read_only":true},
{"name":"-1 +2","id":null,"read_only":false},
{"name":"esc \u001b[2J","id":7,"read_only":false}]
`,
		},
		"csv, with formulas made harmless": {
			write: func(b *bytes.Buffer) error { return l.CSV(b) },
			want:  "name,id,read_only\n'=HYPERLINK(1),42,yes\n-1 +2,,\nesc \\x1b[2J,7,\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRuns_narrow: the id is what the next command needs, whatever else must go.
func TestRuns_narrow(t *testing.T) {
	t.Parallel()

	started := time.Date(2026, 11, 23, 14, 41, 11, 0, time.UTC)
	r := engine.Result{
		Run: "20261123-144111-123-q3wjun6d", Job: "a job with quite a long name", Status: engine.StatusInterrupted,
		Started: started, Finished: started.Add(75 * time.Second), Seconds: 75, Portal: "https://portal.bitrix24.com/rest/1/***/",
		Steps: []engine.StepResult{{Created: 12345, Failed: 3}},
	}
	for width, gone := range map[int][]string{
		80: {"started", "portal"}, 110: {"portal"}, 200: nil,
	} {
		var b bytes.Buffer
		if err := report.Runs([]engine.Result{r}, time.UTC).Text(&b, report.Terminal{Width: width}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for line := range strings.Lines(text) {
			if len([]rune(line)) > width+1 {
				t.Errorf("wider than %d:\n%s", width, text)
			}
		}
		for _, column := range []string{"started", "portal"} {
			if strings.Contains(text, column) == slices.Contains(gone, column) {
				t.Errorf("at %d, without %v:\n%s", width, gone, text)
			}
		}
		if !strings.Contains(text, r.Run) {
			t.Errorf("the id is cut:\n%s", text)
		}
	}
}

func TestPlan_noEscapesReachATerminal(t *testing.T) {
	t.Parallel()

	p := testPlan(t)
	evil := "\x1b]0;owned\x07\u202e"
	p.Header.Job, p.Header.Warnings = "job"+evil, []string{evil}
	p.Header.Steps[0].ID, p.Header.Steps[0].Entity = evil, evil
	for _, c := range p.Changes.(changes) {
		c.Step, c.Entity, c.Source, c.Reason = c.Step+evil, evil, evil, evil
	}
	var b bytes.Buffer
	if err := p.Text(t.Context(), &b, report.Terminal{Width: 80}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07\u202e") {
		t.Errorf("text holds control characters:\n%q", b.String())
	}
}

// Files in several encodings have no code page in common.
func TestFailed_mixedEncodingsAreUTF8(t *testing.T) {
	t.Parallel()

	files := []engine.FileInfo{
		{Path: "a.csv", Columns: []string{"n"}, Delimiter: ";", Encoding: "windows-1252"},
		{Path: "b.csv", Columns: []string{"n"}, Delimiter: ";", Encoding: "windows-1251"},
	}
	rows := func(yield func(*engine.Change, error) bool) {
		_ = yield(&engine.Change{Source: "a.csv:2", Line: 2, Row: []string{"São"}}, nil) &&
			yield(&engine.Change{Source: "b.csv:2", Line: 2, Row: []string{"Анна"}}, nil)
	}
	var b bytes.Buffer
	if _, err := report.Failed(&b, files, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nSão;2;", "\nАнна;2;"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q, want %q in it", b.String(), want)
		}
	}
}

// What failed goes back to where it came from, in the encoding that it came in,
// whatever the portal's messages are written in.
func TestRows_keepTheirEncoding(t *testing.T) {
	t.Parallel()

	tests := map[string]string{ // a row's cell in the encoding
		"windows-1252": "S\xe3o", "cp850": "S\xc6o", "utf-16le": "S\x00\xe3\x00o\x00", "utf-8": "São",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			h := &engine.Header{
				Files: []engine.FileInfo{{Path: "łódź.csv", Columns: []string{"n"}, Delimiter: ";", Encoding: name}},
				Steps: []engine.StepSummary{{ID: "client"}},
			}
			rows := func(yield func(*engine.Change, error) bool) {
				_ = yield(&engine.Change{
					Step: "client", Kind: engine.KindCreate, State: engine.StateFailed, Error: "не верно",
					Source: "łódź.csv:2", Line: 2, Row: []string{"São"},
				}, nil)
			}
			var failed, result bytes.Buffer
			if _, err := report.Failed(&failed, h.Files, rows); err != nil || !strings.Contains(failed.String(), want) {
				t.Errorf("failed rows: %v, %q, want %q in it", err, failed.String(), want)
			}
			made := func([]string) (map[string]engine.Made, error) { return nil, nil }
			if err := report.ResultCSV(&result, h, rows, made); err != nil || !strings.Contains(result.String(), want) {
				t.Errorf("result: %v, %q, want %q in it", err, result.String(), want)
			}
		})
	}
}
