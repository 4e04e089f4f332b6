package proof_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// onboarding makes a contact and a card linked to it for each row, changes some
// cards and moves some.
const onboarding = `  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields:
      CPF: ${{ row.cpf }}
      name: ${{ row.nome }}
      email: ${{ lower(row.email) }}
  - create: Onboarding
    id: card
    category: Clients
    stage: New
    fields:
      title: Onboarding of ${{ row.nome }}
      contactId: ${{ client.id }}
  - update: card
    when: row.plano == "gold"
    set: {Priority: High}
  - move: card
    when: row.pago == "sim"
    to: In progress
`

// onboardingRows are rows for it.
func onboardingRows(n int) string {
	var b strings.Builder
	b.WriteString("cpf;nome;email;plano;pago\n")
	for i := range n {
		plan, paid := "", ""
		if i%5 == 0 {
			plan = "gold"
		}
		if i%3 == 0 {
			paid = "sim"
		}
		fmt.Fprintf(&b, "%011d;Cliente %d;Cliente.%d@Example.com;%s;%s\n", 60_000_000_000+i, i, i, plan, paid)
	}
	return b.String()
}

// killings are the numbers of one form of the test.
type killings struct {
	kills   int
	rows    int
	planned int // how many processes are killed while they plan
}

// TestKill kills the real program at random moments while it plans and applies
// an onboarding on a portal that fails in many ways, and lets it go on each
// time. In the end nothing is there twice, nothing is missing, and the portal is
// as if nothing had happened.
func TestKill(t *testing.T) {
	t.Parallel()
	k := killings{kills: 200, rows: 10_000, planned: 10}
	switch {
	case long():
		k = killings{kills: 2000, rows: 10_000, planned: 100}
	case testing.Short():
		k = killings{kills: 10, rows: 500, planned: 2}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	calm := newWorld(t, worldOptions{request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows)})
	calm.finish()
	calm.judge("onboarding, undisturbed")
	wrote := calm.firstWrite()
	want := contents(t, calm.portal)

	var faults []string
	for _, f := range []string{"drop-after:p=0.03", "drop-before:p=0.03", "limit-503:p=0.05", "truncate:p=0.02", "html-502:p=0.02"} {
		faults = append(faults, fmt.Sprintf("%s,seed=%d", f, random.Uint64()))
	}
	h := hunt{
		world: newWorld(t, worldOptions{
			sandbox: sandbox.Options{Faults: faults}, request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows),
		}),
		killings: k, random: random, window: time.Second, writes: calm.writes(), planning: wrote, began: time.Now(),
	}
	h.kill()
	t.Logf("killing took %s", time.Since(h.began))
	h.finish()
	t.Logf("and finishing %s", time.Since(h.began))
	h.judge("kill -9 at random moments")
	for _, d := range differences(want, contents(t, h.portal)) {
		t.Errorf("the portal is not as without kills: %s", d)
	}
	t.Logf("%d kills, %d of them after the end, %d processes, %d faults, %d requests, %d without kills",
		h.world.kills, h.late, h.lives, h.portal.Stats().Faults, len(h.evidence.Requests), len(calm.evidence.Requests))
}

// writes counts what the portal was asked to write.
func (w *world) writes() int {
	calls := w.portal.Stats().ByMethod
	return calls["crm.item.add"].Calls + calls["crm.item.update"].Calls
}

// firstWrite is how long the portal was only asked to read.
func (w *world) firstWrite() time.Duration {
	w.t.Helper()
	for _, r := range w.evidence.Requests {
		for _, c := range r.Commands {
			if c.Method == "crm.item.add" {
				return r.Arrived.Sub(w.evidence.Requests[0].Arrived)
			}
		}
	}
	w.t.Fatal("nothing was written")
	return 0
}

// hunt kills processes of one world.
type hunt struct {
	*world
	killings

	random   *rand.Rand
	planning time.Duration // how long the job is planned
	window   time.Duration // how long a process that resumes may live at most
	writes   int           // how many the job takes
	runs     int           // how many were begun
	over     bool          // the job is done: it is begun again, and killed
	late     int           // how many kills came after that
	began    time.Time
}

// kill kills as many processes as it should. A run that was begun is resumed
// before another one begins.
func (h *hunt) kill() {
	h.t.Helper()
	every := max(1, h.killings.kills/6)
	for begin := true; h.world.kills < h.killings.kills; h.pace() {
		window := h.window
		if begin {
			h.runs++
			window = h.planning
		}
		before := h.world.kills
		begin = h.live(begin, time.Duration(h.random.Int64N(int64(window))))
		if n := h.world.kills; n > before && n%every == 0 {
			h.note()
			h.t.Logf("%d kills after %s, %s of processor time: %d of %d writes, processes live up to %s, %d faults",
				n, time.Since(h.began).Round(time.Second), h.cpu.Round(time.Second), h.world.writes(), h.writes, h.window, h.portal.Stats().Faults)
		}
	}
}

// pace lets processes live shorter when the job is nearer to its end than the
// killing, and longer when it is not.
func (h *hunt) pace() {
	if h.world.writes() == 0 {
		return
	}
	done := float64(h.world.writes()) / float64(h.writes)
	if done > 0.95*float64(h.world.kills)/float64(h.killings.kills) {
		h.window = max(h.window*4/5, 20*time.Millisecond)
	} else {
		h.window = min(h.window*6/5, 5*time.Second)
	}
}

// live lets a process begin the job, or resume it, and kills it after a while;
// unless it ended before, since all is done. Of those that begin the job, the first ones are killed while they plan,
// and the others so long after the first write. The result says whether there is
// nothing to resume.
func (h *hunt) live(begin bool, while time.Duration) (nothing bool) {
	h.t.Helper()
	args := resume
	if begin {
		args = run
	}
	l := h.start(programShips, nil, args...)
	ended := make(chan struct{})
	var killer conc.WaitGroup
	killer.Go(func() {
		for begin && h.runs > h.planned && h.world.writes() == 0 {
			if !pause(ended, 5*time.Millisecond) {
				return
			}
		}
		if pause(ended, while) {
			_ = l.Process.Kill() // it may just have ended by itself
		}
	})
	code, result := h.end(l)
	close(ended)
	killer.Wait()
	switch {
	case l.killed():
		h.world.kills++
		if h.over {
			h.late++
		}
		return false
	case code == 0 && result != nil:
		h.over = true
		return true
	case code == exitUsage && strings.Contains(l.stderr.String(), "nothing to resume"):
		return true
	}
	h.t.Fatalf("exit %d of %s", code, l.tells())
	return false
}

// pause waits for a while; false when something ends before.
func pause(ended <-chan struct{}, while time.Duration) bool {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ended:
		return false
	}
}

// differences are the lines that one text has and the other lacks, the first
// ones of them.
func differences(want, got string) []string {
	var out []string
	count := map[string]int{}
	for line := range strings.Lines(want) {
		count[line]++
	}
	for line := range strings.Lines(got) {
		count[line]--
	}
	for line, n := range count {
		switch {
		case n > 0:
			out = append(out, "lacks "+line)
		case n < 0:
			out = append(out, "has "+line)
		}
		if len(out) == 10 {
			break
		}
	}
	return out
}
