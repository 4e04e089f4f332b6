package steps

import (
	"context"
	"iter"
	"slices"
	"strconv"

	"github.com/bxflow/bxflow/engine"
)

// Rows stand for those of a read's file, in a test of the job: they are checked
// and keyed as the read says, and no file is opened. It is no verb.
type Rows struct {
	Read

	rows []engine.Row
}

// NewRows puts rows in place of a read's file.
func NewRows(read *Read, rows []engine.Row) *Rows { return &Rows{Read: *read, rows: rows} }

// Prepare implements [engine.Source].
func (s *Rows) Prepare(p *engine.Prepare) {
	s.inputs = []input{{name: "rows"}}
	var columns []string
	for _, row := range s.rows {
		for _, cell := range row {
			if !slices.Contains(columns, cell.Column) {
				columns = append(columns, cell.Column)
			}
		}
	}
	p.Columns(columns)
	if len(s.rows) == 0 {
		p.AnyColumn()
		return
	}
	for _, name := range s.Require {
		if !slices.Contains(columns, name) {
			p.Problem(p.Pos(), "give it a value in one of the rows", "the rows of the test have no column %q, which the read requires", name)
		}
	}
	s.columns = columns
	s.prepareKey(p)
}

// Records implements [engine.Source].
func (s *Rows) Records(_ context.Context, p *engine.Planning) iter.Seq2[[]*engine.Record, error] {
	return func(yield func([]*engine.Record, error) bool) {
		line := 0
		for chunk := range slices.Chunk(s.rows, chunkSize) {
			records := make([]*engine.Record, 0, len(chunk))
			for _, row := range chunk {
				line++
				records = append(records, s.record(p, row, line))
			}
			if !yield(records, nil) {
				return
			}
		}
	}
}

// record makes a record of a row. Cells that it does not name are blank.
func (s *Rows) record(p *engine.Planning, row engine.Row, line int) *engine.Record {
	r := &engine.Record{Line: line, Source: s.inputs[0].name + ":" + strconv.Itoa(line), Row: make(map[string]any, len(s.columns))}
	for _, column := range s.columns {
		text := ""
		if i := slices.IndexFunc(row, func(c engine.Cell) bool { return c.Column == column }); i >= 0 {
			text = row[i].Text
		}
		r.Row[column] = text
		r.Cells = append(r.Cells, text)
	}
	s.setKey(p, r)
	return r
}
