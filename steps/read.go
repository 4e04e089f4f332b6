package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// Read begins a stream of rows from a file of delimited text or JSON or from a
// workbook, packed by gzip or not, from standard input, or from a database.
type Read struct {
	File      *engine.Value `object:"value"`
	Query     *Query        `object:"mapping" doc:"A query of a database, in place of a file."`
	Delimiter string        `key:"delimiter" doc:"The character between cells. Default: detected."`
	Encoding  string        `key:"encoding" doc:"utf-8, utf-16le, utf-16be, windows-1251 or windows-1252. Default: detected."`
	Sheet     *engine.Value `key:"sheet" doc:"The sheet of a workbook, by name. Default: the first that is not hidden. Other files have none, and it says nothing of them."`
	HeaderAt  *engine.Value `key:"header" doc:"The line, or row of a sheet, that names the columns (default: the first with content), or a list of names for a file that has none."`
	Require   []string      `key:"require" doc:"Columns that must be there."`
	Newest    bool          `key:"newest" doc:"Of the files that a pattern matches, only the one that was changed last."`
	Settled   engine.Word   `key:"settled" doc:"How long nobody must have written to a file before it is read, for example 30s; it is waited for, ten minutes at the most."`
	Optional  bool          `key:"optional" doc:"No file is no rows, not a problem."`
	Done      engine.Word   `key:"done" doc:"A folder in the job's folder into which a file that was read is moved once a run has succeeded. Default: it stays."`
	Failed    engine.Word   `key:"failed" doc:"The folder for files of a run that failed, or finished with rows that did. Default: they stay."`
	Key       *engine.Value `key:"key" doc:"What makes a row the same row next time: a column, or an expression over the row."`

	inputs     []input
	sheet      string
	header     []string
	headerLine int
	columns    []string
	keyColumn  string
}

// Verb implements [engine.Source].
func (*Read) Verb() string { return "read" }

// Makes implements [engine.Source].
func (*Read) Makes() string { return "" }

// Pos is where the job names what is read.
func (s *Read) Pos() engine.Pos {
	if s.Query != nil {
		return s.Query.SQL.Pos
	}
	return s.File.Pos
}

// Keyed implements [engine.KeyedSource].
func (s *Read) Keyed() bool { return s.Key != nil }

// Prepare implements [engine.Source]: it opens the file as far as its header.
func (s *Read) Prepare(p *engine.Prepare) {
	p.AnyColumn()
	s.checkFolders(p)
	if err := s.settle(p.Job, p.JobEnv()); err != nil {
		p.Fail(s.Pos(), err)
		return
	}
	if s.File != nil && len(s.inputs) == 0 {
		p.Warn("there is no file yet that step read is to read: no rows")
		s.prepareKey(p)
		return
	}
	if err := s.awaitSettled(p.Context); err != nil {
		if p.Context.Err() != nil {
			p.Stop(err)
			return
		}
		p.Fail(s.Pos(), err)
		return
	}
	if err := s.readHeaders(p.Context); err != nil {
		if beyond(p.Context, err) {
			p.Stop(err)
			return
		}
		p.Fail(s.Pos(), err)
		return
	}
	p.Columns(s.header)
	s.prepareKey(p)
}

// settle works out what the settings say before a file is opened: which files,
// where the header is, which sheet.
func (s *Read) settle(job *engine.Job, env expression.Env) error {
	if s.Query != nil {
		return s.settleQuery(job, env)
	}
	name, err := s.name(job)
	if err != nil {
		return err
	}
	if err := s.find(job, name); err != nil {
		return err
	}
	if err := s.settleHeader(); err != nil {
		return err
	}
	return s.settleSheet(job)
}

// name is what the job calls the file.
func (s *Read) name(job *engine.Job) (string, error) {
	if s.Query != nil {
		return s.Query.name(job, s), nil
	}
	raw, err := s.File.Eval(expression.Env{"params": job.Params, "env": job.Env})
	return fmt.Sprint(raw), err
}

// find settles which files are read, - being standard input. What was read from
// that is kept: a job may be prepared twice.
func (s *Read) find(job *engine.Job, name string) error {
	if name != "-" {
		var err error
		s.inputs, err = inputsOf(job, name)
		switch {
		case s.Optional && errors.Is(err, errNoFile):
			return nil
		case err != nil:
			return err
		case s.Optional:
			s.inputs = slices.DeleteFunc(s.inputs, input.gone)
		}
		if s.Newest {
			s.inputs, err = newestOf(s.inputs)
		}
		s.tellApart(job, name)
		return err
	}
	if len(s.inputs) > 0 {
		return nil
	}
	in, err := spoolStdin()
	s.inputs = []input{in}
	return err
}

// tellApart names the folder of files that are called like those of an earlier
// read, as this one calls it: rows are told apart by the names of their files.
func (s *Read) tellApart(job *engine.Job, name string) {
	for _, stream := range job.Streams {
		earlier, ok := stream.Source.Source.(*Read)
		if ok && earlier == s {
			return
		}
		for i, in := range s.inputs {
			if ok && slices.ContainsFunc(earlier.inputs, func(other input) bool { return other.name == in.name && other.path != in.path }) {
				s.inputs[i].name = filepath.ToSlash(filepath.Join(filepath.Dir(name), in.name))
			}
		}
	}
}

// readHeaders opens all files as far as their headers.
func (s *Read) readHeaders(ctx context.Context) error {
	s.header = nil
	for i, in := range s.inputs {
		rows, closer, err := in.open(ctx, s.options())
		if err != nil {
			return err
		}
		if err := closer.Close(); err != nil {
			return fmt.Errorf("file %q: %w", in.name, bare(err))
		}
		if i == 0 {
			s.header = rows.Header()
		}
		if err := sameColumns(s.header, rows.Header(), in.name, s.inputs[0].name); err != nil {
			return err
		}
	}
	return nil
}

// settleHeader reads `header`: a line's number, or names.
func (s *Read) settleHeader() error {
	s.columns, s.headerLine = nil, 0
	switch {
	case s.HeaderAt == nil:
		return nil
	case s.HeaderAt.IsList:
		for _, name := range s.HeaderAt.List {
			text, literal := name.Literal()
			if !literal || text == "" {
				return engine.Problems{{Pos: name.Pos, Msg: "header: the names of columns are plain texts"}}
			}
			s.columns = append(s.columns, text)
		}
	default:
		text, _ := s.HeaderAt.Literal()
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return engine.Problems{{Pos: s.HeaderAt.Pos, Msg: fmt.Sprintf("header: %q is not a line of the file", text), Hint: "give the number of the line, or a list of names"}}
		}
		s.headerLine = n
	}
	if s.HeaderAt.IsList && len(s.columns) == 0 {
		return engine.Problems{{Pos: s.HeaderAt.Pos, Msg: "header: the list of names is empty"}}
	}
	return nil
}

// settleSheet reads `sheet`, a text of the job or its parameters.
func (s *Read) settleSheet(job *engine.Job) error {
	s.sheet = ""
	if s.Sheet == nil {
		return nil
	}
	raw, err := s.Sheet.Eval(expression.Env{"params": job.Params, "env": job.Env})
	if err != nil {
		return engine.Problems{{Pos: s.Sheet.Pos, Msg: err.Error()}}
	}
	if s.sheet = strings.TrimSpace(fmt.Sprint(raw)); raw == nil || s.Sheet.IsList || s.sheet == "" {
		return engine.Problems{{Pos: s.Sheet.Pos, Msg: "sheet: there is no name", Hint: "name a sheet, or leave it out for the first"}}
	}
	return nil
}

// prepareKey compiles `key`, which is a column's name or an expression over the
// row.
func (s *Read) prepareKey(p *engine.Prepare) {
	if s.Key == nil {
		return
	}
	if name, literal := s.Key.Literal(); literal {
		if len(s.inputs) > 0 && !p.HasColumn(name) {
			p.Problem(s.Key.Pos, "name a column, or give an expression in ${{ }}", "key: there is no column %q in %s", name, s.inputs[0].name)
		}
		s.keyColumn = name
		return
	}
	p.CompileRow(s.Key)
}

func (s *Read) options() table.Options {
	return table.Options{Delimiter: s.Delimiter, Encoding: s.Encoding, Sheet: s.sheet, Require: s.Require, HeaderLine: s.headerLine, Columns: s.columns}
}

// Records implements [engine.Source].
func (s *Read) Records(ctx context.Context, p *engine.Planning) iter.Seq2[[]*engine.Record, error] {
	return func(yield func([]*engine.Record, error) bool) {
		for _, in := range s.inputs {
			more := true
			err := s.read(ctx, p, in, func(chunk []*engine.Record) bool {
				more = yield(chunk, nil)
				return more
			})
			if !more {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// read hands out the records of one file, for as long as they are wanted.
func (s *Read) read(ctx context.Context, p *engine.Planning, in input, hand func([]*engine.Record) bool) error {
	info, lines, err := in.fingerprint()
	if err != nil {
		return err
	}
	rows, closer, err := in.open(ctx, s.options())
	if err != nil {
		return err
	}
	defer closer.Close()
	if err := sameColumns(s.header, rows.Header(), in.name, s.inputs[0].name); err != nil {
		return err // the file was changed since it was prepared
	}
	dialect := rows.Dialect()
	if info.Filing, err = s.filing(p.Job, in); err != nil {
		return err
	}
	info.Columns, info.Delimiter, info.Encoding = rows.Header(), string(dialect.Delimiter), dialect.Encoding
	if err := p.UseFile(info); err != nil {
		return err
	}
	if _, text := rows.(*table.Reader); text && !strings.HasSuffix(strings.ToLower(in.name), ".gz") {
		p.Expect(int(lines) - 1)
	}
	for {
		chunk, err := s.chunk(ctx, p, in.name, rows)
		if len(chunk) > 0 && !hand(chunk) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case beyond(ctx, err):
			return err
		case err != nil: // the file is wrong, as if it had been seen before
			return engine.Problems{{File: p.Job.File, Pos: s.Pos(), Step: s.Verb(), Msg: err.Error()}}
		}
	}
}

func (s *Read) chunk(ctx context.Context, p *engine.Planning, name string, rows rows) ([]*engine.Record, error) {
	header := rows.Header()
	chunk := make([]*engine.Record, 0, chunkSize)
	for len(chunk) < chunkSize {
		if err := ctx.Err(); err != nil {
			return chunk, err
		}
		row, err := rows.Next()
		var fault *table.RowError
		if err != nil && !errors.As(err, &fault) {
			return chunk, err
		}
		r := &engine.Record{Line: row.Line, Cells: row.Fields}
		if fault != nil {
			r.Line, r.Fault = fault.Line, fault.Text()
		}
		r.Source = name + ":" + strconv.Itoa(r.Line)
		r.Row = make(map[string]any, len(header))
		for i, column := range header {
			if i < len(row.Fields) {
				r.Row[column] = row.Fields[i]
			} else {
				r.Row[column] = ""
			}
		}
		s.setKey(p, r)
		chunk = append(chunk, r)
	}
	return chunk, nil
}

// setKey gives a row the key that the job says it has.
func (s *Read) setKey(p *engine.Planning, r *engine.Record) {
	if s.Key == nil || r.Fault != "" {
		return
	}
	v, ok := r.Row[s.keyColumn]
	if s.keyColumn == "" {
		var err error
		v, err = s.Key.Eval(expression.Env{"row": r.Row, "params": p.Job.Params, "env": p.Job.Env, "now": p.Now})
		if err != nil {
			r.Fault = "key: " + err.Error()
			return
		}
		ok = v != nil
	}
	if text := fmt.Sprint(v); ok && text != "" {
		r.Key = "key:" + text
		return
	}
	r.Fault = "key: the row has none; fill the column"
}
