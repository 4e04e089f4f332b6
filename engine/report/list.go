package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// List is a flat list: what a portal has, the runs of a job. Each row has a
// value for every column.
type List struct {
	Columns []string
	Rows    [][]any
	// Right are the columns that hold numbers.
	Right []string
	// Whole are the columns whose values are of no use when they are cut.
	Whole []string
	// Spare are the columns that a narrow terminal does without, the last one first.
	Spare []string
}

// Text writes the list as a table.
func (l List) Text(w io.Writer, t Terminal) error {
	columns := make([]column, len(l.Columns))
	for i, name := range l.Columns {
		columns[i] = column{title: strings.ReplaceAll(name, "_", " "), least: max(len(name), 12)}
		columns[i].right = slices.Contains(l.Right, name)
		columns[i].spare = slices.Contains(l.Spare, name)
		if slices.Contains(l.Whole, name) {
			columns[i].least = 0
		}
	}
	rows := make([][]string, len(l.Rows))
	for i, row := range l.Rows {
		rows[i] = make([]string, len(row))
		for j, v := range row {
			rows[i][j] = cell(v)
		}
	}
	return t.grid(w, "", columns, rows)
}

// cell is a value of a list as text.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "yes"
		}
		return ""
	case []string:
		return clean(strings.Join(v, ", "))
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = cell(e)
		}
		return strings.Join(parts, ", ")
	}
	return clean(fmt.Sprint(v))
}

// JSON writes the list as an array of flat objects, one a line.
func (l List) JSON(w io.Writer) error {
	var b strings.Builder
	b.WriteString("[")
	for i, row := range l.Rows {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n{")
		for j, v := range row {
			value, err := marshal(v)
			if err != nil {
				return err
			}
			if j > 0 {
				b.WriteString(",")
			}
			name, err := json.Marshal(l.Columns[j])
			if err != nil {
				return err
			}
			b.Write(name)
			b.WriteString(":")
			b.Write(value)
		}
		b.WriteString("}")
	}
	b.WriteString("]\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// CSV writes the list for a spreadsheet; cells that it would run as a formula
// begin with an apostrophe.
func (l List) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(l.Columns); err != nil {
		return err
	}
	for _, row := range l.Rows {
		record := make([]string, len(row))
		for i, v := range row {
			record[i] = engine.HarmlessCell(cell(v))
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Sheet writes the list's rows one below the other, a line for each column
// that holds something.
func (l List) Sheet(w io.Writer, t Terminal) error {
	columns := []column{{title: ""}, {title: "", least: 20}}
	var rows [][]string
	for _, row := range l.Rows {
		for i, v := range row {
			if text := cell(v); text != "" {
				rows = append(rows, []string{strings.ReplaceAll(l.Columns[i], "_", " "), text})
			}
		}
	}
	return t.grid(w, "", columns, rows)
}
