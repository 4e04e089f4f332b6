package proof_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/proof"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// at is a moment, in seconds after another.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// asking is a request that was let in and answered a second later.
func asking(number int, seconds float64, commands ...sandbox.Command) sandbox.Request {
	return sandbox.Request{
		Number: number, Arrived: at(seconds), Ended: at(seconds + 1), Method: "batch", Commands: commands,
		LetIn: true, Answered: sandbox.AnsweredFully, Status: http.StatusOK,
	}
}

func add(keys ...string) sandbox.Command {
	return sandbox.Command{Method: "crm.item.batchimport", EntityTypeID: 3, Keys: keys, Done: true}
}

func find(keys ...string) sandbox.Command {
	return sandbox.Command{Method: "crm.item.list", EntityTypeID: 3, Keys: keys, Done: true}
}

func effect(kind string, request int, id int64, key string, seconds float64) sandbox.Effect {
	return sandbox.Effect{Kind: kind, EntityTypeID: 3, ID: id, Key: key, Request: request, At: at(seconds)}
}

// made is a change that made the item of a key.
func made(seq, id int64, key string, attempt int, sent float64) proof.Change {
	return proof.Change{
		Seq: seq, Step: "client", Kind: engine.KindCreate, Entity: "contact", TypeID: 3, ID: id, Key: key,
		State: engine.StateDone, Attempt: attempt, SentAt: at(sent).UnixMilli(),
	}
}

// journalOf is a journal of one run.
func journalOf(taken float64, changes ...proof.Change) proof.Journal {
	r := proof.Run{
		Header: &engine.Header{Steps: []engine.StepSummary{{ID: "client", Verb: "import", Entity: "contact"}}},
		Result: engine.Result{Run: "r1", Status: engine.StatusRunning}, Changes: changes,
	}
	return proof.Journal{Taken: at(taken), Runs: []proof.Run{r}}
}

// sound is the story of three items. The first is made at once. The second's
// answer is lost, and it wasn't made: a look-up too early finds nothing, one past
// the fence neither, and it is sent again. The third is changed afterwards. The
// program dies twice.
func sound() *proof.Evidence {
	lost := asking(2, 10, add("b", "c"))
	lost.Answered, lost.Status, lost.LetIn, lost.Ended = sandbox.AnsweredDropped, 0, false, at(10)
	busy := asking(5, 90, add("b", "c"))
	busy.Answered, busy.Status, busy.LetIn, busy.Error = sandbox.AnsweredRefused, http.StatusServiceUnavailable, false, "QUERY_LIMIT_EXCEEDED"
	change := sandbox.Command{Method: "crm.item.update", EntityTypeID: 3, ID: 9, Done: true}

	begun := journalOf(20, made(1, 7, "a", 1, 1), made(2, 0, "b", 1, 10), made(3, 0, "c", 1, 10), made(4, 0, "", 0, -1))
	open := begun.Runs[0].Changes
	open[1].State, open[2].State = engine.StateSent, engine.StateUnknown
	over := journalOf(200, made(1, 7, "a", 1, 1), made(2, 8, "b", 3, 91), made(3, 9, "c", 3, 91), made(4, 9, "", 1, 100))
	for _, j := range []*proof.Journal{&begun, &over} {
		c := &j.Runs[0].Changes[3]
		c.Kind = engine.KindUpdate
		if c.Attempt == 0 {
			c.State, c.SentAt = engine.StatePlanned, 0
		}
	}
	steps := []engine.StepResult{{ID: "client", Verb: "import", Entity: "contact", Created: 3, Updated: 1}}
	over.Runs[0].Result = engine.Result{Run: "r1", Status: engine.StatusSucceeded, Steps: steps}
	return &proof.Evidence{
		Requests: []sandbox.Request{
			asking(1, 1, add("a")), lost, asking(3, 12, find("b", "c")), asking(4, 86, find("b", "c")), busy,
			asking(6, 91, add("b", "c")), asking(7, 100, change),
		},
		Effects: []sandbox.Effect{
			effect(sandbox.EffectCreate, 1, 7, "a", 1.5), effect(sandbox.EffectCreate, 6, 8, "b", 91.5),
			effect(sandbox.EffectCreate, 6, 9, "c", 91.5), effect(sandbox.EffectUpdate, 7, 9, "c", 100.5),
		},
		Items:    []proof.Item{{"contact", 7, "a"}, {"contact", 8, "b"}, {"contact", 9, "c"}},
		Journals: []proof.Journal{begun, over},
		Reports: []engine.Result{
			{Run: "r1", Status: engine.StatusInterrupted}, {Run: "r1", Status: engine.StatusSucceeded, Steps: slices.Clone(steps)},
		},
		Fence: 75 * time.Second,
	}
}

// TestCheck_bites bends a sound story in every way that matters, and sees that
// the rule that it breaks is named.
func TestCheck_bites(t *testing.T) {
	t.Parallel()
	changes := func(e *proof.Evidence, journal int) []proof.Change { return e.Journals[journal].Runs[0].Changes }
	tests := map[string]struct {
		bend func(e *proof.Evidence)
		want string // the rules that are broken
	}{
		"sound": {func(*proof.Evidence) {}, ""},
		"no journal at all": {
			func(e *proof.Evidence) { e.Journals = nil }, proof.RuleIntent,
		},
		"a create that no journal knows": {
			func(e *proof.Evidence) { e.Requests = append(e.Requests, asking(8, 110, add("d"))) }, proof.RuleIntent,
		},
		"a create that the journal didn't know when the program died": {
			func(e *proof.Evidence) {
				c := &changes(e, 0)[0]
				c.State, c.ID, c.Attempt, c.SentAt = engine.StatePlanned, 0, 0, 0
			}, proof.RuleIntent,
		},
		"a create that left before its intent": {
			func(e *proof.Evidence) {
				changes(e, 0)[0].SentAt, changes(e, 1)[0].SentAt = at(1.1).UnixMilli(), at(1.1).UnixMilli()
			}, proof.RuleIntent,
		},
		"a create that was sent again without being intended again": {
			func(e *proof.Evidence) { changes(e, 1)[1].Attempt = 2 }, proof.RuleIntent,
		},
		"an update that was not intended": {
			func(e *proof.Evidence) { e.Requests[6].Commands[0].ID = 8 }, proof.RuleIntent,
		},
		"an update that left before its intent": {
			func(e *proof.Evidence) { changes(e, 1)[3].SentAt = at(100.1).UnixMilli() }, proof.RuleIntent,
		},
		"sent again without a look-up past the fence": {
			func(e *proof.Evidence) { e.Requests[3].Arrived = at(60) }, proof.RuleLookup,
		},
		"sent again after a look-up that was not answered": {
			func(e *proof.Evidence) { e.Requests[3].Answered = sandbox.AnsweredDropped }, proof.RuleLookup,
		},
		"sent again after a look-up that failed": {
			func(e *proof.Evidence) { e.Requests[3].Commands[0].Done = false }, proof.RuleLookup,
		},
		"sent again after a look-up of other keys": {
			func(e *proof.Evidence) { e.Requests[3].Commands[0].Keys = []string{"b", "z"} }, proof.RuleLookup,
		},
		"sent again after the whole table was read": {
			func(e *proof.Evidence) {
				e.Requests[3].Commands[0] = sandbox.Command{Method: "crm.item.list", EntityTypeID: 3, Whole: true, Done: true}
			}, "",
		},
		"sent again after the whole of another table was read": {
			func(e *proof.Evidence) {
				e.Requests[3].Commands[0] = sandbox.Command{Method: "crm.item.list", EntityTypeID: 4, Whole: true, Done: true}
			}, proof.RuleLookup,
		},
		"sent again after a gateway's error": {
			func(e *proof.Evidence) {
				e.Requests[1].Answered, e.Requests[1].Status = sandbox.AnsweredRefused, http.StatusBadGateway
				e.Requests[3].Arrived = at(60)
			}, proof.RuleLookup,
		},
		"looked up while the portal was still at it": {
			func(e *proof.Evidence) { e.Requests[1].LetIn, e.Requests[1].Ended = true, at(87) }, proof.RuleLookup,
		},
		"sent again while the portal was still at it": {
			func(e *proof.Evidence) { e.Requests[1].LetIn, e.Requests[1].Ended = true, at(91.5) },
			proof.RuleInFlight + " " + proof.RuleLookup,
		},
		"sent again though it was made": {
			func(e *proof.Evidence) {
				e.Effects = append([]sandbox.Effect{effect(sandbox.EffectCreate, 2, 6, "b", 10.5)}, e.Effects...)
				e.Items = append(e.Items, proof.Item{Entity: "contact", ID: 6, Key: "b"})
			}, proof.RuleLookup + " " + proof.RuleLost + " " + proof.RuleTwice,
		},
		"made again after it was deleted": {
			func(e *proof.Evidence) {
				e.Effects = append(e.Effects, effect(sandbox.EffectDelete, 8, 7, "a", 110.5), effect(sandbox.EffectCreate, 9, 10, "a", 120.5))
				e.Requests = append(e.Requests, asking(8, 110, sandbox.Command{Method: "crm.item.delete", EntityTypeID: 3, ID: 7}), asking(9, 120, add("a")))
				gone := made(5, 7, "", 1, 110)
				gone.Kind = engine.KindDelete
				e.Journals[0].Runs[0].Changes = append(changes(e, 0), proof.Change{Seq: 5, Kind: engine.KindDelete, TypeID: 3, ID: 7, State: engine.StatePlanned})
				e.Journals[0].Runs[0].Changes = append(changes(e, 0), proof.Change{Seq: 6, Kind: engine.KindCreate, TypeID: 3, Key: "a", State: engine.StatePlanned})
				again := made(6, 10, "a", 1, 120)
				gone.Step, again.Step = "", ""
				e.Journals[1].Runs[0].Changes = append(changes(e, 1), gone, again)
				e.Items[0].ID = 10
			}, "",
		},
		"two items with one key in the end": {
			func(e *proof.Evidence) { e.Items = append(e.Items, proof.Item{Entity: "contact", ID: 70, Key: "c"}) },
			proof.RuleLost + " " + proof.RuleTwice,
		},
		"an item that the journal says is made and the portal lacks": {
			func(e *proof.Evidence) { e.Items = e.Items[1:] }, proof.RuleLost,
		},
		"an item that the journal takes for another": {
			func(e *proof.Evidence) { changes(e, 1)[1].ID = 70 }, proof.RuleLost,
		},
		"an item that the journal takes for failed": {
			func(e *proof.Evidence) { changes(e, 1)[1].State, changes(e, 1)[1].ID = engine.StateFailed, 0 },
			proof.RuleLost + " " + proof.RuleReport,
		},
		"a record that counts other than its changes": {
			func(e *proof.Evidence) { e.Journals[1].Runs[0].Result.Steps[0].Created = 2 }, proof.RuleReport,
		},
		"a report that counts other than the journal": {
			func(e *proof.Evidence) { e.Reports[1].Steps[0].Skipped = 1 }, proof.RuleReport,
		},
		"a run that is over with a change that is not": {
			func(e *proof.Evidence) { changes(e, 1)[3].State = engine.StateSent }, proof.RuleReport,
		},
		"a report of another end": {
			func(e *proof.Evidence) { e.Reports[1].Status = engine.StatusPartial }, proof.RuleReport,
		},
		"a state that is final and changes": {
			func(e *proof.Evidence) { changes(e, 0)[1].State = engine.StateSkipped }, proof.RuleArrows,
		},
		"done without being sent": {
			func(e *proof.Evidence) { changes(e, 0)[3].Attempt, changes(e, 0)[3].SentAt = 1, at(100).UnixMilli() }, proof.RuleArrows,
		},
		"an attempt that is forgotten": {
			func(e *proof.Evidence) { changes(e, 0)[1].Attempt = 4 }, proof.RuleArrows,
		},
		"another item than before": {
			func(e *proof.Evidence) { changes(e, 0)[0].ID = 70 }, proof.RuleArrows,
		},
		"a change that is gone": {
			func(e *proof.Evidence) { e.Journals[0].Runs[0].Changes = append(changes(e, 0), made(5, 0, "e", 0, 0)) }, proof.RuleArrows,
		},
		"a run that is gone": {
			func(e *proof.Evidence) { e.Journals[0].Runs[0].Result.Run = "r0" }, proof.RuleArrows,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := sound()
			tt.bend(e)
			findings := e.Check()
			var rules []string
			for _, f := range findings {
				rules = append(rules, f.Rule)
			}
			slices.Sort(rules)
			if got := strings.Join(slices.Compact(rules), " "); got != tt.want {
				t.Errorf("got %q, want %q: %v", got, tt.want, findings)
			}
		})
	}
}
