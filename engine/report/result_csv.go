package report

import (
	"cmp"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/bxflow/bxflow/engine"
)

// ResultCSV writes what became of each record of a run: the source columns, where
// it is from, and for each step the id of its item and the outcome (created,
// updated, moved, deleted, unchanged, skipped, failed, conflict); last what went
// wrong. Changes come in the order of the plan. Cells that a spreadsheet would run
// as a formula begin with an apostrophe.
//
// Made tells the ids of items that were made for other records, by their refs.
func ResultCSV(w io.Writer, h *engine.Header, changes iter.Seq2[*engine.Change, error], made func(refs []string) (map[string]engine.Made, error)) error {
	out := &resultFile{failedFile: newFailed(w, h.Files), steps: h.Steps, made: made}
	header := make([]string, 0, len(out.columns)+2*len(h.Steps)+2)
	for _, name := range out.columns {
		header = append(header, engine.HarmlessCell(name))
	}
	header = append(header, "_source")
	for _, s := range h.Steps {
		header = append(header, s.ID+"_id", s.ID+"_outcome")
	}
	if err := out.csv.Write(append(header, "_error")); err != nil {
		return err
	}
	last := 0 // position of the step: a lower one begins the next chunk of records
	for c, err := range changes {
		if err != nil {
			return err
		}
		if c.Index < last {
			if err := out.flush(); err != nil {
				return err
			}
		}
		last = c.Index
		out.add(c)
	}
	if err := out.flush(); err != nil {
		return err
	}
	out.csv.Flush()
	return errors.Join(out.csv.Error(), out.out.Close())
}

// resultFile gathers the changes of the records of a chunk.
type resultFile struct {
	*failedFile
	steps []engine.StepSummary
	made  func(refs []string) (map[string]engine.Made, error)
	rows  []*resultRow
	of    map[string]*resultRow // by their source
}

// resultRow is a record and what its steps made of it.
type resultRow struct {
	first *engine.Change // that has the row's cells, if one has
	ids   []int64
	refs  []string // of items whose id another record's change has
	what  []string
	fault string
}

func (f *resultFile) add(c *engine.Change) {
	row := f.of[c.Source]
	if row == nil {
		row = &resultRow{first: c, ids: make([]int64, len(f.steps)), refs: make([]string, len(f.steps)), what: make([]string, len(f.steps))}
		if f.of == nil {
			f.of = map[string]*resultRow{}
		}
		f.of[c.Source] = row
		f.rows = append(f.rows, row)
	}
	if len(row.first.Row) == 0 && len(c.Row) > 0 {
		row.first = c
	}
	if row.fault == "" && (c.Kind == engine.KindInvalid || c.Kind == engine.KindConflict || c.Error != "") {
		row.fault = problem(c)
	}
	at := slices.IndexFunc(f.steps, func(s engine.StepSummary) bool { return s.ID == c.Step })
	if at >= 0 && row.what[at] == "" {
		row.ids[at], row.refs[at], row.what[at] = c.ID, c.Ref, outcomeOf(c)
	}
}

// outcomeOf is what became of a change, in one word.
func outcomeOf(c *engine.Change) string {
	switch c.Kind {
	case engine.KindNone:
		return "unchanged"
	case engine.KindSkip:
		return "skipped"
	case engine.KindInvalid:
		return "failed"
	case engine.KindConflict:
		return "conflict"
	default:
	}
	switch c.State {
	case engine.StateDone:
		return map[engine.Kind]string{
			engine.KindCreate: "created", engine.KindUpdate: "updated", engine.KindMove: "moved", engine.KindDelete: "deleted",
		}[c.Kind]
	case engine.StatePlanned, engine.StateSent, engine.StateUnknown:
		return "not done yet"
	case engine.StateQuarantined:
		return "failed"
	default:
		return string(c.State)
	}
}

// flush writes the records gathered so far, in the order of their lines.
func (f *resultFile) flush() error {
	var refs []string
	for _, row := range f.rows {
		for i, ref := range row.refs {
			if row.ids[i] == 0 && ref != "" {
				refs = append(refs, ref)
			}
		}
	}
	made, err := f.made(refs)
	if err != nil {
		return err
	}
	slices.SortStableFunc(f.rows, func(a, b *resultRow) int { return cmp.Compare(a.first.Line, b.first.Line) })
	for _, row := range f.rows {
		record := make([]string, len(f.columns), len(f.columns)+2*len(f.steps)+2)
		if file := f.file(row.first); file != nil {
			copy(record, f.record(file, row.first)[:len(f.columns)])
		}
		record = append(record, f.told(row.first.Source))
		for i := range f.steps {
			id := ""
			if number := cmp.Or(row.ids[i], made[row.refs[i]].ID); number != 0 {
				id = strconv.FormatInt(number, 10)
			}
			record = append(record, id, row.what[i])
		}
		if err := f.csv.Write(append(record, f.told(row.fault))); err != nil {
			return err
		}
	}
	f.rows, f.of = nil, nil
	return nil
}
