// Package table reads delimited text, JSON and workbooks: the rows that a job's
// read step begins with. It finds out delimiter and encoding where they are not given, streams
// with flat memory, and treats every byte as hostile. A damaged row is reported
// with its line and column and the rows below it go on; only a header that
// cannot be used or a file that cannot be read ends it.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/bxflow/bxflow/engine"
)

const (
	// maxField is the longest field in bytes of UTF-8 that a row may have.
	maxField = 1 << 20
	// maxRecord is how many bytes one record may take. More is nearly always
	// a quote that nobody closed, which would swallow the rest of the file.
	maxRecord = 4 << 20
	// maxColumns is as wide as the sheet of a spreadsheet can be.
	maxColumns = 16384
	// rawSample is how much of a file is looked at to tell its encoding.
	rawSample = 256 << 10
	// textSample is how much decoded text is looked at to tell the delimiter.
	textSample = 64 << 10
)

// Options say how to read a table. The zero value detects everything.
type Options struct {
	// Delimiter is one character, or one of comma, semicolon, tab, pipe.
	// Empty: a first line such as "sep=;" decides, else it is detected among
	// comma, semicolon, tab and pipe.
	Delimiter string
	// Encoding is one of [Encodings]. Empty: detected among UTF-8, UTF-16,
	// windows-1251 and windows-1252. A byte order mark wins over both.
	Encoding string
	// Require lists columns that the header must have, spelled exactly.
	Require []string
	// HeaderLine is the line that names the columns, from 1; what stands above
	// it is passed over. 0: the first line with content.
	HeaderLine int
	// Sheet is the sheet of a workbook, in any case. Empty: the first visible one.
	Sheet string
	// Columns names the columns of a file that has no line for that.
	Columns []string
	// Name is what errors call the file; empty means "table".
	Name string
}

// Dialect is how a table turned out to be written.
type Dialect struct {
	Delimiter         rune
	Encoding          string // one of [Encodings]
	BOM               bool   // the file begins with a byte order mark
	DelimiterDetected bool   // neither the options nor a sep= line gave it
	EncodingDetected  bool   // neither the options nor a byte order mark gave it
	Sheet             string // of a workbook, else empty
	HeaderLine        int    // the line that names the columns; 0: none does
}

// String describes d as errors and previews do: delimiter ';', utf-8.
func (d Dialect) String() string {
	if d.Sheet != "" {
		return fmt.Sprintf("sheet %q", shorten(d.Sheet))
	}
	return fmt.Sprintf("delimiter %q, %s", d.Delimiter, d.Encoding)
}

// Row is one record of a table.
type Row struct {
	// Line is the line of the file on which the record begins, from 1.
	Line int
	// Fields has as many values as the header has names. Line ends inside
	// a quoted field are LF.
	Fields []string
}

// Reader streams the rows of one table. It is not safe for concurrent use.
type Reader struct {
	name    string
	header  []string
	dialect Dialect
	lines   *lines
	feed    feed
	csv     *csv.Reader
	blank   int
}

// Open detects what o leaves open and reads the header. It keeps r and reads
// ahead of what [Reader.Next] has returned; closing r is the caller's part.
//
// Errors say what is wrong with the options or with the file and how to mend
// it: an unknown encoding, an empty file, columns without a name or with the
// same name, missing required columns. Errors of r itself are wrapped.
func Open(r io.Reader, o Options) (*Reader, error) {
	t := &Reader{name: o.Name}
	if t.name == "" {
		t.name = "table"
	}
	text, err := t.open(r, &o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	t.lines.r = text
	t.restart()
	if err := t.readHeader(o); err != nil {
		return nil, err
	}
	return t, nil
}

// open returns the text from the header on, and notes the dialect. What o says
// of the header is not for rows that come back.
func (t *Reader) open(r io.Reader, o *Options) (*bufio.Reader, error) {
	delimiter, err := parseDelimiter(o.Delimiter)
	if err != nil {
		return nil, err
	}
	text, err := t.decode(r, o.Encoding)
	if err != nil {
		return nil, err
	}
	t.lines = &lines{}
	begin, _, err := peek(text, textSample)
	if err != nil {
		return nil, err
	}
	if comesBack(begin) {
		o.HeaderLine, o.Columns = 0, nil
	}
	if err := t.skip(text, o.HeaderLine-1); err != nil {
		return nil, err
	}
	sample, whole, err := peek(text, textSample)
	if err != nil {
		return nil, err
	}
	if length, sep := separatorLine(sample); length > 0 {
		if _, err := text.Discard(length); err != nil {
			return nil, err
		}
		sample, t.lines.number = sample[length:], t.lines.number+1
		if delimiter == 0 {
			delimiter = sep
		}
	}
	if delimiter == 0 {
		delimiter, t.dialect.DelimiterDetected = detectDelimiter(sample, whole), true
	}
	t.dialect.Delimiter = delimiter
	return text, nil
}

// comesBack says whether a text holds the rows of a run that failed: the first
// line of these has the names of the columns, wherever their source had them,
// and ends with the ones that they are given.
func comesBack(text []byte) bool {
	header, _, _ := bytes.Cut(text, []byte{'\n'})
	return regexp.MustCompile(`_line"?.{1,2}_step"?.{1,2}_error"?\r?$`).Match(header)
}

// skip passes over the lines above the header.
func (t *Reader) skip(text *bufio.Reader, lines int) error {
	for t.lines.number < lines {
		_, err := text.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue // the rest of a long line
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the file ends before line %d, where the header should be", lines+1)
		case err != nil:
			return err
		}
		t.lines.number++
	}
	return nil
}

// decode returns r as UTF-8 with LF or CRLF line ends, and notes the encoding.
func (t *Reader) decode(r io.Reader, asked string) (*bufio.Reader, error) {
	raw := bufio.NewReaderSize(r, rawSample)
	sample, whole, err := peek(raw, rawSample)
	if err != nil {
		return nil, err
	}
	found, err := findEncoding(sample, whole, asked)
	if err != nil {
		return nil, err
	}
	if _, err := raw.Discard(found.mark); err != nil {
		return nil, err
	}
	t.dialect.Encoding = found.encoding.name
	t.dialect.BOM = found.mark > 0
	t.dialect.EncodingDetected = found.detected

	text := bufio.NewReaderSize(found.encoding.reader(raw), textSample)
	sample, _, err = peek(text, textSample)
	if err != nil {
		return nil, err
	}
	if onlyCR(sample) {
		return bufio.NewReaderSize(&lineEnds{r: text}, textSample), nil
	}
	return text, nil
}

// peek returns the next n bytes of r, fewer if the text ends before.
func peek(r *bufio.Reader, n int) (sample []byte, whole bool, err error) {
	sample, err = r.Peek(n)
	if errors.Is(err, io.EOF) {
		return sample, true, nil
	}
	return sample, false, err
}

// restart gives the field parser a fresh start after text that it refused.
func (t *Reader) restart() {
	t.csv = csv.NewReader(&t.feed)
	t.csv.Comma = t.dialect.Delimiter
	t.csv.FieldsPerRecord = -1
}

// Header returns the names of the columns, trimmed, none empty, none twice.
func (t *Reader) Header() []string { return t.header }

// Dialect returns how the table is written.
func (t *Reader) Dialect() Dialect { return t.dialect }

// Blank returns how many rows without any content [Reader.Next] has passed over.
func (t *Reader) Blank() int { return t.blank }

// Next returns the next row, and [io.EOF] after the last. A [*RowError] is
// about this row alone: the row comes with it, as far as it could be read, and
// the next call goes on below it. Every other error is final.
func (t *Reader) Next() (Row, error) {
	row, err := t.read()
	if err == nil {
		err = t.check(row)
	}
	if len(t.header) > 0 && row.Line > 0 {
		row.Fields = align(row.Fields, len(t.header))
	}
	return row, err
}

// read returns the next record with content. Cells are what they were before
// they were kept from being formulas.
func (t *Reader) read() (Row, error) {
	row, err := t.record()
	for i, field := range row.Fields {
		row.Fields[i] = engine.OriginalCell(field)
	}
	return row, err
}

// record returns the next record with content, as it stands in the file.
func (t *Reader) record() (Row, error) {
	for {
		line, text, err := t.lines.record()
		if err != nil {
			return t.refuse(Row{Line: line}, text, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			t.blank++
			continue
		}
		t.feed.text = text
		fields, err := t.csv.Read()
		row := Row{Line: line, Fields: fields}
		if err != nil {
			return t.refuse(row, text, err)
		}
		if allBlank(fields) {
			t.blank++
			continue
		}
		return row, nil
	}
}

// refuse turns what kept a record from being read into the error for it. Of
// a record over several lines only the first is given up: what looks like the
// inside of a quoted field may be the rows below a quote that nobody closed.
func (t *Reader) refuse(row Row, text []byte, err error) (Row, error) {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return Row{}, io.EOF
	case errors.Is(err, errTooLong):
		return row, &RowError{
			Name: t.name, Line: row.Line,
			Fault:  fmt.Sprintf("the line is longer than %d MiB", maxRecord>>20),
			Remedy: "see whether the file is a table and its lines are ended",
		}
	case !errors.Is(err, errOpenQuote) && !errors.As(err, &parse):
		return Row{}, fmt.Errorf("%s: %w", t.name, err)
	}
	first := t.lines.keepFirst(text)
	t.restart()
	t.feed.text = first
	row.Fields, err = t.csv.Read()
	t.restart()
	return row, t.quoteError(row, first, err)
}

// quoteError describes what the quotes of a record's first line are like. That
// line alone may even be sound, where the record broke further down.
func (t *Reader) quoteError(row Row, first []byte, err error) *RowError {
	fault := &RowError{
		Name: t.name, Line: row.Line,
		Value:  string(bytes.TrimRight(first, "\r\n")),
		Fault:  "a quoted field has text behind its closing quote, or is never closed",
		Remedy: `end the field behind the quote, and write a quote inside it as ""`,
	}
	if errors.Is(err, csv.ErrBareQuote) {
		fault.Fault = "a quote stands inside a field that does not begin with one"
		fault.Remedy = `put the field in quotes and write the quote inside it as ""`
	}
	if err != nil && len(row.Fields) < len(t.header) {
		fault.Column = t.header[len(row.Fields)]
	}
	return fault
}
