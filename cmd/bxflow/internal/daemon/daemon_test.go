package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/daemon"
	"github.com/bxflow/bxflow/engine"
)

// log is a log that can be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// parse reads job files of one line: name, portal, mode and cron, separated by
// slashes.
func parse(path string, text []byte) (*engine.Job, error) {
	parts := strings.Split(strings.TrimSpace(string(text)), "/")
	if len(parts) != 4 {
		return nil, fmt.Errorf("%s:1:1: not a job with https://host/rest/1/secret/", path)
	}
	job := &engine.Job{
		Name: parts[0], Description: "Does <b>" + parts[0] + "</b>", Portal: parts[1], Mode: engine.Mode(parts[2]),
		File: path, Hash: string(text),
	}
	if parts[3] != "" {
		job.Schedule = &engine.Schedule{Cron: parts[3], Timezone: "America/Sao_Paulo"}
	}
	return job, nil
}

// world is a folder of jobs and what is needed to serve it.
type world struct {
	daemon.Options
	log *log
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	dir := t.TempDir()
	history, err := daemon.OpenHistory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { history.Close() })
	w := &world{log: &log{}}
	w.Options = daemon.Options{
		Dir: dir, Version: "v1", Log: slog.New(slog.NewTextHandler(w.log, nil)), History: history,
		Files:  func(dir string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*.yaml")) },
		Parse:  parse,
		Portal: func(j *engine.Job) (string, error) { return j.Portal, nil },
		Run:    func(context.Context, *engine.Job) (daemon.Outcome, error) { return daemon.Outcome{}, nil },
		Runs:   func(context.Context) ([]engine.Result, error) { return nil, nil },
		Mask:   func(s string) string { return strings.ReplaceAll(s, "secret", "***") },
	}
	for name, text := range files {
		w.write(t, name, text)
	}
	return w
}

func (w *world) write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (w *world) remove(tb testing.TB, name string) {
	tb.Helper()
	if err := os.Remove(filepath.Join(w.Dir, name)); err != nil {
		tb.Fatal(err)
	}
}

func (w *world) open(t *testing.T) *daemon.Opened {
	t.Helper()
	o, err := daemon.OpenForTest(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestServe_followsTheFolder(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{
		"a.yaml": "alpha/main/apply/@hourly", "b.yaml": "beta/main/apply/@daily", "idle.yaml": "idle/main/apply/",
		"bad.yaml": "nonsense", "twin.yaml": "beta/main/apply/@hourly", ".hidden.yaml": "hidden/main/apply/@hourly",
	})
	o := w.open(t)
	steps := []struct {
		does   string
		change func()
		want   []string
		logged string
	}{
		{"the folder is read", func() {}, []string{"alpha", "beta"}, `the name \"beta\" is taken by`},
		{"a broken edit keeps the job", func() { w.write(t, "a.yaml", "oops") }, []string{"alpha", "beta"}, "keeps_running=true"},
		{"a mended file", func() { w.write(t, "a.yaml", "alpha/main/apply/@weekly") }, []string{"alpha", "beta"}, "cron=@weekly"},
		{"a job that is renamed", func() { w.write(t, "a.yaml", "gamma/main/apply/@weekly") }, []string{"beta", "gamma"}, `"job removed" job=alpha`},
		{"a file that moves", func() {
			w.remove(t, "a.yaml")
			w.write(t, "c.yaml", "gamma/main/apply/@weekly")
		}, []string{"beta", "gamma"}, "c.yaml"},
		{"a twin takes over", func() { w.remove(t, "b.yaml") }, []string{"beta", "gamma"}, "twin.yaml mode=apply"},
		{"a copy does not take over", func() { w.write(t, "a copy.yaml", "gamma/main/apply/@daily") }, []string{"beta", "gamma"}, "a copy.yaml: the name"},
		{"the copy goes", func() { w.remove(t, "a copy.yaml") }, []string{"beta", "gamma"}, ""},
		{"a schedule is taken away", func() { w.write(t, "c.yaml", "gamma/main/apply/") }, []string{"beta"}, `"job has no schedule" job=gamma`},
		{"a schedule that is none", func() { w.write(t, "twin.yaml", "beta/main/apply/0 0 30 2 *") }, []string{"beta"}, "is never due"},
		{"everything goes", func() {
			for _, name := range []string{"twin.yaml", "c.yaml", "bad.yaml", "idle.yaml"} {
				w.remove(t, name)
			}
		}, nil, `"job removed" job=beta`},
	}
	for _, step := range steps {
		before := len(w.log.String())
		if step.does == "the folder is read" {
			before = 0
		}
		step.change()
		if err := o.Scan(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.does, err)
		}
		if diff := cmp.Diff(step.want, o.Entries()); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", step.does, diff)
		}
		if logged := w.log.String()[before:]; !strings.Contains(logged, step.logged) {
			t.Errorf("%s: the log lacks %s:\n%s", step.does, step.logged, logged)
		}
	}
	w.Dir = filepath.Join(w.Dir, "nowhere")
	w.Files = func(dir string) ([]string, error) { return nil, os.ErrNotExist }
	if _, err := daemon.OpenForTest(t.Context(), w.Options); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A pipe under a job's name must not hang the server, nor a folder break it.
func TestServe_readsOnlyFiles(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@hourly"})
	if err := os.Mkdir(filepath.Join(w.Dir, "dir.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"alpha"}, w.open(t).Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if !strings.Contains(w.log.String(), "not a regular file") {
		t.Errorf("log:\n%s", w.log)
	}
}

func TestServe_followsNoLinkOutOfTheFolder(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@hourly", "b.text": "beta/main/apply/@hourly"})
	outside := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(outside, []byte("root:x:0"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out.yaml": outside, "in.yaml": "b.text"} {
		if err := os.Symlink(target, filepath.Join(w.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"alpha", "beta"}, w.open(t).Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if !strings.Contains(w.log.String(), "out.yaml: it is a link that leads out of the folder") {
		t.Errorf("log:\n%s", w.log)
	}
}

func TestServe_outcomes(t *testing.T) {
	t.Parallel()

	header := &engine.Header{ID: "plan-1", Summary: engine.Counts{Create: 3, Invalid: 1}}
	result := func(s engine.Status) *engine.Result {
		return &engine.Result{Run: "run-1", Status: s, Usage: engine.Usage{Requests: 7}}
	}
	tests := map[string]struct {
		outcome daemon.Outcome
		err     error
		logged  string
		counted string
	}{
		"applied": {
			daemon.Outcome{Header: header, Result: result(engine.StatusSucceeded)},
			nil,
			"level=INFO msg=\"job ended\" job=alpha .* plan=plan-1 changes.create=3 changes.invalid=1 run=run-1 requests=7 rejected=0 outcome=succeeded",
			`bxflow_job_runs_total{job="alpha",outcome="succeeded"} 1`,
		},
		"some rows failed": {
			daemon.Outcome{Header: header, Result: result(engine.StatusPartial)},
			nil,
			"level=WARN .* outcome=partial", `bxflow_job_requests_total{job="alpha",what="sent"} 7`,
		},
		"planned only": {
			daemon.Outcome{Header: header},
			nil,
			"level=INFO .* outcome=planned", `bxflow_job_changes_total{job="alpha",kind="create"} 3`,
		},
		"a guard is broken": {
			daemon.Outcome{Header: header},
			&engine.GuardError{Broken: []string{"plan.delete == 0"}},
			"level=ERROR .* outcome=refused", `bxflow_job_runs_total{job="alpha",outcome="refused"} 1`,
		},
		"it fails": {
			daemon.Outcome{},
			errors.New("portal is down"),
			`level=ERROR .* outcome=failed error="portal is down"`, `bxflow_job_runs_total{job="alpha",outcome="failed"} 1`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@hourly"})
			w.Run = func(_ context.Context, job *engine.Job) (daemon.Outcome, error) {
				if job.Name != "alpha" {
					t.Errorf("ran %q", job.Name)
				}
				return tt.outcome, tt.err
			}
			o := w.open(t)
			if err := o.Fire(t.Context(), "alpha", time.Now()); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if err := o.Cut(); err != nil {
				t.Errorf("the run counts as cut short: %v", err)
			}
			if !regexp.MustCompile(tt.logged).MatchString(w.log.String()) {
				t.Errorf("the log lacks %s:\n%s", tt.logged, w.log)
			}
			if got := get(t, o.Handler(), "/metrics"); !strings.Contains(got, tt.counted) {
				t.Errorf("the metrics lack %s:\n%s", tt.counted, got)
			}
			if got := get(t, o.Handler(), "/"); !strings.Contains(got, "not since the start") == (tt.outcome.Header == nil && tt.err == nil) {
				t.Errorf("the page shows no last run:\n%s", got)
			}
		})
	}
}

// What portals stand at is read when the metrics are asked for.
func TestServe_portalMetrics(t *testing.T) {
	t.Parallel()

	w := newWorld(t, nil)
	w.Portals = func() []daemon.PortalState {
		return []daemon.PortalState{
			{
				Portal: "https://example.com/rest/1/***/",
				Load: engine.Load{
					Bucket:    engine.Bucket{Used: 12.5, Burst: 50, Rate: 2},
					Execution: []engine.Execution{{Method: "crm.item.add", Used: 470, Limit: 480, ResetsIn: 41}},
					Wait:      engine.Wait{For: "execution time of crm.item.add", Seconds: 40},
					InFlight:  3,
				},
				Usage: engine.Usage{Requests: 7, Commands: 300, Rejected: 1, Retried: 2},
			},
			{Portal: "sandbox"}, // without limits
		}
	}
	var got []string
	for line := range strings.Lines(get(t, w.open(t).Handler(), "/metrics")) {
		if strings.HasPrefix(line, "bxflow_portal_") {
			got = append(got, strings.NewReplacer("bxflow_portal_", "", "https://example.com/rest/1/***/", "x", "\n", "").Replace(line))
		}
	}
	want := []string{
		`bucket_level_requests{portal="x"} 12.5`,
		`bucket_rate_requests_per_second{portal="x"} 2`,
		`bucket_size_requests{portal="x"} 50`,
		`commands_total{portal="sandbox"} 0`,
		`commands_total{portal="x"} 300`,
		`execution_limit_seconds{method="crm.item.add",portal="x"} 480`,
		`execution_resets_in_seconds{method="crm.item.add",portal="x"} 41`,
		`execution_used_seconds{method="crm.item.add",portal="x"} 470`,
		`rejected_total{portal="sandbox"} 0`,
		`rejected_total{portal="x"} 1`,
		`requests_in_flight{portal="sandbox"} 0`,
		`requests_in_flight{portal="x"} 3`,
		`requests_total{portal="sandbox"} 0`,
		`requests_total{portal="x"} 7`,
		`retried_total{portal="sandbox"} 0`,
		`retried_total{portal="x"} 2`,
		`wait_seconds{for="execution time of crm.item.add",portal="x"} 40`,
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// Two jobs of one portal run one after another, those of others beside them.
func TestServe_onePortalAtATime(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{
		"a.yaml": "alpha/main/apply/@hourly", "b.yaml": "beta/main/apply/@hourly", "c.yaml": "gamma/other/apply/@hourly",
	})
	begun, goOn := make(chan string), make(chan struct{})
	w.Run = func(_ context.Context, job *engine.Job) (daemon.Outcome, error) {
		begun <- job.Name
		<-goOn
		return daemon.Outcome{}, nil
	}
	o := w.open(t)
	var runs sync.WaitGroup
	fire := func(job string) { runs.Go(func() { _ = o.Fire(t.Context(), job, time.Now()) }) }
	fire("alpha")
	if got := <-begun; got != "alpha" {
		t.Fatalf("%s began", got)
	}
	fire("beta")
	fire("gamma")
	if got := <-begun; got != "gamma" {
		t.Errorf("%s began beside alpha, want gamma", got)
	}
	goOn <- struct{}{}
	goOn <- struct{}{}
	if got := <-begun; got != "beta" {
		t.Errorf("%s began last", got)
	}
	goOn <- struct{}{}
	runs.Wait()

	// One that waits for its portal can be told to stop.
	fire("alpha")
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Fire(ctx, "beta", time.Now()); !errors.Is(err, context.Canceled) || o.Cut() == nil {
		t.Errorf("error %v, cut %v", err, o.Cut())
	}
	goOn <- struct{}{}
	runs.Wait()
}

func get(tb testing.TB, h http.Handler, path string) string {
	tb.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		tb.Fatalf("%s answers %d", path, answer.Code)
	}
	return answer.Body.String()
}

func TestServe_page(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{
		"a.yaml": "alpha/main/plan/0 6 * * 1-5", "idle.yaml": "idle/main/apply/", "bad.yaml": "nonsense",
	})
	w.Runs = func(context.Context) ([]engine.Result, error) {
		return []engine.Result{{
			Run: "run-1", Job: "alpha<script>", Status: engine.StatusPartial, Portal: "https://host/rest/1/***/",
			Started: time.Now().Add(-90500 * time.Millisecond), Seconds: 12, Error: "portal said secret",
			Steps: []engine.StepResult{{Created: 4}, {Created: 38, Failed: 5, Conflicts: 6}},
		}}, nil
	}
	o := w.open(t)
	page := get(t, o.Handler(), "/")
	for _, want := range []string{
		"alpha", "plans only", "0 6 * * 1-5", "America/Sao_Paulo", "Does &lt;b&gt;alpha&lt;/b&gt;", "idle", "bad.yaml", "broken",
		"run-1", "alpha&lt;script&gt;", ">42<", "5 + 6 in conflict", "1 min 30 s ago", "12 s", "not since the start",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "secret") || strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "<script") {
		t.Errorf("the page shows what it must not:\n%s", page)
	}
	if got := get(t, o.Handler(), "/healthz"); got != "ok\n" {
		t.Errorf("health is %q", got)
	}
	for path, want := range map[string]int{"/nothing": http.StatusNotFound, "/": http.StatusMethodNotAllowed} {
		method := http.MethodGet
		if path == "/" {
			method = http.MethodPost
		}
		answer := httptest.NewRecorder()
		o.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, nil))
		if answer.Code != want || answer.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s answers %d, want %d", method, path, answer.Code, want)
		}
	}

	w.Runs = func(context.Context) ([]engine.Result, error) { return nil, errors.New("journal is locked") }
	if page := get(t, w.open(t).Handler(), "/"); !strings.Contains(page, "journal is locked") {
		t.Errorf("the page hides why there are no runs:\n%s", page)
	}
}

// From start to stop, with real files, real time and a real port.
// TestServe_page_refusesOtherNames: a web page may let its own name point to this
// machine, and would then read ours.
func TestServe_page_refusesOtherNames(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@hourly"})
	tests := map[string]struct {
		addr string
		want map[string]int
	}{
		"on this machine only": {"127.0.0.1:8024", map[string]int{
			"127.0.0.1:8024": http.StatusOK, "localhost:9": http.StatusOK, "[::1]:8024": http.StatusOK, "LOCALHOST": http.StatusOK,
			"evil.com": http.StatusMisdirectedRequest, "localhost.evil.com:8024": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
		}},
		"open to the network": {"0.0.0.0:8024", map[string]int{"bxflow.example:8024": http.StatusOK}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			o := w.Options
			o.Addr = tt.addr
			opened, err := daemon.OpenForTest(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for host, want := range tt.want {
				answer, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil)
				request.Host = host
				if opened.Handler().ServeHTTP(answer, request); answer.Code != want {
					t.Errorf("host %q answers %d, want %d", host, answer.Code, want)
				}
			}
		})
	}
}

func TestServe(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@every 1s"})
	w.Addr = "127.0.0.1:0"
	ran := make(chan string)
	w.Run = func(ctx context.Context, job *engine.Job) (daemon.Outcome, error) {
		select {
		case ran <- job.Name:
		case <-ctx.Done():
		}
		if job.Name == "beta" { // it ends only when it is told to
			<-ctx.Done()
			return daemon.Outcome{Result: &engine.Result{Run: "run-9", Status: engine.StatusInterrupted}}, ctx.Err()
		}
		return daemon.Outcome{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- daemon.Serve(ctx, w.Options) }()
	if got := <-ran; got != "alpha" {
		t.Errorf("ran %s", got)
	}
	url := regexp.MustCompile(`url=(\S+)`).FindStringSubmatch(w.log.String())
	if url == nil {
		t.Fatalf("the log names no page:\n%s", w.log)
	}
	if page := fetch(t, url[1]); !strings.Contains(page, "alpha") {
		t.Errorf("the page lacks the job:\n%s", page)
	}

	// A second server cannot have the port.
	second := newWorld(t, nil)
	second.Addr = strings.TrimSuffix(strings.TrimPrefix(url[1], "http://"), "/")
	if err := daemon.Serve(ctx, second.Options); err == nil || !strings.Contains(err.Error(), "--addr") {
		t.Errorf("an address in use: %v", err)
	}

	// A file that is replaced while it serves.
	w.write(t, "a.yaml", "beta/main/apply/@every 1s")
	for <-ran != "beta" {
	}

	if got := lineOf(fetch(t, url[1]+"metrics"), `bxflow_job_running{job="beta"}`); !strings.HasSuffix(got, " 1\n") {
		t.Errorf("while it runs, the metrics say %q", got)
	}

	// It is cut short.
	cancel()
	var cut *daemon.CutError
	if err := <-done; !errors.As(err, &cut) || err.Error() != "stopped in run run-9; bxflow resume run-9 goes on with it" {
		t.Errorf("Serve returns %v", err)
	}
}

// lineOf returns the line of text that begins with prefix.
func lineOf(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

func fetch(tb testing.TB, url string) string {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

func TestServe_stopsInPeace(t *testing.T) {
	t.Parallel()

	w := newWorld(t, map[string]string{"a.yaml": "alpha/main/apply/@yearly"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := daemon.Serve(ctx, w.Options); err != nil {
		t.Errorf("Serve returns %v", err)
	}
	w.Addr = "127.0.0.1:nowhere"
	var addr *net.DNSError
	if err := daemon.Serve(t.Context(), w.Options); err == nil || (!errors.As(err, &addr) && !strings.Contains(err.Error(), "page: ")) {
		t.Errorf("Serve returns %v", err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	h, err := daemon.OpenHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := h.Last(t.Context(), "job"); err != nil || !last.IsZero() {
		t.Errorf("a new history says %v, %v", last, err)
	}
	due := time.Date(2026, 11, 23, 6, 0, 0, 0, time.FixedZone("", -3*3600))
	if err := h.Fired(t.Context(), "job", due); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.OpenHistory(dir); !errors.Is(err, daemon.ErrBusy) {
		t.Errorf("a second one opens with %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err = daemon.OpenHistory(dir); err != nil {
		t.Fatal(err)
	}
	if last, err := h.Last(t.Context(), "job"); err != nil || !last.Equal(due) {
		t.Errorf("it remembers %v, %v, want %v", last, err, due)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "schedule.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.OpenHistory(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged file opens with %v", err)
	}
}
