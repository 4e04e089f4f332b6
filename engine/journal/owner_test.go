package journal_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/journal"
)

func TestOwner_isGone(t *testing.T) {
	t.Parallel()
	here := runOf(t, openIn(t, t.TempDir())).Owner()
	with := func(change func(*journal.Owner)) journal.Owner {
		o := here
		change(&o)
		return o
	}
	tests := map[string]struct {
		owner journal.Owner
		want  bool
	}{
		"not this process":             {here, false},
		"not one of another host":      {with(func(o *journal.Owner) { o.Host += "x"; o.PID = math.MaxInt32 }), false},
		"one of an earlier boot":       {with(func(o *journal.Owner) { o.Boot += "x" }), true},
		"one that had our number":      {with(func(o *journal.Owner) { o.Birth += "1" }), true},
		"one that there is no more":    {with(func(o *journal.Owner) { o.PID = math.MaxInt32 }), true},
		"one whose number another has": {with(func(o *journal.Owner) { o.PID = os.Getppid() }), here.Birth != ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.owner.Gone(); got != tt.want {
				t.Errorf("%+v is gone: %v, want %v", tt.owner, got, tt.want)
			}
		})
	}
}

// A process that has ended is gone, even if its parent never asks for its end:
// as in a container whose first process is no init.
func TestOwner_isGoneBeforeItsParentKnows(t *testing.T) {
	t.Parallel()
	o := runOf(t, openIn(t, t.TempDir())).Owner()
	if o.Birth == "" {
		return // this system tells nothing of processes
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	o.PID = child.Process.Pid
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.PID))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		o.Birth = fields[19]
		if fields[0] == "Z" {
			break
		}
		if o.Gone() {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.PID))
			if err != nil || !strings.Contains(string(text), ") Z ") {
				t.Fatal("a process that runs is taken for gone")
			}
		}
	}
	if !o.Gone() {
		t.Error("a process that has ended is not gone")
	}
}
