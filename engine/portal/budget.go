package portal

import (
	"cmp"
	"slices"
	"time"
)

// methodUse is what one method, called by one webhook, has used of its
// execution time: the portal adds up how long it worked in the last window
// (ten minutes), and once that is more than the limit it answers 429
// OPERATION_TIME_LIMIT until the oldest tenth of the window is forgotten
// ("Limits" of the REST guide). The portal tells the sum with every answer;
// between answers we add what is on its way.
type methodUse struct {
	Spent    []spent            `json:"spent,omitempty"`    // oldest first
	Pending  map[string]pending `json:"pending,omitempty"`  // sent or about to be, by ticket
	Reported float64            `json:"reported,omitempty"` // the portal's clock of the last report
	Blocked  int64              `json:"blocked,omitempty"`  // refused until, Unix nanoseconds
	InARow   int                `json:"in_a_row,omitempty"` // refusals since the last answer
	Caution  float64            `json:"caution,omitempty"`  // how much to count for what is expected; 0: not known
}

// spent is the use of a short part of a window. The portal forgets a tenth of
// the window at a time, from its first call on; where its tenths begin is not
// told. A part that is forgotten a whole window after its last call is never
// forgotten before the portal does.
type spent struct {
	Part    int64   `json:"p"` // Unix time divided by the length of a part
	Until   int64   `json:"u"` // when it is forgotten, Unix nanoseconds
	Seconds float64 `json:"s"`
}

// parts is how many parts a window has.
const parts = 120

// pending is the expected use of a request on its way.
type pending struct {
	Seconds float64 `json:"seconds"`
	Until   int64   `json:"until"` // a process that died never takes it back
}

// usable is the part of a method's execution time that we plan with: the
// portal's clocks and ours round differently. For commands that take longer than
// foreseen, what is on its way counts for more than is expected of it.
const usable = 0.998

// budget is how many seconds of execution time a method may use in a window.
func (l Limits) budget() float64 { return l.Operating.Seconds() * usable }

// forget drops what the portal no longer counts.
func (m *methodUse) forget(now time.Time) {
	m.Spent = slices.DeleteFunc(m.Spent, func(s spent) bool { return s.Until <= now.UnixNano() })
	for id, p := range m.Pending {
		if p.Until <= now.UnixNano() {
			delete(m.Pending, id)
		}
	}
}

// used is the execution time in use, what is on its way included: as much of it
// as it may take if it surprises us as others lately did.
func (m *methodUse) used(now time.Time) float64 {
	m.forget(now)
	return m.spentSum() + m.pendingSum()*m.caution()
}

const (
	firstCaution = 1.5 // before anything was compared
	leastCaution = 1.25
	mostCaution  = 4
)

// caution is how much to count for what is expected of requests on their way.
func (m *methodUse) caution() float64 {
	if m.Caution == 0 {
		return firstCaution
	}
	return m.Caution
}

// compare learns caution from what a request used and what had been expected of
// it. It rises at once and falls slowly.
func (m *methodUse) compare(expected, used float64) {
	if expected < tiny {
		return
	}
	surprise := min(max(used/expected, leastCaution), mostCaution)
	if m.Caution == 0 || surprise > m.Caution {
		m.Caution = surprise
		return
	}
	m.Caution += (surprise - m.Caution) * 0.03
}

func (m *methodUse) pendingSum() float64 {
	var sum float64
	for _, p := range m.Pending {
		sum += p.Seconds
	}
	return sum
}

func (m *methodUse) spentSum() float64 {
	var sum float64
	for _, s := range m.Spent {
		sum += s.Seconds
	}
	return sum
}

// left is how many seconds of the budget may still be used.
func (m *methodUse) left(now time.Time, limits Limits) float64 {
	if m.Blocked > now.UnixNano() {
		return 0
	}
	return limits.budget() - m.used(now)
}

// wait is how long it takes until need seconds are left, if nothing else is
// spent. More than the whole budget never is: then it is until all is forgotten.
func (m *methodUse) wait(now time.Time, limits Limits, need float64) time.Duration {
	blocked := max(0, time.Duration(m.Blocked-now.UnixNano()))
	over := m.used(now) + min(need, limits.budget()) - limits.budget()
	if over <= 0 {
		return blocked
	}
	type release struct {
		until   int64
		seconds float64
	}
	var releases []release
	for _, s := range m.Spent {
		releases = append(releases, release{s.Until, s.Seconds})
	}
	for _, p := range m.Pending {
		releases = append(releases, release{p.Until, p.Seconds * m.caution()})
	}
	slices.SortFunc(releases, func(a, b release) int { return cmp.Compare(a.until, b.until) })
	last := now.UnixNano()
	for _, r := range releases {
		if over <= tiny {
			break
		}
		over -= r.seconds
		last = r.until
	}
	return max(blocked, time.Duration(last-now.UnixNano()))
}

// tiny is the execution time that rounding may add.
const tiny = 1e-6

// expect notes the use of a request that is about to be sent.
func (m *methodUse) expect(id string, seconds float64, until time.Time) {
	if m.Pending == nil {
		m.Pending = map[string]pending{}
	}
	m.Pending[id] = pending{Seconds: seconds, Until: until.UnixNano()}
}

// spend counts seconds of use at some time.
func (m *methodUse) spend(at time.Time, limits Limits, seconds float64) {
	part := at.UnixNano() / max(1, int64(limits.Window/parts))
	until := at.Add(limits.Window).UnixNano()
	for i := range m.Spent {
		if m.Spent[i].Part == part {
			m.Spent[i].Seconds += seconds
			m.Spent[i].Until = max(m.Spent[i].Until, until)
			return
		}
	}
	m.Spent = append(m.Spent, spent{Part: part, Until: until, Seconds: seconds})
	slices.SortFunc(m.Spent, func(a, b spent) int { return cmp.Compare(a.Until, b.Until) })
}

// spread counts seconds of use evenly over a time. What of it was used more than
// a window before the end is forgotten already.
func (m *methodUse) spread(from, to time.Time, limits Limits, seconds float64) {
	if over := to.Sub(from); over > limits.Window && limits.Window > 0 {
		seconds *= float64(limits.Window) / float64(over)
		from = to.Add(-limits.Window)
	}
	step := max(limits.Window/parts, time.Millisecond)
	pieces := int(to.Sub(from)/step) + 1
	for i := range pieces {
		at := from.Add(to.Sub(from) * time.Duration(i+1) / time.Duration(pieces))
		m.spend(at, limits, seconds/float64(pieces))
	}
}

// sameMoment is how far apart two calls must have ended, in seconds, for the
// later one's sum to hold the earlier one's use for certain.
const sameMoment = 0.01

// report counts what a call used since it began, and then makes the sum what the
// portal says that it was at the call's end. More than we know of may be on its
// way; what is left was used by others. Less means that the portal forgot
// the oldest before we did. Answers may overtake each other: the sum of an older
// report than the last says nothing. Older by a window it can't be: then the
// portal's clock was set back.
func (m *methodUse) report(since, at time.Time, used float64, limits Limits, t Timing) {
	m.InARow = 0
	if used > 0 {
		m.spread(since, at, limits, used)
	}
	newer := t.FinishedAt - m.Reported
	if t.FinishedAt != 0 && newer < 0 && -newer < limits.Window.Seconds() {
		return
	}
	m.Reported = t.FinishedAt
	m.forget(at)
	known, coming := m.spentSum(), m.pendingSum()
	total := t.Operating.Seconds()
	if total > known+coming+tiny {
		m.spend(at, limits, total-known-coming)
	}
	if t.FinishedAt != 0 && newer >= 0 && newer < sameMoment {
		return
	}
	for over := known - total; over > tiny && len(m.Spent) > 0; {
		part := min(m.Spent[0].Seconds, over)
		m.Spent[0].Seconds -= part
		over -= part
		if m.Spent[0].Seconds <= tiny {
			m.Spent = m.Spent[1:]
		}
	}
	if len(m.Spent) > 0 && t.Resets > 0 {
		resets := at.Add(min(t.Resets, limits.Window)).UnixNano()
		m.Spent[0].Until = max(m.Spent[0].Until, resets)
	}
}

// refused notes a 429. If we know of much use, nothing is left until the oldest
// is forgotten; otherwise somebody else used it up, and we try again, more and
// more rarely.
func (m *methodUse) refused(now time.Time, limits Limits) {
	m.forget(now)
	pause := min(time.Second<<min(m.InARow, 10), limits.Window/10)
	if len(m.Spent) > 0 && m.spentSum() > limits.budget()/2 {
		pause = max(pause, time.Duration(m.Spent[0].Until-now.UnixNano()))
	}
	m.InARow++
	m.Blocked = now.Add(min(pause, limits.Window)).UnixNano()
}

// settle bounds what was read by what can be so now.
func (m *methodUse) settle(now time.Time, limits Limits) {
	window := now.Add(limits.Window).UnixNano()
	m.Blocked = min(m.Blocked, window)
	for i := range m.Spent {
		m.Spent[i].Until = min(m.Spent[i].Until, window)
	}
	waits := now.Add(limits.Window + 2*limits.Request).UnixNano()
	for id, p := range m.Pending {
		p.Until = min(p.Until, waits)
		m.Pending[id] = p
	}
}

// sound refuses figures that no process can have written.
func (m *methodUse) sound() bool {
	if !soundCount(m.InARow) || m.Blocked < 0 || (m.Caution != 0 && !(m.Caution >= leastCaution && m.Caution <= mostCaution)) {
		return false
	}
	for _, s := range m.Spent {
		if s.Seconds < 0 || s.Seconds > 1e6 {
			return false
		}
	}
	for _, p := range m.Pending {
		if p.Seconds < 0 || p.Seconds > 1e6 {
			return false
		}
	}
	return true
}
