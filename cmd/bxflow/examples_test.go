package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the golden files of the examples")

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

// exampleRun is the run of the examples; there is another one in the test.
const exampleRun = "20261123-140912"

// writeExamples writes one script for each command with the examples of its
// help. What it serves, it serves until a signal.
func writeExamples(t *testing.T, c *cobra.Command, dir string) {
	t.Helper()
	for _, below := range c.Commands() {
		// serve takes fixed ports, and resume needs a run that was cut short;
		// scripts of their own run them.
		if name := below.Name(); name != "help" && name != "completion" && name != "serve" && name != "resume" {
			writeExamples(t, below, dir)
		}
	}
	if !c.Runnable() {
		return // a topic of the help
	}
	if c.Example == "" {
		t.Errorf("%s: its help has no example", c.CommandPath())
		return
	}
	var b strings.Builder
	if !strings.HasPrefix(c.CommandPath(), "bxflow plan") {
		b.WriteString("exec bxflow plan onboarding.yaml --out onboarding.plan\n")
	}
	switch c.Name() {
	case "show", "undo":
		b.WriteString("exec bxflow run onboarding.yaml --yes\n")
	case "retry": // the file is mended once some of its rows have failed
		b.WriteString("exec sh -c 'sed s/529.982.247-25/1/ clients.csv > whole.csv; mv clients-with-errors.csv clients.csv'\n")
		b.WriteString("! exec bxflow run onboarding.yaml --yes\n")
		b.WriteString("exec mv whole.csv clients.csv\n")
	}
	for i, line := range strings.Split(c.Example, "\n") {
		line = strings.ReplaceAll(strings.TrimSpace(line), exampleRun, `$(bxflow runs --format json | grep -o '[0-9]*-[0-9]*-[0-9]*-[a-z0-9]*' | head -n 1)`)
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

// TestExampleFolders plans and runs every job under examples against the demo
// sandbox. The second run finds nothing to do.
func TestExampleFolders(t *testing.T) {
	t.Parallel()
	// Jobs that work on what another one made.
	after := map[string]string{"nightly": "onboarding", "duplicates": "fair"}
	folders, err := filepath.Glob(filepath.Join(top, "examples", "*", "*.yaml"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range folders {
		folder, file := filepath.Base(filepath.Dir(path)), filepath.Base(path)
		if file == configName {
			continue
		}
		name := strings.TrimSuffix(file, ".yaml")
		plans := filepath.Join(folder, "plan.txt")
		if name != folder { // one of several jobs of a folder
			plans = filepath.Join(folder, name+".txt")
		}
		t.Run(folder+"/"+name, func(t *testing.T) {
			t.Parallel()
			dir := exampleDir(t)
			if first, ok := after[folder]; ok {
				bxflow(t, dir, exitDone, "run", filepath.Join("examples", first, first+".yaml"), "--yes", "--quiet")
			}
			job := filepath.Join("examples", folder, file)
			bxflow(t, dir, exitDone, "validate", job)
			bxflow(t, dir, exitDone, "validate", job, "--portal", "sandbox")
			plan := bxflow(t, dir, exitDone, "plan", job)
			golden(t, plans, strings.Join(normalLines(plan), "\n")+"\n")
			if n := written(t, bxflow(t, dir, exitDone, "run", job, "--yes", "--format", "json")); n == 0 {
				t.Error("the run wrote nothing; an example should show a change")
			}
			if n := written(t, bxflow(t, dir, exitDone, "run", job, "--yes", "--format", "json")); n != 0 {
				t.Errorf("the second run wrote %d changes, want none", n)
			}
			again := bxflow(t, dir, exitDone, "plan", job)
			if !strings.Contains(again, "Nothing to change.") {
				t.Errorf("the plan after the runs has changes:\n%s", again)
			}
		})
	}
}

// TestExample_rowsThatFail runs the onboarding with a file of faults, mends them
// and runs what came back.
func TestExample_rowsThatFail(t *testing.T) {
	t.Parallel()
	dir := exampleDir(t)
	job := filepath.Join("examples", "onboarding", "onboarding.yaml")
	faulty := filepath.Join("examples", "onboarding", "clients-with-errors.csv")
	out := bxflow(t, dir, exitPartial, "run", job, "--yes", "--quiet", "--param", "file="+faulty)
	golden(t, filepath.Join("onboarding", "run-with-errors.txt"), strings.Join(normalLines(out), "\n")+"\n")
	failed := bxflow(t, dir, exitDone, "show", "--failed", "--format", "csv")
	golden(t, filepath.Join("onboarding", "failed.csv"), failed)

	mended := strings.NewReplacer(
		"\n;Bruno", "\n055.535.792-95;Bruno", "(11) 1234", "(27) 98103-9208", "31/02/1988", "22/06/1961",
		"1988-02-30", "08/06/1979", "sem telefone", "+55 21 986418917", "86439063014;Outro", "307.883.654-10;Outro",
	).Replace(failed)
	writeFile(t, filepath.Join(dir, "failed.csv"), mended)
	if n := written(t, bxflow(t, dir, exitDone, "run", job, "--yes", "--format", "json", "--param", "file=failed.csv")); n == 0 {
		t.Error("the mended rows made nothing")
	}
}

// TestExample_migrationOfWhatChanged edits items of the old portal between two
// runs. The second carries those alone, under the names of the new portal, and
// says which name its maps lack.
func TestExample_migrationOfWhatChanged(t *testing.T) {
	t.Parallel()
	dir := exampleDir(t)
	job := filepath.Join("examples", "migrate", "migrate.yaml")
	bxflow(t, dir, exitDone, "run", job, "--yes", "--quiet")
	if out := bxflow(t, dir, exitDone, "plan", job); !strings.Contains(out, "\n0 rows,") {
		t.Errorf("the old portal is read again:\n%s", out)
	}
	edit := func(id string, fields ...string) {
		t.Helper()
		args := []string{"call", "crm.item.update", "entityTypeId=128", "id=" + id, "--portal", "sandbox:old", "--quiet"}
		bxflow(t, dir, exitDone, append(args, fields...)...)
	}
	edit("2", "fields[stageId]=DT128_42:CLIENT", "fields[ufCrm41_1737980412420]=86", "fields[ufCrm41_1737980500010][0]=87")
	out := bxflow(t, dir, exitDone, "run", job, "--yes", "--format", "json")
	if n := written(t, out); n != 2 { // the fields and the stage
		t.Errorf("the second run wrote %d changes, want 2: %s", n, out)
	}
	card := bxflow(t, dir, exitDone, "portal", "item", "Onboarding", "2", "--portal", "sandbox:new")
	for _, want := range []string{"old-2", "Aguardando", "Alta", "Telefone"} {
		if !strings.Contains(card, want) {
			t.Errorf("the card on the new portal lacks %q:\n%s", want, card)
		}
	}

	path := filepath.Join(dir, "examples", "migrate", "maps", "stages.csv")
	stages, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(stages), "Lost,Perdido\n", "Won,\n", 1))
	if out := bxflow(t, dir, exitUsage, "plan", job); out != "" {
		t.Errorf("a name that is there twice is taken: %s", out)
	}
	writeFile(t, path, strings.Replace(string(stages), "Lost,Perdido\n", "", 1))
	edit("3", "fields[stageId]=DT128_42:FAIL")
	out = bxflow(t, dir, exitPartial, "run", job, "--yes")
	if want := `maps.stages has nothing for "Lost"; add a line to maps/stages.csv`; !strings.Contains(out, want) {
		t.Errorf("%q is not in\n%s", want, out)
	}
}

// exampleDir is a folder with a copy of the examples.
func exampleDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(filepath.Join(top, "examples"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// bxflow runs the program in a folder, and returns its standard output once it
// has ended with the code.
func bxflow(tb testing.TB, dir string, code int, args ...string) string {
	tb.Helper()
	c := exec.CommandContext(tb.Context(), "bxflow", args...)
	c.Dir, c.Env = dir, childEnv(dir)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		tb.Fatal(err)
	}
	if got := c.ProcessState.ExitCode(); got != code {
		tb.Fatalf("bxflow %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// written counts the changes of a run's JSON.
func written(tb testing.TB, text string) int {
	tb.Helper()
	var run struct {
		Status string
		Steps  []struct{ Created, Updated, Moved, Deleted int }
	}
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	if run.Status != "succeeded" {
		tb.Errorf("status %q, want succeeded", run.Status)
	}
	n := 0
	for _, s := range run.Steps {
		n += s.Created + s.Updated + s.Moved + s.Deleted
	}
	return n
}

// golden compares with a file under testdata/examples, or rewrites it with
// -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "examples", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s; if this is right, run the test with -update (-want +got):\n%s", path, diff)
	}
}
