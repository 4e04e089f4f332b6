package daemon

import (
	"context"
	"net/http"
	"time"
)

// Opened is a server that has read its folder and does not run.
type Opened struct{ s *server }

// OpenForTest reads the folder and starts nothing.
func OpenForTest(ctx context.Context, o Options) (*Opened, error) {
	s := newServer(o)
	return &Opened{s}, s.folder.scan(ctx)
}

// Scan reads the folder again.
func (o *Opened) Scan(ctx context.Context) error { return o.s.folder.scan(ctx) }

// Handler is the page.
func (o *Opened) Handler() http.Handler { return o.s.handler() }

// Entries lists the names of the jobs that are scheduled.
func (o *Opened) Entries() []string {
	var names []string
	for _, e := range o.s.runner.Entries() {
		names = append(names, e.Name)
	}
	return names
}

// Fire runs a job of the folder as if it were due.
func (o *Opened) Fire(ctx context.Context, job string, due time.Time) error {
	for _, f := range o.s.folder.jobs() {
		if f.job != nil && f.job.Name == job {
			return o.s.fires.run(ctx, f, due)
		}
	}
	return nil
}

// Cut says what was cut short.
func (o *Opened) Cut() error { return o.s.fires.cut() }
