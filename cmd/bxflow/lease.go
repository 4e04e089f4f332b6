package main

import (
	"context"
	"errors"
	"time"

	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
)

// hold takes the right to write to a portal for a job, so that no other run
// writes there from the first look-up of its plan to its last change.
func (a *app) hold(ctx context.Context, j *journal.Journal, ofJob, dir, job string, wait bool) (release func() error, err error) {
	t, err := a.resolve(ofJob, dir)
	if err != nil {
		return nil, err
	}
	s, err := a.open(t)
	if err != nil {
		return nil, err
	}
	claim := journal.Claim{Portal: s.ID(), Job: job}
	if s.box == nil { // the contents of a sandbox are one process's anyway
		claim.Portal = t.address.Host // whatever user the webhook is of
		claim.Shared, err = portal.SharedState()
	}
	if err != nil {
		return nil, err
	}
	lease, err := j.Lease(ctx, claim)
	if held, ok := errors.AsType[*journal.HeldError](err); ok && wait {
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
	return lease.Release, nil
}

// outlast waits until nothing that an interrupted run sent can still be under
// way on the portal: until then a look-up may miss an item that is just being
// made, and a plan would make it twice.
func (a *app) outlast(ctx context.Context, j *journal.Journal, s *session) error {
	told := false
	for {
		sent, err := j.InDoubt(ctx, s.ID())
		if err != nil {
			return err
		}
		wait := time.Until(sent.Add(fence(s)))
		if sent.IsZero() || wait <= 0 {
			return nil
		}
		if !told {
			a.log.Info("an interrupted run left requests under way; waiting until the portal must be done with them", "wait", wait.Round(time.Second))
			told = true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// fence is how long after a request was sent it may still take effect on the
// portal, with a margin.
func fence(s *session) time.Duration { return s.Limits().Request * 5 / 4 }
