package table

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// RowError is a fault of one row; the rows below it can still be read.
type RowError struct {
	Name   string // of the file, from Options
	Sheet  string // of a workbook, else empty
	Line   int    // of the file on which the record begins, from 1
	Column string // the header's name for the field, empty if it is the row
	Value  string // what stands there, not shortened; may be invalid UTF-8
	Fault  string
	Remedy string
}

// maxShown is how many characters of a value an error shows.
const maxShown = 60

// Error puts the place first, the fault second and the remedy last.
func (e *RowError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: line %d: ", e.Name, e.Line)
	b.WriteString(e.Text())
	return b.String()
}

// Text is the error without the file and the line.
func (e *RowError) Text() string {
	var b strings.Builder
	if e.Sheet != "" {
		fmt.Fprintf(&b, "sheet %q: ", shorten(e.Sheet))
	}
	if e.Column != "" {
		fmt.Fprintf(&b, "column %q: ", e.Column)
	}
	b.WriteString(e.Fault)
	if e.Value != "" {
		fmt.Fprintf(&b, ": %q", shorten(e.Value))
	}
	if e.Remedy != "" {
		fmt.Fprintf(&b, "; %s", e.Remedy)
	}
	return b.String()
}

// check returns the first fault of a row that was read, nil if it has none.
func (t *Reader) check(row Row) error {
	for i, field := range row.Fields {
		fault, remedy := t.fieldFault(field)
		if fault == "" {
			continue
		}
		e := &RowError{Name: t.name, Line: row.Line, Value: field, Fault: fault, Remedy: remedy}
		if i < len(t.header) {
			e.Column = t.header[i]
		}
		return e
	}
	if len(row.Fields) == len(t.header) {
		return nil
	}
	return t.widthFault(row)
}

// widthFault describes a row with more or fewer fields than the header.
func (t *Reader) widthFault(row Row) error {
	have, want := len(row.Fields), len(t.header)
	e := &RowError{
		Name: t.name, Line: row.Line,
		Fault: fmt.Sprintf("%s where the header has %d", count(have, "field"), want),
	}
	if have < want {
		e.Column = t.header[have]
		e.Value = row.Fields[have-1]
		e.Fault += ", the last one"
		e.Remedy = fmt.Sprintf("add what is missing, or a bare %q for each empty field", t.dialect.Delimiter)
		return e
	}
	e.Value = strings.Join(row.Fields[want:], string(t.dialect.Delimiter))
	e.Fault += ", behind the last column"
	e.Remedy = fmt.Sprintf("put a field that holds %q in quotes", t.dialect.Delimiter)
	return e
}

// fieldFault says what makes a field unusable, nothing for a sound one.
func (t *Reader) fieldFault(field string) (fault, remedy string) {
	if len(field) > maxField {
		return fmt.Sprintf("the field is longer than %d MiB", maxField>>20), "see whether a quote is not closed"
	}
	for i := range len(field) {
		switch b := field[i]; {
		case b == 0:
			return "a NUL byte", "see whether the file is damaged or in another encoding"
		case b >= utf8.RuneSelf:
			return t.encodingFault(field[i:])
		}
	}
	return "", ""
}

// encodingFault looks for bytes that the file's encoding has no character for.
// A decoder turns those into U+FFFD or, in a code page, into a C1 control.
func (t *Reader) encodingFault(field string) (fault, remedy string) {
	utf8Text := t.dialect.Encoding == utf8Name
	sound := utf8.ValidString(field)
	for _, r := range field {
		switch {
		case r == 0:
			return "a NUL byte", "see whether the file is damaged or in another encoding"
		case !utf8Text && (r == utf8.RuneError || r >= 0x80 && r < 0xA0):
			sound = false
		}
	}
	if sound {
		return "", ""
	}
	return "bytes that are not " + t.dialect.Encoding, "see whether the file is damaged or name it under encoding"
}

// align gives fields as many values as the header has names.
func align(fields []string, width int) []string {
	if len(fields) > width {
		return fields[:width:width]
	}
	for len(fields) < width {
		fields = append(fields, "")
	}
	return fields
}

func allBlank(fields []string) bool {
	for _, f := range fields {
		if strings.TrimSpace(f) != "" {
			return false
		}
	}
	return true
}

func shorten(s string) string {
	n := 0
	for i := range s {
		if n == maxShown {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
