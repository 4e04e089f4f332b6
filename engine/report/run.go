package report

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Run is a run to be shown: its result, and where its changes are read from.
type Run struct {
	Result *engine.Result
	// Changes are those of the run; nil shows no failures one by one.
	Changes engine.Changes
	// Rows is how many failures the text lists; 0 is all of them.
	Rows int
	// OnlyConflicts leaves other failures out of the list.
	OnlyConflicts bool
	// Step leaves the failures of other steps out of the list; empty: none.
	Step string
	// Next is the command to be typed next, shown at the end of the text.
	Next string
}

// JSON writes the result as one JSON object.
func (r Run) JSON(w io.Writer) error {
	res := *r.Result
	res.Steps = list(res.Steps)
	text, err := marshal(res)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// Text writes what a run did for people: its end, its sums by step, and the
// rows that failed, each with its line.
func (r Run) Text(ctx context.Context, w io.Writer, t Terminal) error {
	out := &runText{Run: r, Terminal: t, w: bufio.NewWriter(w)}
	out.heading()
	columns, rows := out.summary()
	if err := t.grid(out.w, "  ", columns, rows); err != nil {
		return err
	}
	if err := out.failures(ctx); err != nil {
		return err
	}
	out.moved()
	out.footer()
	return out.w.Flush()
}

type runText struct {
	Run
	Terminal
	w *bufio.Writer // keeps the first error until Flush
}

func (r *runText) line(format string, args ...any) {
	fmt.Fprintf(r.w, format+"\n", args...)
}

func (r *runText) heading() {
	res := r.Result
	facts := "run " + clean(res.Run)
	if res.Seconds > 0 {
		facts = duration(res.Seconds) + ", " + facts
	}
	head := clean(runName(res)) + " " + statusWords(res.Status)
	r.line("%s", r.headed(statusColour(res.Status), head, " ("+facts+")"))
	if res.Error != "" {
		r.line("%s", r.paint(red, r.wrap(clean(res.Error), "  ")))
	}
	if len(res.Steps) > 0 {
		r.line("")
	}
}

// runName says what a run was for.
func runName(r *engine.Result) string {
	switch {
	case r.Undoes != "":
		return "undo of " + r.Job
	case r.Retries != "":
		return "retry of " + r.Job
	}
	return r.Job
}

func statusWords(s engine.Status) string {
	switch s {
	case engine.StatusRunning:
		return "is running"
	case engine.StatusSucceeded:
		return "succeeded"
	case engine.StatusPartial:
		return "finished, but not all rows made it"
	case engine.StatusFailed:
		return "failed"
	case engine.StatusInterrupted:
		return "was interrupted"
	case engine.StatusRefused:
		return "was refused"
	}
	return clean(string(s))
}

func statusColour(s engine.Status) colour {
	switch s {
	case engine.StatusSucceeded:
		return green
	case engine.StatusPartial, engine.StatusRunning, engine.StatusInterrupted:
		return yellow
	case engine.StatusFailed, engine.StatusRefused:
		return red
	}
	return ""
}

// resultCount is one column of a run's table.
type resultCount struct {
	title  string
	colour colour
	of     func(engine.StepResult) int
	must   bool
}

func resultCounts() []resultCount {
	return []resultCount{
		{"Created", green, func(s engine.StepResult) int { return s.Created }, true},
		{"Updated", yellow, func(s engine.StepResult) int { return s.Updated }, true},
		{"Moved", cyan, func(s engine.StepResult) int { return s.Moved }, false},
		{"Deleted", red, func(s engine.StepResult) int { return s.Deleted }, false},
		{"Unchanged", faint, func(s engine.StepResult) int { return s.Unchanged }, true},
		{"Skipped", faint, func(s engine.StepResult) int { return s.Skipped }, false},
		{"Failed", red, func(s engine.StepResult) int { return s.Failed }, false},
		{"Conflicts", red, func(s engine.StepResult) int { return s.Conflicts }, false},
	}
}

func (r *runText) summary() ([]column, [][]string) {
	shown := slices.DeleteFunc(resultCounts(), func(c resultCount) bool {
		used := slices.ContainsFunc(r.Result.Steps, func(s engine.StepResult) bool { return c.of(s) != 0 })
		return !used && !c.must
	})
	columns := []column{{title: "Step", least: 8}, {title: "Verb", spare: true}, {title: "Entity", least: 8}}
	for _, c := range shown {
		columns = append(columns, column{title: c.title, right: true})
	}
	rows := make([][]string, 0, len(r.Result.Steps))
	for _, s := range r.Result.Steps {
		cells := []string{clean(s.ID), clean(s.Verb), clean(s.Entity)}
		for _, c := range shown {
			cells = append(cells, r.number(c.of(s), c.colour))
		}
		rows = append(rows, cells)
	}
	return columns, rows
}

// failures lists the rows that did not make it: invalid ones of the plan, and
// those that the portal refused or that are not as planned.
func (r *runText) failures(ctx context.Context) error {
	failed, conflicts := 0, 0
	for _, s := range r.Result.Steps {
		if r.Step == "" || r.Step == s.ID {
			failed += s.Failed
			conflicts += s.Conflicts
		}
	}
	if failed+conflicts == 0 || r.Changes == nil {
		return nil
	}
	failures := FailedChanges(ctx, r.Changes, r.Step)
	if r.OnlyConflicts {
		failed, failures = 0, Conflicts(failures)
	}
	what := "Failed"
	switch {
	case failed == 0:
		what = "Conflicts"
	case conflicts > 0:
		what = "Failed and conflicts"
	}
	r.line("\n%s", r.paint(bold, title(what, failed+conflicts, r.Rows, "bxflow show --failed")))
	left := r.Rows
	for c, err := range failures {
		if err != nil {
			return err
		}
		r.failure(c)
		if left--; left == 0 {
			break
		}
	}
	return nil
}

func (r *runText) failure(c *engine.Change) {
	place := clean(c.Source)
	if place == "" {
		place = clean(c.Entity) + " " + strconv.FormatInt(c.ID, 10)
	}
	what := failedWord(c)
	r.line("  %s %s %s", r.paint(red, "!"), place, r.paint(faint, clean(c.Step)+": "+what))
	if reason := problem(c); reason != "" {
		r.line("      %s", r.reason(reason, "      "))
	}
}

func failedWord(c *engine.Change) string {
	switch {
	case c.Kind == engine.KindInvalid:
		return "invalid"
	case c.Kind == engine.KindConflict, c.State == engine.StateConflict:
		return "conflict"
	case c.State == engine.StateQuarantined:
		return "quarantined, see what the portal has before you repeat it"
	}
	return string(c.Kind) + " failed"
}

// moved lists the files that were moved after the run, or should have been.
func (r *runText) moved() {
	if len(r.Result.Moved) > 0 {
		r.line("")
	}
	for _, m := range r.Result.Moved {
		if m.Error != "" {
			r.line("%s", r.wrap(fmt.Sprintf("%s stays where it is: %s", clean(m.File), clean(m.Error)), "  "))
			continue
		}
		r.line("Moved %s to %s", clean(m.File), clean(m.To))
	}
}

func (r *runText) footer() {
	u := r.Result.Usage
	s := fmt.Sprintf("%s, %s", plural(u.Requests, "request"), plural(u.Commands, "command"))
	if u.Rejected > 0 {
		s += fmt.Sprintf(", %d rejected by the portal's limits", u.Rejected)
	}
	if u.Retried > 0 {
		s += fmt.Sprintf(", %d sent again", u.Retried)
	}
	if u != (engine.Usage{}) {
		r.line("\n%s", r.paint(faint, s))
	}
	if r.Next != "" {
		for next := range strings.Lines(r.Next) {
			r.line("Next: %s", r.paint(bold, clean(strings.TrimSpace(next))))
		}
	}
}
