package main

import (
	"context"
	"errors"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/notify"
	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
)

// tell has a job's people told how the command ends.
func (e *ending) tell(job *engine.Job, flags writeFlags) {
	if !flags.noNotify {
		e.job = job
	}
}

// tellOf has the people told whom the job of a plan names now. A plan holds no
// secrets, and so no addresses of them; without the job's file nobody is told.
func (a *app) tellOf(h *engine.Header, flags writeFlags, e *ending) {
	if flags.noNotify || h.Undoes != "" {
		return
	}
	job, err := a.jobOf(h, true)
	if err != nil {
		a.log.Warn("the job can't be read again, so that nobody can be told how this ends, should it say so", "job", h.Job, "error", err)
		return
	}
	e.tell(job, flags)
}

// notify tells people how a run ended, or what never came to one. Whoever stops
// a run knows.
func (a *app) notify(ctx context.Context, e *ending) {
	if e.job == nil {
		return
	}
	var end engine.End
	switch e.Status {
	case engine.StatusSucceeded:
		end = engine.EndSuccess
	case engine.StatusPartial:
		end = engine.EndPartial
	case engine.StatusFailed, engine.StatusRefused:
		end = engine.EndFailure
	case engine.StatusInterrupted, engine.StatusRunning:
		return
	}
	notices := e.job.Noticed(end)
	if len(notices) == 0 {
		return
	}
	if e.Portal == "" {
		e.Portal, _ = a.portalName(e.job) // what is wrong with it is the error that is told
	}
	if e.run != nil {
		first, err := e.run.Tell(context.WithoutCancel(ctx), end)
		if err != nil { // that it can't be noted is what people should be told
			a.log.Warn("whom the run's end is told can't be noted; another try may tell it again", "run", e.run.ID(), "error", err)
		} else if !first {
			return
		}
	}
	a.sender(e.job).Send(ctx, notices, notify.OfRun(end, &e.Result, mask))
}

// notifyPlan tells people what a job of mode plan would change.
func (a *app) notifyPlan(ctx context.Context, job *engine.Job, h *engine.Header) {
	if notices := job.Noticed(engine.EndPlan); len(notices) > 0 && h.Summary.Writes() > 0 {
		a.sender(job).Send(ctx, notices, notify.OfPlan(h, mask))
	}
}

// sender sends a job's messages. Those to people of the portal go through its
// governor, as all requests do.
func (a *app) sender(job *engine.Job) *notify.Sender {
	return &notify.Sender{Log: a.log, Person: func(ctx context.Context, person, text string) error {
		s, err := a.openPortal(job.Portal, job.Dir)
		if err != nil {
			return err
		}
		catalog, err := s.Catalog(ctx, job.Needs())
		if err != nil {
			return &notify.Temporary{Err: err}
		}
		user, err := catalog.User(person)
		if err != nil {
			return err
		}
		_, err = s.Call(ctx, methodNotify, map[string]any{"USER_ID": user.ID, "MESSAGE": text})
		if fault, ok := errors.AsType[*portal.Error](err); ok && (fault.Verdict == portal.Refused || fault.Verdict == portal.Expired) {
			return &notify.Temporary{Err: err}
		}
		return err
	}}
}

// methodNotify sends a notification in the name of the portal ("System
// notifications" of the REST guide). Its scope is scopeMessages.
const methodNotify = "im.notify.system.add"
