package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/bxflow/bxflow/engine/crash"
)

// leaseRetry is how often a lease that somebody holds is asked for again.
const leaseRetry = 200 * time.Millisecond

// Lease is the right to write to one portal. One process has it at a time; the
// system takes it from a process that dies, at once, and from no other.
type Lease struct{ lock *flock.Flock }

// holder is what a lease's file tells of who holds it.
type holder struct {
	Owner

	Since time.Time
	Job   string
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

// Lease takes the right to write to a portal for a job. If another run has it,
// the error is a [HeldError], or it is waited for.
func (j *Journal) Lease(ctx context.Context, portal, job string, wait bool) (*Lease, error) {
	sum := sha256.Sum256([]byte(portal))
	path := filepath.Join(filepath.Dir(j.path), "lease-"+hex.EncodeToString(sum[:8]))
	l := &Lease{lock: flock.New(path, flock.SetPermissions(0o600))}
	var got bool
	var err error
	if wait {
		got, err = l.lock.TryLockContext(ctx, leaseRetry)
	} else {
		got, err = l.lock.TryLock()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("lease of the portal: %w", err)
	case !got:
		return nil, heldBy(path)
	}
	text, err := json.Marshal(holder{Owner: j.owner, Since: time.Now(), Job: job})
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lease of the portal: %w", err), l.Release())
	}
	crash.At(crash.LeaseTaken)
	return l, nil
}

// heldBy reads who holds a lease. What can't be read is left out.
func heldBy(path string) error {
	var h holder
	text, err := os.ReadFile(path) //nolint:gosec // a file of the state folder
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		return &HeldError{}
	}
	return &HeldError{Owner: h.Owner, Since: h.Since, Job: h.Job}
}

// Release gives the lease back. It may be called more than once.
func (l *Lease) Release() error { return l.lock.Unlock() }
