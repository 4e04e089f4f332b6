package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/bxflow/bxflow/engine/report"
)

// app is the program as it was started: what it reads and writes, its
// environment, and the flags that all commands share.
type app struct {
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	getenv func(string) (string, bool)

	flags    globalFlags
	log      *slog.Logger
	progress *report.Progress
	res      resources
	began    bool // a command began: what fails from now on is not a mistyped one
	started  time.Time
}

func newApp() *app {
	return &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv}
}

// execute runs the command that args name and returns the exit code. It is the
// only place where errors are printed.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRootCommand(a) //nolint:contextcheck // the commands take ctx from ExecuteContext
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.progress != nil {
		a.progress.Done(err != nil)
	}
	if closing := a.res.close(); err == nil {
		err = closing
	}
	code := codeOf(ctx, err)
	if err != nil && !a.began && code == exitUnfinished {
		code = exitUsage
	}
	if interrupted(ctx, err) {
		err = errors.New("interrupted")
	}
	if err != nil && err.Error() != "" {
		a.explain(err)
	}
	return code
}

// terminal says how text may look on a stream.
func (a *app) terminal(f *os.File) report.Terminal {
	if !isTerminal(f) {
		return report.Terminal{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 80
	}
	return report.Terminal{Width: width, Color: a.colour()}
}

// colour says whether colours are wanted at all.
func (a *app) colour() bool {
	noColor, _ := a.getenv("NO_COLOR")
	kind, _ := a.getenv("TERM")
	return !a.flags.noColor && noColor == "" && kind != "dumb"
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// barWidth is the width for progress bars, 0 where there is no place for them.
func (a *app) barWidth() int {
	if a.flags.quiet || !isTerminal(a.stderr) {
		return 0
	}
	if kind, _ := a.getenv("TERM"); kind == "dumb" {
		return 0
	}
	return a.terminal(a.stderr).Width
}

// stateDir makes the state folder, which holds the journal and the contents of
// the built-in sandbox, readable to its owner only.
func (a *app) stateDir() (string, error) {
	dir, err := filepath.Abs(a.flags.state)
	if err != nil {
		return "", fmt.Errorf("state folder %q: %w", a.flags.state, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("state folder: %w; choose another with --state", err)
	}
	return dir, nil
}
