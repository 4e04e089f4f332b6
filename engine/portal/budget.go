package portal

import (
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
}

// spent is the use of one tenth of a window.
type spent struct {
	Tenth   int64   `json:"tenth"` // Unix time divided by a tenth of the window
	Until   int64   `json:"until"` // when the portal forgets it, Unix nanoseconds
	Seconds float64 `json:"seconds"`
}

// pending is the expected use of a request on its way.
type pending struct {
	Seconds float64 `json:"seconds"`
	Until   int64   `json:"until"` // a process that died never takes it back
}

// usable is the part of a method's execution time that we plan with. The rest
// is for commands that take longer than foreseen.
const usable = 0.95

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

// used is the execution time in use, what is on its way included.
func (m *methodUse) used(now time.Time) float64 {
	m.forget(now)
	sum := m.spentSum()
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
		releases = append(releases, release{p.Until, p.Seconds})
	}
	slices.SortFunc(releases, func(a, b release) int { return int(max(-1, min(1, a.until-b.until))) })
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

// spend counts seconds of use now, in the tenth of the window that it is.
func (m *methodUse) spend(now time.Time, limits Limits, seconds float64) {
	tenth := now.UnixNano() / max(1, int64(limits.Window/10))
	if n := len(m.Spent); n > 0 && m.Spent[n-1].Tenth == tenth {
		m.Spent[n-1].Seconds += seconds
		return
	}
	m.Spent = append(m.Spent, spent{Tenth: tenth, Until: now.Add(limits.Window).UnixNano(), Seconds: seconds})
}

// report makes the sum what the portal says it is. Answers may overtake each
// other: an older report than the last changes nothing.
func (m *methodUse) report(now time.Time, limits Limits, t Timing) {
	if !t.Metered || (t.FinishedAt != 0 && t.FinishedAt < m.Reported) {
		return
	}
	m.Reported, m.InARow = t.FinishedAt, 0
	m.forget(now)
	diff := t.Operating.Seconds() - m.spentSum()
	if diff > tiny {
		m.spend(now, limits, diff)
	}
	for diff < -tiny && len(m.Spent) > 0 { // the portal forgot the oldest before we did
		part := min(m.Spent[0].Seconds, -diff)
		m.Spent[0].Seconds -= part
		diff += part
		if m.Spent[0].Seconds <= tiny {
			m.Spent = m.Spent[1:]
		}
	}
	if len(m.Spent) > 0 && t.Resets > 0 {
		m.Spent[0].Until = now.Add(min(t.Resets, limits.Window)).UnixNano()
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

// sound refuses figures that no process can have written.
func (m *methodUse) sound() bool {
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
