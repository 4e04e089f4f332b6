package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestExamples runs the examples of every command's help, as they stand.
func TestExamples(t *testing.T) {
	t.Parallel()

	jobs, err := filepath.Abs("testdata/jobs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeExamples(t, newRootCommand(newApp()), dir)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"waitfile": waitFile},
		Setup: func(env *testscript.Env) error {
			return errors.Join(
				os.CopyFS(env.WorkDir, os.DirFS(jobs)), os.CopyFS(filepath.Join(env.WorkDir, "jobs"), os.DirFS(jobs)),
			)
		},
	})
}

// writeExamples writes one script for each command with the examples of its
// help. What it serves, it serves until a signal.
func writeExamples(t *testing.T, c *cobra.Command, dir string) {
	t.Helper()
	for _, below := range c.Commands() {
		// serve takes fixed ports; its own scripts run it.
		if name := below.Name(); name != "help" && name != "completion" && name != "serve" {
			writeExamples(t, below, dir)
		}
	}
	if c.Example == "" {
		t.Errorf("%s: its help has no example", c.CommandPath())
		return
	}
	var b strings.Builder
	if !strings.HasPrefix(c.CommandPath(), "bxflow plan") {
		b.WriteString("exec bxflow plan onboarding.yaml --out onboarding.plan\n")
	}
	if c.Name() == "show" {
		b.WriteString("exec bxflow run onboarding.yaml --yes\n")
	}
	for i, line := range strings.Split(c.Example, "\n") {
		line = strings.TrimSpace(line)
		if c.Name() == "sandbox" {
			fmt.Fprintf(&b, "exec sh -c 'exec %s > %d.txt 2>&1' &s%d&\nwaitfile %d.txt\nkill -INT s%d\nwait s%d\n", line, i, i, i, i, i)
			continue
		}
		fmt.Fprintf(&b, "exec sh line%d.sh\n", i)
		fmt.Fprintf(&b, "-- line%d.sh --\n%s\n", i, line)
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "_") + ".txtar"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(ordered(b.String())), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ordered puts the commands of a script before its files.
func ordered(script string) string {
	var commands, files []string
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "exec sh line") || len(files) == 0 && !strings.HasPrefix(line, "-- ") {
			commands = append(commands, line)
			continue
		}
		files = append(files, line)
	}
	return strings.Join(append(commands, files...), "")
}
