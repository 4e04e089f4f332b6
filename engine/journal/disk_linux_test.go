package journal_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/bxflow/bxflow/engine/journal"
)

// The descriptor by which SQLite writes its log becomes that of something else.
func TestRun_diskError(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		path  string // "": the log itself, but for reading only
		blind bool
		want  string
	}{
		"no write succeeds":  {"", false, ": the disk fails; mind it and its space and try again: "},
		"no fsync succeeds":  {os.DevNull, true, ": the disk fails; mind it and its space and try again: "},
		"the device is full": {"/dev/full", true, ": no space left; make room and try again: "},
	}
	for way, tt := range ways {
		for name, at := range breakPoints() {
			t.Run(way+" "+name, func(t *testing.T) {
				t.Parallel()
				brokenDisk(t, breakage{
					breaks: func(tb testing.TB, _ *journal.Journal, dir string) func() {
						tb.Helper()
						return redirect(tb, filepath.Join(dir, journal.FileName+"-wal"), tt.path)
					},
					blind: tt.blind, want: tt.want,
				}, at[0], at[1])
			})
		}
	}
}

// redirect makes this process's one open descriptor of a file that of another,
// until mend.
func redirect(tb testing.TB, path, to string) (mend func()) {
	tb.Helper()
	fd := descriptor(tb, path)
	kept, err := syscall.Dup(fd)
	must(tb, err)
	if to == "" {
		to = path
	}
	mode := os.O_WRONLY
	if to == path {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(to, mode, 0)
	must(tb, err)
	defer f.Close()
	must(tb, syscall.Dup3(int(f.Fd()), fd, syscall.O_CLOEXEC))
	return func() {
		must(tb, syscall.Dup3(kept, fd, syscall.O_CLOEXEC))
		must(tb, syscall.Close(kept))
	}
}

// descriptor finds the number of the one descriptor of a file.
func descriptor(tb testing.TB, path string) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(tb, err)
	found := -1
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != path {
			continue // one that was closed meanwhile, or another's
		}
		if found >= 0 {
			tb.Fatalf("%s is open twice", path)
		}
		found, err = strconv.Atoi(e.Name())
		must(tb, err)
	}
	if found < 0 {
		tb.Fatalf("%s is not open", path)
	}
	return found
}
