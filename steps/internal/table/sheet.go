package table

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxRows is as long as the sheet of a spreadsheet can be.
const maxRows = 1 << 20

// Sheet streams the rows of one sheet of an XLSX workbook. Cells are texts as
// those of other tables are, whatever the sheet shows them as: numbers with all
// their digits, and with the zeros before them that their format asks for, dates
// as 2006-01-02 or 2006-01-02T15:04:05, true and false, of a formula the value that
// was stored with it. It is not safe for concurrent use.
//
// It reads the XML itself: libraries that stream rows tell neither a cell's
// type nor its format, and take damage for the end.
type Sheet struct {
	t     Reader
	book  *workbook
	xml   *tokens
	begun bool  // the rows have begun
	last  int   // the number of the last row
	out   int64 // bytes of cells handed out
}

// OpenSheet reads a workbook of size bytes as far as the header of the sheet
// that o names in any case, or of its first visible one. The delimiter and the
// encoding are not for such a file and are errors; the header's line is a row
// of the sheet, and so are the lines of rows and errors. The sheet is to be
// closed; closing r is the caller's part.
func OpenSheet(r io.ReaderAt, size int64, o Options) (*Sheet, error) {
	s := &Sheet{t: Reader{name: o.Name}}
	if err := s.open(r, size, o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.t.name, err), s.Close())
	}
	if err := s.readHeader(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sheet) open(r io.ReaderAt, size int64, o Options) error {
	if o.Delimiter != "" || o.Encoding != "" {
		return errors.New("delimiter: and encoding: are for delimited text, and this is a workbook; remove them")
	}
	var err error
	if s.book, err = openWorkbook(r, size); err != nil {
		return err
	}
	chosen, err := s.book.choose(o.Sheet)
	if err != nil {
		return err
	}
	s.t.dialect = Dialect{Delimiter: ',', Encoding: utf8Name, Sheet: chosen.name}
	s.xml, err = s.book.open(chosen.part)
	return err
}

// Close ends the reading.
func (s *Sheet) Close() error {
	if s.book == nil {
		return nil
	}
	return s.book.texts.close()
}

// Header returns the names of the columns, trimmed, none empty, none twice.
func (s *Sheet) Header() []string { return s.t.header }

// Dialect returns the sheet's name, and how it would be written as text.
func (s *Sheet) Dialect() Dialect { return s.t.dialect }

// readHeader is what [Reader.readHeader] is for text.
func (s *Sheet) readHeader(o Options) error {
	if len(o.Columns) > 0 {
		return s.t.readHeader(o)
	}
	for {
		row, err := s.read()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%s: sheet %q has no row that names the columns", s.t.name, s.t.dialect.Sheet)
		case row.Line > 0 && row.Line < o.HeaderLine:
			continue
		case err != nil:
			return err
		case o.HeaderLine > 0 && row.Line > o.HeaderLine:
			return fmt.Errorf("%s: sheet %q: row %d, where the header should be, is empty", s.t.name, s.t.dialect.Sheet, o.HeaderLine)
		}
		return s.nameColumns(row, o.Require)
	}
}

func (s *Sheet) nameColumns(row Row, require []string) error {
	s.t.blank = 0
	names := make([]string, len(row.Fields))
	for i, field := range row.Fields {
		names[i] = strings.TrimFunc(field, invisible)
	}
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	faults := append(nameFaults(names, letters), missing(names, require)...)
	if len(faults) > 0 {
		return fmt.Errorf("%s: line %d: %s (read from %s)", s.t.name, row.Line, strings.Join(faults, "; "), s.t.dialect)
	}
	s.t.header, s.t.dialect.HeaderLine = names, row.Line
	return nil
}

// Next returns the next row; see [Reader.Next].
func (s *Sheet) Next() (Row, error) {
	row, err := s.read()
	if err == nil {
		err = s.tooWide(row)
	}
	if row.Line > 0 {
		row.Fields = align(row.Fields, len(s.t.header))
	}
	return row, err
}

// tooWide finds a value that no column of the header is for.
func (s *Sheet) tooWide(row Row) error {
	for i := len(s.t.header); i < len(row.Fields); i++ {
		if value := row.Fields[i]; strings.TrimSpace(value) != "" {
			return s.fault(row.Line, i, value, "there is a value in column "+letters(i)+", which the header has no name for", "name the column, or clear the cell")
		}
	}
	return nil
}

// read returns the next row with content, with the first fault of its cells.
func (s *Sheet) read() (Row, error) {
	for {
		line, err := s.nextRow()
		if err != nil {
			return Row{}, s.final(err)
		}
		row, err := s.cells(line)
		if fault, ok := errors.AsType[*RowError](err); ok {
			return row, fault
		}
		if err != nil {
			return Row{}, s.final(err)
		}
		if allBlank(row.Fields) {
			s.t.blank++
			continue
		}
		return row, nil
	}
}

// final puts an error that ends the reading where it is.
func (s *Sheet) final(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("%s: sheet %q: %w", s.t.name, s.t.dialect.Sheet, err)
}

// nextRow goes to the next row, and returns its number.
func (s *Sheet) nextRow() (int, error) {
	for {
		token, err := s.xml.next()
		if err != nil {
			return 0, err
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "sheetData":
				s.begun = true
			case "row":
				if s.begun {
					return s.number(e)
				}
			}
		case xml.EndElement:
			if e.Name.Local == "sheetData" {
				if err := s.xml.drain(); err != nil {
					return 0, err
				}
				return 0, io.EOF
			}
		}
	}
}

// number is the number of a row, which need not be written where it follows.
func (s *Sheet) number(row xml.StartElement) (int, error) {
	last := s.last
	n := last + 1
	if text := attribute(row, "r"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n <= last {
			return 0, damaged("row %q stands after row %d", shorten(text), last)
		}
	}
	if n > maxRows {
		return 0, damaged("it has more than %d rows", maxRows)
	}
	s.last = n
	return n, nil
}

// cells reads the cells of a row to its end. All of them are read, even if one
// is at fault.
func (s *Sheet) cells(line int) (Row, error) {
	row, size := Row{Line: line}, 0
	var first error
	for {
		token, err := s.xml.next()
		if err != nil {
			return row, err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "row" {
				return row, first
			}
		case xml.StartElement:
			if e.Name.Local != "c" {
				continue
			}
			at, err := column(attribute(e, "r"), len(row.Fields))
			if err != nil {
				return row, err
			}
			c, err := s.cell(e)
			if err != nil {
				return row, err
			}
			value, err := s.value(c)
			if err != nil {
				return row, err
			}
			if size += len(value.text); size > maxRecord {
				value = valued{fault: fmt.Sprintf("the row is longer than %d MiB", maxRecord>>20), remedy: "see whether its cells are meant for a table"}
				size -= len(value.text)
			}
			if value.fault == "" {
				value.fault, value.remedy = s.t.fieldFault(value.text)
			}
			row.Fields = append(align(row.Fields, at), value.text)
			if value.fault != "" && first == nil {
				first = s.fault(line, at, value.text, value.fault, value.remedy)
			}
			if err := s.count(value.text); err != nil {
				return row, err
			}
		}
	}
}

// count keeps a few texts from being handed out so often that they fill disks.
func (s *Sheet) count(text string) error {
	s.out += int64(len(text))
	return Swollen(s.out, s.book.unpacked)
}

// fault is an error about the cell of a row in a column, from 0.
func (s *Sheet) fault(line, at int, value, fault, remedy string) error {
	e := &RowError{
		Name: s.t.name, Sheet: s.t.dialect.Sheet, Line: line, Value: value, Remedy: remedy,
		Fault: fault + " (cell " + letters(at) + strconv.Itoa(line) + ")",
	}
	if at < len(s.t.header) {
		e.Column = s.t.header[at]
	}
	return e
}

// column is where a cell stands, from 0, which need not be written where it
// follows the one before.
func column(reference string, next int) (int, error) {
	at, named := 0, strings.TrimRight(reference, "0123456789")
	if reference == "" {
		at = next
	} else {
		for _, b := range []byte(named) {
			if b |= 0x20; b < 'a' || b > 'z' || at > maxColumns {
				return 0, damaged("%q is no cell", shorten(reference))
			}
			at = at*26 + int(b-'a') + 1
		}
		at--
	}
	if at < next || at >= maxColumns {
		return 0, damaged("cell %q stands after %d others", shorten(reference), next)
	}
	return at, nil
}

// letters are what a spreadsheet calls a column.
func letters(at int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if at < len(alphabet) {
		return alphabet[at : at+1]
	}
	return letters(at/len(alphabet)-1) + letters(at%len(alphabet))
}
