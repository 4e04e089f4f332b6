package steps

import (
	"bufio"
	"bytes"
	"compress/gzip"
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

// input is a file that rows are read from, any number of times.
type input struct {
	path, name string
	spool      *os.File // of standard input; nil: path is opened
}

// rows are read from an input, of whatever format.
type rows interface {
	Header() []string
	Dialect() table.Dialect
	Next() (table.Row, error)
}

// spoolStdin keeps standard input in a file that has no name any more, since
// it can be read only once.
func spoolStdin() (input, error) {
	f, err := os.CreateTemp("", "bxflow-stdin-")
	if err != nil {
		return input{}, fmt.Errorf("standard input: %w", err)
	}
	_ = os.Remove(f.Name()) // where open files can't be removed, it stays in the temporary folder
	if _, err := io.Copy(f, os.Stdin); err != nil {
		return input{}, errors.Join(fmt.Errorf("standard input: %w", err), f.Close())
	}
	return input{path: stdin, name: stdin, spool: f}, nil
}

// bytes opens the input as it is stored.
func (in input) bytes() (io.ReadSeekCloser, error) {
	if in.spool != nil {
		const all = 1<<63 - 1
		return spooled{io.NewSectionReader(in.spool, 0, all)}, nil
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
func (in input) open(o table.Options) (rows, io.Closer, error) {
	o.Name = in.name
	f, err := in.bytes()
	if err != nil {
		return nil, nil, err
	}
	r, err := in.rows(f, o)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return r, f, nil
}

// rows chooses the format by the file's ending, that of standard input by how
// it begins.
func (in input) rows(f io.ReadSeeker, o table.Options) (rows, error) {
	text, begin, err := in.text(f)
	if err != nil {
		return nil, err
	}
	format := filepath.Ext(strings.TrimSuffix(strings.ToLower(in.name), ".gz"))
	begin = bytes.TrimSpace(bytes.TrimPrefix(begin, []byte("\uFEFF")))
	switch {
	case format == ".json", format == ".jsonl", format == ".ndjson",
		in.spool != nil && (bytes.HasPrefix(begin, []byte("{")) || bytes.HasPrefix(begin, []byte("["))):
		return table.OpenObjects(text, o)
	case format == ".tsv" && o.Delimiter == "":
		o.Delimiter = "tab"
	}
	return table.Open(text, o)
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

const (
	// bombSize is how many unpacked bytes of a file are taken whatever they were packed to.
	bombSize = 64 << 20
	// bombRatio is how many times longer than the file its text may be beyond
	// that. Tables with a lot in common reach 30; what is made to fill disks 1000.
	bombRatio = 200
)

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
	if u.done += int64(n); u.done > bombSize && u.done > bombRatio*u.size {
		return 0, fmt.Errorf("unpacked, the file is more than %d times as long; if it really is a table, unpack it first", bombRatio)
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

// fingerprint fixes the input's contents for the plan.
func (in input) fingerprint() (engine.FileInfo, error) {
	f, err := in.bytes()
	if err != nil {
		return engine.FileInfo{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return engine.FileInfo{}, fmt.Errorf("file %q: %w", in.name, bare(err))
	}
	return engine.FileInfo{Path: in.path, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// bare drops the path from a file error, which the message names already.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
