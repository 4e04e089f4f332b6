package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// hookPath is the secret part of a receiver's URL.
const hookPath = "T0p-s3cr3t"

// receiver is a receiver of webhooks.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	told []map[string]any
}

// newReceiver starts a receiver that answers with a status.
func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	h := &receiver{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &m) != nil || r.URL.Path != "/"+hookPath {
			t.Errorf("%s: %s", r.URL.Path, body)
		}
		h.mu.Lock()
		h.told = append(h.told, m)
		h.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

// ends are the ends and statuses that were told, of all runs.
func (h *receiver) ends() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ends []string
	for _, m := range h.told {
		ends = append(ends, m["on"].(string)+" "+m["status"].(string))
	}
	return strings.Join(ends, ", ")
}

// notified is a folder with a job that tells a hook, and bxflow in it.
type notified struct {
	t    *testing.T
	hook *receiver
	dir  string
	env  map[string]string
}

const notifyingJob = `version: 1
name: clients
env: [HOOK]
notify:
  - on: [success, partial, failure]
    webhook: ${{ env.HOOK }}
guard: plan.create <= 3
`

const notifyingSteps = `steps:
  - read: clients.csv
  - import: contact
    match: email
    fields:
      name: ${{ row.nome }}
      email: ${{ email(row.email) }}
`

func newNotified(t *testing.T, job, rows string, status int) *notified {
	t.Helper()
	n := &notified{t: t, hook: newReceiver(t, status), dir: t.TempDir()}
	n.env = map[string]string{"HOOK": n.hook.URL + "/" + hookPath}
	n.write("job.yaml", job)
	n.write("clients.csv", "nome;email\n"+rows)
	return n
}

func (n *notified) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// bxflow runs a command and returns its exit code and all that it wrote. Neither
// that nor what it keeps has the secret.
func (n *notified) bxflow(args ...string) (code int, text string) {
	n.t.Helper()
	a := newApp()
	out, err := os.Create(filepath.Join(n.dir, "out"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close()
	a.stdout, a.stderr = out, out
	a.getenv = func(name string) (string, bool) {
		value, ok := n.env[name]
		return value, ok
	}
	code = a.execute(n.t.Context(), append(args, "--log-level", "debug", "--state", filepath.Join(n.dir, "state")))
	err = filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(hookPath)) {
			n.t.Errorf("%s has the secret", path)
		}
		if path == out.Name() {
			text = string(content)
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return code, text
}

// expect checks an exit code and what was told so far.
func (n *notified) expect(what string, code, want int, text, told string) {
	n.t.Helper()
	if code != want || n.hook.ends() != told {
		n.t.Errorf("%s: exit %d, told %q; want %d, %q\n%s", what, code, n.hook.ends(), want, told, text)
	}
}

const goodRows = "Ana Zulu;zulu@example.com\nBia Yankee;yankee@example.com\n"

func TestNotify_run(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows string
		args []string
		code int
		told string
	}{
		"success":       {goodRows, nil, exitDone, "success succeeded"},
		"partial":       {goodRows + "Zoe Nil;not an address\n", nil, exitPartial, "partial partial"},
		"broken guard":  {goodRows + strings.ReplaceAll(goodRows, "@", "@x."), nil, exitRefused, "failure refused"},
		"no portal":     {goodRows, []string{"--portal", "nowhere"}, exitUsage, "failure failed"},
		"nobody wanted": {goodRows, []string{"--no-notify"}, exitDone, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			n := newNotified(t, notifyingJob+notifyingSteps, tt.rows, http.StatusOK)
			code, text := n.bxflow(append([]string{"run", filepath.Join(n.dir, "job.yaml"), "--yes"}, tt.args...)...)
			n.expect("run", code, tt.code, text, tt.told)
			if tt.told == "" {
				return
			}
			m := n.hook.told[0]
			if m["job"] != "clients" || (m["portal"] == "") != (name == "no portal") || strings.Contains(m["text"].(string), "not an address") {
				t.Errorf("told %v", m)
			}
		})
	}
}

// What can't be told is a warning, and no more.
func TestNotify_fails(t *testing.T) {
	t.Parallel()
	n := newNotified(t, notifyingJob+notifyingSteps, goodRows, http.StatusNotFound)
	code, text := n.bxflow("run", filepath.Join(n.dir, "job.yaml"), "--yes")
	n.expect("run", code, exitDone, text, "success succeeded")
	if !strings.Contains(text, `level=WARN msg="could not be told how the job ended"`) || !strings.Contains(text, "it answered HTTP 404") {
		t.Errorf("the log:\n%s", text)
	}
}

// A run that is gone on with is told of each of its ends once; a saved plan finds
// the people in the job's file.
func TestNotify_goesOn(t *testing.T) {
	t.Parallel()
	job := strings.Replace(notifyingJob, "guard: plan.create <= 3\n", "on_error: stop\n", 1) + notifyingSteps
	n := newNotified(t, job, goodRows, http.StatusOK)
	path, plan := filepath.Join(n.dir, "job.yaml"), filepath.Join(n.dir, "a.plan")
	if code, text := n.bxflow("plan", path, "--out", plan); code != exitDone || n.hook.ends() != "" {
		t.Fatalf("plan: exit %d, told %q:\n%s", code, n.hook.ends(), text)
	}
	code, text := n.bxflow("apply", plan, "--yes")
	n.expect("apply", code, exitDone, text, "success succeeded")
	code, text = n.bxflow("apply", plan, "--yes")
	n.expect("apply again", code, exitRefused, text, "success succeeded, failure refused")
	code, text = n.bxflow("undo", "last", "--yes")
	n.expect("undo", code, exitDone, text, "success succeeded, failure refused")
}

// servedSandbox serves a sandbox portal, and returns it with its webhook.
func servedSandbox(t *testing.T) (box *sandbox.Portal, url string) {
	t.Helper()
	box, err := sandbox.New(sandbox.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	t.Cleanup(func() {
		server.Close()
		box.Close()
	})
	return box, server.URL + box.WebhookPath()
}

// Of a run that fails, and is resumed to fail again, the failure is told once.
func TestNotify_once(t *testing.T) {
	t.Parallel()
	box, url := servedSandbox(t)
	n := newNotified(t, notifyingJob+notifyingSteps, goodRows, http.StatusOK)
	n.env["BXFLOW_PORTAL"], n.env["BXFLOW_PORTAL_MAIN"] = "main", url
	plan := filepath.Join(n.dir, "a.plan")
	if code, text := n.bxflow("plan", filepath.Join(n.dir, "job.yaml"), "--out", plan); code != exitDone {
		t.Fatal(text)
	}
	lost := "expired:after=1"
	if err := box.SetFaults(lost); err != nil {
		t.Fatal(err)
	}
	code, text := n.bxflow("apply", plan, "--yes")
	n.expect("apply", code, exitUnfinished, text, "failure failed")
	if err := box.SetFaults(lost); err != nil {
		t.Fatal(err)
	}
	code, text = n.bxflow("resume", "--yes")
	n.expect("resume", code, exitUnfinished, text, "failure failed")
	if err := box.SetFaults(); err != nil {
		t.Fatal(err)
	}
	code, text = n.bxflow("resume", "--yes")
	n.expect("resume again", code, exitDone, text, "failure failed, success succeeded")
}

// People of the portal are told there; one whom it hasn't stops the plan.
func TestNotify_person(t *testing.T) {
	t.Parallel()
	box, url := servedSandbox(t)
	job := strings.Replace(notifyingJob, "webhook: ${{ env.HOOK }}", "person: ana@example.com", 1) + notifyingSteps
	n := newNotified(t, job, goodRows, http.StatusOK)
	n.env["BXFLOW_PORTAL"], n.env["BXFLOW_PORTAL_MAIN"] = "main", url
	path := filepath.Join(n.dir, "job.yaml")
	if code, text := n.bxflow("run", path, "--yes"); code != exitDone || strings.Contains(text, "WARN") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if dump := string(box.Dump()); strings.Count(dump, `"clients succeeded on http`) != 1 || !strings.Contains(dump, "2 created (run ") {
		t.Errorf("the portal has:\n%s", dump[max(0, len(dump)-500):])
	}
	if code, text := n.bxflow("portal", "check", "--job", path); code != exitDone || !strings.Contains(text, "crm, user, im") {
		t.Errorf("check: exit %d:\n%s", code, text)
	}

	n.write("job.yaml", strings.Replace(job, "ana@", "nobody@", 1))
	if code, text := n.bxflow("plan", path); code != exitUsage || !strings.Contains(text, `job.yaml:6:13: notify: there is no person "nobody@example.com"; nearest: `) {
		t.Errorf("exit %d:\n%s", code, text)
	}
}

// Who applies a plan of another portal than the job's tells the people of that one.
func TestNotify_personOfThePlan(t *testing.T) {
	t.Parallel()
	box, url := servedSandbox(t)
	job := strings.Replace(notifyingJob, "webhook: ${{ env.HOOK }}", "person: ana@example.com", 1) + "portal: sandbox\n" + notifyingSteps
	n := newNotified(t, job, goodRows, http.StatusOK)
	n.env["BXFLOW_PORTAL_TEST"] = url
	plan := filepath.Join(n.dir, "a.plan")
	if code, text := n.bxflow("plan", filepath.Join(n.dir, "job.yaml"), "--portal", "test", "--out", plan); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if code, text := n.bxflow("apply", plan, "--yes"); code != exitDone || !strings.Contains(string(box.Dump()), "clients succeeded on") {
		t.Errorf("exit %d, and the plan's portal was told nothing:\n%s", code, text)
	}
}

// A test of a job tells nobody.
func TestNotify_notByTest(t *testing.T) {
	t.Parallel()
	n := newNotified(t, notifyingJob, goodRows, http.StatusOK)
	n.write("job.yaml", notifyingJob+notifyingSteps+`tests:
  - name: one
    env: {HOOK: "`+n.hook.URL+`/"}
    rows: [{nome: Ana, email: ana.zulu@example.com}]
    expect: [{create: contact}]
`)
	code, text := n.bxflow("test", filepath.Join(n.dir, "job.yaml"))
	n.expect("test", code, exitDone, text, "")
}

// serve tells what a job of mode plan would change, and how others ended.
func TestServe_notifies(t *testing.T) {
	t.Parallel()
	h := newReceiver(t, http.StatusOK)
	notify := "env: [HOOK]\nnotify: [{on: [plan, success], webhook: '${{ env.HOOK }}'}]\nsteps:"
	yearly := strings.NewReplacer("1s", "2s", "steps:", notify)
	s := newServed(t, map[string]string{"clients.csv": clients, "look.yaml": yearly.Replace(job("look", "plan"))})
	s.env["HOOK"] = h.URL + "/" + hookPath
	s.start("--addr", "", "--log-level", "debug")
	s.wait(`"msg":"told how the job ended","job":"look".*"end":"plan"`)
	s.write("work.yaml", yearly.Replace(job("work", "apply")))
	s.wait(`"msg":"told how the job ended","job":"work".*"end":"success"`)
	s.stop()
	<-s.code
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(log, []byte(hookPath)) {
		t.Errorf("the log has the secret:\n%s", log)
	}
	if got := h.told[0]["counts"].(map[string]any)["create"]; got != 2.0 || !strings.Contains(h.told[0]["text"].(string), ": 2 to create") {
		t.Errorf("told %v", h.told[0])
	}
}
