// Package filing moves files that a run has read to where its job wants them.
//
// Nothing is ever overwritten, and nothing written outside of the job's folder,
// whatever links there are. A move that was cut short can be made again.
package filing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// maxNames is how many names are tried for a file before it is left where it is.
const maxNames = 100

// Move is the moving of one file.
type Move struct {
	File   engine.FileInfo // as it was read
	At     string          // its path now
	Folder string          // where it goes, inside the job's folder
	Run    string          // the id of the run that has read it
}

// Do moves the file and returns its new path, from the job's folder on. Where its
// name is taken there, the run's id comes before its ending. The error says why
// the file stays: it is not what was read any more, or can't be moved. A file that
// is there already is moved.
func (m Move) Do() (to string, err error) {
	root, err := os.OpenRoot(m.File.Filing.Folder)
	if err != nil {
		return "", bare(err)
	}
	defer root.Close()
	if err := m.check(os.Lstat, func(name string) (*os.File, error) { return os.Open(name) }, m.At); err != nil { //nolint:gosec // it was read before
		if errors.Is(err, errGone) {
			return m.found(root)
		}
		return "", err
	}
	if err := root.MkdirAll(m.Folder, 0o750); err != nil {
		return "", fmt.Errorf("folder %q: %w", m.Folder, bare(err))
	}
	if there, err := m.there(root); there || err != nil {
		return m.Folder + "/" + filepath.Base(m.At), err
	}
	for to := range m.names {
		switch err := m.place(root, to); {
		case err == nil:
			return to, nil
		case !errors.Is(err, fs.ErrExist):
			return "", bare(err)
		}
		if m.same(root, to) { // a move was cut short between the two names
			return to, bare(os.Remove(m.At))
		}
	}
	return "", fmt.Errorf("folder %q has %d files of that name; clear it up", m.Folder, maxNames)
}

// names are those that the file may get, in order.
func (m Move) names(yield func(string) bool) {
	name := filepath.Base(m.At)
	stem, packed := strings.CutSuffix(name, ".gz")
	ending := filepath.Ext(stem)
	stem = strings.TrimSuffix(stem, ending)
	if packed {
		ending += ".gz"
	}
	for n := range maxNames {
		switch n {
		case 0:
		case 1:
			name = stem + "-" + m.Run + ending
		default:
			name = stem + "-" + m.Run + "-" + strconv.Itoa(n) + ending
		}
		if !yield(m.Folder + "/" + name) {
			return
		}
	}
}

// found looks for a file that is gone where it was to go: a move may have been
// made and not noted.
func (m Move) found(root *os.Root) (to string, err error) {
	for to := range m.names {
		switch err := m.check(root.Lstat, root.Open, to); {
		case err == nil:
			return to, nil
		case errors.Is(err, errGone): // and so are the names after it
			return "", errGone
		}
	}
	return "", errGone
}

// there says whether the file is in its folder, which may have several paths.
func (m Move) there(root *os.Root) (bool, error) {
	from, err := os.Stat(filepath.Dir(m.At))
	if err != nil {
		return false, bare(err)
	}
	to, err := root.Stat(m.Folder)
	if err != nil {
		return false, bare(err)
	}
	return os.SameFile(from, to), nil
}

// check says why a file is not the one that was read.
func (m Move) check(stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error), name string) error {
	info, err := stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errGone
	case err != nil:
		return bare(err)
	case !info.Mode().IsRegular():
		return errors.New("it is a link or no file")
	case info.Size() != m.File.Size:
		return errChanged
	}
	f, err := open(name)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return bare(err)
	}
	if hex.EncodeToString(h.Sum(nil)) != m.File.SHA256 {
		return errChanged
	}
	return nil
}

var (
	errGone    = errors.New("it is gone")
	errChanged = errors.New("it was changed since it was read")
)

// same says whether two names are of one file.
func (m Move) same(root *os.Root, to string) bool {
	was, err := os.Lstat(m.At)
	if err != nil {
		return false
	}
	is, err := root.Lstat(to)
	return err == nil && os.SameFile(was, is)
}

// place gives the file another name, by way of a copy where it is on another
// disk, or outside of the job's folder. The error is [fs.ErrExist] where the name
// is taken.
func (m Move) place(root *os.Root, to string) error {
	name, err := filepath.Rel(m.File.Filing.Folder, m.At)
	if err == nil && filepath.IsLocal(name) {
		if err = rename(root, name, to); err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if _, err := root.Lstat(to); err == nil {
		return fs.ErrExist
	}
	part := m.Folder + "/.bxflow-" + m.Run + ".part"
	if err := m.copy(root, part); err != nil {
		return errors.Join(err, ignoreGone(root.Remove(part)))
	}
	if err := rename(root, part, to); err != nil {
		return errors.Join(err, root.Remove(part))
	}
	if err := os.Remove(m.At); err != nil {
		return errors.Join(err, root.Remove(to))
	}
	return nil
}

// rename renames a file unless the name is taken. Where the system has no links,
// somebody who takes the name in this very moment would lose it.
func rename(root *os.Root, from, to string) error {
	switch err := root.Link(from, to); {
	case errors.Is(err, fs.ErrExist):
		return err
	case err == nil:
		if err := root.Remove(from); err != nil {
			return errors.Join(err, root.Remove(to))
		}
		return nil
	}
	if _, err := root.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return root.Rename(from, to)
}

// copy copies the file, safely on the disk.
func (m Move) copy(root *os.Root, to string) (err error) {
	from, err := os.Open(m.At)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := ignoreGone(root.Remove(to)); err != nil { // of a move that was cut short
		return err
	}
	f, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.Sync()
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bare drops paths from an error: who shows it names the file.
func bare(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}
