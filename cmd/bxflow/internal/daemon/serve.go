// Package daemon runs the jobs of a folder on their schedules: it follows what
// happens to the files, starts each job when it is due, and shows on a page and
// as metrics how things are. What running a job means is handed in.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/schedule"
)

// Options is what serving a folder takes. All functions are called from
// several goroutines.
type Options struct {
	Dir     string // of the job files
	Addr    string // of the page and metrics, host:port; empty: none
	Version string
	Log     *slog.Logger
	History schedule.History

	// Files lists the job files of a folder.
	Files func(dir string) ([]string, error)
	// Parse reads the text of a job file.
	Parse func(path string, text []byte) (*engine.Job, error)
	// Portal names the portal of a job without a secret. Jobs of one portal
	// run one after another.
	Portal func(*engine.Job) (string, error)
	// Run does what the job's mode says, without asking.
	Run func(context.Context, *engine.Job) (Outcome, error)
	// Runs lists the latest runs, newest first.
	Runs func(context.Context) ([]engine.Result, error)
	// Portals tells how the portals stand that jobs have used; nil: nobody knows.
	Portals func() []PortalState
	// Mask takes secrets out of a text that will be shown.
	Mask func(string) string
	// Reload asks for a look at the folder at once, as SIGHUP does.
	Reload <-chan os.Signal
}

// PortalState is how much of a portal's limits is in use, and what was used of it
// since the start.
type PortalState struct {
	Portal string // its address, without a secret; no two have the same
	Load   engine.Load
	Usage  engine.Usage
}

// Outcome is what a job came to: its plan and, if that was applied, its run.
type Outcome struct {
	Header *engine.Header
	Result *engine.Result // nil: the job only plans
	// Tell tells people of it; others may have the portal meanwhile. Nil: there
	// is nobody to be told.
	Tell func(context.Context)
}

// CutError is returned by [Serve] when it was told to stop while jobs ran.
type CutError struct {
	Jobs []string // that had not begun to write; they run when they are due again
	Runs []string // that can be resumed
	// Resume is the command that goes on with a run; nil: resume and its id.
	Resume func(run string) string
}

// Error names what was cut short and what to do.
func (e *CutError) Error() string {
	var parts []string
	if len(e.Jobs) > 0 {
		parts = append(parts, fmt.Sprintf("stopped before %s wrote anything", strings.Join(e.Jobs, ", ")))
	}
	for _, run := range e.Runs {
		resume := "bxflow resume " + run
		if e.Resume != nil {
			resume = e.Resume(run)
		}
		parts = append(parts, fmt.Sprintf("stopped in run %s; %s goes on with it", run, resume))
	}
	return strings.Join(parts, "; ")
}

// Serve runs the jobs until ctx is done, then waits for those under way to come
// to a safe point. The error is nil, [*CutError], or what kept it from serving at
// all: a folder that cannot be read, an address in use.
func Serve(ctx context.Context, o Options) error {
	s := newServer(o)
	if err := s.folder.scan(ctx); err != nil {
		return err
	}
	watch, err := newWatch(o.Dir, o.Reload)
	if err != nil {
		return err
	}
	defer watch.close()
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	o.Log.Info("serving", "folder", o.Dir, "zone", ZoneName(time.Local), "jobs", len(s.folder.jobs()))

	tasks := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	tasks.Go(func(ctx context.Context) error {
		s.runner.Run(ctx)
		return nil
	})
	tasks.Go(func(ctx context.Context) error {
		return watch.follow(ctx, func() error { return s.folder.scan(ctx) }, o.Log)
	})
	if listener != nil {
		tasks.Go(func(ctx context.Context) error { return s.serveHTTP(ctx, listener) })
	}
	if err := tasks.Wait(); err != nil {
		return err
	}
	if cut := s.fires.cut(); cut != nil {
		return cut
	}
	o.Log.Info("stopped")
	return nil
}

// server is one call of Serve.
type server struct {
	Options
	runner  *schedule.Runner
	folder  *folder
	fires   *fires
	metrics *metrics
}

func newServer(o Options) *server {
	s := &server{Options: o, metrics: newMetrics()}
	s.fires = newFires(o, s.metrics)
	s.runner = schedule.NewRunner(o.History, s.fires.observe)
	s.folder = &folder{
		Options: o, runner: s.runner, metrics: s.metrics, run: s.fires.run,
		files: map[string]*file{},
	}
	s.metrics.registerEntries(s.runner)
	if o.Portals != nil {
		s.metrics.registry.MustRegister(newPortals(o.Portals))
	}
	return s
}

// listen opens the port of the page before anything else begins, so that an
// address in use is noticed at once. Without an address there is no listener.
func (s *server) listen(ctx context.Context) (net.Listener, error) {
	if s.Addr == "" {
		return nil, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, fmt.Errorf("page: %w; choose another with --addr", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		s.Log.Warn("the page is open to the network and asks for no password", "addr", listener.Addr().String())
	}
	s.Log.Info("page", "url", "http://"+listener.Addr().String()+"/")
	return listener, nil
}

// serveHTTP serves the page until ctx is done.
func (s *server) serveHTTP(ctx context.Context, listener net.Listener) error {
	web := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    1 << 16,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = web.Close() }) // nothing is lost with a page
	defer stop()
	if err := web.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// ZoneName names a zone; the machine's has no name but its offset.
func ZoneName(zone *time.Location) string {
	if zone != time.Local {
		return zone.String()
	}
	return time.Now().In(zone).Format("MST (UTC-07:00), the machine's")
}
