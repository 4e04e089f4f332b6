package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/bxflow/bxflow/engine/journal"
)

// emptyJournal is the file of a new journal. Making one is a good part of the
// cost of a small world, copying one is not.
var emptyJournal []byte

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run runs the tests with their folders in memory, where there is such a place:
// thousands of journals are made durable over and over.
func run(m *testing.M) (code int, err error) {
	debug.SetGCPercent(1600) // worlds are small and soon over
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		if err := os.Setenv("TMPDIR", memory); err != nil {
			return 0, err
		}
	}
	dir, err := os.MkdirTemp("", "simulation-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j, err := journal.Open(context.Background(), dir)
	if err != nil {
		return 0, err
	}
	if err := j.Close(); err != nil {
		return 0, err
	}
	if emptyJournal, err = os.ReadFile(filepath.Join(dir, journal.FileName)); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// long says whether the long form was asked for.
func long() bool { return os.Getenv("BXFLOW_PROOF") == "long" }
