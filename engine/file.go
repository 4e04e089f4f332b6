package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine/expression"
)

const (
	// MaxFile is how large a file may be, in bytes.
	MaxFile = 20_000_000
	// MaxUpload is how many bytes of files the changes that are on their way may
	// have together, so that memory stays bounded, and so how many one may have.
	MaxUpload = 30_000_000
	// BatchUpload is how many bytes of files a batch carries; a change with more
	// goes alone. It is little enough for the fence: so much is uploaded within the
	// part of it that goes beyond what the portal lets a request run.
	BatchUpload = 1_000_000

	// slowestUpload is the slowest line that is reckoned with, in bytes a second.
	slowestUpload = 128 << 10
)

// UploadTime is how long a body of so many bytes may be on its way to the portal,
// before that begins with the request.
func UploadTime(size int64) time.Duration {
	return time.Duration(float64(max(size, 0)) / slowestUpload * float64(time.Second))
}

// File is what a field of the type file holds. Of its own files the portal tells an
// id and an address, neither name nor contents; what else is known of them is what
// the journal has of the runs that put them there. A file of the job has no id
// until it is uploaded. Its bytes are nowhere but on disk: they are read when it is
// sent.
type File struct {
	ID     int64  `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Path is where a file of the job is, absolute.
	Path string `json:"-"`
	// URL is where people who are signed in find a file of the portal.
	URL string `json:"-"`
}

// String is what people see of the file: its digest's beginning tells one version
// from the next.
func (f File) String() string {
	if f.Name == "" {
		return fmt.Sprintf("file %d", f.ID)
	}
	return fmt.Sprintf("%s (%s, %.8s)", f.Name, fileSize(f.Size), f.SHA256)
}

// fileText is what expressions see of a file: its address, or its name while it is
// only planned.
func fileText(f File) string { return cmp.Or(f.URL, f.Name, f.String()) }

func fileSize(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// same says whether two are one file, or have the same contents as far as is known.
func (f File) same(other File) bool {
	if f.ID != 0 && other.ID != 0 {
		return f.ID == other.ID
	}
	return f.SHA256 != "" && f.SHA256 == other.SHA256
}

// local says whether the file is still to be uploaded.
func (f File) local() bool { return f.ID == 0 }

// Read returns the bytes of a file of the job, if they still are what they were
// when it was planned.
func (f File) Read() ([]byte, error) {
	r, size, err := openFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("file %q can't be read any more: %w; plan again", f.Path, err)
	}
	defer r.Close()
	if size != f.Size {
		return nil, fmt.Errorf("file %q has changed since it was planned, from %s to %s; plan again", f.Path, fileSize(f.Size), fileSize(size))
	}
	content, err := io.ReadAll(io.LimitReader(r, f.Size+1))
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", f.Path, bare(err))
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("file %q has changed since it was planned; plan again", f.Path)
	}
	return content, nil
}

// openFile opens a regular file. Anything else might never end.
func openFile(path string) (_ *os.File, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is a folder or a device")
	}
	f, err := os.Open(path) //nolint:gosec // a file that the user's job names
	if err != nil {
		return nil, 0, bare(err)
	}
	return f, info.Size(), nil
}

// bare drops the path from a file error, which the message names already.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// file looks at a file that the job names. Where it may be is what [Job.Path] says.
func (j *Job) file(name string) (File, error) {
	path, err := j.Path(name)
	if err != nil {
		return File{}, err
	}
	f := File{Name: filepath.Base(path)}
	if f.Path, err = filepath.Abs(path); err != nil {
		return File{}, err
	}
	r, size, err := openFile(path)
	if err != nil {
		return File{}, fmt.Errorf("file %q: %w", name, err)
	}
	defer r.Close()
	switch {
	case size == 0:
		return File{}, fmt.Errorf("file %q is empty", name)
	case size > MaxFile:
		return File{}, fmt.Errorf("file %q is larger than %s (%s)", name, fileSize(MaxFile), fileSize(size))
	case !utf8.ValidString(f.Path):
		return File{}, fmt.Errorf("file %q: the path is not UTF-8", name)
	}
	h := sha256.New()
	if f.Size, err = io.Copy(h, io.LimitReader(r, MaxFile+1)); err != nil {
		return File{}, fmt.Errorf("file %q: %w", name, bare(err))
	}
	if f.Size != size {
		return File{}, fmt.Errorf("file %q changed while it was read; plan again when it is whole", name)
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

// namesFile says whether there is a file in a value of the job.
func namesFile(v any) bool {
	switch v := v.(type) {
	case expression.File:
		return true
	case []any:
		return slices.ContainsFunc(v, namesFile)
	}
	return false
}

// filesOf are the files in a field's value.
func filesOf(v any) []File {
	switch v := v.(type) {
	case File:
		return []File{v}
	case []any:
		var files []File
		for _, e := range v {
			files = append(files, filesOf(e)...)
		}
		return files
	}
	return nil
}

// mapFiles changes the files in a field's value; those for which keep is false are
// left out.
func mapFiles(v any, change func(File) (f File, keep bool)) any {
	switch v := v.(type) {
	case File:
		if f, keep := change(v); keep {
			return f
		}
		return nil
	case []any:
		var list []any
		for _, e := range v {
			if e = mapFiles(e, change); e != nil {
				list = append(list, e)
			}
		}
		if list == nil {
			return nil
		}
		return list
	}
	return v
}

// hasLocal says whether a value has files that are still to be uploaded.
func hasLocal(v any) bool { return slices.ContainsFunc(filesOf(v), File.local) }

// upload is how many bytes of files a change sends.
func (c *Change) upload() int64 {
	return uploadOf(func(yield func(any) bool) {
		for _, f := range c.Fields {
			if !yield(f.After) {
				return
			}
		}
	})
}

func uploadOf(values iter.Seq[any]) (n int64) {
	for v := range values {
		for _, file := range filesOf(v) {
			if file.local() {
				n += file.Size
			}
		}
	}
	return n
}

// longest is how long after it was sent the change may still take effect: as long
// as any, and the time that its files take on their way, in base64.
func (c *Change) longest(fence time.Duration) time.Duration {
	return fence + UploadTime((c.upload()-BatchUpload)*4/3)
}

// followsUpload says whether a change goes on from files that an earlier one of the
// run uploads: their ids are seen on the portal only. Until it is compared with the
// item it uploads them again, in their places, so that none is lost.
func (c *Change) followsUpload() bool {
	for _, f := range c.Fields {
		if hasLocal(f.Before) {
			return true
		}
	}
	return false
}

// follow has a change go on from files that the run has uploaded by now, as an item
// shows them: they stay, and are not uploaded again.
func (c *Change) follow(item Item) {
	for name, f := range c.Fields {
		if !hasLocal(f.Before) {
			continue
		}
		now := item.Fields[name]
		if _, several := f.Before.([]any); several {
			c.Fields[name] = rebase(&Field{Type: FieldFile, Multiple: true}, f, now)
		} else {
			f.Before = now
			c.Fields[name] = f
		}
	}
}

// landed is what a change was to leave in a field, its uploaded files with the ids
// that the portal has given them: those that were not there before. A file of which
// there is no sign keeps none.
func landed(f FieldChange, now any) any {
	known := map[int64]bool{}
	for _, file := range append(filesOf(f.Before), filesOf(f.After)...) {
		known[file.ID] = true
	}
	var fresh []int64
	for _, file := range filesOf(now) {
		if !known[file.ID] {
			fresh = append(fresh, file.ID)
		}
	}
	slices.Sort(fresh)
	return mapFiles(f.After, func(file File) (File, bool) {
		if file.local() && len(fresh) > 0 {
			file.ID, fresh = fresh[0], fresh[1:]
		}
		return file, true
	})
}

// fileIDs are the ids of the files in a value, in order.
func fileIDs(v any) any {
	var ids []any
	for _, file := range filesOf(v) {
		ids = append(ids, file.ID)
	}
	slices.SortFunc(ids, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return ids
}

// land fills the ids of uploaded files into a change, as an item shows them.
func (c *Change) land(entity *Entity, item Item) {
	for name, f := range c.Fields {
		if field := entity.FieldByName(name); field != nil && field.Type == FieldFile {
			f.After = landed(f, item.Fields[name])
			c.Fields[name] = f
		}
	}
}

// lostFiles is how many files a field held before a change that it does not hold any
// more: the portal deletes what no field holds.
func lostFiles(f FieldChange, now any) int {
	return len(filesOf(f.Before)) - len(filesOf(stillThere(f.Before, now)))
}

// stillThere is a field's value of before without the files that are gone; other
// values are as they are.
func stillThere(before, now any) any {
	there := filesOf(now)
	return mapFiles(before, func(file File) (File, bool) {
		return file, slices.ContainsFunc(there, file.same)
	})
}

// Uploaded are the files that a change which was done has put into a field.
func Uploaded(f FieldChange) []File {
	before := filesOf(f.Before)
	return slices.DeleteFunc(filesOf(f.After), func(file File) bool {
		return file.SHA256 == "" || slices.ContainsFunc(before, func(b File) bool { return b.ID != 0 && b.ID == file.ID })
	})
}
