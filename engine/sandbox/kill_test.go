package sandbox_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// A portal that is killed while clients write to it has everything that it had
// answered.
func TestKilled(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "portal.data")
	var answered atomic.Int64
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), serveEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		url, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		before := answered.Load()
		var wg conc.WaitGroup
		for range 3 {
			wg.Go(func() { writeUntilGone(t, strings.TrimSpace(url), &answered) })
		}
		for answered.Load() < before+150 {
			pass(t, time.Millisecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := cmd.Wait(); err == nil {
			t.Error("the portal ended by itself")
		}
	}
	p := open(t, sandbox.Options{DataFile: path})
	last := int64(0)
	for id := int64(1); id <= answered.Load(); id++ {
		_, out := p.post(t, "crm.item.get", fmt.Sprintf(`{"entityTypeId":128,"id":%d}`, id))
		if out["error"] != nil {
			t.Fatalf("item %d of at least %d is gone: %v", id, answered.Load(), out)
		}
		last = id
	}
	if last < 450 {
		t.Errorf("%d items, want 450 or more", last)
	}
}

func writeUntilGone(tb testing.TB, url string, answered *atomic.Int64) {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url+"crm.item.add",
			strings.NewReader("entityTypeId=128&fields[title]=x"))
		if err != nil {
			tb.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := client.Do(req)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return
		}
		answered.Add(1)
	}
}

// Everything at once, for the race detector.
func TestManyClients(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Rate: 1e6, Burst: 1e6, OperatingLimit: time.Hour, History: true})
	jobs := []func(i int){
		func(i int) {
			p.post(t, "crm.item.add", fmt.Sprintf(`{"entityTypeId":128,"fields":{"xmlId":"k%d"}}`, i))
		},
		func(i int) {
			p.post(t, "crm.item.list", fmt.Sprintf(`{"entityTypeId":128,"filter":{"@xmlId":["k%d","k1"]}}`, i))
		},
		func(i int) {
			p.post(t, "batch", fmt.Sprintf(`{"cmd":{"a":"crm.item.update?entityTypeId=3&id=1&fields[post]=%d","b":"crm.item.get?entityTypeId=3&id=1","c":"crm.duplicate.findbycomm?type=PHONE&values[]=1"}}`, i))
		},
		func(int) { p.dump(t) },
		func(int) { p.Stats() },
		func(int) { p.History() },
		func(i int) { p.post(t, "crm.contact.add", fmt.Sprintf(`{"fields":{"NAME":"n%d","COMPANY_ID":1}}`, i)) },
		func(int) { p.post(t, "crm.item.get", `{"entityTypeId":4,"id":1}`) },
		func(int) { p.post(t, "crm.address.list", `{}`) },
		func(i int) {
			if i%20 == 0 {
				if err := p.Reset(); err != nil {
					t.Error(err)
				}
			}
		},
		func(i int) {
			if err := p.SetFaults(fmt.Sprintf("lag:nth=%d,delay=1ms", i+1)); err != nil {
				t.Error(err)
			}
		},
	}
	var wg conc.WaitGroup
	for _, job := range jobs {
		wg.Go(func() {
			for i := range 40 {
				job(i)
			}
		})
	}
	wg.Wait()
}
