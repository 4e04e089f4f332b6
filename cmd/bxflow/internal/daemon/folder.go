package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/schedule"
)

// maxText bounds what is read of a job file; the parser has its own opinion.
const maxText = 16 << 20

// ScheduleOf returns when a job is due, nil if it has no schedule.
func ScheduleOf(job *engine.Job) (*schedule.Schedule, error) {
	if job.Schedule == nil {
		return nil, nil
	}
	s, err := schedule.Parse(schedule.Spec{
		Cron:     job.Schedule.Cron,
		Timezone: job.Schedule.Timezone,
		Overlap:  schedule.Overlap(job.Schedule.Overlap),
		CatchUp:  schedule.CatchUp(job.Schedule.CatchUp),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: schedule: %w", job.File, err)
	}
	return s, nil
}

// file is a job file and the last version of it that was sound.
type file struct {
	path     string
	text     []byte // of job
	portal   string
	job      *engine.Job // nil: none was sound so far
	schedule *schedule.Schedule
	fault    string // what is wrong with the present version
}

// folder keeps the runner's entries in step with the job files.
type folder struct {
	Options
	runner  *schedule.Runner
	metrics *metrics
	run     func(ctx context.Context, f *file, due time.Time) error

	mu    sync.Mutex
	files map[string]*file // by path; a file is replaced, never changed
}

// scan reads all files and sets, replaces and removes entries. A file that is
// broken keeps the version that ran until now; the error is about the folder.
func (d *folder) scan(ctx context.Context) error {
	paths, err := d.Files(d.Dir)
	if err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	// Editors keep locks and half-written files under hidden names.
	paths = slices.DeleteFunc(paths, func(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") })

	d.mu.Lock()
	defer d.mu.Unlock()
	// Of two files with one name, the one that has it keeps it.
	slices.SortStableFunc(paths, func(a, b string) int { return known(d.files[b]) - known(d.files[a]) })
	owners := map[string]string{}
	present := make(map[string]*file, len(paths))
	for _, path := range paths {
		f := d.read(path, owners)
		if f == nil {
			continue
		}
		if f.job != nil {
			owners[f.job.Name] = path
		}
		present[path] = f
	}
	for path, old := range d.files {
		if old.job != nil && owners[old.job.Name] == "" {
			d.Log.Info("job removed", "job", old.job.Name, "file", path)
			d.runner.Remove(old.job.Name)
			d.metrics.forget(old.job.Name)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(present)) {
		if err := d.enter(ctx, d.files[path], present[path]); err != nil {
			return err
		}
	}
	d.files = present
	d.metrics.brokenFiles.Set(float64(broken(present)))
	return nil
}

// read loads one file and falls back on the version before. It returns nil if
// the file has just gone.
func (d *folder) read(path string, owners map[string]string) *file {
	old := d.files[path]
	f, err := d.load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if owner := owners[f.job.Name]; owner != "" {
			err = fmt.Errorf("%s: the name %q is taken by %s; give each job its own", path, f.job.Name, owner)
		}
	}
	if err == nil {
		return f
	}
	f = &file{path: path, fault: d.Mask(err.Error())}
	if old != nil && old.job != nil && owners[old.job.Name] == "" {
		f.job, f.text, f.schedule, f.portal = old.job, old.text, old.schedule, old.portal
	}
	if old == nil || old.fault != f.fault {
		d.Log.Error("job file is broken", "file", path, "error", err, "keeps_running", f.job != nil)
	}
	return f
}

func (d *folder) load(path string) (*file, error) {
	if err := d.inside(path); err != nil {
		return nil, err
	}
	text, err := readText(path)
	if err != nil {
		return nil, err
	}
	job, err := d.Parse(path, text)
	if err != nil {
		return nil, err
	}
	when, err := ScheduleOf(job)
	if err != nil {
		return nil, err
	}
	portal, err := d.Portal(job)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &file{path: path, text: text, portal: portal, job: job, schedule: when}, nil
}

// inside refuses a link that leads out of the folder: who may write there must
// not get other files of this user read, or shown in the log.
func (d *folder) inside(path string) error {
	root, err := filepath.EvalSymlinks(d.Dir)
	if err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(root, target); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("%s: it is a link that leads out of the folder; put the file itself there", path)
	}
	return nil
}

// readText reads a regular file; opening a pipe would wait for its other end.
func readText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: it is not a regular file", path)
	case info.Size() > maxText:
		return nil, fmt.Errorf("%s: it has %d bytes, more than %d; is it a job file?", path, info.Size(), maxText)
	}
	return os.ReadFile(path) //nolint:gosec // the user named the folder
}

// enter tells the runner about a file that is new or has changed.
func (d *folder) enter(ctx context.Context, old, f *file) error {
	if f.job == nil || (old != nil && old.job != nil && old.job.Name == f.job.Name && old.job.Hash == f.job.Hash) {
		return nil
	}
	if old != nil && old.job != nil && old.schedule != nil && f.schedule == nil && old.job.Name == f.job.Name {
		d.runner.Remove(f.job.Name)
	}
	log := d.Log.With("job", f.job.Name, "file", f.path, "mode", string(f.job.Mode))
	for _, p := range f.job.Warnings {
		log.Warn(p.Error())
	}
	if f.schedule == nil {
		log.Info("job has no schedule")
		return nil
	}
	err := d.runner.Set(ctx, schedule.Entry{
		Name: f.job.Name, Schedule: f.schedule,
		Do: func(ctx context.Context, due time.Time) error { return d.run(ctx, f, due) },
	})
	if err != nil {
		return err
	}
	log.Info("job scheduled", "cron", f.job.Schedule.Cron, "zone", ZoneName(f.schedule.Zone()),
		"next", f.schedule.Next(time.Now()))
	return nil
}

// jobs returns the files, by the name of their job, broken ones last.
func (d *folder) jobs() []*file {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*file, 0, len(d.files))
	for _, f := range d.files {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *file) int {
		if (a.job == nil) != (b.job == nil) {
			if a.job == nil {
				return 1
			}
			return -1
		}
		if a.job != nil && a.job.Name != b.job.Name {
			return strings.Compare(a.job.Name, b.job.Name)
		}
		return strings.Compare(a.path, b.path)
	})
	return list
}

// known is 1 for a file with a job and 0 for all others.
func known(f *file) int {
	if f == nil || f.job == nil {
		return 0
	}
	return 1
}

func broken(files map[string]*file) int {
	n := 0
	for _, f := range files {
		if f.fault != "" {
			n++
		}
	}
	return n
}
