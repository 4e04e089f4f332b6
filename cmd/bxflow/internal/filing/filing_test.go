package filing_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/filing"
	"github.com/bxflow/bxflow/engine"
)

// Whatever is where a file is to go, nothing is overwritten, lost, or written
// outside of the job's folder.
func TestMove(t *testing.T) {
	t.Parallel()
	const text = "id\n1\n"
	tests := map[string]struct {
		name   string // of the file, in the folder of the test; in/a.csv unless given
		before func(dir string) error
		to     string
		fault  string
		after  map[string]string // the files that are there then
	}{
		"a new folder": {to: "in/done/a.csv", after: map[string]string{"job/in/done/a.csv": text}},
		"taken": {
			before: write("job/in/done/a.csv", "mine"), to: "in/done/a-RUN.csv",
			after: map[string]string{"job/in/done/a.csv": "mine", "job/in/done/a-RUN.csv": text},
		},
		"taken twice, packed": {
			name: "job/in/a.csv.gz", before: both(write("job/in/done/a.csv.gz", "mine"), write("job/in/done/a-RUN.csv.gz", "mine")), to: "in/done/a-RUN-2.csv.gz",
			after: map[string]string{"job/in/done/a.csv.gz": "mine", "job/in/done/a-RUN.csv.gz": "mine", "job/in/done/a-RUN-2.csv.gz": text},
		},
		"from outside": {
			name: "given.csv", before: write("job/in/done/given.csv", "mine"), to: "in/done/given-RUN.csv",
			after: map[string]string{"job/in/done/given.csv": "mine", "job/in/done/given-RUN.csv": text},
		},
		"cut short between two names": {
			before: both(folder("job/in/done"), func(dir string) error {
				return os.Link(filepath.Join(dir, "job/in/a.csv"), filepath.Join(dir, "job/in/done/a.csv"))
			}),
			to: "in/done/a.csv", after: map[string]string{"job/in/done/a.csv": text},
		},
		"cut short after the move": {
			before: both(folder("job/in/done"), func(dir string) error {
				return os.Rename(filepath.Join(dir, "job/in/a.csv"), filepath.Join(dir, "job/in/done/a.csv"))
			}),
			to: "in/done/a.csv", after: map[string]string{"job/in/done/a.csv": text},
		},
		"gone": {
			before: both(write("job/in/done/a.csv", "mine"), remove("job/in/a.csv")), fault: "it is gone",
			after: map[string]string{"job/in/done/a.csv": "mine"},
		},
		"changed":                  {before: write("job/in/a.csv", "id\n2\n"), fault: "it was changed since it was read", after: map[string]string{"job/in/a.csv": "id\n2\n"}},
		"there already":            {name: "job/in/done/a.csv", to: "in/done/a.csv", after: map[string]string{"job/in/done/a.csv": text}},
		"there by another path":    {before: link("job/in/done", "."), to: "in/done/a.csv", after: map[string]string{"job/in/a.csv": text}},
		"a link out of the job":    {before: both(folder("other"), link("job/in/done", "../../other")), fault: `folder "in/done": `, after: map[string]string{"job/in/a.csv": text}},
		"a file where it is to go": {before: write("job/in/done", "mine"), fault: `folder "in/done": `, after: map[string]string{"job/in/a.csv": text, "job/in/done": "mine"}},
		"a link": {
			before: both(write("job/other.csv", text), both(remove("job/in/a.csv"), link("job/in/a.csv", "../other.csv"))), fault: "it is a link or no file",
			after: map[string]string{"job/other.csv": text},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tt.name == "" {
				tt.name = "job/in/a.csv"
			}
			if err := errors.Join(folder("job/in")(dir), write(tt.name, text)(dir)); err != nil {
				t.Fatal(err)
			}
			if tt.before != nil {
				if err := tt.before(dir); err != nil {
					t.Fatal(err)
				}
			}
			sum := sha256.Sum256([]byte(text))
			at := filepath.Join(dir, tt.name)
			to, err := filing.Move{
				File: engine.FileInfo{Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Filing: &engine.Filing{Path: at, Folder: filepath.Join(dir, "job")}},
				At:   at, Folder: "in/done", Run: "RUN",
			}.Do()
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if tt.fault == "" && err != nil || len(fault) < len(tt.fault) || fault[:len(tt.fault)] != tt.fault {
				t.Errorf("the error is %q, want %q", fault, tt.fault)
			}
			if err == nil && to != tt.to {
				t.Errorf("it is said to be at %q, want %q", to, tt.to)
			}
			if diff := cmp.Diff(tt.after, files(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func write(name, text string) func(string) error {
	return func(dir string) error {
		if err := folder(filepath.Dir(name))(dir); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
	}
}

func folder(name string) func(string) error {
	return func(dir string) error { return os.MkdirAll(filepath.Join(dir, name), 0o700) }
}

func link(name, to string) func(string) error {
	return func(dir string) error { return os.Symlink(to, filepath.Join(dir, name)) }
}

func remove(name string) func(string) error {
	return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
}

func both(first, second func(string) error) func(string) error {
	return func(dir string) error { return errors.Join(first(dir), second(dir)) }
}

// files are the texts of all files below a folder, links left out.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
