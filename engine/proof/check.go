package proof

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// The rules.
const (
	// RuleIntent: no write reaches the portal that the journal didn't intend
	// before.
	RuleIntent = "intent"
	// RuleLookup: what may have been made is not made again before a look-up
	// that found nothing, and that began when the portal had to be done with it.
	RuleLookup = "look-up"
	// RuleInFlight: the portal never works on two writes of one item at once.
	RuleInFlight = "in flight"
	// RuleTwice: no two items carry one key.
	RuleTwice = "twice"
	// RuleLost: the portal holds what the journal says was made, and the
	// journal knows of what was.
	RuleLost = "lost"
	// RuleReport: what was reported is what the journal says, and a run that
	// ended has done with all of its changes.
	RuleReport = "report"
	// RuleArrows: states move only along the arrows.
	RuleArrows = "arrows"
)

// Finding is a broken rule.
type Finding struct {
	Rule string
	Text string
}

// String says what was found.
func (f Finding) String() string { return f.Rule + ": " + f.Text }

// Check holds the evidence against the rules and returns what breaks them.
func (e *Evidence) Check() []Finding {
	c := &check{Evidence: e, sends: map[target][]send{}, gone: map[target][]time.Time{}}
	c.gather()
	c.intents()
	c.lookups()
	c.inFlight()
	c.twice()
	c.lost()
	c.reports()
	for i := range max(0, len(e.Journals)-1) {
		c.arrows(&e.Journals[i], &e.Journals[i+1])
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return cmp.Compare(a.Rule, b.Rule) })
	return c.findings
}

// check is one go through the evidence.
type check struct {
	*Evidence
	sends    map[target][]send      // in the order in which they came in
	gone     map[target][]time.Time // when items were deleted, by key and by id
	findings []Finding
}

// target is what a write is about: the item with a key that it makes, or the
// item with an id that it changes.
type target struct {
	typeID int64
	key    string
	id     int64
}

func (t target) String() string {
	if t.key != "" {
		return fmt.Sprintf("item %q of type %d", t.key, t.typeID)
	}
	return fmt.Sprintf("item %d of type %d", t.id, t.typeID)
}

// send is a command that writes, and its request.
type send struct {
	*sandbox.Request
	done bool      // it took effect
	over time.Time // when nothing could come of it any more; zero before
}

func (c *check) find(rule, format string, args ...any) {
	c.findings = append(c.findings, Finding{rule, fmt.Sprintf(format, args...)})
}

// gather finds the writes among the requests. A redirected one doesn't count:
// it goes on to where the portal is now without being intended again.
func (c *check) gather() {
	type effect struct {
		request int
		target
	}
	done := map[effect]time.Time{}
	for _, x := range c.Effects {
		t := target{typeID: int64(x.EntityTypeID), id: x.ID}
		switch x.Kind {
		case sandbox.EffectCreate:
			t.id, t.key = 0, x.Key
		case sandbox.EffectDelete:
			byKey := target{typeID: t.typeID, key: x.Key}
			c.gone[t], c.gone[byKey] = append(c.gone[t], x.At), append(c.gone[byKey], x.At)
		}
		done[effect{x.Request, t}] = x.At
	}
	for i := range c.Requests {
		r := &c.Requests[i]
		if r.Status == http.StatusFound {
			continue
		}
		for _, command := range r.Commands {
			for _, t := range targets(command) {
				s := send{Request: r, over: r.Ended}
				if at, ok := done[effect{r.Number, t}]; ok {
					s.done, s.over = true, at // the rest of its batch is of no concern
				}
				c.sends[t] = append(c.sends[t], s)
			}
		}
	}
	for _, sends := range c.sends {
		slices.SortStableFunc(sends, func(a, b send) int { return a.Arrived.Compare(b.Arrived) })
	}
}

// targets are what a command writes; none for one that only reads.
func targets(command sandbox.Command) []target {
	switch command.Method {
	case "crm.item.add", "crm.item.import", "crm.item.batchimport":
		out := make([]target, 0, len(command.Keys))
		for _, key := range command.Keys {
			out = append(out, target{typeID: command.EntityTypeID, key: key})
		}
		return out
	case "crm.item.update", "crm.item.delete", "crm.entity.mergebatch":
		return []target{{typeID: command.EntityTypeID, id: command.ID}}
	}
	return nil
}

// target is what a change writes; the second result is false where it writes
// nothing, or where the item is not known yet.
func (c *Change) target() (target, bool) {
	if c.Kind == engine.KindCreate {
		return target{typeID: int64(c.TypeID), key: c.Key}, true
	}
	return target{typeID: int64(c.TypeID), id: c.ID}, c.Kind.Writes() && c.ID != 0
}

// intended is what a journal says of one target.
type intended struct {
	attempts int
	last     int64 // when the last of them was, in Unix milliseconds
}

// intents counts, for each journal, the writes that had come in by then. Each
// had to be an attempt in the journal already; and before the moment of the last
// attempt, at most the others can have come in.
func (c *check) intents() {
	for _, j := range c.Journals {
		known := map[target]intended{}
		for _, r := range j.Runs {
			for i := range r.Changes {
				change := &r.Changes[i]
				if t, ok := change.target(); ok {
					known[t] = intended{known[t].attempts + change.Attempt, max(known[t].last, change.SentAt)}
				}
			}
		}
		for t, sends := range c.sends {
			k := known[t]
			early := 0
			for _, s := range sends {
				if s.Arrived.Before(time.UnixMilli(k.last)) {
					early++
				}
			}
			arrived := 0
			for _, s := range sends {
				if s.Arrived.Before(j.Taken) {
					arrived++
				}
			}
			switch {
			case arrived > k.attempts:
				c.find(RuleIntent, "%v was sent %d times until %s, and the journal knew of %d attempts", t, arrived, clock(j.Taken), k.attempts)
			case k.attempts > 0 && early > k.attempts-1:
				c.find(RuleIntent, "%v was sent %d times before the intent of %s, its attempt %d", t, early, clock(time.UnixMilli(k.last)), k.attempts)
			}
		}
	}
	if len(c.Journals) == 0 && len(c.sends) > 0 {
		c.find(RuleIntent, "%d items were written, and there is no journal", len(c.sends))
	}
}

// mayHaveRun says whether a client that got the answer, if any, can't know that
// the write was not done.
func (s send) mayHaveRun() bool {
	switch s.Answered {
	case sandbox.AnsweredRefused:
		return s.Status >= http.StatusInternalServerError && s.Error != "QUERY_LIMIT_EXCEEDED"
	case sandbox.AnsweredFully:
		return s.done || s.Status >= http.StatusInternalServerError
	}
	return true
}

// again is a write that may have been done, and the next one for its item.
type again struct {
	target
	first, second send
}

// lookups sees that an item is not asked for again while the first request for
// it may still make it. The fence has a quarter's margin over what the portal
// may take; here it is granted to the way to the portal.
func (c *check) lookups() {
	var repeats []again
	looked := map[string][]*sandbox.Request{} // the look-ups of those keys
	for t, sends := range c.sends {
		for i := 1; i < len(sends); i++ {
			a := again{t, sends[i-1], sends[i]}
			if t.key != "" && a.first.mayHaveRun() && !c.deleted(t, a.second.Arrived) {
				repeats = append(repeats, a)
				looked[t.key] = nil
			}
		}
	}
	whole := c.gatherLookups(looked)
	for _, a := range repeats {
		past := func(r *sandbox.Request) bool {
			return !r.Arrived.Before(a.first.Arrived.Add(c.Fence*4/5)) && !r.Arrived.Before(a.first.Ended) && r.Number < a.second.Number
		}
		switch {
		case a.first.done:
			c.find(RuleLookup, "%v was made by request %d and is asked for again by request %d", a.target, a.first.Number, a.second.Number)
		case a.first.Ended.IsZero() || !slices.ContainsFunc(looked[a.key], past) && !slices.ContainsFunc(whole[a.typeID], past):
			c.find(RuleLookup, "%v is asked for by request %d (%s) and again by request %d (%s), without a look-up past the fence between them",
				a.target, a.first.Number, clock(a.first.Arrived), a.second.Number, clock(a.second.Arrived))
		}
	}
}

// gatherLookups finds the answered look-ups of keys, and those of whole tables
// by their type.
func (c *check) gatherLookups(looked map[string][]*sandbox.Request) (whole map[int64][]*sandbox.Request) {
	whole = map[int64][]*sandbox.Request{}
	for i := range c.Requests {
		r := &c.Requests[i]
		for _, command := range r.Commands {
			if !command.Done || r.Answered != sandbox.AnsweredFully || command.Method != "crm.item.list" {
				continue
			}
			if command.Whole {
				whole[command.EntityTypeID] = append(whole[command.EntityTypeID], r)
			}
			for _, key := range command.Keys {
				if list, wanted := looked[key]; wanted {
					looked[key] = append(list, r)
				}
			}
		}
	}
	return whole
}

// deleted says whether an item was deleted until a moment.
func (c *check) deleted(t target, until time.Time) bool {
	return slices.ContainsFunc(c.gone[t], until.After)
}

// inFlight sees that of two writes of one item one is over before the other
// begins.
func (c *check) inFlight() {
	for t, sends := range c.sends {
		var before send
		for _, s := range sends {
			if !s.LetIn || before.Request != nil && before.Number == s.Number {
				continue
			}
			if before.Request != nil && (before.over.IsZero() || s.Arrived.Before(before.over)) {
				c.find(RuleInFlight, "%v: request %d came in at %s, and request %d was not over", t, s.Number, clock(s.Arrived), before.Number)
			}
			before = s
		}
	}
}

// twice counts the items of each key, at all times and in the end.
func (c *check) twice() {
	there := map[target]int{}
	for _, x := range c.Effects {
		if x.Key == "" {
			continue
		}
		t := target{typeID: int64(x.EntityTypeID), key: x.Key}
		switch x.Kind {
		case sandbox.EffectCreate:
			if there[t]++; there[t] > 1 {
				c.find(RuleTwice, "%v was made as item %d by request %d, and was there", t, x.ID, x.Request)
			}
		case sandbox.EffectDelete:
			there[t]--
		}
	}
	held := map[Item]int64{}
	for _, it := range c.Items {
		k := Item{Entity: it.Entity, Key: it.Key}
		if other, ok := held[k]; ok {
			c.find(RuleTwice, "%s %d and %d both carry the key %q", it.Entity, other, it.ID, it.Key)
		}
		held[k] = it.ID
	}
}

// lost compares what the last journal says was made with what the portal made
// and holds.
func (c *check) lost() {
	if len(c.Journals) == 0 {
		return
	}
	type made struct {
		target
		id int64
	}
	known := map[made]bool{}   // made, or found there, as the journal says
	doubt := map[target]bool{} // what it doesn't know yet
	holds := map[string]int64{}
	for _, it := range c.Items {
		holds[it.Key] = it.ID
	}
	for _, r := range c.Journals[len(c.Journals)-1].Runs {
		for i := range r.Changes {
			change := &r.Changes[i]
			t, _ := change.target()
			if change.Kind != engine.KindCreate || change.TypeID < 0 || change.TypeID == engine.TypeRequisite {
				continue // what stands beside items is compared with an undisturbed portal's
			}
			switch {
			case !change.State.Final():
				doubt[t] = true
			case change.ID != 0:
				known[made{t, change.ID}] = true
			}
			if change.State == engine.StateDone && holds[t.key] != change.ID && len(c.gone[target{typeID: t.typeID, id: change.ID}]) == 0 {
				c.find(RuleLost, "change %d of run %s made %v as item %d, and the portal holds %d", change.Seq, r.Result.Run, t, change.ID, holds[t.key])
			}
		}
	}
	for _, x := range c.Effects {
		t := target{typeID: int64(x.EntityTypeID), key: x.Key}
		if x.Kind == sandbox.EffectCreate && !known[made{t, x.ID}] && !doubt[t] {
			c.find(RuleLost, "request %d made %v as item %d, and the journal doesn't know", x.Request, t, x.ID)
		}
	}
}

// reports compares the sums of the last journal's runs, as they were recorded
// and as they were printed last, with their changes.
func (c *check) reports() {
	if len(c.Journals) == 0 {
		return
	}
	for _, r := range c.Journals[len(c.Journals)-1].Runs {
		want := engine.StepResults(r.Header, r.totals())
		if r.Result.Status != engine.StatusRunning && !slices.Equal(r.Result.Steps, want) {
			c.find(RuleReport, "run %s recorded %+v, and its changes are %+v", r.Result.Run, r.Result.Steps, want)
		}
		if r.Result.Status == engine.StatusSucceeded || r.Result.Status == engine.StatusPartial {
			for i := range r.Changes {
				if change := &r.Changes[i]; !change.State.Final() {
					c.find(RuleReport, "run %s ended %s, and its change %d is %s", r.Result.Run, r.Result.Status, change.Seq, change.State)
				}
			}
		}
		for _, printed := range slices.Backward(c.Reports) {
			if printed.Run != r.Result.Run {
				continue
			}
			if !slices.Equal(printed.Steps, want) || printed.Status != r.Result.Status {
				c.find(RuleReport, "run %s reported %s %+v, and its changes are %s %+v", printed.Run, printed.Status, printed.Steps, r.Result.Status, want)
			}
			break
		}
	}
}

// totals counts the changes of a run.
func (r *Run) totals() []engine.Total {
	counts := map[engine.Total]int{}
	for i := range r.Changes {
		c := &r.Changes[i]
		counts[engine.Total{Step: c.Step, Kind: c.Kind, State: c.State}]++
	}
	totals := make([]engine.Total, 0, len(counts))
	for t, n := range counts {
		t.N = n
		totals = append(totals, t)
	}
	return totals
}

// arrows compares a journal with the next one.
func (c *check) arrows(before, after *Journal) {
	runs := map[string]*Run{}
	for i := range after.Runs {
		runs[after.Runs[i].Result.Run] = &after.Runs[i]
	}
	for i := range before.Runs {
		was := &before.Runs[i]
		is := runs[was.Result.Run]
		if is == nil || len(is.Changes) != len(was.Changes) {
			c.find(RuleArrows, "run %s is gone, or changes of it", was.Result.Run)
			continue
		}
		for n := range was.Changes {
			if fault := moved(&was.Changes[n], &is.Changes[n]); fault != "" {
				c.find(RuleArrows, "change %d of run %s %s", was.Changes[n].Seq, was.Result.Run, fault)
			}
		}
	}
}

// moved says what is wrong with a change's way from one state to another.
func moved(was, is *Change) string {
	switch {
	case is.Seq != was.Seq || is.Kind != was.Kind || is.Key != was.Key || is.TypeID != was.TypeID || was.ID != 0 && is.ID != was.ID:
		return fmt.Sprintf("was %+v and is %+v", *was, *is)
	case is.Attempt < was.Attempt, is.SentAt < was.SentAt, is.SentAt > was.SentAt && is.Attempt == was.Attempt:
		return fmt.Sprintf("was attempt %d sent %d and is attempt %d sent %d", was.Attempt, was.SentAt, is.Attempt, is.SentAt)
	case was.State.Final() && *is != *was:
		return fmt.Sprintf("was %s and is %s", was.State, is.State)
	case is.Attempt == was.Attempt && !reachable(was.State, is.State):
		return fmt.Sprintf("went from %s to %s without being sent", was.State, is.State)
	}
	return ""
}

// reachable says whether the arrows lead from one open state to another one
// without a send.
func reachable(was, is engine.State) bool {
	switch is {
	case was, engine.StatePlanned, engine.StateSkipped, engine.StateConflict, engine.StateUnchanged:
		return true
	case engine.StateUnknown:
		return was == engine.StateSent
	case engine.StateDone, engine.StateFailed, engine.StateQuarantined:
		return was != engine.StatePlanned
	default:
		return false
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
