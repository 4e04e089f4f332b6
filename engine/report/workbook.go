package report

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"

	"github.com/bxflow/bxflow/engine"
)

// workbook writes items to an XLSX file: text as text, numbers as numbers, dates
// as dates. Rows wait in a temporary file until all are there. What does not fit
// on a sheet goes on the next, below the same titles.
type workbook struct {
	out          io.Writer
	file         *excelize.File
	sheet        *excelize.StreamWriter // nil: none was begun
	titles       []any
	rows         int // of the sheet
	sheets       int
	most         int // rows that a sheet has room for
	date, moment int // the styles
}

// newWorkbook begins a workbook with the titles of its columns.
func newWorkbook(out io.Writer, columns []Column) *workbook {
	w := &workbook{out: out, file: excelize.NewFile(), most: excelize.TotalRows}
	for _, c := range columns {
		w.titles = append(w.titles, c.Title)
	}
	return w
}

// begin begins the next sheet.
func (w *workbook) begin() (err error) {
	if err := w.end(); err != nil {
		return err
	}
	w.sheets++
	name := "Items"
	if w.sheets == 1 {
		err = w.file.SetSheetName(w.file.GetSheetName(0), name)
	} else {
		name += " " + strconv.Itoa(w.sheets)
		_, err = w.file.NewSheet(name)
	}
	if err != nil {
		return err
	}
	if w.sheet, err = w.file.NewStreamWriter(name); err != nil {
		return err
	}
	const width = 20 // characters: a date with its time fits
	return errors.Join(
		w.sheet.SetColWidth(1, max(1, len(w.titles)), width),
		w.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}),
		w.writeTitles(),
	)
}

func (w *workbook) writeTitles() (err error) {
	bold, err := w.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	if w.date, err = w.style("yyyy-mm-dd"); err != nil {
		return err
	}
	if w.moment, err = w.style("yyyy-mm-dd hh:mm:ss"); err != nil {
		return err
	}
	cells := make([]any, len(w.titles))
	for i, title := range w.titles {
		cells[i] = excelize.Cell{StyleID: bold, Value: title}
	}
	w.rows = 1
	return w.sheet.SetRow("A1", cells)
}

func (w *workbook) style(format string) (int, error) {
	return w.file.NewStyle(&excelize.Style{CustomNumFmt: &format})
}

// write writes an item.
func (w *workbook) write(item engine.Item, columns []Column) error {
	if w.rows == w.most {
		if err := w.begin(); err != nil {
			return err
		}
	}
	cells := make([]any, len(columns))
	for i, c := range columns {
		value := w.cell(c, item.Fields[c.Field.Name])
		if text, ok := value.(string); ok {
			if n := len(utf16.Encode([]rune(text))); n > excelize.TotalCellChars {
				return fmt.Errorf("item %d: %q has %d characters, and a cell of a spreadsheet has room for %d; export to .csv or .jsonl, or leave the field out", item.ID, c.Title, n, excelize.TotalCellChars)
			}
		}
		cells[i] = value
	}
	w.rows++
	return w.sheet.SetRow("A"+strconv.Itoa(w.rows), cells)
}

// cell is a value as a cell.
func (w *workbook) cell(c Column, v any) any {
	// maxNumber is what a spreadsheet keeps all digits of.
	const maxNumber = 999_999_999_999_999
	switch v := c.translate(v).(type) {
	case nil, bool, float64:
		return v
	case int64:
		if v <= maxNumber && v >= -maxNumber {
			return v
		}
	case string:
		if cell, ok := w.time(c.Field.Type, v); ok {
			return cell
		}
		if v == "" {
			return nil
		}
	}
	return c.cell(v)
}

// time is a date as a cell, with the time of this machine's zone: cells have
// none. Spreadsheets count days from 1900; what was before stays text.
func (w *workbook) time(kind engine.FieldType, text string) (any, bool) {
	layout, style := time.DateOnly, w.date
	if kind == engine.FieldDateTime {
		layout, style = time.RFC3339, w.moment
	}
	t, err := time.Parse(layout, text)
	if err != nil || kind != engine.FieldDateTime && kind != engine.FieldDate {
		return nil, false
	}
	if kind == engine.FieldDateTime {
		t = t.Local()
	}
	if t.Year() <= 1900 {
		return nil, false
	}
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	return excelize.Cell{StyleID: style, Value: wall}, true
}

// end ends the sheet that was begun.
func (w *workbook) end() error {
	if w.sheet == nil {
		return nil
	}
	return w.sheet.Flush()
}

// finish writes the workbook, bit by bit as it is packed.
func (w *workbook) finish() error {
	if err := w.end(); err != nil {
		return err
	}
	w.file.SetZipWriter(func(io.Writer) excelize.ZipWriter { return zip.NewWriter(w.out) })
	return w.file.Write(io.Discard)
}
