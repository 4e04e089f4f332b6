package table_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// parts are those of a workbook whose one sheet has the rows of an XML text.
func parts(rows string) map[string]string {
	const relations = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>`
	const relation = `<Relationship Id="%s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/>`
	return map[string]string{
		"_rels/.rels": fmt.Sprintf(relations, fmt.Sprintf(relation, "r1", "officeDocument", "xl/workbook.xml")),
		"xl/_rels/workbook.xml.rels": fmt.Sprintf(relations, fmt.Sprintf(relation, "r1", "worksheet", "worksheets/sheet1.xml")+
			fmt.Sprintf(relation, "r2", "styles", "styles.xml")+fmt.Sprintf(relation, "r3", "sharedStrings", "/xl/sharedStrings.xml")),
		"xl/workbook.xml": `<workbook xmlns:r="x"><workbookPr/><sheets><sheet name="Clients" sheetId="7" r:id="r1"/></sheets></workbook>`,
		"xl/styles.xml": `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy\ hh:mm"/><numFmt numFmtId="165" formatCode="&quot;day&quot; #,##0.00 [$R$-416]"/>` +
			`<numFmt numFmtId="166" formatCode="000\.000&quot;.&quot;000\-00;@"/><numFmt numFmtId="167" formatCode="` + strings.Repeat("0", 1000) + `"/></numFmts>` +
			`<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="20"/><xf numFmtId="46"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="167"/></cellXfs></styleSheet>`,
		"xl/sharedStrings.xml":     `<sst><si><t>n</t></si><si><r><t>São</t></r><r><t xml:space="preserve"> Paulo</t></r><rPh><t>aid</t></rPh></si><si><t>two_x000D_` + "\n" + `lines _x005F_x000D_</t></si></sst>`,
		"xl/worksheets/sheet1.xml": `<?xml version="1.0" encoding="UTF-8"?><worksheet><cols><col/></cols><sheetData>` + rows + `</sheetData><mergeCells/></worksheet>`,
	}
}

// zipped packs the parts of a workbook.
func zipped(tb testing.TB, parts map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range parts {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// readSheet reads a sheet to its end: its rows, and what was wrong with the others.
func readSheet(tb testing.TB, book []byte, o table.Options) (header []string, rows []table.Row, faults []string, err error) {
	tb.Helper()
	o.Name = "a.xlsx"
	s, err := table.OpenSheet(bytes.NewReader(book), int64(len(book)), o)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	}()
	for {
		row, err := s.Next()
		var fault *table.RowError
		switch {
		case errors.Is(err, io.EOF):
			return s.Header(), rows, faults, nil
		case errors.As(err, &fault):
			faults = append(faults, err.Error())
		case err != nil:
			return s.Header(), rows, faults, err
		default:
			rows = append(rows, row)
		}
	}
}

// head is a row that names the columns A to C.
const head = `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t> b </t></is></c><c r="C1" t="str"><v>c</v></c><c r="D1" s="1"/></row>`

func TestSheet_cells(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ cell, want string }{
		"a whole number":            {`<c><v>5511999998888</v></c>`, "5511999998888"},
		"a whole number as a power": {`<c><v>5.5119999988880005E+12</v></c>`, "5511999998888"},
		"17 digits":                 {`<c><v>12345678901234567</v></c>`, "12345678901234567"},
		"a fraction":                {`<c><v>0.1</v></c>`, "0.1"},
		"the noise of a fraction":   {`<c><v>0.30000000000000004</v></c>`, "0.3"},
		"below zero":                {`<c><v>-1234.5</v></c>`, "-1234.5"},
		"zero below zero":           {`<c><v>-0.0</v></c>`, "0"},
		"small":                     {`<c><v>1.5E-7</v></c>`, "0.00000015"},
		"money":                     {`<c s="5"><v>1234.5</v></c>`, "1234.5"},
		"of eleven digits":          {`<c s="6"><v>1234567890</v></c>`, "01234567890"},
		"of eleven and more":        {`<c s="6"><v>123456789012</v></c>`, "123456789012"},
		"no whole number of eleven": {`<c s="6"><v>-1.5</v></c>`, "-1.5"},
		"of a thousand digits":      {`<c s="7"><v>12</v></c>`, "12"},
		"a date":                    {`<c s="1"><v>45000</v></c>`, "2023-03-15"},
		"a date with a time":        {`<c s="1"><v>45000.520833333336</v></c>`, "2023-03-15T12:30:00"},
		"a moment at midnight":      {`<c s="2"><v>45000</v></c>`, "2023-03-15T00:00:00"},
		"just before midnight":      {`<c s="2"><v>45000.9999999999</v></c>`, "2023-03-16T00:00:00"},
		"milliseconds":              {`<c s="2"><v>45000.000001157</v></c>`, "2023-03-15T00:00:00.100"},
		"February 1900":             {`<c s="1"><v>59</v></c>`, "1900-02-28"},
		"March 1900":                {`<c s="1"><v>61</v></c>`, "1900-03-01"},
		"the last day":              {`<c s="1"><v>2958465</v></c>`, "9999-12-31"},
		"a time":                    {`<c s="3"><v>0.5</v></c>`, "12:00:00"},
		"a time of a day":           {`<c s="3"><v>45000.5</v></c>`, "2023-03-15T12:00:00"},
		"a length of time":          {`<c s="4"><v>1.5</v></c>`, "36:00:00"},
		"a date as text":            {`<c t="d" s="1"><v>2023-03-15</v></c>`, "2023-03-15"},
		"a shared text":             {`<c t="s"><v>1</v></c>`, "São Paulo"},
		"characters escaped":        {`<c t="s"><v>2</v></c>`, "two\nlines _x000D_"},
		"a text of its own":         {`<c t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>`, "ab"},
		"true":                      {`<c t="b"><v>1</v></c>`, "true"},
		"false":                     {`<c t="b"><v>0</v></c>`, "false"},
		"a formula":                 {`<c><f>1+1</f><v>2</v></c>`, "2"},
		"a formula's date":          {`<c s="1"><f>TODAY()</f><v>45000</v></c>`, "2023-03-15"},
		"a formula's text":          {`<c t="str"><f>"a"</f><v>a</v></c>`, "a"},
		"a formula's empty text":    {`<c t="str"><f>""</f><v></v></c>`, ""},
		"a text like a formula":     {`<c t="inlineStr"><is><t>=1+1</t></is></c>`, "=1+1"},
		"a text like a number":      {`<c t="inlineStr"><is><t>007</t></is></c>`, "007"},
		"an unknown style":          {`<c s="99"><v>7</v></c>`, "7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, rows, faults, err := readSheet(t, zipped(t, parts(head+`<row><c><v>1</v></c>`+tt.cell+`</row>`)), table.Options{})
			if err != nil || len(faults) > 0 || len(rows) != 1 {
				t.Fatalf("%d rows, %q, %v", len(rows), faults, err)
			}
			if got := rows[0].Fields; got[1] != tt.want {
				t.Errorf("%q, want %q", got[1], tt.want)
			}
		})
	}
}

func TestSheet_faultsOfARow(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ cell, want string }{
		"an error":           {`<c t="e"><v>#N/A</v></c>`, `column "b": the cell holds an error (cell B9): "#N/A"; correct its formula or put a value there`},
		"no value":           {`<c><f>1+1</f></c>`, `column "b": the formula has no value stored with it (cell B9); open the workbook`},
		"no value, but such": {`<c><f>1+1</f><v></v></c>`, `the formula has no value`},
		"no number":          {`<c><v>0x10</v></c>`, `stored as a number and is none (cell B9): "0x10"`},
		"not a number":       {`<c><v>NaN</v></c>`, `stored as a number and is none`},
		"no date":            {`<c s="1"><v>-5</v></c>`, `shown as a date, and its number is none (cell B9): "-5"`},
		"29 February 1900":   {`<c s="1"><v>60</v></c>`, `shown as a date`},
		"the day 0":          {`<c s="1"><v>0</v></c>`, `shown as a date`},
		"far future":         {`<c s="1"><v>1e300</v></c>`, `shown as a date`},
		"an unknown type":    {`<c t="x"><v>1</v></c>`, `unknown type "x"`},
		"beyond the header":  {`<c r="E9" t="b"><v>1</v></c>`, `a value in column E, which the header has no name for (cell E9): "true"; name the column`},
		"a NUL":              {`<c t="str"><v>a_x0000_b</v></c>`, `a NUL byte`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			rows := head + `<row r="9"><c><v>1</v></c>` + tt.cell + `</row><row hidden="1"><c r="C10"><v>3</v></c></row>`
			_, sound, faults, err := readSheet(t, zipped(t, parts(rows)), table.Options{})
			if err != nil || len(faults) != 1 || !strings.Contains(faults[0], tt.want) || !strings.HasPrefix(faults[0], `a.xlsx: line 9: sheet "Clients": `) {
				t.Fatalf("faults %q, %v", faults, err)
			}
			if diff := cmp.Diff([]table.Row{{Line: 10, Fields: []string{"", "", "3"}}}, sound); diff != "" {
				t.Errorf("the row below (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSheet_faultsOfAWorkbook(t *testing.T) {
	t.Parallel()

	with := func(name, text string) map[string]string {
		p := parts(head)
		if p[name] = text; text == "" {
			delete(p, name)
		}
		return p
	}
	row := func(cells string) map[string]string { return parts(head + cells) }
	tests := map[string]struct {
		parts   map[string]string
		options table.Options
		want    string
	}{
		"no workbook":           {with("_rels/.rels", ""), table.Options{}, "not an XLSX workbook; save it as .xlsx"},
		"no sheet":              {with("xl/worksheets/sheet1.xml", ""), table.Options{}, `it has no part "xl/worksheets/sheet1.xml"`},
		"no relations":          {with("xl/_rels/workbook.xml.rels", ""), table.Options{}, "it has no part"},
		"no sheets":             {with("xl/workbook.xml", "<workbook></workbook>"), table.Options{}, "the workbook has no sheet with cells"},
		"an unknown sheet":      {row(""), table.Options{Sheet: "Cliente"}, `there is no sheet "Cliente"; the workbook has "Clients"`},
		"a delimiter":           {row(""), table.Options{Delimiter: ";"}, "delimiter: and encoding: are for delimited text"},
		"no rows":               {parts(""), table.Options{}, `sheet "Clients" has no row that names the columns`},
		"no row of that number": {parts(head + `<row r="5"><c><v>1</v></c></row>`), table.Options{HeaderLine: 3}, "row 3, where the header should be, is empty"},
		"a name twice":          {parts(`<row><c t="b"><v>1</v></c><c t="b"><v>1</v></c></row>`), table.Options{}, `columns A, B are all named "true"; give each its own name (read from sheet "Clients")`},
		"no name":               {parts(`<row><c r="B1" t="b"><v>1</v></c></row>`), table.Options{}, `column A of the header has no name`},
		"a missing column":      {row(""), table.Options{Require: []string{"B"}}, `required column "B" is missing; did you mean "b", `},
		"a header with a fault": {parts(`<row><c t="e"><v>#REF!</v></c></row>`), table.Options{}, `line 1: sheet "Clients": the cell holds an error (cell A1): "#REF!"`},
		"rows out of order":     {row(`<row r="3"/><row r="2"/>`), table.Options{}, `row "2" stands after row 3`},
		"cells out of order":    {row(`<row><c r="B2"/><c r="A2"/></row>`), table.Options{}, `cell "A2" stands after 2 others`},
		"no cell":               {row(`<row><c r="1"/></row>`), table.Options{}, `the workbook is damaged`},
		"a column too far":      {row(`<row><c r="ZZZZZZZZZZZZZZZZZZZ2"/></row>`), table.Options{}, `the workbook is damaged`},
		"a row too far":         {row(`<row r="1048577"/>`), table.Options{}, `it has more than 1048576 rows`},
		"a shared text too far": {row(`<row><c t="s"><v>9</v></c></row>`), table.Options{}, `a cell names shared text 9 of 3`},
		"a shared text below 0": {row(`<row><c t="s"><v>-1</v></c></row>`), table.Options{}, `a cell names the shared text "-1"`},
		"cut XML":               {with("xl/worksheets/sheet1.xml", "<worksheet><sheetData>"+head), table.Options{}, `sheet "Clients": the workbook is damaged: it ends before it is complete; fetch it again`},
		"not XML":               {row("<row><c><v>1 & 2"), table.Options{}, "the workbook is damaged: its XML"},
		"cut formats":           {with("xl/styles.xml", "<styleSheet>"), table.Options{}, "it ends before it is complete"},
		"a long text":           {row("<row><c><v>" + strings.Repeat("1", 5<<20) + "</v></c></row>"), table.Options{}, "a text in it is longer than 4 MiB"},
		"a bomb":                {row("<row>" + strings.Repeat(" ", 100<<20) + "</row>"), table.Options{}, "more than 200 times as long"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, rows, faults, err := readSheet(t, zipped(t, tt.parts), tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "a.xlsx: ") {
				t.Fatalf("%d rows, %q, %v", len(rows), faults, err)
			}
		})
	}
}

func TestSheet_otherFiles(t *testing.T) {
	t.Parallel()

	utf16 := func(text string) string { return strings.Join(strings.Split(text, ""), "\x00") }
	old := "\xD0\xCF\x11\xE0" + strings.Repeat("x", 3<<16)
	sound := zipped(t, parts(head))
	tests := map[string]struct{ text, want string }{
		"nothing":          {"", "the file is empty"},
		"text":             {"a;b\n1;2\n", "not an XLSX workbook"},
		"an old workbook":  {old, "of the old format .xls"},
		"a protected one":  {old[:1<<16-9] + utf16("EncryptedPackage") + old, "protected by a password"},
		"a cut one":        {string(sound[:len(sound)-30]), "its zip: zip: not a valid zip file"},
		"the begin of one": {"PK\x03\x04", "its zip"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, _, _, err := readSheet(t, []byte(tt.text), table.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatal(err)
			}
		})
	}
}

// Damage anywhere in what is read is said: never is a part of a workbook taken
// for the whole.
func TestSheet_damageIsNoticed(t *testing.T) {
	t.Parallel()

	var rows strings.Builder
	for i := range 300 {
		fmt.Fprintf(&rows, `<row><c><v>%d</v></c><c t="s"><v>1</v></c></row>`, i*7919)
	}
	book := zipped(t, parts(head+rows.String()))
	_, want, _, err := readSheet(t, book, table.Options{})
	if err != nil || len(want) != 300 {
		t.Fatalf("%d rows, %v", len(want), err)
	}
	for at := 0; at < len(book); at += 3 {
		bad := bytes.Clone(book)
		bad[at] ^= 0x55
		_, got, faults, err := readSheet(t, bad, table.Options{})
		if err == nil && (len(faults) > 0 || !cmp.Equal(want, got)) {
			t.Fatalf("byte %d is changed, and nothing is said of it: %d rows, %q", at, len(got), faults)
		}
	}
}

// realWorkbook is made by a library that others write workbooks with, too.
func realWorkbook(tb testing.TB, from1904 bool) []byte {
	tb.Helper()
	f := excelize.NewFile()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	check(f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &from1904}))
	check(f.SetSheetName("Sheet1", "Notes"))
	for _, name := range []string{"Clients", "Old"} {
		_, err := f.NewSheet(name)
		check(err)
		for i, row := range [][]any{
			{"Clients of " + name},
			{"id", "name", "phone", "born", "paid"},
			{1, "Ana", 5511999998888, time.Date(1990, time.February, 3, 0, 0, 0, 0, time.UTC), true},
			{},
			{2.5, "=Bruno", "+5511999998888", time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC), false, ""},
		} {
			check(f.SetSheetRow(name, fmt.Sprintf("A%d", i+1), &row))
		}
		check(f.MergeCell(name, "A1", "E1"))
		check(f.SetRowVisible(name, 5, false))
	}
	f.SetActiveSheet(1)
	check(f.SetSheetVisible("Notes", false))
	var b bytes.Buffer
	check(f.Write(&b))
	check(f.Close())
	return b.Bytes()
}

func TestSheet_realWorkbook(t *testing.T) {
	t.Parallel()

	for _, from1904 := range []bool{false, true} {
		for _, sheet := range []string{"", "oLD"} {
			header, rows, faults, err := readSheet(t, realWorkbook(t, from1904), table.Options{Sheet: sheet, HeaderLine: 2})
			if err != nil || len(faults) > 0 {
				t.Fatal(faults, err)
			}
			if diff := cmp.Diff([]string{"id", "name", "phone", "born", "paid"}, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			want := []table.Row{
				{Line: 3, Fields: []string{"1", "Ana", "5511999998888", "1990-02-03", "true"}},
				{Line: 5, Fields: []string{"2.5", "=Bruno", "+5511999998888", "2026-03-01T09:30:00", "false"}},
			}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("from 1904 %v, rows (-want +got):\n%s", from1904, diff)
			}
		}
	}
}

// Texts of which there are many wait in a file, and are found there.
func TestSheet_manySharedTexts(t *testing.T) {
	t.Parallel()

	const count = 3000
	text := func(i int) string { return strconv.Itoa(i) + strings.Repeat("ação", 1000) }
	var rows, shared strings.Builder
	for i := range count {
		fmt.Fprintf(&rows, `<row><c t="s"><v>%d</v></c><c t="s"><v>%d</v></c></row>`, i, count-1-i)
		fmt.Fprintf(&shared, `<si><t>%s</t></si>`, text(i))
	}
	p := parts(strings.ReplaceAll(head, `<c r="A1" t="s"><v>0</v></c>`, `<c t="b"><v>1</v></c>`) + rows.String())
	p["xl/sharedStrings.xml"] = "<sst>" + shared.String() + "</sst>"
	_, got, faults, err := readSheet(t, zipped(t, p), table.Options{})
	if err != nil || len(faults) > 0 || len(got) != count {
		t.Fatalf("%d rows, %q, %v", len(got), faults, err)
	}
	for i, row := range got {
		if row.Fields[0] != text(i) || row.Fields[1] != text(count-1-i) {
			t.Fatalf("row %d has %.20q and %.20q", i, row.Fields[0], row.Fields[1])
		}
	}
}

// A long text that cells name often would fill disks with little.
func TestSheet_oftenTheSameText(t *testing.T) {
	t.Parallel()

	p := parts(head + strings.Repeat(`<row>`+strings.Repeat(`<c t="s"><v>0</v></c>`, 3)+`</row>`, 1000))
	p["xl/sharedStrings.xml"] = "<sst><si><t>" + strings.Repeat("x", 1<<20) + "</t></si></sst>"
	p["xl/worksheets/sheet1.xml"] = strings.ReplaceAll(p["xl/worksheets/sheet1.xml"], `<c r="A1" t="s"><v>0</v></c>`, `<c t="b"><v>1</v></c>`)
	_, rows, _, err := readSheet(t, zipped(t, p), table.Options{})
	if err == nil || !strings.Contains(err.Error(), "times as long") {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
}

// FuzzOpenSheet feeds a sheet, its texts, formats and the list of sheets, and
// any bytes as a file: they end, in order, and each row fits the header.
func FuzzOpenSheet(f *testing.F) {
	for _, rows := range []string{
		"", head, head + `<row r="3"><c r="A3" s="1"><v>45000.5</v></c><c r="C3" t="e"><v>#N/A</v></c></row>`,
		head + `<row><c t="s"><v>2</v></c><c><f>1</f></c><c t="b"><v>1</v></c></row><row/>`,
	} {
		p := parts(rows)
		f.Add([]byte(p["xl/worksheets/sheet1.xml"]), p["xl/sharedStrings.xml"], p["xl/styles.xml"], p["xl/workbook.xml"], false)
	}
	f.Add(realWorkbook(f, true), "", "", "", true)
	f.Fuzz(func(t *testing.T, sheet []byte, texts, formats, list string, whole bool) {
		book := sheet
		if !whole {
			p := parts("")
			p["xl/worksheets/sheet1.xml"], p["xl/sharedStrings.xml"], p["xl/styles.xml"], p["xl/workbook.xml"] = string(sheet), texts, formats, list
			book = zipped(t, p)
		}
		s, err := table.OpenSheet(bytes.NewReader(book), int64(len(book)), table.Options{Name: "a.xlsx"})
		if err != nil {
			checkText(t, err.Error())
			return
		}
		defer s.Close()
		for last := 0; ; {
			row, err := s.Next()
			var fault *table.RowError
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && !errors.As(err, &fault):
				checkText(t, err.Error())
				return
			case err != nil:
				checkText(t, err.Error())
			}
			if row.Line <= last || len(row.Fields) != len(s.Header()) {
				t.Fatalf("row %d after %d has %d cells for %d columns", row.Line, last, len(row.Fields), len(s.Header()))
			}
			last = row.Line
		}
	})
}

// A sheet without a row of names has those of the job, and begins at its first row.
func TestSheet_columnsAreGiven(t *testing.T) {
	t.Parallel()

	rows := `<row r="2"><c t="b"><v>1</v></c></row><row r="4"><c r="B4" t="b"><v>0</v></c></row><row r="5"><c r="C5" t="b"><v>0</v></c></row>`
	header, got, faults, err := readSheet(t, zipped(t, parts(rows)), table.Options{Columns: []string{"x", "y"}, Require: []string{"x"}})
	want := []table.Row{{Line: 2, Fields: []string{"true", ""}}, {Line: 4, Fields: []string{"", "false"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(header) != 2 || len(faults) != 1 {
		t.Errorf("%q, %v, rows (-want +got):\n%s", faults, err, diff)
	}
}
