package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/jobs"
)

// explain prints why the program ends, once.
func (a *app) explain(err error) { fmt.Fprint(a.stderr, explained(err)) }

// explained says why the program ends. Problems of job files come with their
// lines, and a sum at the end. Whatever the texts are made of, a terminal shows
// them and obeys nothing in them.
func explained(err error) string {
	var problems engine.Problems
	if !errors.As(err, &problems) {
		return fmt.Sprintf("bxflow: %s\n", mask(report.CleanLines(distinct(err.Error()))))
	}
	var b bytes.Buffer
	_ = jobs.Explain(&b, quoted(problems)) // a buffer takes everything
	fmt.Fprintf(&b, "bxflow: %s; nothing was written\n", countProblems(problems))
	return mask(report.CleanLines(b.String()))
}

// distinct leaves out what is said twice: what ends a command, such as a full
// disk, is often met again when all is closed.
func distinct(text string) string {
	var kept []string
	for line := range strings.SplitSeq(text, "\n") {
		if !slices.ContainsFunc(kept, func(before string) bool { return strings.HasSuffix(before, line) }) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// quoted gives problems the lines of the files that they are in. Those that only
// a portal's catalog shows come without.
func quoted(problems engine.Problems) engine.Problems {
	files := map[string][]string{}
	out := make(engine.Problems, len(problems))
	for i, p := range problems {
		if p.Line == "" && p.File != "" {
			if files[p.File] == nil {
				text, _ := os.ReadFile(p.File) // without its line, a problem still has its place
				files[p.File] = strings.Split(string(text), "\n")
			}
			if lines := files[p.File]; p.Pos.Line > 0 && p.Pos.Line <= len(lines) {
				p.Line = strings.TrimSuffix(lines[p.Pos.Line-1], "\r")
			}
		}
		p.Line = mask(p.Line) // of a long line, only a part is shown, which may begin in the middle of a webhook
		out[i] = p
	}
	return out
}

func countProblems(problems engine.Problems) string {
	files := map[string]bool{}
	for _, p := range problems {
		if p.Pos.File == "" { // what a job includes is a part of it
			files[p.File] = true
		}
	}
	text := "1 problem"
	if len(problems) > 1 {
		text = fmt.Sprintf("%d problems", len(problems))
	}
	if len(files) > 1 {
		return fmt.Sprintf("%s in %d jobs", text, len(files))
	}
	return text + " in the job"
}
