package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine/expression"
)

// Job is a job file, read and checked: what to read, what to do with each
// record, and when.
type Job struct {
	Name        string
	Description string
	Portal      string // as written; a name, a URL, sandbox or sandbox:memory
	File        string // the path it was read from, as given
	Dir         string // the folder that its relative paths start from
	Hash        string // SHA-256 of the file's text, in hex
	Params      map[string]any
	// GivenPaths are the values of path parameters that were given on the
	// command line, absolute: they alone may lie outside Dir.
	GivenPaths map[string]bool
	// Reread are the files of a run that is tried again: where the job looks for
	// them, and where they are now, both absolute.
	Reread     map[string]string
	ParamTypes map[string]expression.Type
	Env        map[string]string          // the environment's values of the names under env:
	Includes   []FileInfo                 // files with parts of the job
	Maps       map[string]*expression.Map // of its files, by name
	Mode       Mode
	Fuse       bool      // changes of one item that follow each other go in one command
	Schedule   *Schedule // nil: not scheduled
	OnError    OnError
	Guards     []*Predicate
	Streams    []*Stream
	Tests      []*Test
	Notify     []*Notice // who is told how a run ended
	Warnings   []Problem // what is allowed and probably not meant
}

// Mode says what a scheduled job does when it is due.
type Mode string

// The modes of a job.
const (
	ModeApply Mode = "apply" // plan and apply
	ModePlan  Mode = "plan"  // plan, log it, write nothing
)

// Schedule says when a job is due, as the job file has it.
type Schedule struct {
	Cron     string
	Timezone string // IANA name; empty: the machine's
	Overlap  string // skip (default) or queue
	CatchUp  string // none (default) or once
}

// OnError says when failures stop a run. Zero values never do.
type OnError struct {
	Stop      bool    `json:"stop,omitempty"`       // at the first failure
	StopAfter int     `json:"stop_after,omitempty"` // when more changes than this failed
	StopShare float64 `json:"stop_share,omitempty"` // when more failed than this share of the plan's rows, 0 to 1
}

// Exceeded says whether so many failures stop a run of so many rows.
func (o OnError) Exceeded(failed, rows int) bool {
	switch {
	case failed == 0:
		return false
	case o.Stop:
		return true
	case o.StopAfter > 0 && failed > o.StopAfter:
		return true
	}
	return o.StopShare > 0 && float64(failed) > o.StopShare*float64(rows)
}

// Stream is a source of records and the steps that work on each of them.
type Stream struct {
	Source *SourceSpec
	// Vars are the job's variables that the steps use, in the file's order. Each
	// stream has its own copy, compiled against what its records have.
	Vars  []*Var
	Steps []*StepSpec
}

// Common are the keys that every step may have.
type Common struct {
	ID   string // by default the entity's name, numbered from the second on
	Name string // for people
	Pos  Pos    // of the step's verb in the job file
	// Exprs are all expressions in the step's settings, for [Prepare] to
	// compile against the real header and fields.
	Exprs []Expr
}

// SourceSpec is the step that begins a stream.
type SourceSpec struct {
	Common
	Source Source
}

// StepSpec is one step of a stream.
type StepSpec struct {
	Common
	When    *Predicate // nil: always
	OnError OnError
	Step    Step
	Index   int // position in the job, from 0, sources not counted
}

// Uses are the ids of the steps whose item the step's expressions use, and its
// target, each once.
func (s *StepSpec) Uses() []string {
	var ids []string
	add := func(id string) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if t := s.Step.Target(); t != "" {
		add(t)
	}
	for _, e := range s.allExprs() {
		for _, u := range e.Uses() {
			switch u.Name {
			case "row", "params", "env", "now", "last_run", "vars", "maps":
			default:
				if !u.Optional { // client?.id is null where there is no client
					add(u.Name)
				}
			}
		}
	}
	return ids
}

func (s *StepSpec) allExprs() []Expr {
	if s.When == nil {
		return s.Exprs
	}
	return append(slices.Clone(s.Exprs), s.When)
}

// Pos is a place in a job file, or in a File that it includes, both numbers
// counted from 1. The zero Pos is unknown.
type Pos struct {
	File         string
	Line, Column int
}

// Problem is one fault of a job: where it is, what it is, what to do.
type Problem struct {
	File string
	Pos  Pos
	Step string // id of the step, where there is one
	Line string // the line of the job file, to be shown with a caret
	Msg  string
	Hint string
}

// Error puts the place first, the fault second and the remedy last.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Pos.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Pos.Line, p.Pos.Column)
		}
		b.WriteString(": ")
	}
	if p.Step != "" {
		fmt.Fprintf(&b, "step %s: ", p.Step)
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems are all faults of a job that could be found in one go.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems sorted by place, or nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column)
	})
	return ps
}

// Expr is an expression of a job file: a [Value] or a [Predicate].
type Expr interface {
	// Compile checks the expression against what it may see. The error is
	// [Problems] without file and step.
	Compile(scope expression.Scope) error
	// Uses are the members that it reads, known once it is compiled.
	Uses() []expression.Use
}

// Word is a name in a job file and where it stands.
type Word struct {
	Text string
	Pos  Pos
}

// FieldValue is one entry of `fields` or `set`.
type FieldValue struct {
	Field Word
	Value *Value
}

// MatchList is one list of fields that match all together.
type MatchList []Word
