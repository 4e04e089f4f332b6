package report

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"

	"github.com/gocarina/gocsv"

	"github.com/bxflow/bxflow/engine"
)

// csvField is one line of a plan's CSV: one field of one change, or a change
// without fields.
type csvField struct {
	Step   string `csv:"step"`
	Kind   string `csv:"kind"`
	Entity string `csv:"entity"`
	ID     string `csv:"id"`
	Ref    string `csv:"ref"`
	Source string `csv:"source"`
	Key    string `csv:"key"`
	Field  string `csv:"field"`
	Before string `csv:"before"`
	After  string `csv:"after"`
	Error  string `csv:"error"`
}

// CSV writes the plan's changes for a spreadsheet, one line for each field
// that changes. Cells that a spreadsheet would run as a formula begin with an
// apostrophe.
func (p Plan) CSV(ctx context.Context, w io.Writer) error {
	out := gocsv.NewSafeCSVWriter(csv.NewWriter(w))
	if err := gocsv.MarshalCSV([]csvField{}, out); err != nil {
		return err
	}
	for c, err := range ahead(ctx, p.Changes.Changes(ctx, p.listed())) {
		if err != nil {
			return err
		}
		if err := gocsv.MarshalCSVWithoutHeaders(p.csvFields(c), out); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (p Plan) csvFields(c *engine.Change) []csvField {
	n := names{p.Catalog}
	line := csvField{
		Step: engine.HarmlessCell(c.Step), Kind: string(c.Kind), Entity: engine.HarmlessCell(c.Entity), Source: engine.HarmlessCell(c.Source),
		Key: engine.HarmlessCell(c.Key), Error: engine.HarmlessCell(problem(c)),
	}
	if c.ID != 0 {
		line.ID = strconv.FormatInt(c.ID, 10)
	} else {
		line.Ref = engine.HarmlessCell(c.Ref)
	}
	if len(c.Fields) == 0 {
		return []csvField{line}
	}
	lines := make([]csvField, 0, len(c.Fields))
	for _, name := range fields(c) {
		f := c.Fields[name]
		line.Field = name
		line.Before = engine.HarmlessCell(n.value(c.TypeID, name, f.Before))
		line.After = engine.HarmlessCell(n.value(c.TypeID, name, f.After))
		lines = append(lines, line)
	}
	return lines
}
