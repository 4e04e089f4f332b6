package engine_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// world is a sandbox portal, a client of it and a journal: all that a job
// needs, as the command line wires it.
type world struct {
	t       testing.TB
	sandbox *sandbox.Portal
	client  *portal.Client
	journal *journal.Journal
	dir     string // of the jobs
	limits  portal.Limits
	strict  bool // plans are applied strictly
	saved   bool // plans were saved
}

func newWorld(tb testing.TB, o sandbox.Options) *world {
	tb.Helper()
	if o.Seed == "" {
		o.Seed = "demo"
	}
	box, err := sandbox.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{t: tb, sandbox: box, dir: tb.TempDir(), limits: portal.Limits{
		Rate: o.Rate, Burst: float64(o.Burst), Operating: o.OperatingLimit, Window: 10 * time.Minute, Request: max(o.RequestLimit, time.Second),
	}}
	w.client = w.open()
	w.journal, err = journal.Open(tb.Context(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(w.journal.Close(), box.Close()); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// open makes a fresh client, as another start of the program would.
func (w *world) open() *portal.Client {
	w.t.Helper()
	return w.openThrough(w.sandbox.Transport())
}

// openThrough makes a client that reaches the sandbox another way.
func (w *world) openThrough(transport http.RoundTripper) *portal.Client {
	w.t.Helper()
	address, err := portal.Parse("https://portal.test" + w.sandbox.WebhookPath())
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := portal.Open(portal.Options{Address: address, Transport: transport, ID: w.sandbox.ID(), Limits: w.limits})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// rows writes the file that the jobs read, rows.csv.
func (w *world) rows(text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "rows.csv"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// job reads a job whose file stands in the world's folder.
func (w *world) job(text string) *engine.Job {
	w.t.Helper()
	if !strings.HasPrefix(text, "version:") {
		text = "version: 1\nname: test\nsteps:\n" + text
	}
	job, err := jobs.Parse(filepath.Join(w.dir, "job.yaml"), []byte(text), jobs.Options{Kinds: steps.All()})
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// try plans a job and returns what comes of it.
func (w *world) try(job *engine.Job) (*engine.Header, engine.Draft, error) {
	w.t.Helper()
	draft, err := w.journal.NewDraft(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.client
	h, err := engine.Plan(w.t.Context(), engine.PlanOptions{
		Job: job, Catalogue: client, Reader: client, Gauge: client, Draft: draft, History: w.journal, Now: time.Now(),
		Fence: w.limits.Request * 5 / 4,
	})
	return h, draft, err
}

// plan plans a job and returns its header and all changes.
func (w *world) plan(job *engine.Job) (*engine.Header, []*engine.Change) {
	w.t.Helper()
	h, draft, err := w.try(job)
	if err != nil {
		w.t.Fatal(err)
	}
	var changes []*engine.Change
	for c, err := range draft.Changes(w.t.Context(), engine.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		changes = append(changes, c)
	}
	return h, changes
}

// run plans and applies a job.
func (w *world) run(job *engine.Job) *engine.Result {
	w.t.Helper()
	h, _ := w.plan(job)
	return w.apply(h)
}

// apply applies a plan that nothing stands against.
func (w *world) apply(h *engine.Header) *engine.Result {
	w.t.Helper()
	result, err := w.tryApply(h)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// tryApply applies a plan and returns what comes of it.
func (w *world) tryApply(h *engine.Header) (*engine.Result, error) {
	w.t.Helper()
	return engine.Apply(w.t.Context(), w.options(h))
}

// options begin a run of a plan.
func (w *world) options(h *engine.Header) engine.ApplyOptions {
	w.t.Helper()
	client := w.client
	catalog, err := client.Catalog(w.t.Context(), h.Needs)
	if err != nil {
		w.t.Fatal(err)
	}
	started := time.Now()
	run, err := w.journal.Begin(w.t.Context(), h.ID, started)
	if err != nil {
		w.t.Fatal(err)
	}
	return engine.ApplyOptions{
		Header: h, RunID: run.ID(), Started: started, Catalog: catalog, Reader: client, Writer: client, Gauge: client,
		Log: run, Fence: w.limits.Request * 5 / 4, Strict: w.strict, Recheck: w.saved,
	}
}

// resume makes a run that was cut short go on, as another start of the program
// would.
func (w *world) resume(o *engine.ApplyOptions) {
	w.t.Helper()
	run, err := w.journal.Run(w.t.Context(), o.RunID)
	if err == nil {
		err = run.Resume(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.open()
	o.Log, o.Reader, o.Writer, o.Gauge, o.Started, o.Recheck = run, client, client, client, time.Now(), true
}

// errors joins what a run says of changes that did not make it.
func (w *world) errors(id string) string {
	w.t.Helper()
	run, err := w.journal.Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for c, err := range run.Changes(w.t.Context(), engine.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if c.Error != "" {
			all = append(all, c.Error)
		}
	}
	return strings.Join(all, "\n")
}

// items are all items of an entity on the portal, as the sandbox dumps them:
// contact, deal, dynamic_128.
func (w *world) items(entity string) []map[string]any {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://127.0.0.1/_sandbox/dump", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.sandbox.Transport().RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var dump map[string][]map[string]any
	if err := json.NewDecoder(res.Body).Decode(&dump); err != nil {
		w.t.Fatal(err)
	}
	return dump[entity]
}

// named are the items of an entity whose field has a value.
func (w *world) named(entity, field string, value any) []map[string]any {
	w.t.Helper()
	var out []map[string]any
	for _, item := range w.items(entity) {
		if item[field] == value {
			out = append(out, item)
		}
	}
	return out
}
