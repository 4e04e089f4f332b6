package table

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var (
	errTooLong   = errors.New("line too long")
	errOpenQuote = errors.New("open quote")
)

// lines cuts text into records: a line, and the lines after it for as long as
// a quote is open. In a well-formed table every quote has its partner in the
// same record, so an even number of them ends it, wherever they stand.
type lines struct {
	r      *bufio.Reader
	buf    []byte // text of the current record, and text given back
	start  int    // where in buf the next record begins
	number int    // lines before start
	err    error  // what r ended with
}

// record returns the next record and the number of its first line. The text
// is valid until the next call. The error is [errTooLong], [errOpenQuote] (the
// text then runs from the quote's line as far as it was looked for) or the
// reader's own.
func (l *lines) record() (line int, text []byte, err error) {
	l.compact()
	line = l.number + 1
	end, quotes := l.start, 0
	for {
		next, err := l.line(end)
		switch {
		case errors.Is(err, errTooLong) && end == l.start:
			return line, nil, l.skipLine()
		case errors.Is(err, errTooLong), errors.Is(err, io.EOF) && end > l.start:
			return line, l.take(end), errOpenQuote
		case err != nil:
			return line, nil, err
		}
		quotes += bytes.Count(l.buf[end:next], []byte{'"'})
		end = next
		if quotes%2 == 0 {
			return line, l.take(end), nil
		}
	}
}

// line returns where the line ends that begins at from, reading it if need be.
func (l *lines) line(from int) (end int, err error) {
	if i := bytes.IndexByte(l.buf[from:], '\n'); i >= 0 {
		return from + i + 1, nil
	}
	for l.err == nil {
		if len(l.buf)-l.start > maxRecord {
			return 0, errTooLong
		}
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if err == nil {
			return len(l.buf), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			l.err = err
		}
	}
	if len(l.buf) > from && errors.Is(l.err, io.EOF) {
		return len(l.buf), nil // the last line lacks its line end
	}
	return 0, l.err
}

// take makes the record up to end the one that was read last.
func (l *lines) take(end int) []byte {
	text := l.buf[l.start:end]
	l.start = end
	l.number += countLines(text)
	return text
}

// keepFirst gives all but the first line of the record read last back, to be
// read again as records of their own.
func (l *lines) keepFirst(text []byte) []byte {
	first := text
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		first = text[:i+1]
	}
	l.start -= len(text) - len(first)
	l.number -= countLines(text) - countLines(first)
	return first
}

// skipLine passes over a line that is too long to be kept.
func (l *lines) skipLine() error {
	l.buf, l.start = l.buf[:0], 0
	l.number++
	for {
		_, err := l.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.err = err
		return errTooLong
	}
}

// compact drops text that has been read, before more is appended. Text that
// was given back stays where it is until most of it is gone, so that handing
// it out line by line costs no copy of the rest each time.
func (l *lines) compact() {
	if l.start < len(l.buf)/2 {
		return
	}
	n := copy(l.buf, l.buf[l.start:])
	l.buf, l.start = l.buf[:n], 0
}

// countLines counts a last line without its line end, too.
func countLines(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// feed hands the field parser one record at a time: it ends after each, and
// goes on with the next one it is given.
type feed struct{ text []byte }

// Read implements [io.Reader].
func (f *feed) Read(p []byte) (int, error) {
	if len(f.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.text)
	f.text = f.text[n:]
	return n, nil
}

// lineEnds turns the CR of old Mac files into LF.
type lineEnds struct{ r io.Reader }

// Read implements [io.Reader].
func (l *lineEnds) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// onlyCR reports whether lines in sample end in CR alone.
func onlyCR(sample []byte) bool {
	i := bytes.IndexByte(sample, '\r')
	return i >= 0 && i < len(sample)-1 && bytes.IndexByte(sample, '\n') < 0
}
