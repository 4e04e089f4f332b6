//go:build unix

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A disk that takes no more, here by the limit for a file's size, ends a run
// with exit code 1 wherever it is; with room again the run goes on, and each row
// is written once.
func TestDiskThatTakesNoMore(t *testing.T) {
	t.Parallel()
	begun := 0
	for blocks := 100; ; blocks += blocks / 2 {
		c := newContention(t, 200)
		args := fmt.Sprintf("ulimit -f %d; exec bxflow run many.yaml --yes --limits rate=0,request=1s --state a --portal %s", blocks, c.url)
		p := exec.CommandContext(t.Context(), "sh", "-c", args)
		p.Dir, p.Env = c.dir, childEnv(c.dir)
		out, _ := p.CombinedOutput() // the code tells
		code := p.ProcessState.ExitCode()
		if code == exitDone {
			break
		}
		if code != exitUnfinished || !strings.Contains(string(out), ": the disk fails; mind it and its space and try again: ") {
			t.Fatalf("%d blocks: exit %d, want %d: %s", blocks, code, exitUnfinished, out)
		}
		if strings.Contains(string(out), "\nNext: bxflow resume ") {
			begun++
			c.start("a", fast("resume")...).end(exitDone)
		} else {
			c.start("a", fast("run", "many.yaml")...).end(exitDone)
		}
		c.once()
	}
	if begun == 0 {
		t.Error("no run began before the disk took no more")
	}
}
