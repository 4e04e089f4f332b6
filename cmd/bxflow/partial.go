package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/gofrs/flock"
)

// partial is a file that is not complete yet: FILE.partial, beside a note of how
// far it is sound, FILE.partial.json. What is written after the last note is cut
// off when the export goes on.
type partial struct {
	target string
	mark   exportMark
	lock   *flock.Flock
	file   *os.File
	out    *bufio.Writer
	size   int64 // what was written
	done   bool
}

// exportMark is the note beside a partial file.
type exportMark struct {
	Terms exportTerms `json:"terms"`
	Items int         `json:"items"`
	Last  int64       `json:"last"` // the id of the last item
	Size  int64       `json:"size"` // of the file up to its end
}

// exportTerms are what an export must have in common with the one that it goes
// on with.
type exportTerms struct {
	Portal    string   `json:"portal"`
	Entity    int      `json:"entity"`
	Where     []string `json:"where,omitempty"`
	Fields    []string `json:"fields"`
	Format    string   `json:"format"`
	Translate bool     `json:"translate,omitempty"`
}

// openPartial begins a file, or goes on with one.
func openPartial(target string, resume bool, terms exportTerms) (p *partial, err error) {
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return nil, usage("--out %s is not a file", target)
	}
	p = &partial{target: target, mark: exportMark{Terms: terms}}
	p.lock = flock.New(p.path(), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600)) // 0600, as it holds people's data
	locked, err := p.lock.TryLock()
	if err != nil {
		return nil, usage("--out: %w", err)
	}
	if !locked {
		return nil, refused("another export writes to %s; wait for it, or choose another file", target)
	}
	if err := p.begin(resume); err != nil {
		p.mark.Items = 1 // what is there stays
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// begin opens the file, empty or as far as it is sound.
func (p *partial) begin(resume bool) (err error) {
	if p.file, err = os.OpenFile(p.path(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return usage("--out: %w", err)
	}
	p.out = bufio.NewWriterSize(p.file, 1<<16)
	if resume {
		err = p.goOn()
	} else {
		err = remove(p.note()) // it is of other contents
	}
	if err != nil {
		return err
	}
	p.size = p.mark.Size
	if err := p.file.Truncate(p.size); err != nil {
		return err
	}
	_, err = p.file.Seek(p.size, io.SeekStart)
	return err
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *partial) path() string { return p.target + ".partial" }
func (p *partial) note() string { return p.path() + ".json" }

// goOn takes the note of the export that is to be gone on with; without one it
// begins anew.
func (p *partial) goOn() error {
	text, err := os.ReadFile(p.note())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var mark exportMark
	if err := json.Unmarshal(text, &mark); err != nil {
		return usage("%s is damaged: %w; begin anew without --resume", p.note(), err)
	}
	if differs := mark.Terms.differs(p.mark.Terms); differs != "" {
		return usage("%s was begun with %s; give the same, or begin anew without --resume", p.path(), differs)
	}
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if mark.Size < 0 || mark.Last < 0 || mark.Items < 0 || info.Size() < mark.Size {
		return usage("%s is shorter than its note says; begin anew without --resume", p.path())
	}
	p.mark = mark
	return nil
}

// differs names what one export has that the other has not; nothing if they are
// the same.
func (t exportTerms) differs(now exportTerms) string {
	quoted := func(list []string) string { return strings.Join(list, ",") }
	switch {
	case t.Portal != now.Portal:
		return "another portal"
	case t.Entity != now.Entity:
		return fmt.Sprintf("another entity (entityTypeId %d)", t.Entity)
	case !reflect.DeepEqual(t.Where, now.Where) && len(t.Where) == 0:
		return "no --where"
	case !reflect.DeepEqual(t.Where, now.Where):
		return fmt.Sprintf("--where %q", t.Where)
	case quoted(t.Fields) != quoted(now.Fields):
		return "the fields " + quoted(t.Fields)
	case t.Format != now.Format:
		return "the format " + t.Format
	case t.Translate && !now.Translate:
		return "--translate"
	case !t.Translate && now.Translate:
		return "no --translate"
	}
	return ""
}

// Write implements [io.Writer].
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	p.size += int64(n)
	return n, err
}

// keep makes what was written safe: an export may go on from here, whatever
// happens.
func (p *partial) keep(items int, last int64) error {
	if err := p.out.Flush(); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	mark := p.mark
	mark.Items, mark.Last, mark.Size = items, last, p.size
	text, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	next := p.note() + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, p.note()); err != nil {
		return err
	}
	p.mark = mark
	return nil
}

// finish gives the file its name.
func (p *partial) finish() error {
	if err := p.release(); err != nil {
		return err
	}
	if err := os.Rename(p.path(), p.target); err != nil {
		return err
	}
	p.done = true
	return errors.Join(remove(p.note()), syncFolder(filepath.Dir(p.target)))
}

// syncFolder makes names in a folder last. Some systems can't, and need not.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	_ = folder.Sync() // see above
	return folder.Close()
}

// close ends the work on the file. One that nothing was kept of is cleared away.
func (p *partial) close() error {
	err := p.release()
	if !p.done && p.mark.Items == 0 {
		err = errors.Join(err, remove(p.path()), remove(p.note()))
	}
	return err
}

func (p *partial) release() (err error) {
	if p.file != nil {
		err = p.file.Close()
		p.file = nil
	}
	return errors.Join(err, p.lock.Unlock())
}
