package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// manyRows is a file of n clients, every third of them gold, every second paid.
func manyRows(n int) string {
	var b strings.Builder
	b.WriteString("cpf,name,phone,plan,paid\n")
	for i := range n {
		plan, paid := "basic", "no"
		if i%3 == 0 {
			plan = "gold"
		}
		if i%2 == 0 {
			paid = "yes"
		}
		fmt.Fprintf(&b, "%d,Cliente %d,+55119%08d,%s,%s\n", 70000+i, i, i, plan, paid)
	}
	return b.String()
}

// complete checks that each row made exactly one contact and one card, in the
// stage that it asks for.
func complete(t *testing.T, w *world, n int) {
	t.Helper()
	contacts, cards, moved := map[any]int{}, map[any]int{}, 0
	for _, c := range w.items("contact") {
		contacts[c["UF_CRM_1737980095947"]]++
	}
	for _, c := range w.items("dynamic_128") {
		cards[c["title"]]++
		if strings.HasPrefix(fmt.Sprint(c["title"]), "Card of") && c["stageId"] == "DT128_42:PREPARATION" {
			moved++
		}
	}
	for i := range n {
		if got := contacts[strconv.Itoa(70000+i)]; got != 1 {
			t.Errorf("row %d has %d contacts", i, got)
		}
		if got := cards[fmt.Sprintf("Card of Cliente %d", i)]; got != 1 {
			t.Errorf("row %d has %d cards", i, got)
		}
	}
	if want := (n + 1) / 2; moved != want {
		t.Errorf("%d cards were moved, want %d", moved, want)
	}
}

// Whatever goes wrong on the way, each row is written once.
func TestApplyThroughFaults(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"none":             nil,
		"answers lost":     {"drop-after:p=0.3,seed=1"},
		"requests lost":    {"drop-before:p=0.3,seed=2"},
		"answers cut":      {"truncate:p=0.3,seed=3"},
		"gateway errors":   {"html-502:p=0.3,seed=4"},
		"server errors":    {"error-500:p=0.3,seed=5"},
		"bucket refusals":  {"limit-503:p=0.2,seed=6"},
		"method refusals":  {"limit-429:p=0.1,seed=7"},
		"all of them":      {"drop-after:p=0.1,seed=8", "drop-before:p=0.1,seed=9", "truncate:p=0.1,seed=10", "limit-503:p=0.1,seed=11", "html-502:p=0.1,seed=12"},
		"slow, then lost":  {"slow:p=0.3,delay=3s,seed=13", "drop-after:p=0.2,seed=14"},
		"first write lost": {"drop-after:nth=3"},
	}
	for name, faults := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Rate: 20, Burst: 50, RequestLimit: 4 * time.Second, Latency: 50 * time.Millisecond, Faults: faults})
				const n = 400
				w.rows(manyRows(n))
				result := w.run(w.job(onboarding))
				if result.Status != engine.StatusSucceeded {
					t.Errorf("run ends %s: %s", result.Status, result.Error)
				}
				complete(t, w, n)
			})
		})
	}
}

// A portal that breaks on one row, as self-hosted ones do whose own code ends the
// request, gets all others done, and the run ends.
func TestApplyWhatThePortalBreaksOn(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct {
		body string // requests that hold it get no answer
		done int    // contacts
	}{
		"one row":    {"Cliente%2017%20", 59},
		"all writes": {"%5BoriginId%5D=", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sandbox.Options{Seed: "empty", RequestLimit: 4 * time.Second, Latency: 50 * time.Millisecond})
				w.client = w.openThrough(breaking{w.sandbox.Transport(), broken.body})
				var rows strings.Builder
				rows.WriteString("n\n")
				for n := range 60 {
					fmt.Fprintf(&rows, "%d\n", n)
				}
				w.rows(rows.String())
				h, _ := w.plan(w.job(`
  - read: rows.csv
    key: n
  - import: contact
    match: originId
    automation: off
    fields: {originId: "${{ row.n }}", name: "Cliente ${{ row.n }} ."}
`))
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
				defer stop()
				result, err := engine.Apply(ctx, w.options(h))
				if err != nil || result.Status != engine.StatusPartial {
					t.Fatalf("the run ends %s: %v", result.Status, err)
				}
				if got := len(w.items("contact")); got != broken.done {
					t.Errorf("%d contacts were made, want %d", got, broken.done)
				}
				failed := strings.Split(w.errors(result.Run), "\n")
				if len(failed) != 60-broken.done || !strings.Contains(failed[0], "sent 12 times and never done, for the portal gives no usable answer to it: portal.test: ") {
					t.Errorf("%d rows failed: %s", len(failed), failed[0])
				}
			})
		})
	}
}

// breaking is a portal that gives no answer to requests that hold a text.
type breaking struct {
	next http.RoundTripper
	text string
}

// RoundTrip implements [http.RoundTripper].
func (b breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(body, []byte(b.text)) {
		return nil, io.ErrUnexpectedEOF
	}
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(body))
	return b.next.RoundTrip(out)
}

// A run that is interrupted stops at a safe point.
func TestApplyInterrupted(t *testing.T) {
	t.Parallel()
	for after := 5 * time.Second; after < 5500*time.Millisecond; after += 100 * time.Millisecond {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			interrupted(t, after)
		})
	}
}

func interrupted(t *testing.T, after time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Rate: 2, Burst: 10, RequestLimit: 4 * time.Second, Latency: 300 * time.Millisecond})
		w.rows(manyRows(500))
		h, _ := w.plan(w.job(onboarding))
		o := w.options(h)
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		result, err := engine.Apply(ctx, o)
		if !errors.Is(err, context.DeadlineExceeded) || result.Status != engine.StatusInterrupted {
			t.Fatalf("run ends %s with error %v, want an interruption", result.Status, err)
		}
		if took := time.Since(o.Started); took > 6*time.Second {
			t.Errorf("it took %s to stop", took)
		}
		if left := w.count(o.Log, engine.StateSent) + w.count(o.Log, engine.StateUnknown); left > 0 {
			t.Errorf("%d changes are in doubt, want what was in flight to be finished", left)
		}
		w.resume(&o)
		result, err = engine.Apply(t.Context(), o)
		if err != nil || result.Status != engine.StatusSucceeded {
			t.Fatalf("the rest ends %s with error %v", result.Status, err)
		}
		complete(t, w, 500)
	})
}

// on_error stops a run that fails too often, and what was not tried is left.
func TestOnErrorStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{Seed: "demo,contacts=300"})
	job := w.job("version: 1\nname: stops\non_error: {stop_after: 60}\nsteps:\n  - select: contact\n  - update: contact\n    set: {name: null, lastName: null}\n")
	h, _ := w.plan(job)
	if h.Cleared == 0 {
		t.Fatal("nothing is to be cleared")
	}
	result, err := w.tryApply(h)
	if stop, ok := errors.AsType[*engine.StopError](err); !ok || !strings.Contains(stop.Reason, "on_error") {
		t.Fatalf("run ends with %v, want on_error to stop it", err)
	}
	if got := result.Steps[0].Failed; got <= 60 || got > 250 {
		t.Errorf("%d changes failed, want a little more than 60 of 312", got)
	}
}

// Rows that the plan found invalid may stop a run before it writes.
func TestOnErrorStopsBeforeWriting(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{"any": "stop", "number": "{stop_after: 1}", "share": "{stop_after: 10%}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.rows("cpf,name\n901,Novo A\n,Novo B\n,Novo C\n904,Novo D\n")
			h, _ := w.plan(w.job("version: 1\nname: stops\non_error: " + rule + "\nsteps:\n  - read: rows.csv\n  - import: contact\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n"))
			_, err := w.tryApply(h)
			if _, ok := errors.AsType[*engine.StopError](err); !ok {
				t.Fatalf("run ends with %v, want on_error to stop it", err)
			}
			if got := w.named("contact", "name", "Novo A"); len(got) != 0 {
				t.Errorf("it wrote %v", got)
			}
		})
	}
}

// What an interrupted run left in doubt and has to send again still knows the
// items that it links to.
func TestResumedDoubtsKeepTheirLinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{RequestLimit: 4 * time.Second, Faults: []string{"drop-before:method=crm.item.add,nth=2"}})
		w.rows(manyRows(4)) // the contacts are one request, the cards another one
		h, _ := w.plan(w.job(onboarding))
		catalog, err := w.client.Catalog(t.Context(), h.Needs)
		if err != nil {
			t.Fatal(err)
		}
		run, err := w.journal.Begin(t.Context(), h.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := engine.ApplyOptions{
			Header: h, RunID: run.ID(), Started: time.Now(), Catalog: catalog, Reader: w.client, Writer: w.client, Gauge: w.client,
			Log: run, Fence: 5 * time.Second,
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := engine.Apply(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("run ends with error %v, want an interruption", err)
		}
		if err := run.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if result, err := engine.Apply(t.Context(), o); err != nil || result.Status != engine.StatusSucceeded {
			t.Fatalf("the rest ends %v with error %v", result, err)
		}
		complete(t, w, 4)
		for _, c := range w.items("dynamic_128") {
			if strings.HasPrefix(fmt.Sprint(c["title"]), "Card of") && c["contactId"] == nil {
				t.Errorf("%v has no contact", c["title"])
			}
		}
	})
}

// A change in doubt that was not done is sent again once, though the journal has
// it among the planned ones while those are still being loaded: here as many as
// the window holds come before it.
func TestResumedDoubtsAreSentOnce(t *testing.T) {
	t.Parallel()
	skipLarge(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{History: true})
		var rows strings.Builder
		rows.WriteString("n\n")
		for n := range 9000 {
			fmt.Fprintf(&rows, "%d\n", n)
		}
		w.rows(rows.String())
		h, changes := w.plan(w.job("  - read: rows.csv\n    key: n\n  - create: Onboarding\n    fields: {title: \"Card ${{ row.n }}\"}\n"))
		o := w.options(h)
		if err := o.Log.Sent(t.Context(), changes[8990:], time.Now()); err != nil { // and the program dies
			t.Fatal(err)
		}
		<-time.After(2 * o.Fence)
		w.resume(&o)
		res, err := engine.Apply(t.Context(), o)
		if err != nil || res.Steps[0].Created != len(changes) {
			t.Errorf("%+v, %v; want %d made", res.Steps, err, len(changes))
		}
		asked := map[string]int{}
		for _, r := range w.sandbox.Requests() {
			for _, c := range r.Commands {
				if c.Method == "crm.item.add" {
					asked[c.Keys[0]]++
				}
			}
		}
		for _, c := range changes {
			if n := asked[c.ExternalKey]; n != 1 {
				t.Errorf("change %d was sent %d times", c.Seq, n)
			}
		}
	})
}

// Creates with dates of their own keep their order also where an interrupted run left
// some of them in doubt.
func TestResumedCreationDates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sandbox.Options{Seed: "empty", RequestLimit: 60 * time.Second})
		w.rows("n,at\n1,1999-03-01T08:00:00Z\n2,1999-03-02T08:00:00Z\n3,1999-03-03T08:00:00Z\n4,1999-03-04T08:00:00Z\n")
		h, changes := w.plan(w.job("\n  - read: rows.csv\n    key: n\n  - import: contact\n    match: originId\n    automation: off\n" +
			"    fields: {originId: \"${{ row.n }}\", name: \"Cliente ${{ row.n }}\"}\n    on_create: {createdTime: \"${{ row.at }}\"}\n"))
		o := w.options(h)
		if err := o.Log.Sent(t.Context(), changes[:2], time.Now()); err != nil { // and the program dies
			t.Fatal(err)
		}
		w.resume(&o)
		result, err := engine.Apply(t.Context(), o)
		if err != nil || result.Status != engine.StatusSucceeded {
			t.Errorf("the run ends %s, %v\n%s", result.Status, err, w.errors(result.Run))
		}
	})
}

// The portal takes no creation date that is older than its newest item's: such
// creates leave in their order, though some of them wait for others, and many
// requests are under way.
func TestCreationDates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 400
		w := newWorld(t, sandbox.Options{
			Seed: "empty", Rate: 2, Burst: 50, Latency: 300 * time.Millisecond, RequestLimit: 4 * time.Second,
			Faults: []string{"limit-503:p=0.1,seed=3"},
		})
		var b strings.Builder
		b.WriteString("n,firm,at\n")
		at := time.Date(1999, 3, 1, 8, 0, 0, 0, time.UTC) // simulated time begins in 2000
		for i := range n {
			firm := ""
			if i%3 == 0 {
				firm = fmt.Sprintf("Firm %d", i/6)
			}
			fmt.Fprintf(&b, "%d,%s,%s\n", i, firm, at.Add(time.Duration(i)*time.Minute).Format(time.RFC3339))
		}
		w.rows(b.String())
		result := w.run(w.job(`
  - read: rows.csv
    key: n
  - import: company
    id: firm
    when: row.firm != ""
    match: title
    fields: {title: "${{ row.firm }}"}
  - import: contact
    match: originId
    automation: off
    fields: {originId: "${{ row.n }}", name: "Cliente ${{ row.n }}", companyId: "${{ firm?.id }}"}
    on_create: {createdTime: "${{ row.at }}"}
`))
		if result.Status != engine.StatusSucceeded {
			t.Errorf("the run ends %s\n%.2000s", result.Status, w.errors(result.Run))
		}
		contacts := w.items("contact")
		if len(contacts) != n {
			t.Fatalf("%d contacts, want %d", len(contacts), n)
		}
		for i, c := range contacts {
			if want := strconv.Itoa(i); c["originId"] != want {
				t.Fatalf("contact %d is of row %v, want %s", i+1, c["originId"], want)
			}
		}
		if requests := w.sandbox.Stats().Requests; requests > 60 {
			t.Errorf("%d requests", requests)
		}
	})
}
