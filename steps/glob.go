package steps

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// inputsOf are the files that a name stands for: itself, or where its last part
// is a pattern, all that match it, in the order of their names. Folders can't be
// patterns, so that rows are told apart by the names of their files. Hidden
// files match only a pattern that begins with a dot.
func inputsOf(job *engine.Job, name string) ([]input, error) {
	path, err := job.Path(name)
	if err != nil {
		return nil, err
	}
	if inputs := reread(job, path); len(inputs) > 0 {
		return inputs, nil
	}
	folder, pattern := filepath.Split(name)
	if _, err := os.Lstat(path); err == nil || !strings.ContainsAny(pattern, "*?[") {
		return []input{{path: path, name: filepath.Base(path)}}, nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("files %q: %w", pattern, bare(err))
	}
	var inputs []input
	for _, entry := range entries { // in the order of their names
		match, err := filepath.Match(pattern, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("files %q: the pattern is not sound; close its brackets", pattern)
		}
		if !match || entry.IsDir() || entry.Name()[0] == '.' && pattern[0] != '.' {
			continue
		}
		file := filepath.Join(filepath.Dir(path), entry.Name())
		if !job.GivenPaths[name] {
			if file, err = job.Path(filepath.Join(folder, entry.Name())); err != nil {
				return nil, err
			}
		}
		inputs = append(inputs, input{path: file, name: entry.Name()})
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("files %q: %w", pattern, errNoFile)
	}
	return inputs, nil
}

// sameColumns refuses a file of several that has other columns than the first:
// which of its cells are missing on purpose nobody could tell.
func sameColumns(first, other []string, name, firstName string) error {
	for _, column := range first {
		if !slices.Contains(other, column) {
			return fmt.Errorf("file %q has no column %q, which %q has; files that are read together have the same columns", name, column, firstName)
		}
	}
	for _, column := range other {
		if !slices.Contains(first, column) {
			return fmt.Errorf("file %q has a column %q, which %q has not; files that are read together have the same columns", name, column, firstName)
		}
	}
	return nil
}
