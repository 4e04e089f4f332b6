package report

import (
	"encoding/csv"
	"io"
	"iter"
	"strconv"

	"github.com/gocarina/gocsv"

	"github.com/bxflow/bxflow/engine"
)

// csvConflict is one line of the CSV of conflicts: one field of one change, or
// a change whose item is gone or doubled.
type csvConflict struct {
	Step   string `csv:"step"`
	Entity string `csv:"entity"`
	ID     string `csv:"id"`
	Source string `csv:"source"`
	Key    string `csv:"key"`
	Field  string `csv:"field"`
	Base   string `csv:"base"`
	Now    string `csv:"now"`
	Wanted string `csv:"wanted"`
	Error  string `csv:"error"`
}

// Conflicts are the changes among some that the portal stood against.
func Conflicts(changes iter.Seq2[*engine.Change, error]) iter.Seq2[*engine.Change, error] {
	return func(yield func(*engine.Change, error) bool) {
		for c, err := range changes {
			if err == nil && c.Kind != engine.KindConflict && c.State != engine.StateConflict {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// ConflictsCSV writes conflicts for a spreadsheet, a line for each field: what
// the plan saw, what is there now, and what was to be. Cells that a spreadsheet
// would run as a formula begin with an apostrophe.
func ConflictsCSV(w io.Writer, conflicts iter.Seq2[*engine.Change, error]) error {
	out := gocsv.NewSafeCSVWriter(csv.NewWriter(w))
	if err := gocsv.MarshalCSV([]csvConflict{}, out); err != nil {
		return err
	}
	for c, err := range conflicts {
		if err != nil {
			return err
		}
		if err := gocsv.MarshalCSVWithoutHeaders(conflictLines(c), out); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func conflictLines(c *engine.Change) []csvConflict {
	line := csvConflict{
		Step: engine.HarmlessCell(c.Step), Entity: engine.HarmlessCell(c.Entity), Source: engine.HarmlessCell(c.Source), Key: engine.HarmlessCell(c.Key), Error: engine.HarmlessCell(problem(c)),
	}
	if c.ID != 0 {
		line.ID = strconv.FormatInt(c.ID, 10)
	}
	var lines []csvConflict
	for _, name := range fields(c) {
		f := c.Fields[name]
		if !f.Drifted {
			continue
		}
		n := names{}
		line.Field = name
		line.Base = engine.HarmlessCell(n.value(c.TypeID, name, f.Before))
		line.Now = engine.HarmlessCell(n.value(c.TypeID, name, f.Now))
		line.Wanted = engine.HarmlessCell(n.value(c.TypeID, name, f.After))
		lines = append(lines, line)
	}
	if lines == nil {
		return []csvConflict{line}
	}
	return lines
}
