//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// contention is a portal that several processes want to write to.
type contention struct {
	t   *testing.T
	dir string
	box *sandbox.Portal
	url string
	n   int // rows of the job
}

func newContention(t *testing.T, n int) *contention {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{History: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	t.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &contention{t: t, dir: t.TempDir(), box: box, url: server.URL + box.WebhookPath(), n: n}
	var rows strings.Builder
	rows.WriteString("n\n")
	for i := range n {
		fmt.Fprintf(&rows, "%d\n", i)
	}
	job := "version: 1\nname: many\nsteps:\n  - read: many.csv\n    key: n\n  - create: contact\n    fields: {name: \"${{ row.n }}\"}\n"
	for name, text := range map[string]string{"many.csv": rows.String(), "many.yaml": job} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// process is the program while it runs.
type process struct {
	*exec.Cmd
	c      *contention
	stdout lockedBuffer
	stderr lockedBuffer
	ended  chan struct{}
}

// lockedBuffer is written by a process while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts the program with a state folder.
func (c *contention) start(state string, args ...string) *process {
	c.t.Helper()
	p := &process{c: c, ended: make(chan struct{})}
	p.Cmd = exec.CommandContext(c.t.Context(), "bxflow", append(args, "--portal", c.url, "--state", state)...)
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, childEnv(c.dir), &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // the code tells all
	}()
	c.t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	return p
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = p.Process.Signal(s) // it may just have ended
	}
}

// end waits for the end of a process, its code and what it said.
func (p *process) end(code int) string {
	p.c.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(3 * time.Minute):
		p.c.t.Fatalf("%v does not end: %s", p.Args, p.stderr.String())
	}
	if got := p.ProcessState.ExitCode(); got != code {
		p.c.t.Fatalf("%v: exit %d, want %d: %s", p.Args, got, code, p.stderr.String())
	}
	return p.stderr.String()
}

// holder is a run that has written a part, and waits for the portal's limits to
// admit more for as long as any test takes.
func (c *contention) holder(state string) *process {
	c.t.Helper()
	p := c.start(state, "run", "many.yaml", "--yes", "--limits", "rate=0.001,burst=8,request=1s")
	c.until(p, "writes", func() bool { return len(c.box.History()) > 0 })
	return p
}

// until waits until something is so while a process runs.
func (c *contention) until(p *process, what string, so func() bool) {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(3 * time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-p.ended:
			c.t.Fatalf("%v ended before it %s: %s", p.Args, what, p.stderr.String())
		case <-deadline:
			c.t.Fatalf("%v never %s: %s", p.Args, what, p.stderr.String())
		}
	}
}

// once checks that each row was written once, whoever did it.
func (c *contention) once() {
	c.t.Helper()
	made := map[string]int{}
	for _, e := range c.box.History() {
		if e.Kind == sandbox.EffectCreate {
			made[e.Key]++
		}
	}
	for key, n := range made {
		if n != 1 {
			c.t.Errorf("%s was made %d times", key, n)
		}
	}
	if len(made) != c.n {
		c.t.Errorf("%d rows were made, want %d", len(made), c.n)
	}
}

// fast are the limits of a run that needs not hold the portal for long.
func fast(args ...string) []string { return append(args, "--yes", "--limits", "rate=0,request=1s") }

// While a run holds a portal, whoever else wants to write there is told who does,
// whatever its state folder and its webhook's user, and whoever only reads goes on.
func TestLease_liveHolder(t *testing.T) {
	t.Parallel()
	c := newContention(t, 900)
	holder := c.holder("a")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(fmt.Sprintf(`^bxflow: a run of many holds the portal since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \(process %d on %s\); wait for it with --wait\n$`,
		holder.Process.Pid, regexp.QuoteMeta(host)))
	refused := func(p *process) {
		t.Helper()
		if told := p.end(exitRefused); !want.MatchString(told) {
			t.Errorf("it is told %q, want %s", told, want)
		}
	}
	c.start("b", "plan", "many.yaml", "--out", "many.plan", "--limits", "rate=0").end(exitDone)
	all := func() {
		t.Helper()
		refused(c.start("a", fast("run", "many.yaml")...))
		refused(c.start("b", fast("run", "many.yaml")...))
		refused(c.start("b", fast("apply", "many.plan")...))
		refused(c.start("a", fast("resume")...))
	}
	all()
	as := &contention{t: t, dir: c.dir, box: c.box, url: strings.Replace(c.url, "/rest/1/", "/rest/2/", 1)}
	refused(as.start("b", fast("run", "many.yaml")...))

	for _, args := range [][]string{
		{"plan", "many.yaml", "--limits", "rate=0"},
		{"portal", "users"},
		{"runs"},
		{"show"},
	} {
		c.start("a", append(args, "--limits", "rate=0")...).end(exitDone)
	}

	// One that was stopped is not dead.
	holder.signal(syscall.SIGSTOP)
	before := len(c.box.History())
	all()
	<-time.After(time.Second)
	all()
	if after := len(c.box.History()); after != before {
		t.Errorf("%d things were written while the holder was stopped", after-before)
	}
	holder.signal(syscall.SIGCONT)
	all()
	holder.signal(syscall.SIGKILL)
	<-holder.ended
	c.start("a", fast("resume")...).end(exitDone)
	c.once()
}

// One that waits begins when the holder has ended, however it ends.
func TestLease_wait(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{"of the same state folder": "a", "of another": "b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContention(t, 900)
			holder := c.holder("a")
			waiter := c.start(state, fast("run", "many.yaml", "--wait")...)
			c.until(waiter, "waits", func() bool {
				return strings.Contains(waiter.stderr.String(), "another run holds the portal; waiting for it")
			})
			<-time.After(300 * time.Millisecond)
			select {
			case <-waiter.ended:
				t.Fatal("it did not wait")
			default:
			}
			before := c.created()
			holder.signal(syscall.SIGKILL)
			<-holder.ended
			waiter.end(exitDone)
			if c.created() == before {
				t.Error("the waiter wrote nothing")
			}
			c.once()
		})
	}
}

// created is how many items were made.
func (c *contention) created() int { return len(c.box.History()) }

// A holder that was killed holds nothing: the next run goes at once.
func TestLease_killedHolder(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{"of the same state folder": "a", "of another": "b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContention(t, 900)
			holder := c.holder("a")
			holder.signal(syscall.SIGKILL)
			<-holder.ended
			c.start(state, fast("run", "many.yaml")...).end(exitDone)
			c.once()
		})
	}
}

// A run that was killed under another state folder may have left requests under
// way: the next one waits until the portal must be done with them.
func TestLease_killedWithAnotherState(t *testing.T) {
	t.Parallel()
	c := newContention(t, 200)
	if err := c.box.SetFaults("late:method=crm.item.add,nth=1,delay=900ms"); err != nil {
		t.Fatal(err)
	}
	killed := c.start("a", fast("run", "many.yaml")...)
	c.until(killed, "loses an answer", func() bool { return c.box.Stats().Faults > 0 })
	killed.signal(syscall.SIGKILL)
	<-killed.ended
	if told := c.start("b", fast("run", "many.yaml")...).end(exitDone); !strings.Contains(told, "left requests under way") {
		t.Errorf("it says %q, want that it waits", told)
	}
	c.once()
}
