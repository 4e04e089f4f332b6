package portal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// SharedState is the folder where programs of this user on this machine keep
// what they know of portals' limits, so that two of them don't spend one
// bucket twice: bxflow in the user's cache folder.
func SharedState() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder: %w; set HOME or XDG_CACHE_HOME", err)
	}
	return filepath.Join(cache, "bxflow"), nil
}

// figures is all that is known of the limits of one portal.
type figures struct {
	Bucket  level                  `json:"bucket"`
	Methods map[string]*methodUse  `json:"methods,omitempty"` // by webhook user and method
	Costs   map[string]costPerCall `json:"costs,omitempty"`   // by method
	// Overhead is what a request takes beside the portal's work on it.
	Overhead costPerCall `json:"overhead"`
	// Nested says that the portal bills the calls inside a batch, not the batch.
	Nested bool `json:"nested,omitempty"`
	// Metered says that the portal told of execution time, or refused a method for
	// lack of it; Untold, that it gave an answer without.
	Metered bool `json:"metered,omitempty"`
	Untold  bool `json:"untold,omitempty"`
}

// store keeps figures. With a file, every change is a read-modify-write under a
// lock, so that all processes see one bucket; without one, or where the file
// can't be used, they live in memory. A damaged file counts as a fresh one: the
// portal's own answers put the figures right.
type store struct {
	path   string
	limits Limits
	logger *slog.Logger

	turn     chan struct{} // held by whoever changes the figures
	figures  figures
	complain sync.Once
}

// lockWait is how long a change waits for other processes, which hold the lock
// for well under a millisecond; a process that was stopped must not stop ours.
const lockWait = 2 * time.Second

// maxState is more than any state file should ever hold.
const maxState = 1 << 20

// newStore opens the figures of the portal with that id in a folder; without a
// folder they are in memory.
func newStore(folder, portalID string, limits Limits, logger *slog.Logger) *store {
	s := &store{limits: limits, logger: logger, turn: make(chan struct{}, 1)}
	if folder == "" {
		return s
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.unusable(err)
		return s
	}
	sum := sha256.Sum256([]byte(portalID))
	s.path = filepath.Join(folder, "limits-"+hex.EncodeToString(sum[:8])+".json")
	return s
}

// update changes the figures in one step, even when ctx is over: what was
// spent must be known. The change must not wait.
func (s *store) update(ctx context.Context, change func(f *figures)) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	unlock := s.lock(context.WithoutCancel(ctx))
	defer unlock()
	s.load()
	s.figures.prepare()
	change(&s.figures)
	s.save()
}

// view looks at the figures as they were last known here, without the file.
func (s *store) view(look func(f *figures)) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.figures.Methods == nil {
		s.load()
	}
	s.figures.prepare()
	look(&s.figures)
}

// prepare makes the maps that a fresh file lacks.
func (f *figures) prepare() {
	if f.Methods == nil {
		f.Methods = map[string]*methodUse{}
	}
	if f.Costs == nil {
		f.Costs = map[string]costPerCall{}
	}
}

// lock takes the lock between processes. Without it the change goes on: the
// figures are advice, and a rejected request is repeated.
func (s *store) lock(ctx context.Context) (unlock func()) {
	if s.path == "" {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock := flock.New(s.path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, time.Millisecond); err != nil {
		s.unusable(err)
	}
	return func() {
		if err := lock.Close(); err != nil {
			s.unusable(err)
		}
	}
}

func (s *store) load() {
	if s.path == "" {
		return
	}
	info, err := os.Stat(s.path)
	if err != nil || info.Size() > maxState {
		return
	}
	raw, err := os.ReadFile(s.path)
	if err != nil {
		return
	}
	var f figures
	if json.Unmarshal(raw, &f) == nil && f.sound() {
		f.settle(time.Now(), s.limits)
		s.figures = f
	}
}

// settle bounds what was read by what can be so now. The clock may have been
// set back since it was written: a figure of the time to come must not keep
// calls waiting until then.
func (f *figures) settle(now time.Time, limits Limits) {
	f.Bucket.settle(now, limits)
	for _, m := range f.Methods {
		m.settle(now, limits)
	}
}

func (s *store) save() {
	if s.path == "" {
		return
	}
	raw, err := json.Marshal(s.figures)
	if err == nil {
		err = os.WriteFile(s.path, raw, 0o600)
	}
	if err != nil {
		s.unusable(err)
	}
}

// unusable says once that processes can't share the figures.
func (s *store) unusable(err error) {
	s.complain.Do(func() {
		s.logger.Warn("the portal's limits are not shared with other processes", "fault", err.Error())
	})
}

// sound refuses figures that no process can have written.
func (f figures) sound() bool {
	if !f.Bucket.sound() || !f.Overhead.sound() {
		return false
	}
	for _, m := range f.Methods {
		if m == nil || !m.sound() {
			return false
		}
	}
	for _, c := range f.Costs {
		if !c.sound() {
			return false
		}
	}
	return true
}
