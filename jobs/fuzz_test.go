package jobs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/schedule"
	"github.com/bxflow/bxflow/jobs"
)

// Whatever a file holds, it is a job or it has problems, each with a place in the file.
func FuzzParse(f *testing.F) {
	for _, path := range seeds(f, "testdata/*.yaml", "../examples/*/*.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, seed := range []string{
		"", "server:A:0", "\xff", "a: &a [*a]", "version: 1\nname: a\nsteps: [{read: ${{ x }}}]", "{{ x }}", "steps: [{}, [], 1, null]", "!!binary x",
		"version: 1\nname: a\nsteps:\n  - read: a\n  - import: c\n    match: [[]]\n    fields: {a: {{ b }}}", "? [a]\n: b", "<<: {a: 1}", "a: 'x",
		"params: {a: {type: enum, values: []}}\nguard: [null, [1]]\nschedule: null\non_error: {stop_after: NaN%}", "a: b: c", "\ta", "version: 1\nname: a\nenv: TEAM\nguard: env.TEAM + 1\nsteps:\n  - read: ${{ env.TEAM", strings.Repeat("[", 200),
		"version: 1\nname: a\nsteps:\n  - select: deal\n    id: é\n  - update: é\n    when: |\n      a\n      b\n    set: {}",
		"version: 1\nname: a\nvars: {a: [x, '${{ vars.b }}'], b: '${{ row.c }}', c: null}\nsteps:\n  - select: deal\n  - update: deal\n    set: {a: '${{ vars.a }}'}\n  - read: x\n  - create: lead\n    fields: {b: '${{ vars.b + vars.a }}'}\ntests:\n  - {name: x, now: 2026-11-23, env: {a: b}, params: {c: d}, rows: {read: [{c: 1}, []]}, portal: [{create: deal}, {create: {}}], expect: [{create: lead, row: 0, fields: {a: 1}}]}",
		"version: 1\nname: a\nmaps: {m: a.csv, row: [], n: testdata/a.yaml}\nsteps:\n  - select: deal\n    id: maps\n  - update: maps\n    when: pick(maps.x, maps.m)\n    set: {a: '${{ maps.m }}', b: '${{ pick(1, maps.o) }}'}",
	} {
		f.Add(seed)
	}
	o := options()
	o.Getenv = func(name string) (string, bool) { return secret, name == "TEAM" }
	o.CheckSchedule = func(s engine.Schedule) ([]string, error) {
		parsed, err := schedule.Parse(schedule.Spec{
			Cron: s.Cron, Timezone: s.Timezone, Overlap: schedule.Overlap(s.Overlap), CatchUp: schedule.CatchUp(s.CatchUp),
		})
		if err != nil {
			return nil, err
		}
		return parsed.Warnings(), nil
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		job, err := jobs.Parse("a.yaml", []byte(text), o)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if err == nil {
			checkJob(t, text, job)
			checkPlaces(t, text, job.Warnings)
		} else {
			var ps engine.Problems
			if !errors.As(err, &ps) || len(ps) == 0 || job != nil {
				t.Fatalf("%v is not problems", err)
			}
			checkPlaces(t, text, ps)
		}
		// Where the file was written changes nothing.
		if strings.Contains(text, "\r") || strings.HasPrefix(text, "\uFEFF") || len(text) > 1<<19 {
			return
		}
		_, windows := jobs.Parse("a.yaml", []byte("\uFEFF"+strings.ReplaceAll(text, "\n", "\r\n")), o)
		if (err == nil) != (windows == nil) || err != nil && err.Error() != windows.Error() {
			t.Fatalf("%q gives\n%v\nand with a mark and CRLF\n%v", text, err, windows)
		}
	})
}

// seeds are the files of some patterns.
func seeds(f *testing.F, patterns ...string) []string {
	f.Helper()
	var paths []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// secret is what the environment holds.
const secret = "environment-s3cr3t"

// checkJob checks what those who use a job rely on.
func checkJob(t *testing.T, text string, job *engine.Job) {
	t.Helper()
	if job.Name == "" || len(job.Streams) == 0 || strings.ContainsAny(job.Name, "\r\n\t") {
		t.Fatalf("a job without name or streams: %q", text)
	}
	ids := map[string]bool{}
	for _, stream := range job.Streams {
		parts := []engine.Common{stream.Source.Common}
		for _, step := range stream.Steps {
			parts = append(parts, step.Common)
		}
		for _, part := range parts {
			if part.ID != "" && (ids[part.ID] || expression.CheckName(part.ID) != nil) {
				t.Fatalf("the id %q is there twice, or is none: %q", part.ID, text)
			}
			ids[part.ID] = true
		}
	}
}

// checkPlaces checks that a person finds each problem: in a line of the file that there is, in words, and with nothing of
// what the environment holds.
func checkPlaces(t *testing.T, text string, ps engine.Problems) {
	t.Helper()
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\uFEFF")), "\n")
	for _, p := range ps {
		switch pos := p.Pos; {
		case pos.File != "": // a file that happens to be in this folder
		case p.Msg == "" || pos.Line < 0 || pos.Line > len(lines)+1 || pos.Line > 0 && pos.Column < 1:
			t.Fatalf("problem %+v has no place: %q", p, text)
		case pos.Line > 0 && pos.Line <= len(lines) && p.Line != jobs.Masked(lines[pos.Line-1]):
			t.Fatalf("problem %+v is not in the line %q: %q", p, lines[pos.Line-1], text)
		case pos.Line > 0 && pos.Line <= len(lines) && pos.Column > len([]rune(lines[pos.Line-1]))+1:
			t.Fatalf("problem %+v is behind the line: %q", p, text)
		}
	}
	var b strings.Builder
	if err := jobs.Explain(&b, ps); err != nil {
		t.Fatal(err)
	}
	if out := b.String() + ps.Error(); strings.Contains(out, secret) {
		t.Fatalf("the environment's value is told: %s", out)
	}
	if b.Len() > 200<<10 {
		t.Fatalf("%d bytes of explanation for %d of text", b.Len(), len(text))
	}
}
