//go:build unix

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/report"
)

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

// engineAlone prints what the engine does where no limit holds it back.
func engineAlone(t *testing.T, short bool) {
	t.Helper()
	times, rows := "5", 50_000
	if short {
		times, rows = "2", 5000
	}
	c := exec.CommandContext(t.Context(), "go", "test", "./engine", "-run", "^$", "-bench", "^Benchmark(Plan|Apply)$", "-benchtime", "1x", "-count", times)
	c.Dir = top
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, bench := range []struct{ name, target string }{{"Plan", "10000"}, {"Apply", "5000"}} {
		var rates []float64 // changes a second
		for _, m := range regexp.MustCompile(`(?m)^Benchmark`+bench.name+`\S*\s.*\s(\S+) changes/s`).FindAllStringSubmatch(string(out), -1) {
			rate, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			rates = append(rates, rate)
		}
		if len(rates) == 0 {
			t.Fatalf("no changes/s of %s in\n%s", bench.name, out)
		}
		figureRow(t, strings.ToLower(bench.name)+", no limits, journal durable",
			fmt.Sprintf("%.0f to %.0f changes/s", slices.Min(rates), slices.Max(rates)), "at least "+bench.target)
	}
	shown(t, rows)
	profile(t, rows/2)
}

// shown plans rows in this process, and prints how long it takes to show the
// plan.
func shown(t *testing.T, rows int) {
	t.Helper()
	dir := t.TempDir()
	writeFigureJob(t, dir, rows)
	portal := startPortal(t, dir, "--rate", "0")
	defer portal.stop()
	a := quietApp(t, dir)
	a.flags.portal, a.flags.limits, a.flags.state = portal.url, []string{"rate=0"}, dir
	a.progress, a.log = report.NewProgress(a.stdout, 0), slog.New(slog.DiscardHandler)
	a.progress.LogTo(a.log)
	j, err := journal.Scratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	job, err := a.loadJob(filepath.Join(dir, "figures.yaml"), false)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.planJob(t.Context(), j, job, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.plan.Header().Summary.Writes(); n != 2*rows {
		t.Errorf("the plan has %d changes, want %d", n, 2*rows)
	}
	for _, form := range []struct {
		name, format string
		rows         int
	}{{"its first 20", "text", 20}, {"all as text", "text", 0}, {"all as JSON", "json", 0}} {
		a.flags.format = form.format
		start := time.Now()
		if err := a.showPlan(t.Context(), p.view(form.rows)); err != nil {
			t.Fatal(err)
		}
		figureRow(t, fmt.Sprintf("a plan of %d changes shown, %s", 2*rows, form.name), fmt.Sprintf("%.2f s", time.Since(start).Seconds()), "1 s for 100000")
	}
}

// million plans a million rows in a program of its own and prints the most
// memory that it held at once.
func million(t *testing.T) {
	t.Helper()
	const rows = 1_000_000
	megabytes, took := planOf(t, rows)
	figureRow(t, fmt.Sprintf("memory of the plan of %d rows, at most", rows), fmt.Sprintf("%.0f MB", megabytes), "256 MB")
	figureRow(t, "its time", fmt.Sprintf("%.0f s", took.Seconds()), "")
}

// planOf plans rows against a portal without limits in a program of its own.
func planOf(tb testing.TB, rows int) (megabytes float64, took time.Duration) {
	tb.Helper()
	dir := tb.TempDir()
	writeFigureJob(tb, dir, rows)
	portal := startPortal(tb, dir, "--rate", "0")
	start := time.Now()
	c := exec.CommandContext(tb.Context(), "bxflow", "plan", "figures.yaml", "--rows", "1", "--portal", portal.url, "--limits", "rate=0")
	c.Dir, c.Env = dir, childEnv(dir)
	out, err := c.CombinedOutput()
	if err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	if want := fmt.Sprintf(`(?m)^  total +%d `, 2*rows); !regexp.MustCompile(want).Match(out) {
		tb.Fatalf("want %d changes, got:\n%s", 2*rows, out)
	}
	used, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		tb.Fatal("this system doesn't tell what a program used")
	}
	unit := 1024.0 // of Maxrss: kilobytes, but bytes on macOS
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(used.Maxrss) * unit / 1e6, time.Since(start)
}

// profile plans rows in this process and prints where the processor's time went,
// by the innermost package of ours on the stack; rest is the runtime and
// connections.
func profile(t *testing.T, rows int) {
	t.Helper()
	dir := t.TempDir()
	writeFigureJob(t, dir, rows)
	portal := startPortal(t, dir, "--rate", "0")
	defer portal.stop()
	file := filepath.Join(dir, "cpu.prof")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		t.Fatal(err)
	}
	code := quietApp(t, dir).execute(t.Context(), []string{"plan", filepath.Join(dir, "figures.yaml"), "--quiet", "--portal", portal.url, "--limits", "rate=0"})
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil || code != exitDone {
		t.Fatalf("plan: exit %d, %v", code, err)
	}
	spent := shares(t, file)
	areas := slices.SortedFunc(maps.Keys(spent), func(a, b string) int { return cmp.Compare(spent[b], spent[a]) })
	for i, area := range areas {
		areas[i] = fmt.Sprintf("%s %.0f%%", area, 100*spent[area])
	}
	figureRow(t, fmt.Sprintf("processor time of the plan of %d rows", rows), strings.Join(areas, ", "), "")
}

// quietApp is the program within this process, with its state in a folder.
func quietApp(tb testing.TB, dir string) *app {
	tb.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { null.Close() })
	a := newApp()
	a.stdin, a.stdout = null, null
	a.getenv = func(name string) (string, bool) { return filepath.Join(dir, "state"), name == "BXFLOW_STATE" }
	return a
}

// shares reads a profile: the share of each package in its samples.
func shares(tb testing.TB, profile string) map[string]float64 {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "tool", "pprof", "-traces", profile).Output()
	if err != nil {
		tb.Fatal(err)
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
			tb.Fatal(err)
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
func writeFigureJob(tb testing.TB, dir string, rows int) {
	tb.Helper()
	writeFile(tb, filepath.Join(dir, "figures.yaml"), figureJob)
	f, err := os.Create(filepath.Join(dir, "rows.csv"))
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "cpf;nome;celular;email")
	for i := range rows {
		fmt.Fprintf(w, "%011d;Cliente %d;(11) 9%08d;Cliente.%d@Example.com\n", 50_000_000_000+i, i, 80_000_000+i, i)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}
