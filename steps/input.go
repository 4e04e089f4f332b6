package steps

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// stdin is what standard input is called in plans and errors. No file is
// called so, so that nothing is taken for it later.
const stdin = "<stdin>"

// input is a file, or a query, that rows are read from, any number of times.
type input struct {
	path, name string
	from       string   // where the job looks for a file that was moved; empty: at path
	spool      *os.File // of standard input; nil: path is opened
	query      *question
}

// rows are read from an input, of whatever format.
type rows interface {
	Header() []string
	Dialect() table.Dialect
	Next() (table.Row, error)
}

// spoolStdin keeps standard input, since it can be read only once.
func spoolStdin() (input, error) {
	f, err := spoolOf(os.Stdin)
	if err != nil {
		return input{}, fmt.Errorf("standard input: %w", err)
	}
	return input{path: stdin, name: stdin, spool: f}, nil
}

// spoolOf keeps what is read from r in a file that has no name any more.
func spoolOf(r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "bxflow-spool-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // where open files can't be removed, it stays in the temporary folder
	if _, err := io.Copy(f, r); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// stored is an input as it is stored.
type stored interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// bytes opens the input as it is stored.
func (in input) bytes() (stored, error) {
	if in.spool != nil {
		info, err := in.spool.Stat()
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", bare(err))
		}
		return spooled{io.NewSectionReader(in.spool, 0, info.Size())}, nil
	}
	f, err := os.Open(in.path)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	return f, nil
}

// spooled is one reading of a spool, which stays open for the next.
type spooled struct{ *io.SectionReader }

// Close implements [io.Closer].
func (spooled) Close() error { return nil }

// open reads the input as far as its header.
func (in input) open(ctx context.Context, o table.Options) (rows, io.Closer, error) {
	if in.query != nil {
		return in.query.open(ctx, o)
	}
	o.Name = in.name
	f, err := in.bytes()
	if err != nil {
		return nil, nil, err
	}
	r, err := in.rows(f, o)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if c, ok := r.(io.Closer); ok {
		return r, closers{c, f}, nil
	}
	return r, f, nil
}

// closers are closed one after the other.
type closers []io.Closer

// Close implements [io.Closer].
func (c closers) Close() (err error) {
	for _, one := range c {
		err = errors.Join(err, one.Close())
	}
	return err
}

// rows chooses the format by the file's ending, that of standard input by how
// it begins. A workbook is known by that anywhere: no text begins like a zip.
func (in input) rows(f stored, o table.Options) (rows, error) {
	text, begin, err := in.text(f)
	if err != nil {
		return nil, err
	}
	format := filepath.Ext(strings.TrimSuffix(strings.ToLower(in.name), ".gz"))
	begin = bytes.TrimSpace(bytes.TrimPrefix(begin, []byte("\uFEFF")))
	switch {
	case format == ".xlsx", format == ".xlsm", bytes.HasPrefix(begin, []byte("PK\x03\x04")), bytes.HasPrefix(begin, []byte("\xD0\xCF\x11\xE0")):
		return in.sheet(f, text, o)
	case format == ".json", format == ".jsonl", format == ".ndjson",
		in.spool != nil && (bytes.HasPrefix(begin, []byte("{")) || bytes.HasPrefix(begin, []byte("["))):
		return table.OpenObjects(text, o)
	case format == ".tsv" && o.Delimiter == "":
		o.Delimiter = "tab"
	}
	return table.Open(text, o)
}

// sheet opens a workbook, the parts of which are read where they stand. One
// that is packed once more is unpacked to a file first.
func (in input) sheet(f stored, text io.ReadSeeker, o table.Options) (rows, error) {
	if _, packed := text.(*unpacked); !packed {
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", in.name, bare(err))
		}
		return table.OpenSheet(f, size, o)
	}
	spool, err := spoolOf(text)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	size, err := spool.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	sheet, err := table.OpenSheet(spool, size, o)
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return unpackedSheet{sheet, closers{sheet, spool}}, nil
}

// unpackedSheet is a sheet with the file that its workbook was unpacked to.
type unpackedSheet struct {
	rows
	io.Closer
}

// text returns the input unpacked, and how it begins. Packed or not is told
// from the bytes, so that a wrong ending does no harm.
func (in input) text(f io.ReadSeeker) (text io.ReadSeeker, begin []byte, err error) {
	text = f
	magic := make([]byte, 2)
	n, err := io.ReadFull(f, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	if bytes.Equal(magic[:n], []byte{0x1F, 0x8B}) {
		text = &unpacked{packed: f}
	}
	if _, err := text.Seek(0, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	begin = make([]byte, 64)
	n, err = io.ReadFull(text, begin)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	if _, err := text.Seek(0, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	return text, begin[:n], nil
}

// unpacked is the text of a gzip file.
type unpacked struct {
	packed io.ReadSeeker
	size   int64 // of the file
	text   *gzip.Reader
	done   int64
}

// Seek implements [io.Seeker], for the beginning only.
func (u *unpacked) Seek(int64, int) (int64, error) {
	size, err := u.packed.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if _, err := u.packed.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	u.size, u.done = size, 0
	u.text, err = gzip.NewReader(bufio.NewReader(u.packed))
	return 0, unpackFault(err)
}

// Read implements [io.Reader].
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.text.Read(p)
	u.done += int64(n)
	if long := table.Swollen(u.done, u.size); long != nil {
		return 0, long
	}
	return n, unpackFault(err)
}

// unpackFault tells a damaged file from its end.
func unpackFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("the gzip file is damaged or was cut (%s); fetch it again", err.Error())
}

// fingerprint fixes the input's contents for the plan, and counts their lines.
func (in input) fingerprint() (engine.FileInfo, lineCount, error) {
	if in.query != nil {
		return in.query.fingerprint(in.name), 0, nil
	}
	f, err := in.bytes()
	if err != nil {
		return engine.FileInfo{}, 0, err
	}
	defer f.Close()
	h := sha256.New()
	var lines lineCount
	n, err := io.Copy(io.MultiWriter(h, &lines), f)
	if err != nil {
		return engine.FileInfo{}, 0, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	return engine.FileInfo{Path: in.path, Name: in.name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, lines, nil
}

// lineCount counts the lines of what is written to it.
type lineCount int

// Write implements [io.Writer].
func (n *lineCount) Write(p []byte) (int, error) {
	*n += lineCount(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// bare drops the path from a file error, which the message names already.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
