package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
)

// hold takes the right to write to a portal for a job, so that no other run
// writes there from the first look-up of its plan to its last change.
func (a *app) hold(ctx context.Context, j *journal.Journal, ofJob, dir, job string, patient bool) (release func() error, err error) {
	lease, err := a.lease(ctx, j, ofJob, dir, job, patient)
	if err != nil {
		return nil, err
	}
	return lease.Release, nil
}

// lease is hold for who has more to ask of the lease.
func (a *app) lease(ctx context.Context, j *journal.Journal, ofJob, dir, job string, patient bool) (*journal.Lease, error) {
	s, err := a.openPortal(ofJob, dir)
	if err != nil {
		return nil, err
	}
	id, err := s.Identify(ctx)
	if err != nil {
		return nil, err
	}
	claim := journal.Claim{Portal: id, Job: job}
	if s.box == nil { // the contents of a sandbox are one process's anyway
		claim.Portal = s.target.address.Host // whatever user the webhook is of
		claim.Shared, err = portal.SharedState()
	}
	if err != nil {
		return nil, err
	}
	lease, err := j.Lease(ctx, claim)
	if held, ok := errors.AsType[*journal.HeldError](err); ok && patient {
		a.log.Info("another run holds the portal; waiting for it", "job", held.Job, "holder", held.Owner, "since", held.Since)
		claim.Wait = true
		lease, err = j.Lease(ctx, claim)
	}
	if err != nil {
		return nil, err
	}
	if err := lease.Unshared(); err != nil {
		a.log.Debug("runs with other state folders are not kept off the portal", "error", err)
	}
	if err := a.outlastOther(ctx, lease.Before(), s); err != nil {
		return nil, errors.Join(err, lease.Release())
	}
	if err := a.fileLeft(ctx, j, job); err != nil {
		return nil, errors.Join(err, lease.Release())
	}
	return lease, nil
}

// outlastOther waits until nothing that a run with another state folder sent can
// still be under way. A journal that can't be asked may have sent until now.
func (a *app) outlastOther(ctx context.Context, folder string, s *session) error {
	if _, err := os.Stat(filepath.Join(folder, journal.FileName)); folder == "" || errors.Is(err, fs.ErrNotExist) {
		return nil // what was there is over and gone
	}
	other, err := journal.Open(ctx, folder)
	if err != nil {
		a.log.Warn("the journal of the run before can't be asked what it left under way; waiting as if it had just sent", "folder", folder, "error", err, "wait", fence(s))
		return wait(ctx, fence(s))
	}
	return errors.Join(a.outlast(ctx, other, s), other.Close())
}

// outlast waits until nothing that an interrupted run sent can still be under
// way on the portal: until then a look-up may miss an item that is just being
// made, and a plan would make it twice.
func (a *app) outlast(ctx context.Context, j *journal.Journal, s *session) error {
	id, err := s.Identify(ctx)
	if err != nil {
		return err
	}
	told := false
	for {
		sent, err := j.InDoubt(ctx, id)
		if err != nil {
			return err
		}
		left := time.Until(sent.Add(fence(s)))
		if sent.IsZero() || left <= 0 {
			return nil
		}
		if !told {
			a.log.Info("an interrupted run left requests under way; waiting until the portal must be done with them", "wait", left.Round(time.Second))
			told = true
		}
		if err := wait(ctx, left); err != nil {
			return err
		}
	}
}

// wait waits, unless the context ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// fence is how long after a request was sent it may still take effect on the
// portal, with a margin.
func fence(s *session) time.Duration { return s.Limits().Request * 5 / 4 }
