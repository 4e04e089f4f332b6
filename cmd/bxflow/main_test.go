package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if raced {
		os.Exit(shipped(m))
	}
	testscript.Main(m, map[string]func(){"bxflow": main})
}

// shipped runs the tests with the program as it ships, since the race detector
// makes each of its thousand starts slow. What the program does at once is tested
// with it in the packages below.
func shipped(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bxflow-shipped-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", ".")
	build.Env = append(os.Environ(), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		panic(err)
	}
	return m.Run()
}

func TestScripts(t *testing.T) {
	t.Parallel()

	jobs, err := filepath.Abs("testdata/jobs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"waitfile": waitFile, "authorize": authorize, "workbook": makeWorkbook, "sqlite": makeDatabase},
		Setup: func(env *testscript.Env) error {
			env.Setenv("BXFLOW_STATE", env.WorkDir+"/state")
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			env.Setenv("NO_COLOR", "1")
			return os.CopyFS(filepath.Join(env.WorkDir, "jobs"), os.DirFS(jobs))
		},
	})
}
