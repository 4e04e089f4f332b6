package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// pass lets simulated time pass.
func pass(tb testing.TB, d time.Duration) {
	tb.Helper()
	timer := time.NewTimer(d)
	select {
	case <-timer.C:
	case <-tb.Context().Done():
		tb.Fatal("the test ended")
	}
}

// admitted sends requests back to back and returns how many were let in.
func admitted(tb testing.TB, p *portal, n int) int {
	tb.Helper()
	in := 0
	for range n {
		status, out := p.post(tb, "server.time", `{}`)
		switch {
		case status == http.StatusOK:
			in++
		case status != http.StatusServiceUnavailable || out["error"] != "QUERY_LIMIT_EXCEEDED":
			tb.Fatalf("got %d %v", status, out)
		}
	}
	return in
}

func TestBucket(t *testing.T) {
	t.Parallel()

	type step struct {
		wait       time.Duration
		send, want int
	}
	tests := map[string]struct {
		drain string
		steps []step
	}{
		"continuous": {sandbox.DrainContinuous, []step{
			{0, 60, 50}, {500 * time.Millisecond, 10, 1}, {time.Second, 10, 2}, {10 * time.Second, 60, 20}, {time.Minute, 60, 50},
		}},
		"step": {sandbox.DrainStep, []step{
			{0, 60, 50}, {500 * time.Millisecond, 10, 0}, {500 * time.Millisecond, 10, 2}, {999 * time.Millisecond, 5, 0}, {time.Minute, 60, 50},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) {
				p := open(t, sandbox.Options{Rate: 2, Burst: 50, Drain: tt.drain})
				sent, let := 0, 0
				for i, s := range tt.steps {
					pass(t, s.wait)
					got := admitted(t, p, s.send)
					if got != s.want {
						t.Errorf("step %d: %d of %d let in, want %d", i, got, s.send, s.want)
					}
					sent, let = sent+s.send, let+got
				}
				if s := p.Stats(); s.Requests != sent || s.RejectedBucket != sent-let {
					t.Errorf("figures: %+v; want %d requests, %d rejected", s, sent, sent-let)
				}
			})
		})
	}
}

func TestBucketsAreThoseOfAddresses(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Rate: 1, Burst: 1})
	for i, want := range []int{200, 503} {
		for _, client := range []string{"10.0.0.1:1", "10.0.0.2:1", "[::1]:1"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.WebhookPath()+"server.time", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.RemoteAddr = client
			rec := &recorder{header: http.Header{}}
			p.ServeHTTP(rec, req)
			if rec.status != want {
				t.Errorf("request %d of %s: got %d, want %d", i, client, rec.status, want)
			}
		}
	}
	p.SetLimits(0, 0)
	if got := admitted(t, p, 500); got != 500 {
		t.Errorf("without a bucket: %d of 500 let in", got)
	}
}

// recorder is a minimal response writer.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

func operating(out map[string]any) float64 {
	f, _ := at(out, "time", "operating").(float64)
	return f
}

func TestExecutionTime(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{
			OperatingLimit: 10 * time.Second, OperatingWindow: 100 * time.Second,
			Cost: map[string]time.Duration{"crm.item.add": 4 * time.Second, "server.time": 100 * time.Millisecond},
		})
		add := func() (int, map[string]any) { return p.post(t, "crm.item.add", `{"entityTypeId":128,"fields":{}}`) }
		began := time.Now()
		// The call that crosses the limit completes; the next one is refused.
		for i, want := range []float64{4, 8, 12} {
			status, out := add()
			if status != http.StatusOK || operating(out) != want {
				t.Errorf("add %d: %d, operating %v, want %v", i, status, operating(out), want)
			}
			// The oldest part of the sum goes when its sub-window does.
			if got, want := at(out, "time", "operating_reset_at"), float64(began.Add(104*time.Second).Unix()); i > 0 && got != want {
				t.Errorf("add %d: reset at %v, want %v", i, got, want)
			}
		}
		if time.Since(began) != 12*time.Second {
			t.Errorf("three adds took %v, want 12s", time.Since(began))
		}
		if status, code, _ := p.refused(t, "crm.item.add", `{"entityTypeId":128,"fields":{}}`); status != 429 || code != "OPERATION_TIME_LIMIT" {
			t.Errorf("over the limit: got %d %s", status, code)
		}
		// Other methods go on, and up to a tenth of a second is free.
		if _, out := p.post(t, "server.time", `{}`); operating(out) != 0 {
			t.Errorf("a fast method: operating %v, want 0", operating(out))
		}
		pass(t, time.Until(began.Add(100*time.Second)))
		if status, out := add(); status != http.StatusOK || operating(out) != 8 {
			t.Errorf("after the first sub-window, with its 8 seconds: %d %v, want 8", status, out["time"])
		}
		if s := p.Stats(); s.RejectedOperating != 1 || s.ByMethod["crm.item.add"].Seconds != 16 || s.ByMethod["crm.item.add"].Calls != 4 {
			t.Errorf("figures: %+v", s)
		}
	})
}

func TestExecutionTimeOfBatches(t *testing.T) {
	t.Parallel()

	const six = `{"cmd":{"a":"server.time","b":"server.time","c":"server.time","d":"server.time","e":"server.time","f":"server.time"}}`
	tests := map[string]struct {
		charge       string
		nested, own  float64 // operating after one batch of six commands of 0.06 s
		thirdRefused string
	}{
		"nested": {sandbox.ChargeNested, 0.36, 0, "command"},
		"batch":  {sandbox.ChargeBatch, 0, 0.36, "batch"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) {
				p := open(t, sandbox.Options{
					OperatingLimit: 500 * time.Millisecond, Charge: tt.charge,
					Cost: map[string]time.Duration{"*": 60 * time.Millisecond},
				})
				_, out := p.post(t, "batch", six)
				if got := operating(out); got != tt.own {
					t.Errorf("the batch's operating: got %v, want %v", got, tt.own)
				}
				if _, single := p.post(t, "server.time", `{}`); operating(single) != tt.nested {
					t.Errorf("the method's operating: got %v, want %v", operating(single), tt.nested)
				}
				p.post(t, "batch", six)
				status, out := p.post(t, "batch", six)
				switch tt.thirdRefused {
				case "batch":
					if status != 429 || out["error"] != "OPERATION_TIME_LIMIT" {
						t.Errorf("third batch: got %d %v, want 429", status, out)
					}
				default:
					if got := at(out, "result", "result_error", "a", "error"); got != "OPERATION_TIME_LIMIT" {
						t.Errorf("third batch: got %v, want its commands refused", out)
					}
				}
			})
		})
	}
}

func TestCostAndLatencyTakeTheirTime(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{
			Latency: 300 * time.Millisecond,
			Cost:    map[string]time.Duration{"CRM.item.add": time.Second, "*": 10 * time.Millisecond},
		})
		began := time.Now()
		p.call(t, "batch", `{"cmd":{"a":"crm.item.add?entityTypeId=128&fields[title]=1","b":"server.time","c":"crm.item.ADD?entityTypeId=128&fields[title]=2"}}`)
		if got := time.Since(began); got != 2310*time.Millisecond {
			t.Errorf("took %v, want 2.31s", got)
		}
	})
}

func TestCutOff(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{
			Seed: "empty", RequestLimit: 10 * time.Second, Cost: map[string]time.Duration{"crm.item.add": 4 * time.Second},
		})
		var cmd []string
		for i := range 5 {
			cmd = append(cmd, fmt.Sprintf(`"c%d":"crm.item.add?entityTypeId=128&fields[title]=%d"`, i, i))
		}
		began := time.Now()
		if _, err := p.send(t, "batch", `{"cmd":{`+strings.Join(cmd, ",")+`}}`); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want the connection closed", err)
		}
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("cut off after %v, want 10s", got)
		}
		if n := len(p.items(t)); n != 2 {
			t.Errorf("%d items at the cut-off, want 2", n)
		}
		pass(t, time.Minute)
		if n := len(p.items(t)); n != 3 {
			t.Errorf("%d items in the end, want 3: the command in hand ends, the others never begin", n)
		}
		if s := p.Stats(); s.Timeouts != 1 {
			t.Errorf("timeouts: got %d, want 1", s.Timeouts)
		}
	})
}

// items returns the rows of type 128, without paging.
func (p *portal) items(tb testing.TB) []any {
	tb.Helper()
	rows, _ := at(p.call(tb, "crm.item.list", `{"entityTypeId":128,"start":-1}`), "items").([]any)
	return rows
}

func TestARequestRunsOnWithoutItsClient(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Seed: "empty", Cost: map[string]time.Duration{"crm.item.add": 5 * time.Second}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://portal.test"+p.WebhookPath()+"crm.item.add",
			strings.NewReader(`{"entityTypeId":128,"fields":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		began := time.Now()
		if _, err := p.http.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("gave up after %v, want 1s", got)
		}
		pass(t, 10*time.Second)
		if n := len(p.items(t)); n != 1 {
			t.Errorf("%d items, want 1: the portal works on", n)
		}
	})
}

func TestInFlight(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Latency: time.Second})
		var wg conc.WaitGroup
		for range 7 {
			wg.Go(func() {
				res, err := p.send(t, "server.time", `{}`)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			})
		}
		wg.Wait()
		pass(t, 400*time.Millisecond)
		admitted(t, p, 1)
		if s := p.Stats(); s.MaxInFlight != 7 || s.PeakSecond != 7 || s.Requests != 8 {
			t.Errorf("figures: %+v; want 7 in flight, a peak of 7, 8 requests", s)
		}
	})
}

func TestARequestThatNeverBegan(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Seed: "empty", Latency: 10 * time.Second, RequestLimit: 5 * time.Second})
		if got := outcome(t, p, "crm.item.add", `{"entityTypeId":128,"fields":{}}`); got != "dropped" {
			t.Errorf("got %s, want the connection closed", got)
		}
		pass(t, time.Minute)
		if n := strings.Count(p.dump(t), `"title"`); n != 0 {
			t.Errorf("%d items; what didn't begin before the cut-off must not begin at all", n)
		}
	})
}

func TestCloseDropsWhatIsWaiting(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Cost: map[string]time.Duration{"*": 30 * time.Second}})
		var wg conc.WaitGroup
		for _, method := range []string{"server.time", "batch"} {
			wg.Go(func() {
				if _, err := p.send(t, method, `{"cmd":{"a":"server.time"}}`); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: got %v, want the connection closed", method, err)
				}
			})
		}
		pass(t, time.Second)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}
