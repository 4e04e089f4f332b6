//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The figures of README.md:
//
//	go test ./cmd/bxflow -run '^$' -bench Figure -benchtime 1x
//
// Programs and portals are processes of their own and talk over loopback. What
// single parts cost is measured beside them: BenchmarkEval of
// engine/expression, BenchmarkReader_Next of steps/internal/table,
// BenchmarkPlan and BenchmarkApply of engine.

// figureJob matches contacts by CPF and makes a card for each.
const figureJob = `version: 1
name: figures
steps:
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields:
      CPF: ${{ digits(row.cpf) }}
      name: ${{ row.nome }}
      email: ${{ lower(row.email) }}
      phone: ${{ phone(row.celular, "BR") }}
  - create: Onboarding
    category: Clients
    fields:
      title: Onboarding of ${{ row.nome }}
      contactId: ${{ client.id }}
`

// BenchmarkFigureOnboarding imports 5,000 contacts that the portal lacks, with a
// card each, at 20 requests a second; then it does so again. The ideal time is
// what the portal's bucket alone demands of so many requests.
func BenchmarkFigureOnboarding(b *testing.B) {
	const rate, burst, rows = 20, 50, 5000
	for b.Loop() {
		dir := b.TempDir()
		writeFigureJob(b, dir, rows)
		portal := startPortal(b, dir, "--rate", strconv.Itoa(rate), "--burst", strconv.Itoa(burst))
		args := []string{
			"run", "figures.yaml", "--yes", "--format", "json",
			"--portal", portal.url, "--limits", fmt.Sprintf("rate=%d,burst=%d", rate, burst),
		}
		start := time.Now()
		if n := written(b, bxflow(b, dir, exitDone, args...)); n != 2*rows {
			b.Fatalf("the run wrote %d changes, want %d", n, 2*rows)
		}
		seconds, first := time.Since(start).Seconds(), portal.stats(b)
		again := written(b, bxflow(b, dir, exitDone, args...))
		second := portal.stats(b)

		ideal := float64(first.Requests-burst) / rate
		b.ReportMetric(float64(first.Requests), "requests")
		b.ReportMetric(seconds, "s")
		b.ReportMetric(ideal, "s-ideal")
		b.ReportMetric(seconds/ideal, "of-ideal")
		b.ReportMetric(float64(second.Rejected), "rejected")
		b.ReportMetric(float64(second.Requests-first.Requests), "requests-again")
		b.ReportMetric(float64(again), "written-again")
	}
}

// BenchmarkFigurePlanMemory plans 20,000 and 200,000 rows. The memory is the
// most that the program held at once.
func BenchmarkFigurePlanMemory(b *testing.B) {
	for b.Loop() {
		small, _ := planOf(b, 20_000)
		large, took := planOf(b, 200_000)
		b.ReportMetric(small, "MB-of-20000")
		b.ReportMetric(large, "MB-of-200000")
		b.ReportMetric(large/small, "ratio")
		b.ReportMetric(took.Seconds(), "s-of-200000")
	}
}

// planOf plans rows against a portal without limits in a program of its own.
func planOf(b *testing.B, rows int) (megabytes float64, took time.Duration) {
	b.Helper()
	dir := b.TempDir()
	writeFigureJob(b, dir, rows)
	portal := startPortal(b, dir, "--rate", "0")
	start := time.Now()
	c := exec.CommandContext(b.Context(), "bxflow", "plan", "figures.yaml", "--rows", "1", "--portal", portal.url, "--limits", "rate=0")
	c.Dir, c.Env = dir, childEnv(dir)
	out, err := c.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if want := fmt.Sprintf(`(?m)^  total +%d `, 2*rows); !regexp.MustCompile(want).Match(out) {
		b.Fatalf("want %d changes, got:\n%s", 2*rows, out)
	}
	used, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("this system doesn't tell what a program used")
	}
	unit := 1024.0 // of Maxrss: kilobytes, but bytes on macOS
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(used.Maxrss) * unit / 1e6, time.Since(start)
}

// BenchmarkFigureProfile plans 20,000 rows and says where the processor's time
// went, in percent, by the innermost package of ours on the stack; rest is the
// runtime and connections.
func BenchmarkFigureProfile(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		writeFigureJob(b, dir, 20_000)
		portal := startPortal(b, dir, "--rate", "0")
		profile := filepath.Join(dir, "cpu.prof")
		f, err := os.Create(profile)
		if err != nil {
			b.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			b.Fatal(err)
		}
		a := quietApp(b, dir)
		code := a.execute(b.Context(), []string{"plan", filepath.Join(dir, "figures.yaml"), "--portal", portal.url, "--limits", "rate=0"})
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil || code != exitDone {
			b.Fatalf("plan: exit %d, %v", code, err)
		}
		for area, share := range shares(b, profile) {
			b.ReportMetric(100*share, "%-"+area)
		}
	}
}

// quietApp is the program within this process, with its state in a folder.
func quietApp(b *testing.B, dir string) *app {
	b.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { null.Close() })
	a := newApp()
	a.stdin, a.stdout = null, null
	a.getenv = func(name string) (string, bool) { return filepath.Join(dir, "state"), name == "BXFLOW_STATE" }
	return a
}

// shares reads a profile: the share of each package in its samples.
func shares(b *testing.B, profile string) map[string]float64 {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "go", "tool", "pprof", "-traces", profile).Output()
	if err != nil {
		b.Fatal(err)
	}
	ours := regexp.MustCompile(`github\.com/bxflow/bxflow/(?:engine/|steps/internal/|cmd/)?(\w+)`)
	spent, total := map[string]float64{}, 0.0
	for stack := range strings.SplitSeq(string(out), "-----------+") {
		m := regexp.MustCompile(`(?m)^ +([\d.]+m?s) +\S`).FindStringSubmatch(stack)
		if m == nil {
			continue
		}
		d, err := time.ParseDuration(m[1])
		if err != nil {
			b.Fatal(err)
		}
		area := "rest"
		if name := ours.FindStringSubmatch(stack); name != nil {
			area = name[1]
		}
		spent[area] += d.Seconds()
		total += d.Seconds()
	}
	for area := range spent {
		spent[area] /= total
	}
	return spent
}

// writeFigureJob writes the job and its rows.
func writeFigureJob(b *testing.B, dir string, rows int) {
	b.Helper()
	writeFile(b, filepath.Join(dir, "figures.yaml"), figureJob)
	f, err := os.Create(filepath.Join(dir, "rows.csv"))
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "cpf;nome;celular;email")
	for i := range rows {
		fmt.Fprintf(w, "%011d;Cliente %d;(11) 9%08d;Cliente.%d@Example.com\n", 50_000_000_000+i, i, 80_000_000+i, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// figurePortal is a sandbox in a process of its own.
type figurePortal struct{ url string }

// startPortal serves a sandbox until the benchmark ends.
func startPortal(b *testing.B, dir string, flags ...string) figurePortal {
	b.Helper()
	c := exec.CommandContext(b.Context(), "bxflow", append([]string{"sandbox"}, flags...)...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.Dir, c.Env, c.Stderr = dir, childEnv(dir), os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Wait() }) // by then the benchmark's context is done
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("sandbox: %v", err)
	}
	return figurePortal{url: strings.TrimSpace(line)}
}

// portalStats is what a sandbox tells of the requests that it got.
type portalStats struct {
	Requests int `json:"requests"`
	Rejected int `json:"rejected_bucket"`
}

// stats asks what the portal got so far.
func (p figurePortal) stats(b *testing.B) portalStats {
	b.Helper()
	base, _, _ := strings.Cut(p.url, "/rest/")
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, base+"/_sandbox/stats", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request) //nolint:forbidigo // a test's own portal
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	var s portalStats
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		b.Fatal(err)
	}
	return s
}
