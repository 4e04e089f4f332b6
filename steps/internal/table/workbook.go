package table

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

const (
	// maxUnpacked is how many bytes the parts of a workbook may be, unpacked.
	// A full sheet of 100 columns is about as long.
	maxUnpacked = 4<<30 - 1
	// maxAside is how many bytes of a part that is kept in memory are read: of
	// the lists of sheets, parts and formats.
	maxAside = 64 << 20
	// maxParts is how many sheets and formats of a workbook are looked at.
	maxParts = 1 << 16
)

var (
	errNoWorkbook = errors.New("the file is not an XLSX workbook; save it as .xlsx, or give it the ending of what it is")
	errEncrypted  = errors.New("the workbook is protected by a password; save it without one")
	errOld        = errors.New("the file is a workbook of the old format .xls, whatever its ending; save it as .xlsx")
)

// refuseOthers tells what a file is that is no zip.
func refuseOthers(r io.ReaderAt, size int64) error {
	const zipped, compound = "PK", "\xD0\xCF\x11\xE0"
	begin := make([]byte, len(compound))
	switch n, err := r.ReadAt(begin, 0); {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case n == 0:
		return errors.New("the file is empty")
	case strings.HasPrefix(string(begin[:n]), zipped):
		return nil
	case string(begin) != compound:
		return errNoWorkbook
	}
	// Both are files of the same kind; one that is protected says so in UTF-16.
	wanted := []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e")
	text := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), textSample)
	for {
		sample, err := text.Peek(textSample)
		if bytes.Contains(sample, wanted) {
			return errEncrypted
		}
		if err != nil || len(sample) <= len(wanted) {
			return errOld
		}
		if _, err := text.Discard(len(sample) - len(wanted)); err != nil {
			return errOld
		}
	}
}

// workbook is an XLSX file: a zip of XML parts.
type workbook struct {
	parts    map[string]*zip.File // by their names in lower case
	size     int64                // of the file
	unpacked int64                // bytes read of its parts

	sheets   []sheetPart
	styles   string // the name of the part, or nothing
	strings  string
	from1904 bool     // days count from 1904 instead of 1900
	formats  []format // of numbers, by the index that cells name
	texts    texts
}

// sheetPart is a sheet and the part that holds it.
type sheetPart struct {
	name   string
	part   string
	hidden bool
}

// openWorkbook reads what a workbook has beside its sheets.
func openWorkbook(r io.ReaderAt, size int64) (*workbook, error) {
	if err := refuseOthers(r, size); err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, damaged("its zip: %v", err)
	}
	w := &workbook{size: size, parts: make(map[string]*zip.File, len(archive.File))}
	for _, f := range archive.File {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"))
		if w.parts[name] == nil {
			w.parts[name] = f
		}
	}
	if err := w.readSheets(); err != nil {
		return nil, err
	}
	if w.styles != "" {
		if err := w.readFormats(); err != nil {
			return nil, err
		}
	}
	if w.strings != "" {
		w.texts.xml, err = w.open(w.strings)
	}
	return w, err
}

// open begins to read a part.
func (w *workbook) open(name string) (*tokens, error) {
	f := w.parts[strings.ToLower(name)]
	if f == nil {
		return nil, damaged("it has no part %q", shorten(name))
	}
	if f.Flags&1 != 0 {
		return nil, errEncrypted
	}
	declared := int64(min(f.UncompressedSize64, 1<<62))
	if err := w.tooLong(w.unpacked + declared); err != nil {
		return nil, err
	}
	text, err := f.Open()
	if err != nil {
		return nil, partFault(err)
	}
	return newTokens(&part{book: w, text: text}), nil
}

// openAside begins to read a part that is kept in memory. What is too long of it
// is cut, and then damaged.
func (w *workbook) openAside(name string) (*tokens, error) {
	x, err := w.open(name)
	if err == nil {
		x.r = io.LimitReader(x.r, maxAside)
	}
	return x, err
}

// tooLong is an error where the parts, unpacked, would be so many bytes.
func (w *workbook) tooLong(unpacked int64) error {
	if unpacked > maxUnpacked {
		return fmt.Errorf("unpacked, the workbook is longer than %d GiB; save its sheet as CSV", maxUnpacked>>30+1)
	}
	return Swollen(unpacked, w.size)
}

// part is a part of a workbook, unpacked.
type part struct {
	book *workbook
	text io.Reader
}

// Read implements [io.Reader].
func (p *part) Read(b []byte) (int, error) {
	n, err := p.text.Read(b)
	p.book.unpacked += int64(n)
	if long := p.book.tooLong(p.book.unpacked); long != nil {
		return 0, long
	}
	return n, partFault(err)
}

// partFault says what is wrong with a part of the zip.
func partFault(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, zip.ErrAlgorithm):
		return errors.New("the workbook is packed in a way that is not known; save it again in a spreadsheet")
	}
	return damaged("its zip: %v", err)
}

// relations are the parts that a part names, by id, without those elsewhere.
func (w *workbook) relations(name string) (map[string]relation, error) {
	folder, base := path.Split(name)
	x, err := w.openAside(folder + "_rels/" + base + ".rels")
	if err != nil {
		return nil, err
	}
	found := map[string]relation{}
	for len(found) < maxParts {
		token, err := x.next()
		if err != nil {
			return nil, err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "Relationships" {
				return found, x.drain()
			}
		case xml.StartElement:
			if e.Name.Local != "Relationship" || attribute(e, "TargetMode") == "External" {
				continue
			}
			target := attribute(e, "Target")
			if !strings.HasPrefix(target, "/") {
				target = folder + target
			}
			found[attribute(e, "Id")] = relation{kind: path.Base(attribute(e, "Type")), part: strings.TrimPrefix(path.Clean(target), "/")}
		}
	}
	return nil, damaged("it has more than %d parts", maxParts)
}

type relation struct{ kind, part string }

// readSheets reads the list of sheets.
func (w *workbook) readSheets() error {
	if w.parts["_rels/.rels"] == nil {
		return errNoWorkbook
	}
	top, err := w.relations("")
	if err != nil {
		return err
	}
	book := ""
	for _, r := range top {
		if r.kind == "officeDocument" {
			book = r.part
		}
	}
	if path.Ext(book) != ".xml" || path.Base(path.Dir("/"+book)) == "word" || path.Base(path.Dir("/"+book)) == "ppt" {
		return errNoWorkbook
	}
	named, err := w.relations(book)
	if err != nil {
		return err
	}
	for _, r := range named {
		switch r.kind {
		case "styles":
			w.styles = r.part
		case "sharedStrings":
			w.strings = r.part
		}
	}
	return w.listSheets(book, named)
}

func (w *workbook) listSheets(book string, named map[string]relation) error {
	x, err := w.openAside(book)
	if err != nil {
		return err
	}
	for len(w.sheets) < maxParts {
		token, err := x.next()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "workbook" {
				return x.drain()
			}
		case xml.StartElement:
			switch e.Name.Local {
			case "workbookPr":
				w.from1904 = truth(attribute(e, "date1904"))
			case "sheet":
				if r := named[attribute(e, "id")]; r.kind == "worksheet" {
					w.sheets = append(w.sheets, sheetPart{name: attribute(e, "name"), part: r.part, hidden: strings.Contains(strings.ToLower(attribute(e, "state")), "hidden")})
				}
			}
		}
	}
	return damaged("it has more than %d sheets", maxParts)
}

func truth(text string) bool { return text == "1" || text == "true" }

// choose returns the sheet of a name in any case, or without one the first that
// is not hidden.
func (w *workbook) choose(name string) (sheetPart, error) {
	names := make([]string, len(w.sheets))
	for i, s := range w.sheets {
		names[i] = s.name
		if name == "" && !s.hidden || name != "" && strings.EqualFold(strings.TrimSpace(s.name), strings.TrimSpace(name)) {
			return s, nil
		}
	}
	switch {
	case len(names) == 0:
		return sheetPart{}, errors.New("the workbook has no sheet with cells")
	case name == "":
		return sheetPart{}, fmt.Errorf("all sheets are hidden; name one under sheet: %s", quoteList(names, maxListed))
	}
	return sheetPart{}, fmt.Errorf("there is no sheet %q; the workbook has %s", shorten(name), quoteList(names, maxListed))
}

// readFormats reads which numbers are dates.
func (w *workbook) readFormats() error {
	x, err := w.openAside(w.styles)
	if err != nil {
		return err
	}
	own := map[string]format{}
	inCells := false
	for len(own) < maxParts && len(w.formats) < maxParts {
		token, err := x.next()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			switch e.Name.Local {
			case "styleSheet":
				return x.drain()
			case "cellXfs":
				inCells = false
			}
		case xml.StartElement:
			switch e.Name.Local {
			case "numFmt":
				own[attribute(e, "numFmtId")] = formatOf(attribute(e, "formatCode"))
			case "cellXfs":
				inCells = true
			case "xf":
				if inCells {
					w.formats = append(w.formats, formatNumbered(attribute(e, "numFmtId"), own))
				}
			}
		}
	}
	return damaged("it has more than %d formats", maxParts)
}

// formatNumbered is the format of a number, of the workbook's own or built in.
func formatNumbered(id string, own map[string]format) format {
	if f, ok := own[id]; ok {
		return f
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return plain
	}
	return builtIn(n)
}

// format is the format of a cell's number.
func (w *workbook) format(style string) format {
	if i, err := strconv.Atoi(style); err == nil && i >= 0 && i < len(w.formats) {
		return w.formats[i]
	}
	return plain
}
