package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// served is bxflow serve on a folder, as it is from start to stop.
type served struct {
	t    *testing.T
	dir  string // jobs in it, state beside it
	log  string
	env  map[string]string
	stop context.CancelFunc
	code chan int
}

func newServed(t *testing.T, files map[string]string) *served {
	t.Helper()
	s := &served{t: t, dir: t.TempDir(), env: map[string]string{}, code: make(chan int, 1)}
	s.log = filepath.Join(s.dir, "log")
	if err := os.Mkdir(filepath.Join(s.dir, "jobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		s.write(name, text)
	}
	return s
}

func (s *served) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "jobs", name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start is what a shell would do; stop is SIGTERM.
func (s *served) start(args ...string) {
	s.t.Helper()
	a := newApp()
	log, err := os.Create(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { log.Close() })
	a.stdout, a.stderr = log, log
	a.getenv = func(name string) (string, bool) {
		value, ok := s.env[name]
		return value, ok
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(s.t.Context())
	s.t.Cleanup(s.stop)
	all := append([]string{"serve", filepath.Join(s.dir, "jobs"), "--state", filepath.Join(s.dir, "state"), "--log-format", "json"}, args...)
	go func() { s.code <- a.execute(ctx, all) }()
}

// wait returns the first line of the log, after the ones that it returned
// before, that matches; a failure if there is none in half a minute.
func (s *served) wait(pattern string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(s.log)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if regexp.MustCompile(pattern).MatchString(line) {
				return line
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("the log has no %s:\n%s", pattern, text)
		}
	}
}

// bxflow runs another command on the same state folder.
func (s *served) bxflow(args ...string) string {
	s.t.Helper()
	a := newApp()
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	a.stdout, a.stderr = out, out
	a.getenv = func(string) (string, bool) { return "", false }
	a.execute(s.t.Context(), append(args, "--state", filepath.Join(s.dir, "state")))
	text, err := os.ReadFile(out.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

const clientsJob = `version: 1
name: NAME
mode: MODE
schedule: {cron: "@every 1s", catch_up: once}
steps:
  - read: clients.csv
  - import: contact
    id: client
    match: email
    fields:
      name: ${{ row.nome }}
      email: ${{ row.email }}
`

func job(name, mode string) string {
	return strings.NewReplacer("NAME", name, "MODE", mode).Replace(clientsJob)
}

const clients = "nome;email\nAna Zulu;zulu@example.com\nBia Yankee;yankee@example.com\n"

// A file that was read is moved by a job that writes, and not by one that only
// plans. The next time there is none.
func TestServe_filesWhatItRead(t *testing.T) {
	t.Parallel()

	files := strings.NewReplacer("clients.csv", "clients.csv\n    optional: true\n    done: done")
	s := newServed(t, map[string]string{"clients.csv": clients, "look.yaml": files.Replace(job("look", "plan"))})
	s.start("--addr", "127.0.0.1:0")
	s.wait(`"msg":"job ended","job":"look".*"create":2.*"outcome":"planned"`)
	if _, err := os.Stat(filepath.Join(s.dir, "jobs", "clients.csv")); err != nil {
		t.Errorf("a plan moves the file: %v", err)
	}
	s.write("work.yaml", files.Replace(job("work", "apply")))
	s.wait(`"msg":"job ended","job":"work".*"files":1,"outcome":"succeeded"`)
	s.wait(`"msg":"job ended","job":"work".*"requests":\d+,"rejected":0,"outcome":"succeeded"`)
	if text, err := os.ReadFile(filepath.Join(s.dir, "jobs", "done", "clients.csv")); err != nil || string(text) != clients {
		t.Errorf("done/clients.csv: %v, %q", err, text)
	}
}

func TestServe_runsWhatIsDue(t *testing.T) {
	t.Parallel()

	s := newServed(t, map[string]string{"clients.csv": clients, "look.yaml": job("look", "plan")})
	s.start("--addr", "127.0.0.1:0")
	s.wait(`"msg":"job ended","job":"look".*"create":2.*"outcome":"planned"`)
	s.write("broken.yaml", "version: 2\n")
	s.wait(`"msg":"job file is broken".*broken.yaml`)
	s.write("work.yaml", job("work", "apply"))
	s.wait(`"msg":"job ended","job":"work".*"create":2.*"run":"[^"]+".*"outcome":"succeeded"`)
	s.wait(`"msg":"job ended","job":"work".*"unchanged":2.*"outcome":"succeeded"`)
	s.wait(`"msg":"job ended","job":"look".*"unchanged":2.*"outcome":"planned"`)

	var page struct{ URL string }
	if err := json.Unmarshal([]byte(s.wait(`"msg":"page"`)), &page); err != nil {
		t.Fatal(err)
	}
	if text := fetch(t, page.URL); !strings.Contains(text, "work") || !strings.Contains(text, "broken.yaml") || !strings.Contains(text, "/rest/1/***/") {
		t.Errorf("the page:\n%s", text)
	}
	text := fetch(t, page.URL+"metrics")
	for _, want := range []string{
		`bxflow_job_changes_total{job="work",kind="create"} 2`,
		`bxflow_job_results_total{job="work",outcome="created"} 2`,
		`bxflow_job_last_run_status{job="work",outcome="succeeded"} 1`,
		`bxflow_job_last_run_status{job="work",outcome="failed"} 0`,
		`bxflow_job_last_run_timestamp_seconds{job="look"} `,
		`bxflow_portal_bucket_size_requests{portal="sandbox"} 50`,
		`bxflow_portal_bucket_level_requests{portal="sandbox"} `,
		`bxflow_portal_requests_in_flight{portal="sandbox"} `,
		`bxflow_portal_requests_total{portal="sandbox"} `,
		`bxflow_portal_rejected_total{portal="sandbox"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}

	s.write("work.yaml", strings.ReplaceAll(job("work", "apply"), "1s", "1h"))
	s.write("look.yaml", strings.ReplaceAll(job("look", "plan"), "1s", "1h"))
	s.wait(`"job":"work".*"cron":"@every 1h"`)
	s.wait(`"job":"look".*"cron":"@every 1h"`)
	s.stop()
	if code := <-s.code; code != exitDone && code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if runs := s.bxflow("runs"); !strings.Contains(runs, "work") || strings.Contains(runs, "look") {
		t.Errorf("runs:\n%s", runs)
	}
}

func TestServe_stops(t *testing.T) {
	t.Parallel()

	s := newServed(t, map[string]string{"idle.yaml": strings.ReplaceAll(job("idle", "apply"), "@every 1s", "@yearly")})
	s.start("--addr", "")
	s.wait(`"msg":"serving"`)

	// One server a state folder: two would run each job twice.
	if got := s.bxflow("serve", filepath.Join(s.dir, "jobs"), "--addr", ""); !strings.Contains(got, "another bxflow serve uses this state folder") {
		t.Errorf("a second one says:\n%s", got)
	}
	s.stop()
	if code := <-s.code; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// Jobs of one serve that call a portal by several names share one client, and so
// its limits and its metrics.
func TestServe_sharesThePortal(t *testing.T) {
	t.Parallel()

	box, err := sandbox.New(sandbox.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	files := map[string]string{"clients.csv": clients}
	s := newServed(t, files)
	for _, name := range []string{"one", "two", "three"} {
		s.write(name+".yaml", strings.Replace(job(name, "plan"), "mode:", "portal: "+name+"\nmode:", 1))
		s.env["BXFLOW_PORTAL_"+strings.ToUpper(name)] = server.URL + box.WebhookPath()
	}
	s.start("--addr", "127.0.0.1:0")
	for _, name := range []string{"one", "two", "three"} {
		s.wait(`"msg":"job ended","job":"` + name + `".*"outcome":"planned"`)
	}
	var page struct{ URL string }
	if err := json.Unmarshal([]byte(s.wait(`"msg":"page"`)), &page); err != nil {
		t.Fatal(err)
	}
	if text := fetch(t, page.URL+"metrics"); strings.Count(text, "\nbxflow_portal_requests_total{") != 1 {
		t.Errorf("the metrics have several portals:\n%s", text)
	}
	s.stop()
	<-s.code
}

// A run that is cut short can be resumed, and the exit code says so.
func TestServe_isCutShort(t *testing.T) {
	t.Parallel()

	options := sandbox.Defaults()
	options.Cost = map[string]time.Duration{"crm.contact.add": 50 * time.Millisecond, "crm.item.add": 50 * time.Millisecond}
	box, err := sandbox.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)

	var rows strings.Builder
	rows.WriteString("nome;email\n")
	for i := range 500 {
		rows.WriteString(strings.ReplaceAll("N#;n#@example.com\n", "#", string(rune('a'+i%26))+strings.Repeat("x", i/26)))
	}
	s := newServed(t, map[string]string{"clients.csv": rows.String(), "work.yaml": job("work", "apply")})
	s.env["BXFLOW_PORTAL"] = "main"
	s.env["BXFLOW_PORTAL_MAIN"] = server.URL + box.WebhookPath()
	s.start("--addr", "", "--log-level", "debug")
	s.wait(`"msg":"run begins"`)
	s.stop()
	if code := <-s.code; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	s.wait(`bxflow: .*stopped in run [0-9a-z-]+; bxflow resume [0-9a-z-]+ --state \S+/state goes on with it`)
	if runs := s.bxflow("runs"); !strings.Contains(runs, "interrupted") {
		t.Errorf("runs:\n%s", runs)
	}

	s.start("--addr", "")
	s.wait(`"msg":"run was cut short","run":"[0-9a-z-]+","job":"work","remedy":"bxflow resume [0-9a-z-]+`)
	s.stop()
	<-s.code
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
