package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse is the error of [New] when another process has the data file open.
var ErrInUse = errors.New("in use by another process; wait for it to end")

// wasteful is how many records a data file may have beyond twice those that its
// contents need, before it is written anew when it is opened.
const wasteful = 1000

// openStore opens the contents of a portal: from the data file, which the seed
// makes if it isn't there, or from the seed in memory.
func openStore(o Options) (*store, error) {
	spec, err := parseSeed(o.Seed)
	if err != nil {
		return nil, err
	}
	if o.DataFile == "" {
		s := newStore(nil, o.Zone)
		s.fill(spec)
		return s, nil
	}
	s, err := openFile(o.DataFile, o.Zone, spec)
	if err != nil {
		return nil, fmt.Errorf("data file %q: %w", o.DataFile, err)
	}
	return s, nil
}

func openFile(path string, zone *time.Location, spec seedSpec) (s *store, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(path + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrInUse
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	j := &journal{path: path, names: map[fieldKey]int64{}, locks: lock, muted: true}
	s = newStore(j, zone)
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the path is the user's own
	if errors.Is(err, os.ErrNotExist) {
		s.fill(spec)
		return s, s.rewrite()
	}
	if err != nil {
		return nil, err
	}
	r := &reader{s: s, texts: map[string]any{}}
	end, err := r.load(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	j.file, j.muted = f, false
	for n, key := range r.names {
		j.names[key] = int64(n)
	}
	if r.records > 2*s.size()+wasteful {
		return s, s.rewrite()
	}
	return s, nil
}

// size is how many records the contents need.
func (s *store) size() int {
	n := 0
	for _, e := range s.entities {
		n += len(e.items) + len(e.history)
	}
	for _, t := range s.tables {
		n += t.size()
	}
	return n
}

// rewrite replaces the data file by one that holds the contents as they are. A
// crash leaves either the old file or the new one.
func (s *store) rewrite() error {
	j := s.log
	next, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.muted, j.err = next, false, nil
	j.buf = append(j.buf[:0], magic...)
	clear(j.names)
	err = s.save()
	if err == nil {
		err = next.Sync()
	}
	if err == nil {
		err = os.Rename(next.Name(), j.path)
	}
	if err != nil {
		j.file, j.err = old, err
		return errors.Join(err, next.Close())
	}
	if old != nil {
		return old.Close()
	}
	return nil
}

// save writes all contents to the journal.
func (s *store) save() error {
	s.log.identity(s)
	// Types before categories and fields, fields before items: the order in
	// which the contents can be put back.
	for _, name := range s.tableNames() {
		s.tables[name].save(s.log)
	}
	for _, e := range s.sortedEntities() {
		s.log.lasts(e)
		for _, it := range e.items {
			s.log.anItem(opSnapshot, e, it)
			if len(s.log.buf) > 1<<20 {
				if err := s.log.flush(); err != nil {
					return err
				}
			}
		}
		for _, h := range e.history {
			s.log.history(e, h)
		}
	}
	return s.log.flush()
}

// reset puts the contents back to the seed.
func (s *store) reset(seed string) error {
	spec, err := parseSeed(seed)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	recording := s.recording
	s.recording = false
	defer func() { s.recording = recording }()
	if s.log != nil {
		s.log.muted = true
	}
	s.clear()
	s.fill(spec)
	if s.log != nil {
		return s.rewrite()
	}
	return nil
}
