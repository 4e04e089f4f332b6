package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/steps/internal/database"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// Look is what a read takes a file for, in words for people.
type Look struct {
	File                               string
	Format, Encoding, Delimiter, Sheet string // empty: the format has none
	Header                             string
	Fault                              string // of the first row that can't be used
	Rows                               int    // that were looked at
	Columns                            []LookedAt
}

// LookedAt is a column and what its values look like.
type LookedAt struct{ Name, Values string }

// Look opens the files of a job's read as far as some first rows. Standard input
// is left alone, as what is read from it is gone, and so is a file that only a
// parameter names which was not given.
func (s *Read) Look(ctx context.Context, job *engine.Job, rows int) ([]Look, error) {
	if s.Query != nil && (!given(s.Query.DSN, job) || !given(s.Query.Args, job)) {
		return []Look{{File: "sql"}}, nil
	}
	if s.File != nil && !given(s.File, job) || s.Sheet != nil && !given(s.Sheet, job) {
		return []Look{{File: s.File.Text}}, nil
	}
	name, err := s.name(job)
	if err != nil {
		return nil, err
	}
	if name == "-" && s.Query == nil {
		return []Look{{File: "standard input"}}, nil
	}
	if err := s.settle(job, expression.Env{"params": job.Params, "env": job.Env, "now": time.Now(), "last_run": nil}); err != nil {
		return nil, err
	}
	looks := make([]Look, 0, len(s.inputs))
	for _, in := range s.inputs {
		look, err := in.look(ctx, s.options(), rows)
		if err != nil {
			return looks, err
		}
		looks = append(looks, look)
	}
	return looks, nil
}

// given says whether the job has all parameters that a value names.
func given(v *engine.Value, job *engine.Job) bool {
	if v == nil {
		return true
	}
	for _, u := range v.Uses() {
		if _, ok := job.Params[u.Member]; u.Name == "params" && !ok {
			return false
		}
	}
	return true
}

// look reads a file's first rows.
func (in input) look(ctx context.Context, o table.Options, most int) (Look, error) {
	t, closer, err := in.open(ctx, o)
	if err != nil {
		return Look{}, err
	}
	defer closer.Close()
	look := lookOf(t)
	look.File = in.name
	if in.query != nil {
		look.File += " " + in.query.source.Name
	}
	known, counts := kinds(), make([]map[string]int, len(t.Header()))
	for look.Rows < most {
		if err := ctx.Err(); err != nil {
			return look, err
		}
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		fault, bad := errors.AsType[*table.RowError](err)
		if err != nil && !bad {
			return look, err
		}
		look.Rows++
		if bad {
			if look.Fault == "" {
				look.Fault = fmt.Sprintf("line %d: %s", fault.Line, fault.Text())
			}
			continue
		}
		for i := range min(len(counts), len(row.Fields)) {
			if counts[i] == nil {
				counts[i] = map[string]int{}
			}
			cell := strings.TrimSpace(row.Fields[i])
			at := slices.IndexFunc(known, func(k kind) bool { return k.like.MatchString(cell) })
			counts[i][known[at].name]++
		}
	}
	for i, name := range t.Header() {
		look.Columns = append(look.Columns, LookedAt{name, summary(counts[i])})
	}
	return look, nil
}

// lookOf says how a file is written.
func lookOf(t rows) Look {
	d := t.Dialect()
	look := Look{Format: "delimited text", Encoding: d.Encoding, Header: "given by the job"}
	if d.HeaderLine > 0 {
		look.Header = fmt.Sprintf("line %d", d.HeaderLine)
	}
	_, objects := t.(*table.Objects)
	_, query := t.(*database.Rows)
	switch {
	case query:
		return Look{Format: "SQL", Header: "the columns of the query"}
	case d.Sheet != "":
		look.Format, look.Encoding, look.Sheet = "XLSX", "", d.Sheet
		return look
	case objects:
		look.Format, look.Header = "JSON", "the names of the objects"
	default:
		look.Delimiter = fmt.Sprintf("%q", d.Delimiter) + found(d.DelimiterDetected)
	}
	switch {
	case d.BOM:
		look.Encoding += ", by its byte order mark"
	default:
		look.Encoding += found(d.EncodingDetected)
	}
	return look
}

func found(detected bool) string {
	if detected {
		return ", detected"
	}
	return ", given"
}

// kind is a form that cells have.
type kind struct {
	name string
	like *regexp.Regexp
}

// kinds are the forms of cells that are told apart; the first that fits counts.
func kinds() []kind {
	const day = `(\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})`
	return []kind{
		{"blank", regexp.MustCompile(`^$`)},
		{"whole number", regexp.MustCompile(`^[+-]?(0|[1-9]\d{0,17})$`)},
		{"number", regexp.MustCompile(`^[+-]?\d{1,15}[.,]\d+$`)},
		{"date", regexp.MustCompile(`^` + day + `$`)},
		{"date with time", regexp.MustCompile(`^` + day + `[T ]\d{1,2}:\d\d`)},
		{"true or false", regexp.MustCompile(`^(?i:true|false)$`)},
		{"e-mail", regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)},
		{"digits", regexp.MustCompile(`^[+0]?[\d ().-]*\d[\d ().-]*$`)},
		{"text", regexp.MustCompile(``)},
	}
}

// summary lists kinds, the most frequent first, with how many there are of each
// where there are several.
func summary(counts map[string]int) string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, counts[name])
	}
	return strings.Join(names, ", ")
}
