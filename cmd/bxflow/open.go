package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// sandboxFile holds the contents of the built-in sandbox, in the state folder.
const sandboxFile = "sandbox.data"

// session is an open portal. All jobs of the process that work on one portal
// share one, so that they share its limits.
type session struct {
	*portal.Client
	target target
	box    *sandbox.Portal // the built-in sandbox; nil for a real portal
}

// resources are what a process opens once: its portals and its journal. They
// stay open until the program ends.
type resources struct {
	mu       sync.Mutex
	sessions map[string]*session
	journal  *journal.Journal
}

// open returns the portal's session. Nothing is sent yet.
func (a *app) open(t target) (*session, error) {
	a.res.mu.Lock()
	defer a.res.mu.Unlock()
	key := t.key()
	if s := a.res.sessions[key]; s != nil {
		return s, nil
	}
	s, err := a.newSession(t)
	if err != nil {
		return nil, err
	}
	if a.res.sessions == nil {
		a.res.sessions = map[string]*session{}
	}
	a.res.sessions[key] = s
	return s, nil
}

func (a *app) newSession(t target) (*session, error) {
	options := portal.Options{Address: t.address, Application: t.app, Limits: t.limits, Logger: a.log}
	s := &session{target: t}
	var err error
	if t.sandbox == "" {
		if options.State, err = portal.SharedState(); err != nil {
			return nil, err
		}
	} else {
		if s.box, err = a.openSandbox(t); err != nil {
			return nil, err
		}
		options.Transport, options.ID = s.box.Transport(), s.box.ID()
		if options.Address, err = portal.Parse("https://sandbox" + s.box.WebhookPath()); err != nil {
			return nil, errors.Join(err, s.box.Close())
		}
	}
	if s.Client, err = portal.Open(options); err != nil {
		return nil, usage("%w", err)
	}
	return s, nil
}

// openSandbox starts the built-in sandbox. It has the limits that bxflow
// assumes, so that a job takes the time there that it takes on a real portal.
func (a *app) openSandbox(t target) (*sandbox.Portal, error) {
	options := sandbox.Defaults()
	options.Rate, options.Burst = t.limits.Rate, int(t.limits.Burst)
	options.OperatingLimit, options.OperatingWindow, options.RequestLimit = t.limits.Operating, t.limits.Window, t.limits.Request
	if t.seed != "" {
		options.Seed = t.seed
	}
	if name := sandboxName(t.sandbox); name != "" || t.sandbox == wordSandbox {
		dir, err := a.stateDir()
		if err != nil {
			return nil, err
		}
		file := sandboxFile
		if name != "" {
			file = "sandbox-" + name + ".data"
		}
		options.DataFile = filepath.Join(dir, file)
	}
	box, err := sandbox.New(options)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return box, nil
}

// openElsewhere opens the other portals that a job reads, each under its own
// limits.
func (a *app) openElsewhere(job *engine.Job) (map[string]engine.Elsewhere, error) {
	portals := map[string]engine.Elsewhere{}
	for _, name := range job.Elsewhere() {
		t, err := a.resolveName(name, job.Dir)
		if err != nil {
			return nil, err
		}
		s, err := a.open(t)
		if err != nil {
			return nil, err
		}
		portals[name] = engine.Elsewhere{Catalogue: s, Reader: s}
	}
	return portals, nil
}

// openJournal returns the journal of the state folder.
func (a *app) openJournal(ctx context.Context) (*journal.Journal, error) {
	a.res.mu.Lock()
	defer a.res.mu.Unlock()
	if a.res.journal != nil {
		return a.res.journal, nil
	}
	dir, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	a.res.journal, err = journal.Open(ctx, dir)
	return a.res.journal, err
}

// close closes what was opened.
func (r *resources) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.sessions {
		if s.box != nil {
			errs = append(errs, s.box.Close())
		}
	}
	if r.journal != nil {
		errs = append(errs, r.journal.Close())
	}
	r.sessions, r.journal = nil, nil
	return errors.Join(errs...)
}

// openPortal opens the portal that the command line names, or else the one that a job
// in a folder does.
func (a *app) openPortal(ofJob, dir string) (*session, error) {
	t, err := a.resolve(ofJob, dir)
	if err != nil {
		return nil, err
	}
	return a.open(t)
}

// withPortal opens the portal of a command that has no job.
func (a *app) withPortal(ctx context.Context, do func(context.Context, *session) error) error {
	s, err := a.openPortal("", ".")
	if err != nil {
		return err
	}
	return do(ctx, s)
}
