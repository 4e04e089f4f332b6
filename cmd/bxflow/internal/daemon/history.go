package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/bxflow/bxflow/engine/schedule"
)

// historyName is the file of a history in its folder.
const historyName = "schedule.json"

// ErrBusy is returned by [OpenHistory] while another process serves with the
// same folder: two would run every job twice.
var ErrBusy = errors.New("another bxflow serve uses this state folder; stop it, or choose another with --state")

// History is a [schedule.History] in a small file. Only one process has it.
type History struct {
	path string
	lock *flock.Flock

	mu   sync.Mutex
	last map[string]time.Time
}

var _ schedule.History = (*History)(nil)

// OpenHistory opens the history in a folder, an empty one if there is none.
// Close it to let another process have it. The error is [ErrBusy], or about
// the file: one that is damaged is refused, not forgotten.
func OpenHistory(dir string) (*History, error) {
	h := &History{path: filepath.Join(dir, historyName), last: map[string]time.Time{}}
	h.lock = flock.New(h.path+".lock", flock.SetPermissions(0o600))
	locked, err := h.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.lock.Path(), err)
	}
	if !locked {
		return nil, ErrBusy
	}
	if err := h.read(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *History) read() error {
	text, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &h.last); err != nil {
		return fmt.Errorf("%s: %w; remove it, and jobs with catch_up start anew", h.path, err)
	}
	if h.last == nil { // the file said null
		h.last = map[string]time.Time{}
	}
	return nil
}

// Close gives the history up.
func (h *History) Close() error { return h.lock.Close() }

// Last implements [schedule.History].
func (h *History) Last(_ context.Context, name string) (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[name], nil
}

// Fired implements [schedule.History]. What it was told has been written when
// it returns.
func (h *History) Fired(_ context.Context, name string, due time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.last[name]
	h.last[name] = due.UTC()
	err := h.write()
	switch {
	case err == nil:
	case known:
		h.last[name] = before
	default:
		delete(h.last, name)
	}
	return err
}

// write replaces the file in one step, so that a crash leaves the old one or
// the new one.
func (h *History) write() error {
	text, err := json.MarshalIndent(h.last, "", "  ")
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(h.path), historyName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // it is gone once it was renamed
	_, err = next.Write(append(text, '\n'))
	if err == nil {
		err = next.Sync()
	}
	if err := errors.Join(err, next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), h.path)
}
