package steps

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// EachRow reads delimited text as [Read] does: delimiter and encoding are detected. It hands out the cells of the columns, all
// of which must be there, with the line of the file that the row begins on, or what is wrong with that row; each says whether
// to go on. The error is about the whole text, which it calls by the name.
func EachRow(name string, text io.Reader, columns []string, each func(line int, cells []string, fault string) bool) error {
	o := table.Options{Name: name, Require: columns}
	if strings.EqualFold(filepath.Ext(name), ".tsv") {
		o.Delimiter = "tab"
	}
	rows, err := table.Open(text, o)
	if err != nil {
		return err
	}
	at := make([]int, len(columns))
	for i, column := range columns {
		at[i] = slices.Index(rows.Header(), column)
	}
	for {
		row, err := rows.Next()
		wrong, one := errors.AsType[*table.RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !one:
			return err
		}
		fault := ""
		if one {
			fault = wrong.Text()
		}
		cells := make([]string, len(at))
		for i, column := range at {
			cells[i] = row.Fields[column]
		}
		if !each(row.Line, cells, fault) {
			return nil
		}
	}
}
