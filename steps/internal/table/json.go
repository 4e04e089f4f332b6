package table

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Objects streams the objects of a JSON file: those of an array, or one a line
// (JSONL). Cells are texts as those of other tables are: a number as it is
// written, null an empty text, lists and objects as JSON. It is not safe for
// concurrent use.
type Objects struct {
	t     Reader
	next  func() (line int, text []byte, err error)
	array bool
	at    map[string]int // where in the header a name is
}

// OpenObjects reads r to its end once for the names that its objects have, in
// the order in which they come up, and then again for the rows. The delimiter,
// the header's line and the names of columns are not for such a file and are
// errors; others are those of [Open]. Closing r is the caller's part.
func OpenObjects(r io.ReadSeeker, o Options) (*Objects, error) {
	j := &Objects{t: Reader{name: o.Name}, at: map[string]int{}}
	if o.Delimiter != "" || o.HeaderLine > 0 || len(o.Columns) > 0 {
		return nil, fmt.Errorf("%s: delimiter: and header: are for delimited text, and this is JSON; remove them", j.t.name)
	}
	if err := j.start(r, o); err != nil {
		return nil, err
	}
	if err := j.names(); err != nil {
		return nil, err
	}
	if len(j.t.header) == 0 {
		return nil, fmt.Errorf("%s: there is no JSON object with a name in the file; write an array of objects, or one object a line", j.t.name)
	}
	if faults := missing(j.t.header, o.Require); len(faults) > 0 {
		return nil, fmt.Errorf("%s: %s", j.t.name, strings.Join(faults, "; "))
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("%s: %w", j.t.name, err)
	}
	return j, j.start(r, o)
}

// start finds the encoding and whether the objects stand in an array.
func (j *Objects) start(r io.Reader, o Options) error {
	text, err := j.t.decode(r, o.Encoding)
	if err != nil {
		return fmt.Errorf("%s: %w", j.t.name, err)
	}
	sample, _, err := peek(text, textSample)
	if err != nil {
		return fmt.Errorf("%s: %w", j.t.name, err)
	}
	j.t.blank = 0
	if j.array = bytes.HasPrefix(bytes.TrimSpace(sample), []byte{'['}); j.array {
		j.next = (&elements{in: &window{r: text}}).next
		return nil
	}
	j.next = (&lines{r: text}).plain
	return nil
}

// names makes the names of all sound objects the header.
func (j *Objects) names() error {
	for {
		_, err := j.Next()
		var fault *RowError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.As(err, &fault):
			return err
		case len(j.t.header) > maxColumns:
			return fmt.Errorf("%s: the objects have more than %d names; see whether names are values", j.t.name, maxColumns)
		}
	}
}

// Header returns the names that the objects have, none twice.
func (j *Objects) Header() []string { return j.t.header }

// Dialect returns how the objects would be written as a table.
func (j *Objects) Dialect() Dialect {
	d := j.t.dialect
	d.Delimiter = ','
	return d
}

// Next returns the next object as a row; see [Reader.Next]. What is wrong
// inside an array's syntax is final, since nobody knows where the next begins.
func (j *Objects) Next() (Row, error) {
	for {
		line, text, err := j.next()
		row := Row{Line: line}
		text = bytes.TrimSpace(text)
		switch {
		case errors.Is(err, io.EOF):
			return Row{}, io.EOF
		case errors.Is(err, errTooLong) && !j.array:
			return j.refuse(row, "", nil, fmt.Sprintf("the line is longer than %d MiB", maxRecord>>20), "write one object a line")
		case err != nil:
			return Row{}, fmt.Errorf("%s: line %d: %w", j.t.name, line, jsonFault(err))
		case len(text) == 0:
			j.t.blank++
			continue
		}
		return j.object(row, text)
	}
}

// object makes a row of an object's text.
func (j *Objects) object(row Row, text []byte) (Row, error) {
	switch {
	case !utf8.Valid(text):
		return j.refuse(row, "", text, "bytes that are not "+j.t.dialect.Encoding, "see whether the file is damaged or name it under encoding")
	case text[0] != '{':
		return j.refuse(row, "", text, "this is not a JSON object", `write {"name": value, …}`)
	}
	pairs, err := pairsOf(text)
	if err != nil {
		return j.refuse(row, "", text, err.Error(), "correct the JSON of this row")
	}
	for _, p := range pairs {
		if fault, remedy := j.t.fieldFault(p.value); fault != "" {
			return j.refuse(row, p.name, []byte(p.value), fault, remedy)
		}
	}
	for _, p := range pairs {
		if _, known := j.at[p.name]; !known {
			j.at[p.name] = len(j.t.header)
			j.t.header = append(j.t.header, p.name)
		}
	}
	row.Fields = make([]string, len(j.t.header))
	for _, p := range pairs {
		row.Fields[j.at[p.name]] = p.value
	}
	return row, nil
}

func (j *Objects) refuse(row Row, column string, value []byte, fault, remedy string) (Row, error) {
	row.Fields = align(nil, len(j.t.header))
	return row, &RowError{Name: j.t.name, Line: row.Line, Column: column, Value: string(value), Fault: fault, Remedy: remedy}
}

type pair struct{ name, value string }

// pairsOf reads an object. A name twice is an error: one value would be lost.
func pairsOf(text []byte) ([]pair, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, jsonFault(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, jsonFault(err)
	}
	var pairs []pair
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, jsonFault(err)
		}
		name, _ := token.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, jsonFault(err)
		}
		switch {
		case strings.TrimSpace(name) == "" || strings.ContainsRune(name, 0):
			return nil, errors.New("the object has a value without a usable name")
		case seen[name]:
			return nil, fmt.Errorf("the object has %q twice", shorten(name))
		case len(pairs) == maxColumns:
			return nil, fmt.Errorf("the object has more than %d names", maxColumns)
		}
		seen[name] = true
		value, err := cell(raw)
		if err != nil {
			return nil, jsonFault(err)
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

// cell is a JSON value as the text of a table's cell.
func cell(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case 'n':
		return "", nil
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	case '{', '[':
		var b bytes.Buffer
		err := json.Compact(&b, raw)
		return b.String(), err
	}
	return string(raw), nil
}

// jsonFault says what is wrong in words for people.
func jsonFault(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not sound JSON: %w (byte %d)", syntax, syntax.Offset)
	}
	switch {
	case errors.Is(err, errTooLong):
		return fmt.Errorf("an element is longer than %d MiB", maxRecord>>20)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends inside the JSON; see whether it was cut")
	}
	return err
}

// plain returns the next line, with what ends it, and its number. The text is
// valid until the next call.
func (l *lines) plain() (line int, text []byte, err error) {
	l.compact()
	line = l.number + 1
	end, err := l.line(l.start)
	switch {
	case errors.Is(err, errTooLong):
		return line, nil, l.skipLine()
	case err != nil:
		return line, nil, err
	}
	return line, l.take(end), nil
}

// elements cuts an array into its elements.
type elements struct {
	in *window
	d  *json.Decoder
}

func (e *elements) next() (line int, text []byte, err error) {
	e.in.left = maxRecord
	if e.d == nil {
		e.d = json.NewDecoder(e.in)
		if _, err := e.d.Token(); err != nil {
			return 1, nil, err
		}
	}
	if !e.d.More() {
		_, err := e.d.Token()
		if err != nil {
			return e.fail(err)
		}
		line := e.in.line(e.d.InputOffset())
		if _, err = e.d.Token(); err == nil {
			err = errors.New("text stands behind the end of the array; put all objects into it, or write one a line")
		}
		return line, nil, err
	}
	var raw json.RawMessage
	if err := e.d.Decode(&raw); err != nil {
		return e.fail(err)
	}
	return e.in.line(e.d.InputOffset() - int64(len(raw))), raw, nil
}

// fail puts an error where it is; the end of the file is one inside an array.
func (e *elements) fail(err error) (int, []byte, error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return e.in.line(e.in.offset), nil, io.ErrUnexpectedEOF
	}
	return e.in.line(e.d.InputOffset()), nil, err
}

// window bounds what a decoder may read for one element, and knows where the
// lines end in what it has read and not yet left behind.
type window struct {
	r      *bufio.Reader
	left   int
	offset int64
	ends   []int64
	number int // lines left behind
}

// Read implements [io.Reader].
func (w *window) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errTooLong
	}
	n, err := w.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			w.ends = append(w.ends, w.offset+int64(i))
		}
	}
	w.left -= n
	w.offset += int64(n)
	return n, err
}

// line returns the number of the line at offset, which never goes back.
func (w *window) line(offset int64) int {
	passed, _ := slices.BinarySearch(w.ends, offset)
	w.number += passed
	w.ends = slices.Delete(w.ends, 0, passed)
	return w.number + 1
}
