package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bxflow/bxflow/engine"
)

// programs are the programs that the tests run. They are built when one is
// first needed.
var programs struct {
	dir  string // made and removed by TestMain
	once sync.Once
	err  error
}

// The programs: the one that ships, and the same with testdata/dies.go in it.
const (
	programShips = "bxflow"
	programDies  = "bxflow-dies"
)

// programPath is where a program is.
func programPath(tb testing.TB, name string) string {
	tb.Helper()
	programs.once.Do(func() { programs.err = errors.Join(lookAtSources(), build(tb.Context(), programs.dir)) })
	if programs.err != nil {
		tb.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// build builds both programs into a folder. An overlay adds a file to a package
// for one build (go help build).
func build(ctx context.Context, dir string) error {
	command, err := filepath.Abs("../../cmd/bxflow")
	if err != nil {
		return err
	}
	dies, err := filepath.Abs("testdata/dies.go")
	if err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(command, "dies.go"): dies}})
	if err != nil {
		return err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return err
	}
	for name, flags := range map[string][]string{programShips: nil, programDies: {"-overlay", overlayFile}} {
		c := exec.CommandContext(ctx, "go", append([]string{"build", "-o", filepath.Join(dir, name)}, append(flags, command)...)...)
		c.Env = append(os.Environ(), "GOFLAGS=") // as it ships: not with the race detector of the tests
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// lookAtSources looks at the program's sources. What a test has looked at is what
// go test goes by when it decides whether an earlier result still holds; that
// another program builds them it can't know.
func lookAtSources() error {
	return filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && slices.Contains([]string{".go", ".sql", ".mod", ".sum"}, filepath.Ext(path)) {
			_, err = os.Stat(path)
		}
		return err
	})
}

// life is one process of the program, from its start to its end.
type life struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// start begins a process in a world's folder, with nothing of the environment of
// whoever runs the tests.
func (w *world) start(program string, env []string, args ...string) *life {
	w.t.Helper()
	l := &life{}
	l.Cmd = exec.CommandContext(w.t.Context(), programPath(w.t, program), args...)
	l.Dir = w.dir
	l.Env = append([]string{"HOME=" + w.dir, "BXFLOW_STATE=" + w.state(), "TMPDIR=" + os.TempDir(), "TZ=UTC", "LANG=C.UTF-8"}, env...)
	l.Stdout, l.Stderr = &l.stdout, &l.stderr
	if err := l.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.lives++
	return l
}

// end waits for a process. The result is what it reported, nil where it
// reported nothing.
func (w *world) end(l *life) (code int, result *engine.Result) {
	w.t.Helper()
	err := l.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) && !errors.Is(err, context.Canceled) {
		w.t.Fatal(err)
	}
	w.cpu += l.ProcessState.UserTime() + l.ProcessState.SystemTime()
	if out := bytes.TrimSpace(l.stdout.Bytes()); len(out) > 0 {
		result = &engine.Result{}
		if err := json.Unmarshal(out, result); err != nil {
			w.t.Fatalf("%v in %s", err, out)
		}
		w.evidence.Reports = append(w.evidence.Reports, *result)
	}
	return l.ProcessState.ExitCode(), result
}

// killed says whether a process was killed, and didn't end by itself.
func (l *life) killed() bool { return l.ProcessState.ExitCode() == -1 }

// tells is what a failed test shows of a process.
func (l *life) tells() string {
	return strings.Join(l.Args[1:], " ") + "\n" + l.stdout.String() + l.stderr.String()
}
