package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

// exported writes items with one column for each type of field, and returns the
// workbook as a library reads it.
func exported(t *testing.T, rowsOfSheet int, items ...engine.Item) *excelize.File {
	t.Helper()
	var columns []report.Column
	for _, kind := range []engine.FieldType{engine.FieldString, engine.FieldInteger, engine.FieldDouble, engine.FieldBoolean, engine.FieldDate, engine.FieldDateTime, engine.FieldMulti} {
		columns = append(columns, report.Column{Title: "=" + string(kind), Field: &engine.Field{Name: string(kind), Type: kind}})
	}
	var b bytes.Buffer
	out := report.NewItems(&b, "xlsx", columns)
	out.LimitSheets(rowsOfSheet)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(out.Header())
	for _, item := range items {
		check(out.Write(item))
	}
	check(out.Finish())
	check(out.Close())
	f, err := excelize.OpenReader(&b)
	check(err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func item(fields map[string]any) engine.Item { return engine.Item{ID: 1, Fields: fields} }

func TestItems_workbook(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, time.March, 1, 9, 30, 15, 0, time.Local)
	f := exported(t, 10,
		item(map[string]any{
			"string": "=1+1", "integer": int64(5511999998888), "double": 0.1, "boolean": true, "date": "1990-02-03",
			"datetime": at.UTC().Format(time.RFC3339), "crm_multifield": []engine.MultiValue{{Value: "+5511999998888"}, {Value: "+551133334444"}},
		}),
		item(map[string]any{"string": "+55 11", "integer": int64(1234567890123456789), "date": "1899-12-31", "boolean": false, "datetime": "soon"}),
		item(map[string]any{"string": "00123\r\n\"<&>\" _x000D_ "}),
	)
	type cell struct {
		kind       excelize.CellType
		raw, shown string
	}
	text := func(s string) cell { return cell{excelize.CellTypeInlineString, s, s} }
	want := map[string]cell{
		"A1": text("=string"), "G1": text("=crm_multifield"),
		"A2": text("=1+1"), "B2": {excelize.CellTypeUnset, "5511999998888", "5511999998888"}, "C2": {excelize.CellTypeUnset, "0.1", "0.1"},
		"D2": {excelize.CellTypeBool, "1", "TRUE"}, "E2": {excelize.CellTypeUnset, "32907", "1990-02-03"},
		"F2": {excelize.CellTypeUnset, "46082.396006944444", "2026-03-01 09:30:15"}, "G2": text("+5511999998888, +551133334444"),
		"A3": text("+55 11"), "B3": text("1234567890123456789"), "D3": {excelize.CellTypeBool, "0", "FALSE"}, "E3": text("1899-12-31"), "F3": text("soon"),
		"A4": text("00123\r\n\"<&>\" _x000D_ "), "B4": {},
	}
	for at, want := range want {
		kind, err := f.GetCellType("Items", at)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := f.GetCellValue("Items", at, excelize.Options{RawCellValue: true})
		shown, _ := f.GetCellValue("Items", at)
		formula, _ := f.GetCellFormula("Items", at)
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(cell{kind, raw, shown})); diff != "" || formula != "" {
			t.Errorf("%s: formula %q (-want +got):\n%s", at, formula, diff)
		}
	}
	panes, err := f.GetPanes("Items")
	if err != nil || !panes.Freeze || panes.YSplit != 1 {
		t.Errorf("panes %+v, %v", panes, err)
	}
	style, err := f.GetCellStyle("Items", "A1")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.GetStyle(style); err != nil || !s.Font.Bold {
		t.Errorf("the style of the titles is %+v, %v", s, err)
	}
}

func TestItems_workbookGoesOnOnTheNextSheet(t *testing.T) {
	t.Parallel()

	var items []engine.Item
	for i := range int64(5) {
		items = append(items, item(map[string]any{"integer": i}))
	}
	f := exported(t, 3, items...)
	if diff := cmp.Diff([]string{"Items", "Items 2", "Items 3"}, f.GetSheetList()); diff != "" {
		t.Errorf("sheets (-want +got):\n%s", diff)
	}
	for sheet, want := range map[string][]string{"Items": {"=integer", "0", "1"}, "Items 2": {"=integer", "2", "3"}, "Items 3": {"=integer", "4"}} {
		columns, err := f.GetCols(sheet)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, columns[1]); diff != "" {
			t.Errorf("sheet %s (-want +got):\n%s", sheet, diff)
		}
	}
}

func TestItems_workbookHasNoRoomForABook(t *testing.T) {
	t.Parallel()

	out := report.NewItems(&bytes.Buffer{}, "xlsx", []report.Column{{Title: "notes", Field: &engine.Field{Name: "notes"}}})
	if err := out.Header(); err != nil {
		t.Fatal(err)
	}
	err := out.Write(engine.Item{ID: 17, Fields: map[string]any{"notes": strings.Repeat("ã", 40_000)}})
	if err == nil || !strings.Contains(err.Error(), `item 17: "notes" has 40000 characters`) {
		t.Error(err)
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
}
