package steps

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// checkFolders checks `done` and `failed`. Whoever moves files looks again: links
// may come later.
func (s *Read) checkFolders(p *engine.Prepare) {
	for _, folder := range []struct {
		key string
		engine.Word
	}{{"done", s.Done}, {"failed", s.Failed}} {
		if folder.Text == "" {
			continue
		}
		hint := "name one below the job's folder, such as in/" + folder.key
		if !filepath.IsLocal(folder.Text) || filepath.Clean(folder.Text) == "." {
			p.Problem(folder.Pos, hint, "%s: %q is not a folder in the job's folder", folder.key, folder.Text)
		} else if _, err := p.Job.Path(folder.Text); err != nil {
			p.Problem(folder.Pos, hint, "%s: %q is a link out of the job's folder", folder.key, folder.Text)
		} else if name, err := s.name(p.Job); err == nil && filepath.Dir(name) == filepath.Clean(folder.Text) {
			p.Problem(folder.Pos, hint, "%s: %q is where the files are read from", folder.key, folder.Text)
		}
	}
}

// filing is where a file goes in the end; nil: it stays. So does one that a run
// which is tried again has not read: its rows are still to be done.
func (s *Read) filing(job *engine.Job, in input) (*engine.Filing, error) {
	late := job.Reread != nil && in.from == ""
	if s.Done.Text == "" && s.Failed.Text == "" || in.spool != nil || in.query != nil || late {
		return nil, nil //nolint:nilnil // it stays
	}
	path, err := filepath.Abs(in.path)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", in.name, err)
	}
	folder, err := filepath.Abs(job.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of the job: %w", err)
	}
	return &engine.Filing{Path: path, From: in.from, Folder: folder, Done: slashed(s.Done.Text), Failed: slashed(s.Failed.Text)}, nil
}

// slashed is a path as plans have it.
func slashed(path string) string {
	if path == "" {
		return ""
	}
	return filepath.ToSlash(filepath.Clean(path))
}

// reread are the files of a run that is tried again, of those that a pattern
// stands for, where they are now; none if that run moves no files.
func reread(job *engine.Job, path string) []input {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	folder, pattern := filepath.Split(absolute)
	var inputs []input
	for was, is := range job.Reread {
		in, name := filepath.Split(was)
		match, _ := filepath.Match(pattern, name) // an unsound pattern is reported by who reads the folder
		if in == folder && (match || name == pattern) {
			inputs = append(inputs, input{path: is, name: name, from: was})
		}
	}
	slices.SortFunc(inputs, func(a, b input) int { return strings.Compare(a.name, b.name) })
	return inputs
}
