package steps

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// A file is read once it has been left alone for as long as the job says,
// whatever the clock of who writes it.
func TestAwaitSettled(t *testing.T) {
	t.Parallel()
	ahead := 3 * time.Hour
	tests := map[string]struct {
		age    time.Duration // of the file when it is first seen
		writes int           // that follow, every 20 s
		waited time.Duration
		fault  string
	}{
		"long ago":            {age: time.Hour},
		"just now":            {age: 10 * time.Second, waited: 20 * time.Second},
		"a clock ahead":       {age: -ahead, waited: 30 * time.Second},
		"still being written": {age: 0, writes: 3, waited: 90 * time.Second},
		"written without end": {age: 0, writes: 100, waited: longestSettling, fault: "has been written to for 10m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "export.csv")
				write := func(at time.Time) {
					if err := errors.Join(os.WriteFile(path, []byte("id\n1\n"), 0o600), os.Chtimes(path, at, at)); err != nil {
						t.Error(err)
					}
				}
				write(time.Now().Add(-tt.age))
				ctx, done := context.WithCancel(t.Context())
				var writer sync.WaitGroup
				writer.Go(func() {
					for range tt.writes {
						select {
						case <-ctx.Done():
							return
						case <-time.After(20 * time.Second):
							write(time.Now())
						}
					}
				})
				began := time.Now()
				s := &Read{Settled: engine.Word{Text: "30s"}, inputs: []input{{path: path, name: "export.csv"}}}
				err := s.awaitSettled(t.Context())
				waited := time.Since(began)
				done()
				writer.Wait()
				if waited != tt.waited {
					t.Errorf("waited %s, want %s", waited, tt.waited)
				}
				if (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("fault %v, want %q", err, tt.fault)
				}
			})
		})
	}
}
