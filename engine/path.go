package engine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Path resolves a path that the job names. It starts from the job file's
// folder and may not leave it, symbolic links followed; only paths that were
// given on the command line (GivenPaths) may be anywhere.
func (j *Job) Path(name string) (string, error) {
	if j.GivenPaths[name] {
		return name, nil
	}
	if filepath.IsAbs(name) || !filepath.IsLocal(name) {
		return "", fmt.Errorf("path %q leaves the job's folder; give it on the command line, as a --param", name)
	}
	root, err := filepath.EvalSymlinks(j.Dir)
	if err != nil {
		return "", fmt.Errorf("folder of the job: %w", err)
	}
	path := filepath.Join(j.Dir, name)
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, nil //nolint:nilerr // a file that is not there is reported when it is opened
	}
	inside, err := filepath.Rel(root, target)
	if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("path %q is a link out of the job's folder; give it on the command line, as a --param", name)
	}
	return path, nil
}
