package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func local(name string) File { return File{Name: name, Size: 1, SHA256: name} }

// known is a file of the portal that the journal knows.
func known(id int64, name string) File { return File{ID: id, Name: name, Size: 1, SHA256: name} }

func TestField_Settle(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		multiple, replace   bool
		before, given, want any
		kept                bool
	}{
		"fills an empty field":                  {false, false, nil, local("a"), local("a"), false},
		"replaces a known file":                 {false, false, known(4, "a"), local("b"), local("b"), false},
		"leaves an unknown file":                {false, false, File{ID: 4}, local("b"), File{ID: 4}, true},
		"replaces an unknown file when told":    {false, true, File{ID: 4}, local("b"), local("b"), false},
		"clears an unknown file":                {false, false, File{ID: 4}, nil, nil, false},
		"replaces what an earlier step gave":    {false, false, local("a"), local("b"), local("b"), false},
		"takes the files that are there":        {true, true, []any{File{ID: 4}, known(5, "b")}, []any{local("a"), local("b")}, []any{local("a"), known(5, "b")}, false},
		"clears several":                        {true, false, []any{File{ID: 4}}, nil, nil, false},
		"knows one of another name by contents": {true, false, []any{known(5, "b")}, []any{File{Name: "x", SHA256: "b"}}, []any{known(5, "b")}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			f := &Field{Name: "f", Type: FieldFile, Multiple: tt.multiple}
			got, kept := f.Settle(tt.before, tt.given, tt.replace)
			if diff := cmp.Diff(tt.want, got); diff != "" || kept != tt.kept {
				t.Errorf("kept %v (-want +got):\n%s", kept, diff)
			}
		})
	}
}

func TestLanded(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		change    FieldChange
		now, want any
	}{
		"one":                       {FieldChange{After: local("a")}, File{ID: 7}, known(7, "a")},
		"one in the place of other": {FieldChange{Before: File{ID: 4}, After: local("a")}, File{ID: 7}, known(7, "a")},
		"not taken":                 {FieldChange{Before: File{ID: 4}, After: local("a")}, File{ID: 4}, local("a")},
		"several beside others": {
			FieldChange{Before: []any{File{ID: 4}}, After: []any{File{ID: 4}, local("a"), local("b")}},
			[]any{File{ID: 9}, File{ID: 4}, File{ID: 8}},
			[]any{File{ID: 4}, known(8, "a"), known(9, "b")},
		},
		"one of two": {FieldChange{After: []any{local("a"), local("b")}}, []any{File{ID: 8}}, []any{known(8, "a"), local("b")}},
		"cleared":    {FieldChange{Before: File{ID: 4}}, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if diff := cmp.Diff(tt.want, landed(tt.change, tt.now)); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecognised(t *testing.T) {
	t.Parallel()

	own := []File{local("imported"), known(5, "b")}
	got := recognised([]any{File{ID: 4}, File{ID: 5}, File{ID: 6}}, own)
	want := []any{File{ID: 4, Name: "imported", Size: 1, SHA256: "imported"}, known(5, "b"), File{ID: 6}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A change goes on from what an earlier one of the run uploaded, or failed to.
func TestChange_follow(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		change, want FieldChange
		now          any
	}{
		"several": {
			FieldChange{Before: []any{File{ID: 4}, local("a")}, After: []any{File{ID: 4}, local("a"), local("b")}},
			FieldChange{Before: []any{File{ID: 4}, File{ID: 7}}, After: []any{File{ID: 4}, File{ID: 7}, local("b")}},
			[]any{File{ID: 4}, File{ID: 7}},
		},
		"several that failed": {
			FieldChange{Before: []any{File{ID: 4}, local("a")}, After: []any{File{ID: 4}, local("a"), local("b")}},
			FieldChange{Before: []any{File{ID: 4}}, After: []any{File{ID: 4}, local("b")}},
			[]any{File{ID: 4}},
		},
		"one":       {FieldChange{Before: local("a"), After: local("b")}, FieldChange{Before: File{ID: 7}, After: local("b")}, File{ID: 7}},
		"unrelated": {FieldChange{Before: File{ID: 4}, After: local("b")}, FieldChange{Before: File{ID: 4}, After: local("b")}, File{ID: 7}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := &Change{Fields: map[string]FieldChange{"f": tt.change}}
			c.follow(Item{Fields: map[string]any{"f": tt.now}})
			if diff := cmp.Diff(tt.want, c.Fields["f"]); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFile_Read(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	f, err := (&Job{Dir: dir}).file("a.txt")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := f.Read(); err != nil || string(content) != "one" {
		t.Errorf("read %q, %v", content, err)
	}
	for text, want := range map[string]string{"two": "has changed since it was planned; plan again", "three": "from 3 bytes to 5 bytes"} {
		write(text)
		if content, err := f.Read(); content != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %q read %q, error %v; want one with %q", text, content, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(); err == nil || !strings.Contains(err.Error(), "can't be read any more") {
		t.Errorf("error %v of a file that is gone", err)
	}
}

// What is uploaded slowly may take effect long after it was sent.
func TestChange_longest(t *testing.T) {
	t.Parallel()

	for size, want := range map[int64]time.Duration{0: time.Minute, BatchUpload: time.Minute, MaxFile: 4*time.Minute + 13*time.Second} {
		c := &Change{Fields: map[string]FieldChange{"photo": {After: File{Size: size}}}}
		if got := c.longest(time.Minute).Round(time.Second); got != want {
			t.Errorf("%d bytes: %s, want %s", size, got, want)
		}
	}
}

func TestFilesFit(t *testing.T) {
	t.Parallel()

	if err := FilesFit(File{Size: MaxFile}, []any{File{Size: MaxUpload - MaxFile}}); err != nil {
		t.Error(err)
	}
	if err := FilesFit(File{Size: MaxFile}, []any{File{Size: MaxUpload - MaxFile + 1}}); err == nil {
		t.Error("more than a request carries is taken")
	}
}
