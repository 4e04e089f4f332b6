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
	k := killings{kills: 200, rows: 10_000, planned: 16}
	if long() {
		k = killings{kills: 2000, rows: 10_000, planned: 100}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	calm := newWorld(t, worldOptions{request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows)})
	calm.finish()
	calm.judge("onboarding undisturbed")
	want := contents(t, calm.portal)
	for done := 0; done < k.kills; {
		w := newWorld(t, worldOptions{
			sandbox: sandbox.Options{Faults: []string{
				fmt.Sprintf("drop-after:p=0.03,seed=%d", random.Uint64()>>1), fmt.Sprintf("drop-before:p=0.03,seed=%d", random.Uint64()>>1),
				fmt.Sprintf("limit-503:p=0.05,seed=%d", random.Uint64()>>1), fmt.Sprintf("truncate:p=0.02,seed=%d", random.Uint64()>>1),
				fmt.Sprintf("html-502:p=0.02,seed=%d", random.Uint64()>>1),
			}},
			request: 2 * time.Second, job: onboarding, rows: onboardingRows(k.rows),
		})
		h := hunt{world: w, random: random, killings: k, window: 500 * time.Millisecond}
		h.killings.kills -= done
		h.kill()
		w.finish()
		w.judge("kill -9 at random moments")
		for _, d := range differences(want, contents(t, w.portal)) {
			t.Errorf("the portal is not as without kills: %s", d)
		}
		done += w.kills
		t.Logf("%d kills, %d processes, %d faults, %d requests, %d journals read", w.kills, w.lives, w.portal.Stats().Faults, len(w.evidence.Requests), len(w.evidence.Journals))
		if w.kills == 0 {
			t.Fatal("nothing was killed")
		}
	}
}

// hunt kills processes of one world.
type hunt struct {
	*world
	killings

	random *rand.Rand
	window time.Duration // how long a process that applies may live at most
}

// kill kills as many processes as it should, or until the job is done.
func (h *hunt) kill() {
	h.t.Helper()
	for every := max(1, h.killings.kills/6); h.world.kills < h.killings.kills; {
		args, lives := resume, h.window
		if h.world.kills < h.planned {
			args, lives = run, 3*time.Second
		}
		killed, over := h.live(args, time.Duration(h.random.Int64N(int64(lives))))
		if over {
			return
		}
		if killed && h.world.kills%every == 0 {
			h.note()
		}
		h.pace()
	}
}

// pace lets processes live shorter when the job is nearer to its end than the
// test, and longer when it is not.
func (h *hunt) pace() {
	writes := h.portal.Stats().ByMethod
	done := float64(writes["crm.item.add"].Calls+writes["crm.item.update"].Calls) / (2.53 * float64(h.rows))
	if done > float64(h.world.kills)/float64(h.killings.kills) {
		h.window = max(h.window*9/10, 20*time.Millisecond)
	} else {
		h.window = min(h.window*11/10, 5*time.Second)
	}
}

// live begins a process and kills it after a while, unless it ended before: with
// nothing to resume, or because the portal failed too often, or since all is
// done.
func (h *hunt) live(args []string, while time.Duration) (killed, over bool) {
	h.t.Helper()
	l := h.start(programShips, nil, args...)
	timer := time.AfterFunc(while, func() { _ = l.Process.Kill() }) // it may have ended by itself
	code, result := h.end(l)
	timer.Stop()
	switch {
	case l.killed():
		h.world.kills++
		return true, false
	case code == exitUsage && strings.Contains(l.stderr.String(), "nothing to resume"):
		return h.live(run, while)
	case code == 0 && result != nil:
		return false, true
	case code != exitUnfinished:
		h.t.Fatalf("exit %d of %s", code, l.tells())
	}
	return false, false
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
