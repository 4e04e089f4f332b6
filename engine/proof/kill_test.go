package proof_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

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
	planned int // how many of the kills aim at the planning
}

// TestKill kills the real program at random moments while it plans and applies
// an onboarding on a portal that fails in many ways, and lets it go on each
// time. In the end nothing is there twice, nothing is missing, and the portal is
// as if nothing had happened.
func TestKill(t *testing.T) {
	t.Parallel()
	k := killings{kills: 200, rows: 10_000, planned: 12}
	if long() {
		k = killings{kills: 2000, rows: 10_000, planned: 100}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	calm := newWorld(t, worldOptions{request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows)})
	calm.finish()
	calm.judge("onboarding, undisturbed")
	calls := calm.portal.Stats().ByMethod
	want := contents(t, calm.portal)

	var faults []string
	for _, f := range []string{"drop-after:p=0.03", "drop-before:p=0.03", "limit-503:p=0.05", "truncate:p=0.02", "html-502:p=0.02"} {
		faults = append(faults, fmt.Sprintf("%s,seed=%d", f, random.Uint64()))
	}
	h := hunt{
		world: newWorld(t, worldOptions{
			sandbox: sandbox.Options{Faults: faults}, request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows),
		}),
		killings: k, random: random, window: time.Second, writes: writes(calls),
	}
	h.kill()
	h.finish()
	h.judge("kill -9 at random moments")
	for _, d := range differences(want, contents(t, h.portal)) {
		t.Errorf("the portal is not as without kills: %s", d)
	}
	t.Logf("%d kills, %d of them after the end, %d processes, %d faults, %d requests, %d without kills",
		h.world.kills, h.late, h.lives, h.portal.Stats().Faults, len(h.evidence.Requests), len(calm.evidence.Requests))
}

func writes(calls map[string]sandbox.MethodStats) int {
	return calls["crm.item.add"].Calls + calls["crm.item.update"].Calls
}

// hunt kills processes of one world.
type hunt struct {
	*world
	killings

	random *rand.Rand
	window time.Duration // how long a process that applies may live at most
	writes int           // how many the job takes
	over   bool          // the job is done: it is begun again, and killed
	late   int           // how many kills came after that
}

// kill kills as many processes as it should.
func (h *hunt) kill() {
	h.t.Helper()
	every := max(1, h.killings.kills/6)
	for h.world.kills < h.killings.kills {
		args, window := resume, h.window
		if h.over || h.world.kills < h.planned {
			args, window = run, 3*time.Second
		}
		killed := h.live(args, time.Duration(h.random.Int64N(int64(window))))
		if killed && h.world.kills%every == 0 {
			h.note()
		}
		h.pace()
	}
}

// pace lets processes live shorter when the job is nearer to its end than the
// killing, and longer when it is not.
func (h *hunt) pace() {
	done := float64(writes(h.portal.Stats().ByMethod)) / float64(h.writes)
	if done > 0.95*float64(h.world.kills)/float64(h.killings.kills) {
		h.window = max(h.window*4/5, 20*time.Millisecond)
	} else {
		h.window = min(h.window*6/5, 5*time.Second)
	}
}

// live begins a process and kills it after a while, unless it ended before: with
// nothing to resume, because the portal failed too often, or since all is done.
func (h *hunt) live(args []string, while time.Duration) (killed bool) {
	h.t.Helper()
	l := h.start(programShips, nil, args...)
	timer := time.AfterFunc(while, func() { _ = l.Process.Kill() }) // it may have ended by itself
	code, result := h.end(l)
	timer.Stop()
	switch {
	case l.killed():
		h.world.kills++
		if h.over {
			h.late++
		}
		return true
	case code == exitUsage && strings.Contains(l.stderr.String(), "nothing to resume"):
		return h.live(run, while)
	case code == 0 && result != nil:
		h.over = true
	case code != exitUnfinished:
		h.t.Fatalf("exit %d of %s", code, l.tells())
	}
	return false
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
