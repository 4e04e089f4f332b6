package journal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// disk is what a power cut leaves of a journal: its files as they were when a
// commit last was awaited to be on disk. What was written after it, the kernel
// had and is gone. (A kill keeps it.)
type disk struct {
	t    testing.TB
	from string

	mu    sync.Mutex
	off   bool
	files map[string][]byte
}

// watch keeps the disk of a journal in a folder.
func watch(tb testing.TB, j *journal.Journal, from string) *disk {
	tb.Helper()
	d := &disk{t: tb, from: from}
	j.OnCommit(func(durable bool, err error) {
		if err != nil {
			tb.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if durable && !d.off {
			d.files = filesOf(tb, from)
		}
	})
	return d
}

// filesOf reads the files of a journal.
func filesOf(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	for _, name := range []string{journal.FileName, journal.FileName + "-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			files[name] = text
		} else if !os.IsNotExist(err) {
			tb.Error(err)
		}
	}
	return files
}

// folderOf makes a folder with these files.
func folderOf(tb testing.TB, files map[string][]byte) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range files {
		must(tb, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return dir
}

// cut returns a folder with what the disk holds. Nothing is added any more.
func (d *disk) cut() string {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	return folderOf(d.t, d.files)
}

// laxLog records intents without an fsync, and all else as it should be.
type laxLog struct {
	*journal.Run

	lax *journal.Run
}

func (l laxLog) Sent(ctx context.Context, cs []*engine.Change, at time.Time) error {
	return l.lax.Sent(ctx, cs, at)
}

// powerCuts runs a job to its end through power cuts, three at most, and
// returns its place.
func powerCuts(t *testing.T, seed uint64, log func(*journal.Run) engine.Log) *place {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	p := newPlace(t, 60, sandbox.Options{
		Rate: 4, Burst: 10, RequestLimit: 4 * time.Second, Latency: 200 * time.Millisecond,
		// What is under way may be done long after the cut.
		Faults: []string{fmt.Sprintf("slow:p=0.5,delay=3s,method=crm.item.add,seed=%d", seed)},
	})
	dir := t.TempDir()
	for leg := 0; ; leg++ {
		now := p.start(dir)
		d := watch(t, now.journal, dir)
		var r *journal.Run
		if leg == 0 {
			r = now.begin()
		} else {
			var err error
			r, err = now.journal.Run(t.Context(), "")
			must(t, err)
			must(t, r.Resume(t.Context()))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var res *engine.Result
		var err error
		go func() {
			defer close(ended)
			res, err = now.apply(ctx, r, log(r), leg > 0)
		}()
		lives := time.Hour
		if leg < 3 {
			lives = time.Duration(rng.Int64N(int64(8 * time.Second)))
		}
		select {
		case <-ended:
			cancel()
			if err != nil || res.Status != engine.StatusSucceeded && res.Status != engine.StatusPartial {
				t.Fatalf("leg %d ends %+v, %v", leg, res, err)
			}
			<-time.After(10 * time.Second) // for what may still land
			return p
		case <-time.After(lives):
			now.wire.cut.Store(true)
			dir = d.cut()
			cancel() // what it still does changes neither disk nor portal
			t.Cleanup(func() { <-ended })
		}
	}
}

// Whatever the power takes, each row is written once.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				powerCuts(t, seed, func(r *journal.Run) engine.Log { return r }).complete()
			})
		})
	}
}

// With intents that only the kernel has, the same cuts make items twice.
func TestPowerCut_findsIntentsThatAreNotOnDisk(t *testing.T) {
	t.Parallel()
	doubles := 0
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			doubles += powerCuts(t, seed, func(r *journal.Run) engine.Log { return laxLog{r, r.Lax()} }).doubles()
		})
		if doubles > 0 {
			return
		}
	}
	t.Error("no item was made twice: the test of power cuts would not notice")
}
