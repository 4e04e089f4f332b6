package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// includeKey is the entry of a map of fields that names files with more of them.
const includeKey = "include"

// include reads the fields of files that several jobs, or steps, share. Those that the including map has itself win.
func (d *stepDecoder) include(n *node, own []pair, name string) []engine.FieldValue {
	var fields []engine.FieldValue
	for _, w := range d.words(n, includeKey) {
		root := d.included(w)
		if root == nil {
			continue
		}
		root.pairs = slices.DeleteFunc(root.pairs, func(p pair) bool {
			if p.key.Text == includeKey {
				d.fault(p.key.Pos, "let the job name both files", "a file that is included includes no other")
				return true
			}
			return slices.ContainsFunc(own, func(o pair) bool { return strings.EqualFold(o.key.Text, p.key.Text) })
		})
		fields = append(fields, d.fieldValues(root, name)...)
	}
	return fields
}

// included reads a file with a map of fields. It is nil where there is nothing to go on with.
func (d *decoder) included(w engine.Word) *node {
	path, err := d.job.Path(w.Text)
	if err != nil {
		d.fault(w.Pos, "put the file into the job's folder, or below it", "include: %q is not in the job's folder", w.Text)
		return nil
	}
	text, err := readInclude(path)
	if err != nil {
		d.fault(w.Pos, "it is looked for in the job's folder", "include %q: %v", w.Text, err)
		return nil
	}
	sum := sha256.Sum256(text)
	if !slices.ContainsFunc(d.job.Includes, func(f engine.FileInfo) bool { return f.Path == path }) {
		d.job.Includes = append(d.job.Includes, engine.FileInfo{Path: path, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	source := sourceOf(text)
	inner := &decoder{options: d.options, lines: strings.Split(source, "\n"), job: d.job, from: path}
	root := inner.read(source)
	if d.includes == nil {
		d.includes = make(map[string][]string)
	}
	d.includes[path] = inner.lines
	for _, problem := range inner.problems {
		problem.Pos.File = path
		if !slices.Contains(d.problems, problem) { // two steps may include one file
			d.problems = append(d.problems, problem)
		}
	}
	return root
}

// readInclude reads a regular file of a job file's size; opening a pipe would wait for its other end.
func readInclude(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, pathErr.Err
	}
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("it has %d bytes; a file with fields may have %d", info.Size(), maxFile)
	}
	f, err := os.Open(path) //nolint:gosec // Job.Path decides which files a job may read
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
