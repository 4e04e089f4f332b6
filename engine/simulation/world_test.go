package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/proof"
	"github.com/bxflow/bxflow/engine/sandbox"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// world is a portal and a folder with a job, its rows and the state of the
// programs that run it. It lives in simulated time.
type world struct {
	t        *testing.T
	portal   *sandbox.Portal
	dir      string
	limits   portal.Limits
	state    string // the folder with what processes share of the limits; "": none
	fence    time.Duration
	journal  *journal.Journal
	other    *journal.Journal // of another state folder; nil: there is none
	shared   string           // the folder that the leases of both are in
	text     string           // of the job
	job      *engine.Job
	evidence proof.Evidence
	others   int // requests that were made before the program's first

	// What is taken away, for tests of the tests.

	lawless bool // nobody asks for the right to write
	blind   bool // runs find nothing by external key
	hasty   bool // plans are made while earlier requests may be under way
}

// newWorld opens a world. Its job is given without its head.
func newWorld(t *testing.T, o sandbox.Options, job, rows string) *world {
	t.Helper()
	o.History = true
	box, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, portal: box, dir: t.TempDir(), limits: portal.Limits{
		Rate: o.Rate, Burst: float64(o.Burst), Operating: o.OperatingLimit, Window: o.OperatingWindow, Request: o.RequestLimit,
	}}
	w.fence = o.RequestLimit * 5 / 4
	w.evidence.Fence = w.fence
	w.write("rows.csv", rows)
	w.write(journal.FileName, string(emptyJournal))
	w.text = "version: 1\nname: simulation\nportal: main\nsteps:\n" + job
	w.job = w.load()
	w.reopen()
	t.Cleanup(func() {
		if err := errors.Join(w.journal.Close(), box.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// load reads the job.
func (w *world) load() *engine.Job {
	w.t.Helper()
	job, err := jobs.Parse(filepath.Join(w.dir, "job.yaml"), []byte(w.text), jobs.Options{Kinds: steps.All()})
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// reopen opens the journal, as a new process does.
func (w *world) reopen() {
	w.t.Helper()
	if w.journal != nil {
		if err := w.journal.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	var err error
	if w.journal, err = journal.Open(w.t.Context(), w.dir); err != nil {
		w.t.Fatal(err)
	}
}

// open makes a client.
func (w *world) open(transport http.RoundTripper) *portal.Client {
	w.t.Helper()
	address, err := portal.Parse("https://portal.test" + w.portal.WebhookPath())
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := portal.Open(portal.Options{
		Address: address, Transport: transport, ID: w.portal.ID(), Limits: w.limits, State: w.state,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// ask makes calls past the program, as a person or another program would. They
// are no evidence.
func (w *world) ask(commands []portal.Command) {
	w.t.Helper()
	replies, err := w.open(w.portal.Transport()).Batch(w.t.Context(), commands)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range replies {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
	w.others = w.portal.Stats().Requests
}

// neighbour has another program behind the same address spend requests, until
// the returned function is called. Whether they are refused it does not care.
func (w *world) neighbour(every time.Duration, random *rand.Rand) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var others conc.WaitGroup
	others.Go(func() {
		for {
			timer := time.NewTimer(every/2 + time.Duration(random.Int64N(int64(every))))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://portal.test"+w.portal.WebhookPath()+"profile", http.NoBody)
			if err != nil {
				w.t.Error(err)
				return
			}
			if res, err := w.portal.Transport().RoundTrip(r); err == nil {
				res.Body.Close()
			}
		}
	})
	return func() {
		cancel()
		others.Wait()
	}
}

// pass lets simulated time pass.
func pass(d time.Duration) { <-time.After(d) }

// settle lets everything that is under way take effect and be seen: what a
// request did as late as it can, and what lists show later still.
func (w *world) settle() { pass(w.limits.Request*2 + time.Minute) }

// runs are those of all journals, the oldest of each first.
func (w *world) runs() []*journal.Run {
	w.t.Helper()
	var all []*journal.Run
	for _, j := range []*journal.Journal{w.journal, w.other} {
		if j == nil {
			continue
		}
		results, err := j.Runs(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, res := range slices.Backward(results) {
			run, err := j.Run(w.t.Context(), res.Run)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, run)
		}
	}
	return all
}

// note takes down the journal, while no process is at it.
func (w *world) note() {
	w.t.Helper()
	noted := proof.Journal{Taken: time.Now()}
	for _, run := range w.runs() {
		noted.Runs = append(noted.Runs, proof.Run{Header: run.Header(), Result: *run.Result()})
		r := &noted.Runs[len(noted.Runs)-1]
		for c, err := range run.Changes(w.t.Context(), engine.Filter{}) {
			if err != nil {
				w.t.Fatal(err)
			}
			r.Changes = append(r.Changes, proof.Change{
				Seq: c.Seq, Step: c.Step, Kind: c.Kind, Entity: c.Entity, TypeID: c.TypeID, ID: c.ID, Key: c.ExternalKey,
				State: c.State, Attempt: c.Attempt, SentAt: c.SentAt,
			})
		}
	}
	w.evidence.Journals = append(w.evidence.Journals, noted)
}

// findings holds what the portal saw against what the journal says. A run that
// was begun anew looks its contacts up by what they are matched by, and not by
// their external keys, as the rule wants it.
func (w *world) findings(anew bool) []proof.Finding {
	w.t.Helper()
	w.note()
	if err := w.evidence.Ask(w.portal); err != nil {
		w.t.Fatal(err)
	}
	w.evidence.Requests = slices.DeleteFunc(w.evidence.Requests, func(r sandbox.Request) bool { return r.Number <= w.others })
	w.evidence.Effects = slices.DeleteFunc(w.evidence.Effects, func(e sandbox.Effect) bool { return e.Request <= w.others })
	return slices.DeleteFunc(w.evidence.Check(), func(f proof.Finding) bool {
		return anew && f.Rule == proof.RuleLookup && strings.Contains(f.Text, "of type 3 is asked for by request") && strings.Contains(f.Text, "without a look-up")
	})
}

// errors lists what runs say of changes that did not make it.
func (w *world) errors() []string {
	w.t.Helper()
	var all []string
	for _, run := range w.runs() {
		for c, err := range run.Changes(w.t.Context(), engine.Filter{}) {
			if err != nil {
				w.t.Fatal(err)
			}
			if c.Error != "" || c.Kind == engine.KindInvalid || c.Kind == engine.KindConflict {
				all = append(all, fmt.Sprintf("run %s: change %d: %s %s %s: %s %s %s", run.ID(), c.Seq, c.Step, c.Kind, c.Source, c.State, c.Error, c.Reason))
			}
		}
	}
	return all
}

// item is an item of the portal, as far as the jobs here write it.
type item struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Title    string `json:"title"`
	Post     string `json:"post"`
	Comment  string `json:"COMMENT"`
	Stage    string `json:"stageId"`
	Contact  int64  `json:"contactId"`
	CPF      string `json:"UF_CRM_1737980095947"`
	Priority int64  `json:"UF_CRM_41_1737980412420"`
	Notes    string `json:"UF_CRM_41_1737980095947"`
	Rows     []struct {
		Value string `json:"value"`
	} `json:"fm"`
}

// items are all items of the portal, by entity.
func (w *world) items() map[string][]item {
	w.t.Helper()
	var dump map[string][]item
	if err := json.Unmarshal(w.portal.Dump(), &dump); err != nil {
		w.t.Fatal(err)
	}
	return dump
}
