package proof_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// A process that dies between the end of a run and the moving of the file that it
// has read, or before it is noted where that went, does no harm: the next run finds
// the file at its new place, or moves it before it reads.
func TestFiling(t *testing.T) {
	t.Parallel()
	for _, at := range []crash.Point{crash.RunFinished, crash.FileMoved} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{
				sandbox: sandbox.Options{Seed: "demo,contacts=2,items=1"}, request: time.Second, rows: onboardingRows(3),
				job: strings.Replace(onboarding, "read: rows.csv\n", "read: rows.csv\n    optional: true\n    done: done\n    failed: failed\n", 1),
			})
			l := w.start(programDies, []string{"PROOF_DIES_AT=" + string(at)}, run...)
			w.end(l)
			if !l.killed() {
				t.Fatalf("it didn't come to %s: %s", at, l.tells())
			}
			if _, err := os.Stat(filepath.Join(w.dir, "rows.csv")); (err == nil) != (at == crash.RunFinished) {
				t.Errorf("when it died, the file was not where it should be: %v", err)
			}
			before := contents(t, w.portal)
			if result := w.finish(); result.Moved != nil {
				t.Errorf("the next run moved %v; the file was not its own", result.Moved)
			}
			w.judge("files")
			if after := contents(t, w.portal); after != before {
				t.Errorf("the rows were taken twice: %s", differences(before, after))
			}
			text, err := os.ReadFile(filepath.Join(w.dir, "done", "rows.csv"))
			if err != nil || string(text) != onboardingRows(3) {
				t.Errorf("done/rows.csv: %v, %q", err, text)
			}
			for folder, want := range map[string]int{"done": 1, "failed": 0} {
				if entries, _ := os.ReadDir(filepath.Join(w.dir, folder)); len(entries) != want {
					t.Errorf("%s holds %v", folder, entries)
				}
			}
			if got := firstMoved(t, w); len(got) != 1 || got[0] != (engine.Moved{File: "rows.csv", To: "done/rows.csv"}) {
				t.Errorf("the first run says that it moved %v", got)
			}
		})
	}
}

// firstMoved is what the first run of a world says of its files.
func firstMoved(t *testing.T, w *world) []engine.Moved {
	t.Helper()
	l := w.start(programShips, nil, "runs", "--format", "json")
	if err := l.Wait(); err != nil {
		t.Fatal(err, l.tells())
	}
	var runs []engine.Result
	if err := json.Unmarshal(l.stdout.Bytes(), &runs); err != nil || len(runs) == 0 {
		t.Fatal(err, l.stdout.String())
	}
	return runs[len(runs)-1].Moved
}
