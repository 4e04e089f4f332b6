package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// place is a portal to which a job of many rows writes: for each a contact and
// a card, and every second card moves.
type place struct {
	t    testing.TB
	box  *sandbox.Portal
	rows int
	dir  string // of the job
	o    sandbox.Options
}

const clients = `version: 1
name: clients
steps:
  - read: rows.csv
    key: n
  - create: contact
    id: client
    fields: {name: "${{ row.name }}"}
  - create: Onboarding
    id: card
    category: Clients
    stage: New
    fields: {title: "Card of ${{ row.name }}", contactId: "${{ client.id }}"}
  - move: card
    when: row.paid == "yes"
    to: In progress
`

func newPlace(tb testing.TB, rows int, o sandbox.Options) *place {
	tb.Helper()
	o.History = true
	box, err := sandbox.New(o)
	must(tb, err)
	tb.Cleanup(func() { must(tb, box.Close()) })
	p := &place{t: tb, box: box, rows: rows, dir: tb.TempDir(), o: o}
	var b strings.Builder
	b.WriteString("n,name,paid\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,Cliente %d,%s\n", i, i, []string{"yes", "no"}[i%2])
	}
	must(tb, os.WriteFile(filepath.Join(p.dir, "rows.csv"), []byte(b.String()), 0o600))
	return p
}

// wire is a process's way to a portal. Once it is cut, nothing leaves any more;
// what is at the portal already is worked on there.
type wire struct {
	http.RoundTripper

	cut atomic.Bool
}

var errCut = errors.New("the power is cut")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, errCut
	}
	return w.RoundTripper.RoundTrip(r)
}

// process is what one process has of a place.
type process struct {
	*place
	*portal.Client

	journal *journal.Journal
	wire    *wire
	batch   int // the most commands of a request; 0: as many as the portal takes
}

// few is a writer of small batches.
type few struct {
	engine.Writer

	n int
}

func (f few) BatchSize() int { return min(f.n, f.Writer.BatchSize()) }

// start is a process with its journal in a folder.
func (p *place) start(dir string) *process {
	p.t.Helper()
	w := &wire{RoundTripper: p.box.Transport()}
	return &process{place: p, Client: p.client(w), journal: openIn(p.t, dir), wire: w}
}

// client is a client of the portal.
func (p *place) client(w *wire) *portal.Client {
	p.t.Helper()
	address, err := portal.Parse("https://portal.test" + p.box.WebhookPath())
	must(p.t, err)
	client, err := portal.Open(portal.Options{Address: address, Transport: w, ID: p.box.ID(), Limits: portal.Limits{
		Rate: p.o.Rate, Burst: float64(p.o.Burst), Window: 10 * time.Minute, Request: max(p.o.RequestLimit, time.Second),
	}})
	must(p.t, err)
	return client
}

// begin plans the job and begins a run of it.
func (p *process) begin() *journal.Run {
	p.t.Helper()
	job, err := jobs.Parse(filepath.Join(p.dir, "job.yaml"), []byte(clients), jobs.Options{Kinds: steps.All()})
	must(p.t, err)
	draft, err := p.journal.NewDraft(p.t.Context())
	must(p.t, err)
	h, err := engine.Plan(p.t.Context(), engine.PlanOptions{
		Job: job, Catalogue: p.Client, Reader: p.Client, Gauge: p.Client, Draft: draft, Now: time.Now(),
	})
	must(p.t, err)
	r, err := p.journal.Begin(p.t.Context(), h.ID, time.Now())
	must(p.t, err)
	return r
}

// apply applies what is left of a run, which log records.
func (p *process) apply(ctx context.Context, r *journal.Run, log engine.Log, resumed bool) (*engine.Result, error) {
	catalog, err := p.Catalog(ctx, r.Header().Needs)
	if err != nil {
		return nil, err
	}
	o := engine.ApplyOptions{
		Header: r.Header(), RunID: r.ID(), Started: time.Now(), Catalog: catalog, Reader: p.Client, Writer: p.Client, Gauge: p.Client,
		Log: log, Fence: max(p.o.RequestLimit, time.Second) * 5 / 4, Recheck: resumed,
	}
	if p.batch > 0 {
		o.Writer = few{p.Client, p.batch}
	}
	if resumed {
		o.Earlier = r.Result()
	}
	return engine.Apply(ctx, o)
}

// resume goes on with the last run of the journal, to its end.
func (p *process) resume(ctx context.Context) (*engine.Result, error) {
	r, err := p.journal.Run(ctx, "")
	if err != nil {
		return nil, err
	}
	if err := r.Resume(ctx); err != nil {
		return nil, err
	}
	return p.apply(ctx, r, r, true)
}

// made counts how often each item was made, by its external key.
func (p *place) made() map[string]int {
	made := map[string]int{}
	for _, e := range p.box.History() {
		if e.Kind == sandbox.EffectCreate {
			made[e.Key]++
		}
	}
	return made
}

// doubles is how many items were made more than once.
func (p *place) doubles() (n int) {
	for _, times := range p.made() {
		n += times - 1
	}
	return n
}

// complete checks that each row was written, and once.
func (p *place) complete() {
	p.t.Helper()
	if n := p.doubles(); n > 0 {
		p.t.Errorf("%d items were made twice", n)
	}
	if n := len(p.made()); n != 2*p.rows {
		p.t.Errorf("%d items were made, want %d", n, 2*p.rows)
	}
	moved := 0
	for _, card := range p.items("dynamic_128") {
		if strings.HasPrefix(fmt.Sprint(card["title"]), "Card of ") && card["stageId"] == "DT128_42:PREPARATION" {
			moved++
		}
	}
	if want := (p.rows + 1) / 2; moved != want {
		p.t.Errorf("%d cards were moved, want %d", moved, want)
	}
}

// items are all items of an entity, as the sandbox dumps them.
func (p *place) items(entity string) []map[string]any {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://127.0.0.1/_sandbox/dump", nil)
	must(p.t, err)
	res, err := p.box.Transport().RoundTrip(req)
	must(p.t, err)
	defer res.Body.Close()
	var dump map[string][]map[string]any
	must(p.t, json.NewDecoder(res.Body).Decode(&dump))
	return dump[entity]
}
