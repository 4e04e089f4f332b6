// Package jobs reads job files: YAML becomes an [engine.Job], and every complaint names the file, the line and the column,
// shows the line, and says what to do. All problems of a file come in one go.
//
// The package knows no kind of step. The kinds are handed in, and their settings are filled by the tags of their structs:
//
//	object:"entity"  engine.Word: the verb's own value, the name of an entity
//	object:"step"    engine.Word: the verb's own value, the id of an earlier step of the stream
//	object:"value"   *engine.Value: the verb's own value, any
//	object:"method"  engine.Word: the verb's own value, the name of a REST method
//	key:"name"       string, bool, int, []string, engine.Word, []engine.Word, *engine.Value, []engine.FieldValue, [][]engine.FieldValue, []engine.MatchList
//	nested:"true"    on []engine.FieldValue: parameters of a REST call, mappings and lists below one another
//	enum:"a,b" default:"a" required:"true" doc:"…"
//
// An embedded struct counts as if its fields stood in the outer one.
package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Options is what a job needs beside its file.
type Options struct {
	// Kinds are the kinds of steps that the job may have.
	Kinds []engine.StepKind
	// Params are the values of parameters that were given on the command line. Paths among them are relative to the
	// present folder, and may be anywhere; those in the file may not leave its folder.
	Params map[string]string
	// Getenv looks up the variables that the job lists under env. Nil: there are none.
	Getenv func(name string) (value string, ok bool)
	// CheckSchedule judges the job's schedule. Its warnings become the job's. Nil: it is taken as it is.
	CheckSchedule func(engine.Schedule) (warnings []string, err error)
	// Table reads the rows of delimited text for the maps of the job: the cells of some columns and the line of each row,
	// or what is wrong with it; each says whether to go on. Nil: maps are YAML.
	Table func(name string, text io.Reader, columns []string, each func(line int, cells []string, fault string) bool) error
	// CheckOnly accepts a job whose required parameters or variables have no value: it is to be checked, not run.
	CheckOnly bool
}

// Load reads a job file. Its error is [engine.Problems], or names the path if the file cannot be read.
func Load(path string, o Options) (*engine.Job, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the user's own argument
	if err != nil {
		return nil, fmt.Errorf("job file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("job file: %w", err)
	}
	return Parse(path, text, o)
}

// Parse reads the text of a job file. The name is its path: messages show it, and paths in the job are relative to its
// folder. Its error is [engine.Problems].
func Parse(name string, text []byte, o Options) (*engine.Job, error) {
	source := sourceOf(text)
	sum := sha256.Sum256(text)
	d := &decoder{
		options: o,
		lines:   strings.Split(source, "\n"),
		job:     &engine.Job{File: name, Dir: filepath.Dir(name), Hash: hex.EncodeToString(sum[:]), Mode: engine.ModeApply},
	}
	if root := d.read(source); root != nil {
		d.file(root)
	}
	if len(d.problems) > 0 {
		return nil, d.located(d.problems).Err()
	}
	d.job.Warnings = d.located(d.job.Warnings)
	return d.job, nil
}

// sourceOf is a file's text without the marks of editors; YAML ends a line at each of "\n", "\r\n" and "\r".
func sourceOf(text []byte) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(text), "\uFEFF"))
}

// decoder fills a job from the nodes of its file.
type decoder struct {
	options  Options
	from     string // of the nodes, where they are not the job file's
	part     part   // that from is
	lines    []string
	includes map[string][]string // the lines of files that the job includes
	job      *engine.Job
	problems engine.Problems
	kinds    map[string]paramKind // of the job's parameters
	mapsUsed map[string]bool      // by an expression; nil: the job has none
}

// longestQuote is the number of characters that a message quotes of anything.
const longestQuote = 200

// fault records a problem.
func (d *decoder) fault(pos engine.Pos, hint, format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = brief(text, longestQuote)
		}
	}
	d.problems = append(d.problems, engine.Problem{Pos: pos, Msg: discreet(fmt.Sprintf(format, args...)), Hint: brief(hint, 2*longestQuote)})
}

// warn records what is allowed and probably not meant.
func (d *decoder) warn(pos engine.Pos, step, hint, format string, args ...any) {
	d.job.Warnings = append(d.job.Warnings, engine.Problem{Pos: pos, Step: step, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// line is a line of the file, counted from 1.
func (d *decoder) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return discreet(d.lines[n-1])
}

// discreet puts as many asterisks in place of the password of an address, which
// somebody wrote out in the job.
func discreet(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	password := regexp.MustCompile(`(://[^\s:/@"']*:)([^\s"']*)@`)
	return password.ReplaceAllStringFunc(text, func(found string) string {
		at := password.FindStringSubmatch(found)
		return at[1] + strings.Repeat("*", len([]rune(at[2]))) + "@"
	})
}

// located adds the file and the source lines to problems.
func (d *decoder) located(problems engine.Problems) engine.Problems {
	for i := range problems {
		at := &problems[i].Pos
		problems[i].File, problems[i].Line = d.job.File, d.line(at.Line)
		if at.File != "" {
			other := decoder{lines: d.includes[at.File]}
			problems[i].File, problems[i].Line = at.File, other.line(at.Line)
		}
		problems[i].Line = masked(problems[i].Line)
		if at.Line > 0 { // a line that was mended for YAML is longer than the file's
			at.Column = min(at.Column, len([]rune(problems[i].Line))+1)
		}
	}
	return problems
}
