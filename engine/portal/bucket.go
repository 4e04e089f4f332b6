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
	// Neighbour is how many requests a second others seem to send: programs
	// on another machine behind the same address. It is learned from refusals.
	Neighbour float64 `json:"neighbour,omitempty"`
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
	// reserve is how many requests of the burst are left alone: time on the
	// way varies, and some portals drain once a second instead of evenly.
	reserve = 2
	// neighbourKept is how long a neighbour is believed in after a refusal;
	// then it is slowly forgotten.
	neighbourKept = time.Minute
	neighbourHalf = 5 * time.Minute
	// neighbourMost leaves us a share, however busy the neighbour.
	neighbourMost = 0.9
	// longestBlock is the longest pause after refusals in a row.
	longestBlock = 30 * time.Second
)

// room is how many requests the bucket may hold for us.
func (l Limits) room() float64 {
	return l.Burst - min(reserve, (l.Burst-1)/10)
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
	over := b.Level - limits.room()
	s := slot{level: min(b.Level, limits.room()), refusals: b.Refusals, wait: min(blocked, longestBlock)}
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
// room. What we did not know of came from a neighbour, since the last time that
// the level was certain. Requests that were on their way together are refused
// together, and teach this once.
func (b *level) refused(now, sent time.Time, limits Limits, s slot) {
	if sent.UnixNano() <= b.Synced {
		return
	}
	b.InARow++
	b.Refusals++
	b.Blocked = now.Add(min(time.Second<<min(b.InARow-1, 5), longestBlock)).UnixNano()
	if limits.Rate > 0 {
		b.drain(now, limits)
		if b.Synced > 0 && s.level < limits.Burst {
			since := time.Duration(sent.UnixNano() - b.Synced).Seconds()
			b.Neighbour += (limits.Burst - s.level) / max(since, 1)
			b.Neighbour = min(b.Neighbour, limits.Rate*neighbourMost)
		}
		b.Level = limits.Burst
	}
	b.Synced = now.UnixNano()
}

// sound refuses figures that no process can have written.
func (b level) sound() bool {
	return b.Level >= 0 && b.Level < 1e6 && b.Neighbour >= 0 && b.Neighbour < 1e6 && b.InARow >= 0 && b.At >= 0
}
