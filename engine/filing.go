package engine

import (
	"path/filepath"
	"slices"
)

// Filing says where an input file is moved to once a run has read it and ended.
type Filing struct {
	Path   string `json:"path"`             // of the file, absolute
	From   string `json:"from,omitempty"`   // where its job looks for it; empty: at Path
	Folder string `json:"folder"`           // of the job, absolute
	Done   string `json:"done,omitempty"`   // a folder in the job's, after success; empty: the file stays
	Failed string `json:"failed,omitempty"` // and after a run that failed or finished in part
}

// After is the folder for a run that ended so; empty where the file stays, as it
// does until a run has come to its end.
func (f *Filing) After(s Status) string {
	switch s {
	case StatusSucceeded:
		return f.Done
	case StatusPartial, StatusFailed:
		return f.Failed
	case StatusRunning, StatusInterrupted, StatusRefused:
	}
	return ""
}

// Name is what results call the file: its path in the job's folder, or where it is
// not in there, its whole path.
func (f *Filing) Name() string {
	if name, err := filepath.Rel(f.Folder, f.Path); err == nil && filepath.IsLocal(name) {
		return filepath.ToSlash(name)
	}
	return f.Path
}

// Moved is what became of an input file after a run.
type Moved struct {
	File  string `json:"file"`            // [Filing.Name]
	To    string `json:"to,omitempty"`    // in the job's folder; empty: it is where it was
	Error string `json:"error,omitempty"` // why it was not moved
}

// Filed is what became of a file; nil: nothing yet.
func (r *Result) Filed(f *Filing) *Moved {
	i := slices.IndexFunc(r.Moved, func(m Moved) bool { return m.File == f.Name() })
	if i < 0 {
		return nil
	}
	return &r.Moved[i]
}

// PlaceOf is where a file is after a run, as far as that knows.
func (r *Result) PlaceOf(f *Filing) string {
	if m := r.Filed(f); m != nil && m.To != "" {
		return filepath.Join(f.Folder, filepath.FromSlash(m.To))
	}
	return f.Path
}
