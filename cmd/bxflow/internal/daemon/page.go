package daemon

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// maxRuns is how many runs the page lists.
const maxRuns = 30

//go:embed page.html
var pageText string

// view is what the page shows.
type view struct {
	Now     moment
	Folder  string
	Zone    string
	Version string
	Jobs    []jobView
	Runs    []runView
	Fault   string // why there are no runs
}

// jobView is a row of the page's first table.
type jobView struct {
	Name, Description string
	File, Portal      string
	Plans             bool // mode: plan
	Cron, Zone        string
	Next              moment
	Running, Queued   moment
	Last              *lastView
	Fault             string
}

// lastView is what happened to a job last.
type lastView struct {
	Due     moment
	Outcome string
	Run     string
	Took    string
	Counts  []kindView
	Error   string
}

type kindView struct {
	Kind  string
	Count int
}

// runView is a row of the page's second table.
type runView struct {
	ID, Job, Portal, Status          string
	Started                          moment
	Took                             string
	Created, Updated, Moved, Deleted int
	Unchanged, Failed, Conflicts     int
	Error                            string
}

// moment is a time as people read it.
type moment struct {
	ISO, Text, Ago string
}

// handler serves the page, the metrics and the health of the server.
func (s *server) handler() http.Handler {
	page := template.Must(template.New("page").Parse(pageText))
	_, rest, _ := strings.Cut(pageText, "<style>")
	styleText, _, _ := strings.Cut(rest, "</style>")
	style := sha256.Sum256([]byte(styleText))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(style[:]))

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if err := page.Execute(&body, s.view(r)); err != nil {
			s.Log.Error("page", "error", err)
			http.Error(w, "the page cannot be shown; see the log", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body.Bytes()) // it fails where the browser went away
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.serves(r.Host) {
			http.Error(w, "this page is not served under that name; use the address of --addr", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

// serves says whether the page may be asked for under a host's name. On this
// machine only, that is an address or a loopback name: any other may belong to a
// web page that lets its own name point here to read ours (DNS rebinding). A page
// that was opened to the network is read under names that only the network knows.
func (s *server) serves(host string) bool {
	return !isLoopback(hostname(s.Addr)) || isLoopback(hostname(host)) || isAddress(hostname(host))
}

func isLoopback(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.IsLoopback()
	}
	return strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hostname is a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func (s *server) view(r *http.Request) view {
	now := time.Now()
	v := view{
		Now:    momentOf(now, now, time.Local),
		Folder: s.Dir, Zone: ZoneName(time.Local), Version: s.Version,
	}
	status := map[string]jobView{}
	for _, e := range s.runner.Entries() {
		zone := e.Schedule.Zone()
		status[e.Name] = jobView{
			Next:    momentOf(e.Next, now, zone),
			Running: momentOf(e.Running, now, zone),
			Queued:  momentOf(e.Queued, now, zone),
		}
	}
	for _, f := range s.folder.jobs() {
		v.Jobs = append(v.Jobs, s.jobView(f, status, now))
	}
	runs, err := s.Runs(r.Context())
	if err != nil {
		v.Fault = s.Mask(err.Error())
	}
	for _, run := range runs[:min(len(runs), maxRuns)] {
		v.Runs = append(v.Runs, s.runView(run, now))
	}
	return v
}

func (s *server) jobView(f *file, status map[string]jobView, now time.Time) jobView {
	shown, err := filepath.Rel(s.Dir, f.path)
	if err != nil {
		shown = f.path
	}
	if f.job == nil {
		return jobView{File: shown, Fault: f.fault}
	}
	j := status[f.job.Name] // the zero value for a job without a schedule
	j.Name, j.Description = f.job.Name, f.job.Description
	j.File, j.Portal, j.Fault = shown, f.portal, f.fault
	j.Plans = f.job.Mode == engine.ModePlan
	zone := time.Local
	if f.schedule != nil {
		zone = f.schedule.Zone()
		j.Cron, j.Zone = f.job.Schedule.Cron, ZoneName(zone)
	}
	if last, known := s.fires.of(f.job.Name); known {
		j.Last = &lastView{
			Due: momentOf(last.Due, now, zone), Outcome: last.Outcome, Run: last.Run,
			Took: span(last.Took), Error: last.Error,
		}
		for _, n := range kinds(last.Summary) {
			if n.count > 0 {
				j.Last.Counts = append(j.Last.Counts, kindView{n.kind, n.count})
			}
		}
	}
	return j
}

func (s *server) runView(r engine.Result, now time.Time) runView {
	v := runView{
		ID: r.Run, Job: r.Job, Portal: s.Mask(r.Portal), Status: string(r.Status),
		Started: momentOf(r.Started, now, time.Local),
		Took:    span(time.Duration(r.Seconds * float64(time.Second))),
		Error:   s.Mask(r.Error),
	}
	for _, step := range r.Steps {
		v.Created += step.Created
		v.Updated += step.Updated
		v.Moved += step.Moved
		v.Deleted += step.Deleted
		v.Unchanged += step.Unchanged
		v.Failed += step.Failed
		v.Conflicts += step.Conflicts
	}
	return v
}

// momentOf shows t in a zone; the zero time shows as nothing.
func momentOf(t, now time.Time, zone *time.Location) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.In(zone)
	layout := "Mon 2 Jan 15:04"
	if t.Year() != now.In(zone).Year() {
		layout = "Mon 2 Jan 2006 15:04"
	}
	m := moment{ISO: t.Format(time.RFC3339), Text: t.Format(layout)}
	switch d := t.Sub(now); {
	case d >= time.Second:
		m.Ago = "in " + span(d)
	case d <= -time.Second:
		m.Ago = span(-d) + " ago"
	default:
		m.Ago = "now"
	}
	return m
}

// span shows a duration by its two largest units.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}
