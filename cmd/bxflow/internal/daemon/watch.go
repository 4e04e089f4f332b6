package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a folder must be quiet before it is read: editors
	// and copies write a file in several goes.
	settle = 200 * time.Millisecond
	// lookAgain is how often the folder is read without being told: network
	// file systems report nothing.
	lookAgain = time.Minute
)

// watch tells when something happened in a folder.
type watch struct {
	dir    string
	events *fsnotify.Watcher
	reload <-chan os.Signal
}

// newWatch watches the folder, not its files: editors replace files, and the
// watch would go with the old one.
func newWatch(dir string, reload <-chan os.Signal) (*watch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("folder: it cannot be watched: %w", err)
	}
	if err := events.Add(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("folder: %s cannot be watched: %w", dir, err), events.Close())
	}
	return &watch{dir: dir, events: events, reload: reload}, nil
}

func (w *watch) close() { _ = w.events.Close() } // the program ends

// follow calls scan whenever the folder has changed and come to rest, until
// ctx is done. A folder that cannot be read for a while is only logged.
func (w *watch) follow(ctx context.Context, scan func() error, log *slog.Logger) error {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-w.events.Events:
			if !open {
				return nil
			}
			if concerns(event, w.dir) {
				timer.Reset(settle)
			}
		case err, open := <-w.events.Errors:
			if !open {
				return nil
			}
			log.Warn("watching the folder", "error", err)
			timer.Reset(settle)
		case <-w.reload:
			timer.Reset(0)
		case <-timer.C:
			if err := scan(); err != nil && ctx.Err() == nil {
				log.Error("reading the folder", "error", err)
			} else if err == nil {
				// The folder itself may have been replaced.
				err = w.events.Add(w.dir)
				if err != nil {
					log.Warn("watching the folder", "error", err)
				}
			}
			timer.Reset(lookAgain)
		}
	}
}

// concerns leaves out what happens to other files: a job's data may be written
// all the time, and the folder would never come to rest.
func concerns(event fsnotify.Event, dir string) bool {
	if event.Op == fsnotify.Chmod {
		return false
	}
	ending := strings.ToLower(filepath.Ext(event.Name))
	return ending == ".yaml" || ending == ".yml" || filepath.Clean(event.Name) == filepath.Clean(dir)
}
