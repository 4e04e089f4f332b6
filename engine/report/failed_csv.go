package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"

	"github.com/bxflow/bxflow/engine"
)

// added are the columns that failed rows have beside their own.
func added() []string { return []string{"_line", "_step", "_error"} }

// Failed writes the rows of files that did not make it as CSV: the source
// columns, then _line, _step and _error. It is made to be mended and read again,
// by the same job. So it has the delimiter and the encoding of the source, and
// each row once with its first failure. Cells that a spreadsheet would run as a
// formula begin with an apostrophe, which reading takes away again.
//
// Rows of several files go under the columns of all of them. Failures that
// belong to no row of a file are not written but counted.
func Failed(w io.Writer, files []engine.FileInfo, rows iter.Seq2[*engine.Change, error]) (others int, err error) {
	f := newFailed(w, files)
	header := make([]string, 0, len(f.columns)+3)
	for _, name := range f.columns {
		header = append(header, engine.HarmlessCell(name))
	}
	if err := f.csv.Write(append(header, added()...)); err != nil {
		return 0, err
	}
	for c, err := range rows {
		if err != nil {
			return others, err
		}
		file := f.file(c)
		if file == nil {
			others++
			continue
		}
		if f.seen[c.Source] {
			continue
		}
		f.seen[c.Source] = true
		if err := f.csv.Write(f.record(file, c)); err != nil {
			return others, err
		}
	}
	f.csv.Flush()
	if err := f.csv.Error(); err != nil {
		return others, err
	}
	return others, f.out.Close()
}

// failedFile writes failed rows as their sources were written.
type failedFile struct {
	out     io.WriteCloser
	csv     *csv.Writer
	files   []engine.FileInfo
	columns []string // of all files, without the ones that are added
	seen    map[string]bool
	page    *charmap.Charmap // the code page of the source; nil: all characters can be written
}

func newFailed(w io.Writer, files []engine.FileInfo) *failedFile {
	f := &failedFile{out: transform.NewWriter(w, transform.Nop), files: files, seen: map[string]bool{}}
	for _, file := range files {
		for _, name := range file.Columns {
			if !slices.Contains(f.columns, name) && !slices.Contains(added(), name) {
				f.columns = append(f.columns, name)
			}
		}
	}
	mixed := slices.ContainsFunc(files, func(file engine.FileInfo) bool { return file.Encoding != files[0].Encoding })
	if len(files) > 0 && !mixed { // UTF-8 has the characters of all of them
		if e, err := encodingNamed(files[0].Encoding); err == nil {
			f.page, _ = e.(*charmap.Charmap)
			f.out = transform.NewWriter(w, e.NewEncoder())
		}
	}
	f.csv = csv.NewWriter(f.out)
	if len(files) > 0 && len(files[0].Delimiter) == 1 {
		f.csv.Comma = rune(files[0].Delimiter[0])
	}
	return f
}

// encodingNamed is an encoding that tables can be read in. The web's list has all
// of them but the one of DOS in the west.
func encodingNamed(name string) (encoding.Encoding, error) {
	if name == "cp850" {
		return charmap.CodePage850, nil
	}
	return htmlindex.Get(name)
}

// file is the one that a change's record is a row of, or nil. Files of plans that
// earlier versions made are known by their paths only.
func (f *failedFile) file(c *engine.Change) *engine.FileInfo {
	if c.Line == 0 {
		return nil
	}
	name := strings.TrimSuffix(c.Source, fmt.Sprintf(":%d", c.Line))
	i := slices.IndexFunc(f.files, func(file engine.FileInfo) bool {
		return file.Name == name || file.Name == "" && filepath.Base(file.Path) == filepath.Base(name)
	})
	if i < 0 {
		return nil
	}
	return &f.files[i]
}

func (f *failedFile) record(file *engine.FileInfo, c *engine.Change) []string {
	record := make([]string, len(f.columns), len(f.columns)+3)
	for i, name := range file.Columns {
		if at := slices.Index(f.columns, name); at >= 0 && i < len(c.Row) {
			record[at] = engine.HarmlessCell(c.Row[i])
		}
	}
	return append(record, strconv.Itoa(c.Line), engine.HarmlessCell(c.Step), f.told(problem(c)))
}

// told is a cell that does not come from the source, such as a message.
func (f *failedFile) told(s string) string { return engine.HarmlessCell(strings.Map(f.known, s)) }

// known replaces characters that the source's code page lacks. Cells of the
// source have none: they come from there.
func (f *failedFile) known(r rune) rune {
	if f.page == nil {
		return r
	}
	if _, ok := f.page.EncodeRune(r); !ok {
		return '?'
	}
	return r
}
