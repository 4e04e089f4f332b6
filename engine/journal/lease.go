package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
)

// leaseRetry is how often a lease that somebody holds is asked for again.
const leaseRetry = 200 * time.Millisecond

// Lease is the right to write to one portal. One process has it at a time; the
// system takes it from a process that dies, at once, and from no other.
type Lease struct {
	locks    []*flock.Flock // of the journal's folder, and of the shared one
	unshared error
	before   string // the folder of who had the lease before, if it is another one
	me       holder
	used     string // the folder where used plans are noted; empty: nowhere
}

// Claim is what a lease is asked for with.
type Claim struct {
	Portal string // which one; the same text for all that write to it
	Job    string // that is going to write
	// Shared is a folder that is the same for all processes of this user,
	// whatever journal they have; empty: only those of this journal's folder
	// are kept off.
	Shared string
	Wait   bool // for another run that has the lease
}

// holder is what a lease's file tells of who holds it.
type holder struct {
	Owner

	Since time.Time
	Job   string
	// Folder is the one of its journal, which knows what it left in doubt.
	Folder string
}

// HeldError says that another run has the lease of a portal.
type HeldError struct {
	Owner Owner
	Since time.Time
	Job   string
}

// Error names the holder and what to do.
func (e *HeldError) Error() string {
	who := "another run"
	if e.Job != "" {
		who = "a run of " + e.Job
	}
	if e.Owner.PID == 0 {
		return who + " holds the portal; wait for it with --wait"
	}
	return fmt.Sprintf("%s holds the portal since %s (%s); wait for it with --wait", who, e.Since.Local().Format(time.DateTime), e.Owner)
}

// Lease takes the right to write to a portal. If another run has it, the error
// is a [HeldError], or it is waited for.
func (j *Journal) Lease(ctx context.Context, c Claim) (*Lease, error) {
	sum := sha256.Sum256([]byte(c.Portal))
	name := "lease-" + hex.EncodeToString(sum[:8])
	folder := filepath.Dir(j.path)
	l := &Lease{me: holder{Owner: j.owner, Since: time.Now(), Job: c.Job, Folder: folder}}
	if err := l.take(ctx, filepath.Join(folder, name), c.Wait); err != nil {
		return nil, err
	}
	// All take the two in this order, so that none waits for another that waits for it.
	if c.Shared != "" {
		err := os.MkdirAll(c.Shared, 0o700)
		if err == nil {
			err = l.take(ctx, filepath.Join(c.Shared, name), c.Wait)
		}
		if _, held := errors.AsType[*HeldError](err); held || ctx.Err() != nil {
			return nil, errors.Join(err, l.Release())
		}
		if l.unshared = err; err == nil {
			l.used = filepath.Join(c.Shared, "used-plans")
		}
	}
	crash.At(crash.LeaseTaken)
	return l, nil
}

// take adds the lock of a file to the lease.
func (l *Lease) take(ctx context.Context, path string, wait bool) error {
	lock := flock.New(path, flock.SetPermissions(0o600))
	var got bool
	var err error
	if wait {
		got, err = lock.TryLockContext(ctx, leaseRetry)
	} else {
		got, err = lock.TryLock()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.Join(ctx.Err(), lock.Close())
	case err != nil:
		return errors.Join(fmt.Errorf("lease of the portal: %w", err), lock.Close())
	case !got:
		return errors.Join(heldBy(path), lock.Close())
	}
	if before, err := readHolder(path); err == nil && before.Folder != l.me.Folder {
		l.before = before.Folder
	}
	l.me.Since = time.Now()
	text, err := json.Marshal(l.me)
	if err == nil { // beside the lock: where locks are of a file's bytes, nobody could read it
		err = os.WriteFile(path+".json", text, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lease of the portal: %w", err), lock.Close())
	}
	l.locks = append(l.locks, lock)
	return nil
}

// heldBy reads who holds a lease. What can't be read is left out, and so is a
// holder that is gone: the one after it has not told yet.
func heldBy(path string) error {
	h, err := readHolder(path)
	if err != nil || h.Gone() {
		return &HeldError{}
	}
	return &HeldError{Owner: h.Owner, Since: h.Since, Job: h.Job}
}

// readHolder reads who took a lease last.
func readHolder(path string) (h holder, err error) {
	text, err := os.ReadFile(path + ".json") //nolint:gosec // a file of ours
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	return h, err
}

// Before is the folder of the journal of who had the lease before, empty if it
// is this one's or not known.
func (l *Lease) Before() string { return l.before }

// Unshared says why processes with another journal are not kept off the portal;
// nil if they are, or were not to be.
func (l *Lease) Unshared() error { return l.unshared }

// Unused is nil for a saved plan that no run with another journal was allowed to
// apply, and a [UsedElsewhereError] for one that was. The journal itself knows of
// its own runs.
func (l *Lease) Unused(plan string) error {
	if l.used == "" {
		return nil
	}
	h, err := readHolder(l.noteOf(plan))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && h.Folder == l.me.Folder:
		return nil
	case err != nil:
		return fmt.Errorf("who applied plan %s: %w", plan, err)
	}
	return &UsedElsewhereError{Plan: plan, Folder: h.Folder, Since: h.Since}
}

// Use notes that this lease's run may apply a saved plan, and so that no run with
// another journal may. The plan's own run need not come about.
func (l *Lease) Use(plan string) error {
	if err := l.Unused(plan); err != nil || l.used == "" {
		return err
	}
	if err := os.MkdirAll(l.used, 0o700); err != nil {
		return fmt.Errorf("noting that plan %s is used: %w", plan, err)
	}
	l.forgetUsed()
	text, err := json.Marshal(l.me)
	if err == nil {
		err = writeSynced(l.noteOf(plan)+".json", text)
	}
	if err != nil {
		return fmt.Errorf("noting that plan %s is used: %w", plan, err)
	}
	return nil
}

// writeSynced writes a file that outlasts a power cut.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // a file of ours
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	for range 2 { // its folder, which may be new, and so the one above
		path = filepath.Dir(path)
		dir, err := os.Open(path) //nolint:gosec // a folder of ours
		if err != nil {
			return err
		}
		_ = dir.Sync() // some systems can't, and need not
		_ = dir.Close()
	}
	return nil
}

// noteOf is where a plan's use is noted. Ids of saved plans are whatever their
// files say.
func (l *Lease) noteOf(plan string) string {
	sum := sha256.Sum256([]byte(plan))
	return filepath.Join(l.used, hex.EncodeToString(sum[:8]))
}

// forgetUsed removes the notes of plans that are too old to be applied anyway.
func (l *Lease) forgetUsed() {
	entries, _ := os.ReadDir(l.used)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > 2*engine.PlanLifetime {
			_ = os.Remove(filepath.Join(l.used, entry.Name())) // it only takes room
		}
	}
}

// Release gives the lease back. It may be called more than once.
func (l *Lease) Release() error {
	var errs []error
	for _, lock := range slices.Backward(l.locks) {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}
