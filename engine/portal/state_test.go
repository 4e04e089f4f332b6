package portal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Two processes fill one bucket, each knowing of the other's requests.
func TestState_sharedByProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		box, err := sandbox.New(sandbox.Options{Seed: "empty", Rate: 2, Burst: 50, Latency: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { box.Close() })
		began := time.Now()
		var processes sync.WaitGroup
		ended := make([]time.Duration, 3)
		for i := range ended {
			c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: folder}, box.WebhookPath())
			processes.Go(func() {
				calls(t, c, 150)
				ended[i] = time.Since(began)
			})
		}
		processes.Wait()
		if s := box.Stats(); s.RejectedBucket != 0 || s.Requests != 450 {
			t.Errorf("%d of %d requests were rejected, want none", s.RejectedBucket, s.Requests)
		}
		if took := time.Since(began).Seconds(); took > 1.03*200+1.1 {
			t.Errorf("took %.1f s, want what one process takes", took)
		}
		for _, end := range ended {
			if end < 150*time.Second {
				t.Errorf("the processes ended after %v: one went before the others", ended)
			}
		}
		// One that starts later finds the bucket as it is.
		c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: folder}, box.WebhookPath())
		calls(t, c, 20)
		if n := box.Stats().RejectedBucket; n != 0 {
			t.Errorf("a later process had %d requests rejected", n)
		}
	})
}

// Two processes spend one execution time, and none of it twice.
func TestState_executionTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		box, err := sandbox.New(sandbox.Options{
			Seed: "demo", Rate: 2, Burst: 50, OperatingLimit: 480 * time.Second, OperatingWindow: 10 * time.Minute,
			Latency: 100 * time.Millisecond, Cost: map[string]time.Duration{"crm.item.add": 500 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { box.Close() })
		began := time.Now()
		var processes sync.WaitGroup
		for range 2 {
			c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: folder}, box.WebhookPath())
			card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
			processes.Go(func() { adds(t, c, card, 1300) })
		}
		processes.Wait()
		took, ideal := time.Since(began).Seconds(), 2*600+340.0/16
		t.Logf("took %.0f s, ideal %.0f s", took, ideal)
		if s := box.Stats(); s.RejectedOperating+s.RejectedBucket+s.Timeouts > 0 {
			t.Errorf("%d commands over their time, %d requests over the bucket, %d cut off", s.RejectedOperating, s.RejectedBucket, s.Timeouts)
		}
		if took > 1.08*ideal {
			t.Errorf("took %.0f s, want at most %.0f s", took, 1.08*ideal)
		}
	})
}

// mute is a portal that answers nothing until it is released.
type mute struct{ released <-chan struct{} }

// RoundTrip implements [http.RoundTripper].
func (m mute) RoundTrip(*http.Request) (*http.Response, error) {
	<-m.released
	return nil, io.ErrUnexpectedEOF
}

// What processes set aside for requests that wait for room is free soon after
// they died: these here never take it back.
func TestState_deadProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		box, err := sandbox.New(sandbox.Options{Seed: "empty"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { box.Close() })
		limits := portal.CloudLimits()
		limits.Operating, limits.Request = 30*time.Second, 5*time.Second
		released := make(chan struct{})
		var waiting sync.WaitGroup
		for range 4 {
			dead := openTransport(t, portal.Options{Transport: mute{released}, Limits: limits, State: folder}, box.WebhookPath())
			for range 7 { // of four seconds each: nobody knows yet what one takes
				waiting.Go(func() { dead.Call(t.Context(), "crm.item.add", map[string]any{"entityTypeId": 128}) })
			}
			<-time.After(2*limits.Request + time.Second)
		}
		began := time.Now()
		c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: limits, State: folder}, box.WebhookPath())
		if _, err := c.Call(t.Context(), "crm.item.add", map[string]any{"entityTypeId": 128, "fields": map[string]any{"title": "a"}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 4*limits.Request {
			t.Errorf("another process waited %s, want little more than twice as long as a request may take", took)
		}
		close(released)
		waiting.Wait()
	})
}

// What was learned under other limits, of a portal that drains fifty at once, doesn't
// hold up requests under these.
func TestState_otherLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		box := newBox(t, sandbox.Options{Seed: "empty"})
		open := func() *portal.Client {
			return openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: folder}, box.WebhookPath())
		}
		calls(t, open(), 1)
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		raw, err := os.ReadFile(files[0])
		if err == nil {
			err = os.WriteFile(files[0], bytes.Replace(raw, []byte(`"bucket":{`), []byte(`"bucket":{"margin":50,`), 1), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c := open()
		calls(t, c, 40)
		if took := time.Since(began); took > time.Second {
			t.Errorf("forty requests took %s, and a burst is fifty", took)
		}
	})
}

// refusing is a portal whose first request is refused for lack of room, of which
// the next ones get lost, and which refuses all others.
type refusing struct{ requests *atomic.Int64 }

// RoundTrip implements [http.RoundTripper].
func (f refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	<-time.After(100 * time.Millisecond)
	if n := f.requests.Add(1); n > 1 && n < 10 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		StatusCode: http.StatusServiceUnavailable, Request: r, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(`{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}`)),
	}, nil
}

// Requests that were to find out whether a refusal meant anything may get lost, or
// their process may die: the refusals after them count all the same, here and in
// the processes that find the file.
func TestState_lostTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		for _, name := range []string{"the process that tried", "another"} {
			p := refusing{&atomic.Int64{}}
			if name == "another" {
				p.requests.Store(10)
			}
			c := openTransport(t, portal.Options{Transport: p, Limits: portal.CloudLimits(), State: folder}, "/rest/1/"+secret+"/")
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
			if _, err := c.Call(ctx, "profile", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			stop()
			if n := c.Usage().Rejected; n > 25 {
				t.Errorf("%s was refused %d times in five minutes, and went on as before", name, n)
			}
		}
	})
}

// A request of a trial may be answered when that is over.
func TestGovernor_slowTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := false
		c := openTransport(t, portal.Options{Transport: redirect(func(r *http.Request) (*http.Response, error) {
			if !refused {
				refused = true
				return refusing{&atomic.Int64{}}.RoundTrip(r)
			}
			<-time.After(10 * time.Second)
			return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"result":1}`))}, nil
		}), Limits: portal.CloudLimits()}, "/rest/1/"+secret+"/")
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Error(err)
		}
	})
}

// Figures that are no numbers don't spoil what processes share.
func TestState_absurdFigures(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := openTransport(t, portal.Options{Transport: script(func(string, map[string]any, *http.Request) (int, string) {
		return http.StatusOK, `{"result":1,"time":{"finish":"Infinity","duration":"NaN","operating":"inf","operating_reset_at":1e999}}`
	}), Limits: portal.CloudLimits(), State: t.TempDir(), Logger: textLogger(&log)}, "/rest/1/"+secret+"/")
	for range 3 {
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Fatal(err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log says %s", log.String())
	}
}

// What processes keep is private, names no secret, and may be damaged.
func TestState_file(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new")
	box, err := sandbox.New(sandbox.Options{Seed: "empty"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	open := func() *portal.Client {
		return openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: folder}, box.WebhookPath())
	}
	calls(t, open(), 3)
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := open().Status(); got != "bucket 3/50, 2.0/s" {
		t.Errorf("a new process sees %q", got)
	}
	sound, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if parts := strings.Split(box.WebhookPath(), "/"); bytes.Contains(sound, []byte(parts[3])) || bytes.Contains([]byte(files[0]), []byte(parts[3])) {
		t.Error("the state holds the secret")
	}
	for name, damage := range map[string]string{
		"empty": "", "cut short": string(sound[:len(sound)/2]), "not JSON": "\x00\x01", "another kind": `[1]`,
		"absurd": `{"bucket":{"level":-5}}`, "a null method": `{"methods":{"1/x":null}}`, "a large figure": `{"bucket":{"level":1e300}}`,
		"a negative cost": `{"costs":{"x":{"seconds":-1}}}`, "huge": strings.Repeat(" ", 2<<20),
	} {
		if err := os.WriteFile(files[0], []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		calls(t, open(), 1)
		if got := open().Status(); got != "bucket 1/50, 2.0/s" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Where nothing can be shared, the client still keeps the limits by itself.
func TestState_unusable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.New(sandbox.Options{Seed: "empty"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	var log bytes.Buffer
	c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: portal.CloudLimits(), State: file, Logger: textLogger(&log)}, box.WebhookPath())
	calls(t, c, 3)
	if got := c.Status(); got != "bucket 3/50, 2.0/s" || strings.Count(log.String(), "not shared") != 1 {
		t.Errorf("%q, log %q", got, log.String())
	}
}
