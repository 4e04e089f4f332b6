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
	path, text, ok := d.beside(w, "include", maxFile)
	if !ok {
		return nil
	}
	return d.readPart(path, text, part{"a file that is included is a mapping of fields", "write field: value lines"})
}

// beside reads a file in the job's folder whose contents belong to the job: a plan is stale once they change.
func (d *decoder) beside(w engine.Word, what string, most int64) (path string, text []byte, ok bool) {
	path, err := d.job.Path(w.Text)
	if err != nil {
		d.fault(w.Pos, "put the file into the job's folder, or below it", "%s: %q is not in the job's folder", what, w.Text)
		return "", nil, false
	}
	text, err = readBeside(path, most)
	if err != nil {
		d.fault(w.Pos, "it is looked for in the job's folder", "%s %q: %v", what, w.Text, err)
		return "", nil, false
	}
	sum := sha256.Sum256(text)
	if !slices.ContainsFunc(d.job.Includes, func(f engine.FileInfo) bool { return f.Path == path }) {
		d.job.Includes = append(d.job.Includes, engine.FileInfo{Path: path, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	return path, text, true
}

// part is what messages say of a file that holds a part of a job.
type part struct{ what, remedy string }

// readPart reads the YAML of a part of the job. It is nil where there is nothing to go on with.
func (d *decoder) readPart(path string, text []byte, p part) *node {
	source := sourceOf(text)
	inner := &decoder{options: d.options, lines: strings.Split(source, "\n"), job: d.job, from: path, part: p}
	root := inner.read(source)
	d.quote(path, inner.lines)
	for _, problem := range inner.problems {
		problem.Pos.File = path
		if !slices.Contains(d.problems, problem) { // two steps may include one file
			d.problems = append(d.problems, problem)
		}
	}
	return root
}

// quote keeps the lines of a part of the job, for messages.
func (d *decoder) quote(path string, lines []string) {
	if d.includes == nil {
		d.includes = make(map[string][]string)
	}
	d.includes[path] = lines
}

// readBeside reads a regular file that has no more bytes than most; opening a pipe would wait for its other end.
func readBeside(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, pathErr.Err
	}
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > most:
		return nil, fmt.Errorf("it has %d bytes; a file of this kind may have %d", info.Size(), most)
	}
	f, err := os.Open(path) //nolint:gosec // Job.Path decides which files a job may read
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}
