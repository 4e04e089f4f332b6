//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFigures is what .ci/figures runs: it prints what bxflow and other clients
// take for the same work. Programs and portals are processes of their own and
// talk over loopback. Times are printed and never judged; wrong rows are.
func TestFigures(t *testing.T) {
	t.Parallel()
	form := os.Getenv("BXFLOW_FIGURES")
	if form == "" {
		t.Skip("bash .ci/figures runs this")
	}
	only, err := regexp.Compile(os.Getenv("FIGURES_ONLY"))
	if err != nil {
		t.Fatal(err)
	}
	if form == "million" {
		figureRow(t, "what", "measured", "target")
		million(t)
		return
	}
	f := newFigures(t)
	figureRow(t, "scenario", "client", "requests", "least", "seconds", "ideal", "rejected", "rows right")
	for _, s := range figureScenarios(form == "short") {
		if !only.MatchString(s.name) {
			continue
		}
		for _, c := range append(s.clients, f.others...) {
			f.measure(t, s, c)
		}
	}
	if only.MatchString("engine") {
		figureRow(t)
		figureRow(t, "what", "measured", "target")
		engineAlone(t, form == "short")
	}
}

// figureRow prints a row of one of the tables.
func figureRow(t *testing.T, cells ...string) {
	t.Helper()
	widths := []int{-12, -22, 9, 6, 8, 6, 9, 12}
	if len(cells) == 3 {
		widths = []int{-46, -26, -20}
	}
	var line strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&line, "%*s ", widths[i], cell)
	}
	fmt.Fprintln(os.Stdout, strings.TrimRight(line.String(), " "))
}

// figures measures clients.
type figures struct {
	cert, key string
	web       *http.Client   // trusts cert
	others    []figureClient // that take part beside bxflow
}

// figureClient is a program that may do a scenario.
type figureClient struct {
	name   string
	other  bool       // it isn't bxflow
	before [][]string // commands that aren't measured; the bucket fills again after them
	do     [][]string // commands that are, one after the other
}

// scenario is work to be done on a portal.
type scenario struct {
	name    string
	rows    int
	sandbox []string // flags beside the limits
	rate    float64  // requests a second, beyond a burst of 50
	latency time.Duration
	least   int                                     // requests that whoever knew everything would need
	files   map[string]string                       // of bxflow, beside rows.csv
	csv     func(i int, seeded *dump) string        // a line of rows.csv; -1: its header
	clients []figureClient                          // bxflow's ways to do it
	right   func(d *dump, out []byte, rows int) int // rows that are as they should be
}

// figureBurst is what a portal's bucket holds.
const figureBurst = 50

// notForMe is the exit code of a client that doesn't know the scenario.
const notForMe = 77

// clientTime is what a client gets for a scenario; then it is stopped, and what
// it has done by then counts.
const clientTime = 3 * time.Minute

func newFigures(t *testing.T) *figures {
	t.Helper()
	work := os.Getenv("FIGURES_WORK")
	f := &figures{cert: filepath.Join(work, "cert.pem"), key: filepath.Join(work, "key.pem")}
	pem, err := os.ReadFile(f.cert)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", f.cert)
	}
	f.web = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	for line := range strings.Lines(os.Getenv("FIGURES_CLIENTS")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, command, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%q is no client; give NAME=COMMAND", line)
		}
		f.others = append(f.others, figureClient{name: name, other: true, do: [][]string{{"bash", "-c", command}}})
	}
	return f
}

// measure gives a client a portal of its own and the scenario, and prints a row.
func (f *figures) measure(t *testing.T, s scenario, c figureClient) {
	t.Helper()
	dir := t.TempDir()
	portal := f.start(t, dir, s)
	defer portal.stop()
	f.prepare(t, portal, dir, s)
	out := filepath.Join(dir, "out.jsonl")
	env := childEnv(dir)
	if c.other {
		env = os.Environ() // its modules may be in the user's folder
	}
	env = append(env,
		"BXFLOW_PORTAL="+portal.url, "SSL_CERT_FILE="+f.cert, "NODE_EXTRA_CA_CERTS="+f.cert, "REQUESTS_CA_BUNDLE="+f.cert,
		"FIGURE_URL="+portal.url, "FIGURE_SCENARIO="+s.name, "FIGURE_COUNT="+strconv.Itoa(s.rows), "FIGURE_OUT="+out)
	if code := runAll(t, dir, env, c.before); code != 0 {
		t.Errorf("%s, %s: exit %d before it began", s.name, c.name, code)
		return
	}
	before := portal.stats(t, f.web)
	pause(t, time.Duration(float64(before.Requests)/s.rate*float64(time.Second)))

	start := time.Now()
	code := runAll(t, dir, env, c.do)
	seconds := time.Since(start).Seconds()
	if code == notForMe {
		return
	}
	after, held := portal.stats(t, f.web), portal.dump(t, f.web)
	written, err := os.ReadFile(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	right := s.right(held, written, s.rows)
	note := strconv.Itoa(right)
	switch {
	case code < 0:
		note += " (stopped)"
	case code > 0:
		note += fmt.Sprintf(" (exit %d)", code)
	}
	if !c.other && (code != 0 || right != s.rows) {
		t.Errorf("%s, %s: exit %d, %d rows of %d are right", s.name, c.name, code, right, s.rows)
	}
	rejected := after.Rejected + after.Operating - before.Rejected - before.Operating
	figureRow(t, s.name, c.name, strconv.Itoa(after.Requests-before.Requests), strconv.Itoa(s.least),
		fmt.Sprintf("%.2f", seconds), fmt.Sprintf("%.1f", s.ideal()), strconv.Itoa(rejected), note)
}

// ideal is how many seconds the limits and one answer's latency demand of the
// least requests.
func (s *scenario) ideal() float64 {
	return max(0, float64(s.least-figureBurst)/s.rate) + s.latency.Seconds()
}

// runAll runs commands until one fails, and returns the last one's exit code.
func runAll(t *testing.T, dir string, env []string, commands [][]string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	for _, args := range commands {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		c.Dir, c.Env, c.WaitDelay = dir, env, time.Second
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it starts is stopped with it
		c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
		var said strings.Builder
		c.Stdout, c.Stderr = &said, &said
		err := c.Run()
		code := c.ProcessState.ExitCode()
		if code == notForMe {
			return code
		}
		if err != nil {
			t.Logf("%s: %v %v\n%.2000s", strings.Join(args, " "), err, context.Cause(ctx), said.String())
			return code
		}
	}
	return 0
}

// pause lets a bucket fill.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// start serves a fresh sandbox.
func (f *figures) start(t *testing.T, dir string, s scenario) *figurePortal {
	t.Helper()
	args := append([]string{"--tls-cert", f.cert, "--tls-key", f.key, "--latency", s.latency.String(), "--rate", fmt.Sprint(s.rate)}, s.sandbox...)
	return startPortal(t, dir, args...)
}

// prepare writes what bxflow reads.
func (f *figures) prepare(t *testing.T, portal *figurePortal, dir string, s scenario) {
	t.Helper()
	for name, text := range s.files {
		writeFile(t, filepath.Join(dir, name), text)
	}
	if s.csv == nil {
		return
	}
	seeded := portal.dump(t, f.web)
	file, err := os.Create(filepath.Join(dir, "rows.csv"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := -1; i < s.rows; i++ {
		fmt.Fprintln(w, s.csv(i, seeded))
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// figurePortal is a sandbox in a process of its own.
type figurePortal struct {
	url  string
	stop func()
}

// startPortal serves a sandbox until it is stopped, at the latest by the end of
// the test.
func startPortal(tb testing.TB, dir string, flags ...string) *figurePortal {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	c := exec.CommandContext(ctx, "bxflow", append([]string{"sandbox"}, flags...)...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.Dir, c.Env, c.Stderr = dir, childEnv(dir), os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	stop := func() { cancel(); _ = c.Wait() } // it was told to end
	tb.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("sandbox: %v", err)
	}
	return &figurePortal{url: strings.TrimSpace(line), stop: stop}
}

// portalStats is what a sandbox tells of the requests that it got.
type portalStats struct {
	Requests  int `json:"requests"`
	Rejected  int `json:"rejected_bucket"`
	Operating int `json:"rejected_operating"`
}

func (p *figurePortal) stats(tb testing.TB, web *http.Client) portalStats {
	tb.Helper()
	var s portalStats
	p.control(tb, web, "stats", &s)
	return s
}

// dump is what a sandbox holds, as far as the scenarios go.
type dump struct {
	Contacts []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
		Post string `json:"post"`
		CPF  string `json:"UF_CRM_1737980095947"`
	} `json:"contact"`
	Cards []dumpedCard `json:"dynamic_128"`
}

// dumpedCard is a card of Onboarding.
type dumpedCard struct {
	ID         int64  `json:"id"`
	Title      string `json:"title"`
	StageID    string `json:"stageId"`
	AssignedBy int64  `json:"assignedById"`
	ContactID  int64  `json:"contactId"`
	Notes      string `json:"UF_CRM_41_1737980095947"`
}

func (p *figurePortal) dump(tb testing.TB, web *http.Client) *dump {
	tb.Helper()
	d := new(dump)
	p.control(tb, web, "dump", d)
	return d
}

// control asks the sandbox for what stands outside of REST.
func (p *figurePortal) control(tb testing.TB, web *http.Client, what string, into any) {
	tb.Helper()
	base, _, _ := strings.Cut(p.url, "/rest/")
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, base+"/_sandbox/"+what, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := web.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		tb.Fatal(err)
	}
}
