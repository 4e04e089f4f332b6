package proof_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/proof"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// world is a portal that is served over HTTP, and a folder with a job, its rows
// and the program's state.
type world struct {
	t        testing.TB
	portal   *sandbox.Portal
	dir      string
	command  []string // what is to be done: run, or the undoing of a run
	lives    int      // processes begun
	kills    int
	cpu      time.Duration // that processes took
	evidence proof.Evidence
}

// worldOptions are what worlds differ in.
type worldOptions struct {
	sandbox sandbox.Options
	request time.Duration // how long a request may run, as the program is told
	job     string
	rows    string
}

// newWorld opens a world. The portal is quicker than the program is told, so
// that a machine that is busy doesn't make the fence too short.
func newWorld(tb testing.TB, o worldOptions) *world {
	tb.Helper()
	o.sandbox.History = true
	o.sandbox.RequestLimit = o.request / 2
	portal, err := sandbox.New(o.sandbox)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(portal)
	tb.Cleanup(func() {
		server.Close()
		if err := portal.Close(); err != nil {
			tb.Error(err)
		}
	})
	w := &world{t: tb, portal: portal, dir: tb.TempDir(), command: run}
	w.evidence.Fence = o.request * 5 / 4
	w.write("bxflow.yaml", "portals:\n  main: {url: "+server.URL+portal.WebhookPath()+", limits: {rate: 0, request: "+o.request.String()+"}}\n")
	w.write("job.yaml", "version: 1\nname: proof\nportal: main\nsteps:\n"+o.job)
	w.write("rows.csv", o.rows)
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// state is the program's state folder.
func (w *world) state() string { return filepath.Join(w.dir, ".bxflow") }

// note takes down the journal, while no process is at it.
func (w *world) note() {
	w.t.Helper()
	j, err := proof.ReadJournal(w.t.Context(), w.state())
	if err != nil {
		w.t.Fatalf("journal: %v", err)
	}
	w.evidence.Journals = append(w.evidence.Journals, j)
}

// finish does what is to be done to its end, whatever came before: it resumes
// the run that was cut short, and begins one where there is none. Nothing that
// the portal does to it is a reason to give up.
func (w *world) finish() *engine.Result {
	w.t.Helper()
	l := w.start(programShips, nil, resume...)
	code, result := w.end(l)
	if code == exitUsage && strings.Contains(l.stderr.String(), "nothing to resume") {
		l = w.start(programShips, nil, w.command...)
		code, result = w.end(l)
	}
	if code != 0 || result == nil || result.Status != engine.StatusSucceeded {
		show := w.start(programShips, nil, "show", "--failed", "--format", "csv")
		_ = show.Wait() // it tells what it can
		w.t.Fatalf("exit %d of %s%s", code, l.tells(), show.stdout.String()[:min(2000, show.stdout.Len())])
	}
	return result
}

// judge holds the evidence against the rules, and counts what it finds.
func (w *world) judge(name string) {
	w.t.Helper()
	w.note()
	if err := w.evidence.Ask(w.portal); err != nil {
		w.t.Fatal(err)
	}
	findings := w.evidence.Check()
	for _, f := range findings[:min(len(findings), 20)] {
		w.t.Error(f)
	}
	if n := len(findings) - 20; n > 0 {
		w.t.Errorf("and %d more findings", n)
	}
	record(name, w.lives, w.kills+w.portal.Stats().Faults, len(findings))
}

// The commands.
var (
	run    = []string{"run", "job.yaml", "--yes", "--format", "json", "--quiet"}
	resume = []string{"resume", "--yes", "--format", "json", "--quiet"}
)

// exitUsage is the program's exit code where there is nothing to resume.
const exitUsage = 2

// contents is what a portal holds, as text, without what differs between two
// runs that did the same: the ids of made items follow the order in which
// requests come in, so items are named by their keys instead.
func contents(tb testing.TB, p *sandbox.Portal) string {
	tb.Helper()
	dump := map[string][]map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(p.Dump()))
	decoder.UseNumber()
	if err := decoder.Decode(&dump); err != nil {
		tb.Fatal(err)
	}
	names := map[string]map[string]string{} // of made items, by entity and id
	for entity, items := range dump {
		names[entity] = map[string]string{}
		for _, item := range items {
			key, _ := item["xmlId"].(string)
			origin, _ := item["originId"].(string)
			requisite, _ := item["XML_ID"].(string)
			if key += origin + requisite; key != "" {
				names[entity][idText(item["id"])] = key
			}
		}
	}
	var lines []string
	for entity, items := range dump {
		for _, item := range items {
			named(item, "id", names[entity])
			named(item, "contactId", names["contact"])
			named(item, "contactIds", names["contact"])
			if entity == "comment" || entity == "address" || entity == "product row" { // what has no key has no name
				delete(item, "id")
			}
			if name, ok := names["requisite"][fmt.Sprint(item["ENTITY_ID"])]; entity == "address" && ok {
				item["ENTITY_ID"] = name
			}
			text, err := json.Marshal(item)
			if err != nil {
				tb.Fatal(err)
			}
			lines = append(lines, entity+" "+string(text))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// named puts the names of items in the place of their ids.
func named(item map[string]any, field string, names map[string]string) {
	switch v := item[field].(type) {
	case json.Number:
		if name, ok := names[v.String()]; ok {
			item[field] = name
		}
	case []any:
		for i, id := range v {
			if name, ok := names[idText(id)]; ok {
				v[i] = name
			}
		}
	}
}

func idText(id any) string {
	switch id := id.(type) {
	case json.Number:
		return id.String()
	case float64:
		return strconv.FormatFloat(id, 'f', -1, 64)
	}
	return ""
}
