package jobs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// options are those of most tests: all kinds, no parameters, one variable.
func options() jobs.Options {
	return jobs.Options{
		Kinds: steps.All(), Table: steps.EachRow,
		Getenv: func(name string) (string, bool) {
			return "main", name == "TEAM"
		},
	}
}

// parse reads a job that has no faults.
func parse(t *testing.T, text string, o jobs.Options) *engine.Job {
	t.Helper()
	job, err := jobs.Parse("testdata/a.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// problems reads a job that has faults.
func problems(t *testing.T, text string, o jobs.Options) engine.Problems {
	t.Helper()
	_, err := jobs.Parse("a.yaml", []byte(text), o)
	var ps engine.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("got %v, want problems", err)
	}
	return ps
}

// withSteps puts steps below a good head.
func withSteps(text string) string {
	return "version: 1\nname: a\nsteps:\n" + text
}

func TestParse_readsEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/onboarding.yaml")
	if err != nil {
		t.Fatal(err)
	}
	job := parse(t, string(text), options())
	if job.Name != "onboarding" || job.Portal != "sandbox" || job.Dir != "testdata" || job.Mode != engine.ModeApply || len(job.Hash) != 64 {
		t.Errorf("head is %+v", job)
	}
	if diff := cmp.Diff(engine.OnError{StopAfter: 50}, job.OnError); diff != "" {
		t.Errorf("on_error (-want +got):\n%s", diff)
	}
	schedule := &engine.Schedule{Cron: "0 6 * * 1-5", Timezone: "America/Sao_Paulo", Overlap: "skip", CatchUp: "once"}
	if diff := cmp.Diff(schedule, job.Schedule); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
	if len(job.Guards) != 2 || len(job.Streams) != 1 || len(job.Warnings) != 0 {
		t.Fatalf("%d guards, %d streams, warnings %v", len(job.Guards), len(job.Streams), job.Warnings)
	}
	var ids []string
	for i, s := range job.Streams[0].Steps {
		ids = append(ids, s.ID)
		if s.Index != i {
			t.Errorf("index of %s is %d, want %d", s.ID, s.Index, i)
		}
	}
	if diff := cmp.Diff([]string{"client", "card", "update_card", "move_card"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	step, ok := job.Streams[0].Steps[0].Step.(*steps.Import)
	if !ok || step.Entity.Text != "contact" || step.OnMatch != "update" || step.OnMany != "first" || step.Duplicates != "fail" {
		t.Errorf("import is %+v", step)
	}
	if uses := job.Streams[0].Steps[2].Uses(); !cmp.Equal(uses, []string{"card"}) {
		t.Errorf("update uses %v", uses)
	}
}

// Literals keep the text of the file, whatever YAML would make of them.
func TestParse_keepsSourceText(t *testing.T) {
	t.Parallel()
	job := parse(t, withSteps(`
  - read: a.csv
    key: id
  - create: deal
    automation: off
    fields:
      a: 012345
      b: 2026-11-23
      c: yes
      d: 1_000
      e: null
      f: ""
      g: [1, "02", null, '${{ row.x }}']
      h: |
        two
        lines
      i: 1.10
`), options())
	step, ok := job.Streams[0].Steps[0].Step.(*steps.Create)
	if !ok || step.Automation != "off" {
		t.Fatalf("step is %+v", step)
	}
	env := expression.Env{"row": map[string]any{"x": "y"}}
	got := map[string]any{}
	for _, f := range step.Fields {
		value, err := f.Value.Eval(env)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Field.Text] = value
	}
	want := map[string]any{
		"a": "012345", "b": "2026-11-23", "c": "yes", "d": "1_000", "e": nil, "f": "", "g": []any{"1", "02", "y"},
		"h": "two\nlines\n", "i": "1.10",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestParse_matchLists(t *testing.T) {
	t.Parallel()
	tests := map[string][][]string{
		`CPF`:                  {{"CPF"}},
		`[CPF, email]`:         {{"CPF", "email"}},
		`[[CPF, name], email]`: {{"CPF", "name"}, {"email"}},
		`[[CPF], [email]]`:     {{"CPF"}, {"email"}},
	}
	for match, want := range tests {
		t.Run(match, func(t *testing.T) {
			t.Parallel()

			job := parse(t, withSteps("  - read: a.csv\n  - import: contact\n    match: "+match+"\n    fields: {CPF: '1'}\n"), options())
			step, ok := job.Streams[0].Steps[0].Step.(*steps.Import)
			if !ok {
				t.Fatal("no import")
			}
			var got [][]string
			for _, l := range step.Match {
				var names []string
				for _, w := range l {
					names = append(names, w.Text)
				}
				got = append(got, names)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_onError(t *testing.T) {
	t.Parallel()
	tests := map[string]engine.OnError{
		`continue`:          {},
		`stop`:              {Stop: true},
		`{stop_after: 50}`:  {StopAfter: 50},
		`{stop_after: 5%}`:  {StopShare: 0.05},
		`{stop_after: "1"}`: {StopAfter: 1},
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			job := parse(t, "on_error: "+text+"\n"+withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    on_error: "+text), options())
			if diff := cmp.Diff(want, job.OnError); diff != "" {
				t.Errorf("job's (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, job.Streams[0].Steps[0].OnError); diff != "" {
				t.Errorf("step's (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_params(t *testing.T) {
	t.Parallel()
	const text = `
version: 1
name: a
params:
  s: {default: x}
  blank: {default: ""}
  i: {type: int, default: 1}
  f: {type: float, default: 1.5}
  b: {type: bool, default: true}
  d: {type: date, default: 2026-01-02}
  e: {type: enum, values: [hot, cold], default: hot}
  p: {type: path, default: in/a.csv}
  r: {type: path, required: true}
schedule: {cron: "@every 1h", timezone: America/Sao_Paulo}
steps:
  - read: ${{ params.p }}
  - create: deal
    when: params.i > 0 and params.b and params.d < now and params.e == "hot"
`
	o := options()
	o.Params = map[string]string{"i": "7", "e": "cold", "r": "../other/b.csv"}
	job := parse(t, text, o)
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	given, err := filepath.Abs("../other/b.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"s": "x", "blank": "", "i": 7, "f": 1.5, "b": true, "d": time.Date(2026, time.January, 2, 0, 0, 0, 0, zone), "e": "cold",
		"p": "in/a.csv", "r": given,
	}
	if diff := cmp.Diff(want, job.Params); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	if !job.GivenPaths[given] || len(job.GivenPaths) != 1 {
		t.Errorf("given paths are %v", job.GivenPaths)
	}
	o.Params = nil
	o.CheckOnly = true
	if _, ok := parse(t, text, o).Params["r"]; ok {
		t.Error("a parameter that was not given has a value")
	}
}

func TestParse_defaultIDs(t *testing.T) {
	t.Parallel()
	job := parse(t, withSteps(`
  - read: a.csv
    key: id
  - create: Onboarding
  - create: onboarding
  - create: 128
  - create: First
  - create: deal
    id: onboarding3
  - create: Onboarding
  - update: onboarding2
    set: {a: 1}
  - read: b.csv
    key: id
  - create: Nota fiscal
`), options())
	var got []string
	for _, s := range job.Streams {
		got = append(got, s.Source.ID)
		for _, step := range s.Steps {
			got = append(got, step.ID)
		}
	}
	want := []string{
		"read", "onboarding", "onboarding2", "item128", "first2", "onboarding3", "onboarding4", "update_onboarding2", "read2", "nota_fiscal",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestParse_warnings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps string
		want  int
	}{
		"create without a key":           {"  - read: a.csv\n  - create: deal\n", 1},
		"create with a key":              {"  - read: a.csv\n    key: id\n  - create: deal\n", 0},
		"create after an import":         {"  - read: a.csv\n  - import: contact\n    match: CPF\n    fields: {CPF: '1'}\n  - create: deal\n", 0},
		"an expression without its mark": {"  - select: contact\n  - update: contact\n    set: {a: row.x, b: 'row.x', c: x row.x, d: params.y}\n", 2},
		"a mark with a space":            {"  - select: contact\n  - update: contact\n    set:\n      a: $ {{ row.x }}\n      b: ${ row.x }\n      c: 'costs ${ x }'\n", 2},
		"create in a select":             {"  - select: contact\n  - create: deal\n", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			job := parse(t, withSteps(tt.steps), options())
			if len(job.Warnings) != tt.want {
				t.Errorf("warnings are %v", job.Warnings)
			}
			for _, w := range job.Warnings {
				if w.File == "" || w.Pos.Line == 0 || w.Line == "" || w.Hint == "" {
					t.Errorf("warning %+v is not complete", w)
				}
			}
		})
	}
}

func TestParse_checksTheSchedule(t *testing.T) {
	t.Parallel()
	o := options()
	o.CheckSchedule = func(s engine.Schedule) ([]string, error) {
		if s.Cron == "bad" {
			return nil, errors.New(`cron "bad" has one field`)
		}
		return []string{"day of month and day of week are both set"}, nil
	}
	body := "  - select: deal\n"
	if job := parse(t, "schedule: {cron: 0 0 1 * 1}\n"+withSteps(body), o); len(job.Warnings) != 1 {
		t.Errorf("warnings are %v", job.Warnings)
	}
	ps := problems(t, "schedule: {cron: bad}\n"+withSteps(body), o)
	if len(ps) != 1 || ps[0].Error() != `a.yaml:1:18: cron "bad" has one field` {
		t.Errorf("got %v", ps)
	}
	ps = problems(t, "schedule: {cron: bad, timezone: Mars/X, overlap: x, catch_up: y}\n"+withSteps(body), o)
	if len(ps) != 4 {
		t.Errorf("not all problems are reported: %v", ps)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	text := "\uFEFF" + strings.ReplaceAll(withSteps("  - select: deal\n"), "\n", "\r\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	job, err := jobs.Load(path, options())
	if err != nil {
		t.Fatal(err)
	}
	if job.Dir != dir || job.File != path {
		t.Errorf("dir %q, file %q", job.Dir, job.File)
	}
	for _, wrong := range []string{dir, filepath.Join(dir, "none.yaml")} {
		if _, err := jobs.Load(wrong, options()); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("loading %q: %v", wrong, err)
		}
	}
}

// A stream has the variables that its steps use, those that they are made of included, and no others: what is wrong
// with the others for its records is nothing to it.
func TestParse_vars(t *testing.T) {
	t.Parallel()
	job := parse(t, "version: 1\nname: a\nvars:\n  cell: ${{ row.a }}\n  text: a ${{ vars.cell }}\n  item: ${{ deal.title }}\nsteps:\n"+`
  - read: a.csv
    key: a
  - create: contact
    when: vars.text != ""
  - select: deal
  - update: deal
    set: {comments: "${{ vars.item }}"}
`, options())
	var got [][]string
	for _, s := range job.Streams {
		var names []string
		for _, v := range s.Vars {
			names = append(names, v.Name.Text)
		}
		got = append(got, names)
	}
	if diff := cmp.Diff([][]string{{"cell", "text"}, {"item"}}, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if len(job.Warnings) != 0 {
		t.Errorf("warnings %v", job.Warnings)
	}
}
