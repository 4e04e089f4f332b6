package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Column is one column of exported items.
type Column struct {
	Title string
	Field *engine.Field
	// Names are what the ids in the field are called; nil leaves ids as they are.
	Names map[string]string
}

// Names are what the ids in a field of an entity are called: stages, categories,
// values of lists, people. Fields without such ids have none.
func Names(c *engine.Catalog, e *engine.Entity, f *engine.Field) map[string]string {
	found := map[string]string{}
	switch {
	case f.Name == "stageId" || f.Name == "previousStageId":
		for _, category := range e.Categories {
			for _, s := range category.Stages {
				found[s.ID] = s.Name
			}
		}
	case f.Name == "categoryId":
		for _, category := range e.Categories {
			found[strconv.Itoa(category.ID)] = category.Name
		}
	case f.Type == engine.FieldUser || f.Type == engine.FieldEmployee:
		for _, u := range c.Users {
			found[strconv.FormatInt(u.ID, 10)] = u.Name
		}
	default:
		for _, o := range f.Options {
			found[o.ID] = o.Name
		}
	}
	return found
}

// Items writes items one after another: as CSV or TSV for spreadsheets, with
// cells that one would run as a formula kept from it by an apostrophe, or as
// JSONL, one object a line, with values as they are, or as an XLSX workbook.
type Items struct {
	// Readable says that people read the cells on a terminal: characters that it
	// would obey are shown instead.
	Readable bool

	columns []Column
	csv     *csv.Writer // nil for JSONL and XLSX
	book    *workbook   // nil but for XLSX
	out     io.Writer
	row     []string
	line    []byte
}

// NewItems writes items to w in a format: csv, tsv, jsonl or xlsx. The header is
// written by [Items.Header]. Items are to be finished, and closed.
func NewItems(w io.Writer, format string, columns []Column) *Items {
	i := &Items{columns: columns, out: w, row: make([]string, len(columns))}
	switch format {
	case "csv":
		i.csv = csv.NewWriter(w)
	case "tsv":
		i.csv = csv.NewWriter(w)
		i.csv.Comma = '\t'
	case "xlsx":
		i.book = newWorkbook(w, columns)
	}
	return i
}

// Header writes the line of titles; JSONL has none.
func (i *Items) Header() error {
	if i.book != nil {
		return i.book.begin()
	}
	if i.csv == nil {
		return nil
	}
	for n, c := range i.columns {
		i.row[n] = engine.HarmlessCell(c.Title)
	}
	return i.csv.Write(i.row)
}

// Write writes one item.
func (i *Items) Write(item engine.Item) error {
	if i.book != nil {
		return i.book.write(item, i.columns)
	}
	if i.csv == nil {
		return i.object(item)
	}
	for n, c := range i.columns {
		i.row[n] = engine.HarmlessCell(c.cell(item.Fields[c.Field.Name]))
		if i.Readable {
			i.row[n] = clean(i.row[n])
		}
	}
	return i.csv.Write(i.row)
}

// Flush hands everything on to the writer below, as far as it can be yet.
func (i *Items) Flush() error {
	if i.csv == nil {
		return nil
	}
	i.csv.Flush()
	return i.csv.Error()
}

// Finish writes what can be written only after the last item: a workbook.
func (i *Items) Finish() error {
	if i.book == nil {
		return i.Flush()
	}
	return i.book.finish()
}

// Sheets is how many sheets of a workbook the items take.
func (i *Items) Sheets() int {
	if i.book == nil {
		return 0
	}
	return i.book.sheets
}

// Close removes what waited for [Items.Finish].
func (i *Items) Close() error {
	if i.book == nil {
		return nil
	}
	return i.book.file.Close()
}

func (i *Items) object(item engine.Item) error {
	i.line = append(i.line[:0], '{')
	for n, c := range i.columns {
		title, err := json.Marshal(c.Title)
		if err != nil {
			return err
		}
		value, err := marshal(c.translate(item.Fields[c.Field.Name]))
		if err != nil {
			return err
		}
		if n > 0 {
			i.line = append(i.line, ',')
		}
		i.line = append(append(append(i.line, title...), ':'), value...)
	}
	i.line = append(i.line, '}', '\n')
	_, err := i.out.Write(i.line)
	return err
}

// Exported says what an export came to, for people.
func Exported(w io.Writer, items int, entity, file string, requests int, took time.Duration) error {
	_, err := fmt.Fprintf(w, "%s of %s in %s (%s, %s)\n", plural(items, "item"), clean(entity), clean(file), plural(requests, "request"), duration(took.Seconds()))
	return err
}

// translate puts names in the place of ids.
func (c Column) translate(v any) any {
	v = plain(v)
	if len(c.Names) == 0 {
		return v
	}
	list, several := v.([]any)
	if !several {
		if name, ok := c.Names[fmt.Sprint(v)]; ok {
			return name
		}
		return v
	}
	names := make([]any, len(list))
	for n, one := range list {
		names[n] = one
		if name, ok := c.Names[fmt.Sprint(one)]; ok {
			names[n] = name
		}
	}
	return names
}

// cell is a value as one cell; several values are joined by commas.
func (c Column) cell(v any) string {
	v = c.translate(v)
	list, several := v.([]any)
	if !several {
		return cellText(v)
	}
	parts := make([]string, len(list))
	for n, one := range list {
		parts[n] = cellText(one)
	}
	return strings.Join(parts, ", ")
}

// cellText is one value as it is, which a report for people would make readable.
func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
