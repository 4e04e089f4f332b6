package jobs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/jobs"
)

// Whatever a file holds, it is a job or it has problems, each with a place in the file.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, seed := range []string{
		"", "\xff", "a: &a [*a]", "version: 1\nname: a\nsteps: [{read: ${{ x }}}]", "{{ x }}", "steps: [{}, [], 1, null]", "!!binary x",
		"version: 1\nname: a\nsteps:\n  - read: a\n  - import: c\n    match: [[]]\n    fields: {a: {{ b }}}", "? [a]\n: b", "<<: {a: 1}", "a: 'x",
		"params: {a: {type: enum, values: []}}\nguard: [null, [1]]\nschedule: null\non_error: {stop_after: NaN%}", "a: b: c", "\ta", strings.Repeat("[", 200),
		"version: 1\nname: a\nsteps:\n  - select: deal\n    id: é\n  - update: é\n    when: |\n      a\n      b\n    set: {}",
	} {
		f.Add(seed)
	}
	o := options()
	f.Fuzz(func(t *testing.T, text string) {
		job, err := jobs.Parse("a.yaml", []byte(text), o)
		if err == nil {
			if job.Name == "" || len(job.Streams) == 0 {
				t.Fatalf("a job without name or streams: %q", text)
			}
			return
		}
		var ps engine.Problems
		if !errors.As(err, &ps) || len(ps) == 0 || job != nil {
			t.Fatalf("%v is not problems", err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range ps {
			if p.Msg == "" || p.Pos.Line < 0 || p.Pos.Line > lines+1 || p.Pos.Line > 0 && p.Pos.Column < 1 {
				t.Fatalf("problem %+v has no place", p)
			}
		}
		var b strings.Builder
		if err := jobs.Explain(&b, ps); err != nil {
			t.Fatal(err)
		}
	})
}
