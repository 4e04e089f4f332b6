package portal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// scanned reads all cards; it stops early where stop says so.
func scanned(t *testing.T, c *portal.Client, card *engine.Entity, where []engine.Condition, stop func(read int) bool) []int64 {
	t.Helper()
	var got []int64
	for page, err := range c.Scan(t.Context(), card, where, []string{"title"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page)...)
		if stop != nil && stop(len(got)) {
			break
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Error("the items are not in the order of their ids, each once")
	}
	return got
}

// A scan sends no command that has nothing to read, and not one request more
// than its items fill; several are under way at once.
func TestScan_requests(t *testing.T) {
	t.Parallel()
	for items, want := range map[int]struct{ requests, commands, inFlight int }{
		0:      {1, 1, 1},
		20:     {1, 1, 1},
		50:     {1, 3, 1}, // the highest page, an empty one below, and the end of its chain
		2500:   {1, 50, 1},
		2501:   {2, 51, 1},
		10_000: {4, 200, 2},
		20_001: {9, 401, 2},
	} {
		t.Run(strconv.Itoa(items), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, box := openSandbox(t, sandbox.Options{Seed: fmt.Sprintf("demo,contacts=1,items=%d", items), Rate: 2, Burst: 50, Latency: 100 * time.Millisecond}, portal.CloudLimits())
				card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
				before := box.Stats()
				if got := scanned(t, c, card, nil, nil); len(got) != items {
					t.Errorf("read %d items, want %d", len(got), items)
				}
				after := box.Stats()
				requests, commands := after.Requests-before.Requests, after.Commands-before.Commands
				if requests != want.requests || commands != want.commands || after.MaxInFlight < want.inFlight {
					t.Errorf("the portal saw %d commands in %d requests, %d at once; want %+v", commands, requests, after.MaxInFlight, want)
				}
			})
		})
	}
}

// Where much was deleted, what is left takes hardly more requests than it fills.
func TestScan_gap(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=1,items=12000"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	var gone []engine.Command
	for id := int64(2600); id < 9500; id++ {
		gone = append(gone, engine.Command{Kind: engine.CommandDelete, Entity: card, ID: id})
	}
	for part := range slices.Chunk(gone, 50) {
		write(t, c, part...)
	}
	before := box.Stats()
	got := scanned(t, c, card, nil, nil)
	if after := box.Stats(); len(got) != 12000-len(gone) || after.Requests-before.Requests > 4 {
		t.Errorf("read %d items in %d requests, want %d in 4 at most", len(got), after.Requests-before.Requests, 12000-len(gone))
	}
}

// Where few items meet the conditions, ranges of ids are longer, so that their
// requests are full all the same.
func TestScan_filter(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=1,items=20000"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	before := box.Stats()
	clients := engine.Condition{Field: fieldOf(t, card, "categoryId"), Value: int64(42)}
	got := scanned(t, c, card, []engine.Condition{clients}, nil)
	if after := box.Stats(); len(got) != 15000 || after.Requests-before.Requests > 7 {
		t.Errorf("read %d items in %d requests, want 15000 in 7 at most", len(got), after.Requests-before.Requests)
	}
}

// Conditions on the id are where a scan begins and ends.
func TestScan_bounds(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=1,items=9000"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	id := fieldOf(t, card, "id")
	is := func(op string, n int64) engine.Condition { return engine.Condition{Op: op, Field: id, Value: n} }
	for name, tt := range map[string]struct {
		where       []engine.Condition
		first, last int64
		requests    int
	}{
		"after one":      {[]engine.Condition{is(">", 6500)}, 6501, 9000, 1},
		"from one":       {[]engine.Condition{is(">=", 6501), is(">", 3)}, 6501, 9000, 1},
		"up to one":      {[]engine.Condition{is("<=", 5000)}, 1, 5000, 2},
		"before one":     {[]engine.Condition{is("<", 5001), is("<", 7000)}, 1, 5000, 2},
		"between":        {[]engine.Condition{is(">", 100), is("<=", 8100)}, 101, 8100, 4},
		"one":            {[]engine.Condition{is("=", 17)}, 17, 17, 1},
		"nothing to ask": {[]engine.Condition{is(">", 100), is("<=", 100)}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: unlimited()}, box.WebhookPath())
			got := scanned(t, c, card, tt.where, nil)
			if tt.requests == 0 && len(got) > 0 || tt.requests > 0 && (len(got) != int(tt.last-tt.first+1) || got[0] != tt.first) {
				t.Errorf("read %d items", len(got))
			}
			if used := c.Usage().Requests; used != tt.requests {
				t.Errorf("took %d requests, want %d", used, tt.requests)
			}
		})
	}
}

// What is no longer wanted is not read, and nothing goes on in the background.
func TestScan_stopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // it waits for all goroutines
		c, _ := openSandbox(t, sandbox.Options{Seed: "demo,contacts=1,items=20000", Rate: 2, Burst: 50, Latency: time.Second}, portal.CloudLimits())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		before := c.Usage().Requests
		if got := scanned(t, c, card, nil, func(read int) bool { return read >= 50 }); len(got) != 50 {
			t.Errorf("read %d items, want a page", len(got))
		}
		if used := c.Usage().Requests - before; used > 4 {
			t.Errorf("took %d requests for a page, want 4 at most", used)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range c.Scan(ctx, card, nil, nil) {
			last = err
			cancel()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("got %v, want the context's error", last)
		}
	})
}

// Items that come and go meanwhile don't disturb the others.
func TestScan_meanwhile(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=1,items=9000"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	writer := openTransport(t, portal.Options{Transport: box.Transport(), Limits: unlimited()}, box.WebhookPath())
	got := scanned(t, c, card, nil, func(read int) bool {
		write(t, writer, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "late"}})
		if read == 50 {
			write(t, writer, engine.Command{Kind: engine.CommandDelete, Entity: card, ID: 8960}, engine.Command{Kind: engine.CommandDelete, Entity: card, ID: 8000})
		}
		return false
	})
	for id := range int64(9000) {
		if _, there := slices.BinarySearch(got, id+1); !there && id+1 != 8960 && id+1 != 8000 {
			t.Fatalf("item %d was left out", id+1)
		}
	}
}

// Pages that take long make short chains: no request is cut off by the portal,
// and the execution time that it allows is kept to.
func TestScan_slowPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := sandbox.Defaults()
		o.Seed, o.Cost = "demo,contacts=1,items=12000", map[string]time.Duration{"crm.item.list": time.Second}
		c, box := openSandbox(t, o, portal.CloudLimits())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		if got := scanned(t, c, card, nil, nil); len(got) != 12000 {
			t.Errorf("read %d items, want 12000", len(got))
		}
		if f := box.Stats(); f.RejectedBucket+f.RejectedOperating+f.Timeouts > 0 {
			t.Errorf("the portal saw %+v, want no refusals", f)
		}
	})
}
