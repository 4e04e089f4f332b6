package portal

import (
	"math"
	"time"
)

// level is the leaky bucket of a portal: every request adds one, the portal
// takes Rate out a second, and refuses with 503 QUERY_LIMIT_EXCEEDED what would
// not fit ("Limits" of the REST guide). The portal keeps one bucket for each
// source address, so that every program on this machine fills the same one.
//
// A request is given a slot: it is counted at once and told how long to wait
// until there is room for it. Requests that wait are therefore in the level
// already, in the order in which they asked, over all processes.
type level struct {
	Level float64 `json:"level"` // requests in the bucket, those with a later slot too
	At    int64   `json:"at"`    // when Level was so, Unix nanoseconds
	// Margin is how many more requests than the reserve are left alone. It is
	// learned from the first refusal: some portals don't drain evenly, but a
	// second's worth at a time.
	Margin float64 `json:"margin,omitempty"`
	// Neighbour is how many requests a second others seem to send: programs
	// on another machine behind the same address. It is learned from refusals.
	Neighbour float64 `json:"neighbour,omitempty"`
	Surprise  float64 `json:"surprise,omitempty"` // what the last refusal alone would teach
	Synced    int64   `json:"synced,omitempty"`   // the last refusal: Level was certain then
	Refusals  int64   `json:"refusals,omitempty"` // refusals so far; slots given before one are void
	InARow    int     `json:"in_a_row,omitempty"` // refusals since the last answer
	Blocked   int64   `json:"blocked,omitempty"`  // nothing may be sent before, Unix nanoseconds
}

// slot is the leave to send one request once wait has passed.
type slot struct {
	wait     time.Duration
	level    float64 // what the bucket will hold then, this request included
	refusals int64
}

const (
	// reserve is how many requests of the burst are left alone, since time on
	// the way varies.
	reserve = 2
	// neighbourKept is how long a neighbour is believed in after a refusal;
	// then it is slowly forgotten.
	neighbourKept = 15 * time.Second
	neighbourHalf = 90 * time.Second
	// neighbourMost leaves us a share, however busy the neighbour.
	neighbourMost = 0.9
	// longestBlock is the longest pause after refusals in a row.
	longestBlock = 30 * time.Second
)

// room is how many requests we let the bucket hold.
func (b *level) room(limits Limits) float64 {
	return limits.Burst - min(reserve, (limits.Burst-1)/10) - b.Margin
}

// drain brings the level up to now.
func (b *level) drain(now time.Time, limits Limits) {
	elapsed := max(0, time.Duration(now.UnixNano()-b.At))
	if b.At == 0 {
		elapsed = 0
	}
	if quiet := time.Duration(now.UnixNano() - b.Synced); b.Neighbour > 0 && quiet > neighbourKept {
		b.Neighbour *= math.Exp2(-float64(min(elapsed, quiet-neighbourKept)) / float64(neighbourHalf))
	}
	b.Level = max(0, b.Level-elapsed.Seconds()*b.rate(limits))
	b.At = now.UnixNano()
}

// rate is how fast the bucket drains for us.
func (b *level) rate(limits Limits) float64 {
	return limits.Rate - min(b.Neighbour, limits.Rate*neighbourMost)
}

// take counts one request and gives it its slot.
func (b *level) take(now time.Time, limits Limits) slot {
	blocked := max(0, time.Duration(b.Blocked-now.UnixNano()))
	if limits.Rate <= 0 {
		return slot{wait: min(blocked, longestBlock), refusals: b.Refusals}
	}
	b.drain(now, limits)
	b.Level++
	over := b.Level - b.room(limits)
	s := slot{level: min(b.Level, b.room(limits)), refusals: b.Refusals, wait: min(blocked, longestBlock)}
	if over > 0 {
		s.wait = max(s.wait, time.Duration(math.Ceil(over/b.rate(limits)*float64(time.Second))))
	}
	return s
}

// giveBack returns a slot whose request was not sent.
func (b *level) giveBack(now time.Time, limits Limits, s slot) {
	if limits.Rate > 0 && s.refusals == b.Refusals {
		b.drain(now, limits)
		b.Level = max(0, b.Level-1)
	}
}

// refused learns from a 503: the bucket was full when we thought that there was
// room. If we were sending as fast as the bucket drains, what we did not know of
// came from a neighbour, since the last time that the level was certain; as much
// of it is believed as the refusal before had shown, too. Requests that were on
// their way together are refused together, and teach this once.
func (b *level) refused(now, sent time.Time, limits Limits, s slot) {
	if sent.UnixNano() <= b.Synced {
		return
	}
	b.InARow++
	b.Refusals++
	b.Blocked = now.Add(min(time.Second<<min(b.InARow-1, 5), longestBlock)).UnixNano()
	if limits.Rate > 0 {
		b.drain(now, limits)
		switch full := s.level > b.room(limits)-1; {
		case !full: // a burst of somebody's, or a slip: it tells no rate
		case b.Margin == 0:
			b.Margin = min(limits.Rate, limits.Burst/2)
		default:
			since := time.Duration(sent.UnixNano() - b.Synced).Seconds()
			rate := (limits.Burst - s.level) / max(since, 1)
			b.Neighbour = min(b.Neighbour+min(rate, b.Surprise), limits.Rate*neighbourMost)
			b.Surprise = rate
		}
		b.Level = limits.Burst
	}
	b.Synced = now.UnixNano()
}

// soundCount says whether refusals in a row can have been so many.
func soundCount(n int) bool { return n >= 0 && n < 1e6 }

// mostWaiting is how many requests may wait for a slot, those of all processes
// of a machine together; each has up to [maxInFlight].
const mostWaiting = 32 * maxInFlight

// settle bounds what was read by what can be so now.
func (b *level) settle(now time.Time, limits Limits) {
	b.Level = min(b.Level, limits.Burst+mostWaiting)
	b.Synced = min(b.Synced, now.UnixNano())
	b.Blocked = min(b.Blocked, now.Add(longestBlock).UnixNano())
}

// sound refuses figures that no process can have written.
func (b level) sound() bool {
	for _, figure := range []float64{b.Level, b.Margin, b.Neighbour, b.Surprise} {
		if !(figure >= 0 && figure < 1e6) {
			return false
		}
	}
	return b.At >= 0 && b.Synced >= 0 && b.Blocked >= 0 && soundCount(b.InARow)
}
