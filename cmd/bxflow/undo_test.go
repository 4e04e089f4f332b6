package main

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// A run that was killed and then taken back says what it did, as one that was
// stopped does, and can't be resumed.
func TestUndo_killedRun(t *testing.T) {
	t.Parallel()
	const n = 900
	for name, tt := range map[string]struct {
		fault string
		saved bool // the plan of its undo is
	}{
		"nothing in doubt":              {},
		"nothing in doubt, by its plan": {saved: true},
		"in doubt":                      {fault: "late:method=crm.item.add,nth=1,delay=900ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := tt.fault
			c := newContention(t, n)
			args := fast("run", "many.yaml")
			if fault == "" { // it writes a part, and then waits for the portal's limits
				args = []string{"run", "many.yaml", "--yes", "--limits", "rate=0.001,burst=8,request=1s"}
			} else if err := c.box.SetFaults(fault); err != nil {
				t.Fatal(err)
			}
			killed := c.start("a", args...)
			c.until(killed, "writes", func() bool { return c.created() > 0 && (fault == "" || c.box.Stats().Faults > 0) })
			if fault == "" {
				<-time.After(300 * time.Millisecond) // until the answers are in the journal
			}
			killed.signal(syscall.SIGKILL)
			<-killed.ended
			if tt.saved {
				c.start("a", "undo", "last", "--out", "undo.plan").end(exitDone)
				c.start("a", "apply", "undo.plan", "--yes").end(exitDone)
			} else {
				c.start("a", fast("undo", "last")...).end(exitDone)
			}

			runs := c.start("a", "runs", "--format", "json")
			runs.end(exitDone)
			var results []engine.Result
			if err := json.Unmarshal([]byte(runs.stdout.String()), &results); err != nil {
				t.Fatal(err)
			}
			undo, run := results[0].Steps[0], results[1].Steps[0]
			if run.Created != undo.Deleted || run.Created+run.Skipped != n || results[1].Status != engine.StatusInterrupted {
				t.Errorf("the run %s: %+v; its undo: %+v", results[1].Status, run, undo)
			}
			c.start("a", fast("resume")...).end(exitUsage)
		})
	}
}
