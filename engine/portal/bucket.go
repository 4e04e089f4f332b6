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
	Learned   float64 `json:"learned,omitempty"` // Neighbour as it was learned, before some was forgotten
	Theirs    float64 `json:"theirs,omitempty"`  // requests that we think they sent since Synced
	// Doubted is how many more they would have sent, had none been forgotten.
	Doubted  float64 `json:"doubted,omitempty"`
	Synced   int64   `json:"synced,omitempty"`   // the last refusal: Level was certain then
	Refusals int64   `json:"refusals,omitempty"` // refusals so far; slots given before one are void
	InARow   int     `json:"in_a_row,omitempty"` // refusals since the last answer
	Blocked  int64   `json:"blocked,omitempty"`  // nothing may be sent before, Unix nanoseconds
	Trial    *trial  `json:"trial,omitempty"`    // of the last refusal, while it lasts
	Tried    int64   `json:"tried,omitempty"`    // when a trial last confirmed a refusal; 0: the last did not
}

// trial finds out whether a refusal was due to the bucket. Portals, and what
// stands before them, refuse now and then for reasons of their own; to believe
// each would slow a run down for minutes. A full bucket can take only as many
// requests as have drained since, and one: a few more are sent at once, and if
// they are answered the refusal meant nothing.
type trial struct {
	Level    float64 `json:"level"`    // of the bucket, if the refusal meant nothing
	Left     int     `json:"left"`     // requests still to be sent
	Accepted int     `json:"accepted"` // requests that were answered
	Since    int64   `json:"since"`    // when the refused request was sent
}

// slot is the leave to send one request once wait has passed.
type slot struct {
	wait     time.Duration
	level    float64 // what the bucket will hold then, this request included
	refusals int64
	trial    bool
}

const (
	// reserve is how many requests of the burst are left alone, since time on
	// the way varies.
	reserve = 2
	// neighbourKept is how long a neighbour is believed in after a refusal;
	// then it is slowly forgotten.
	neighbourKept = 45 * time.Second
	neighbourHalf = 12 * time.Minute
	// neighbourLess is what is left of a neighbour once we sent what there would
	// have been no room for.
	neighbourLess = 0.25
	// neighbourMost leaves us a share, however busy the neighbour.
	neighbourMost = 0.9
	// neighbourFair is the share of a neighbour that is no surprise.
	neighbourFair = 0.6
	// longestBlock is the longest pause after refusals in a row.
	longestBlock = 30 * time.Second
	// longestTrial is the most requests that a trial may take.
	longestTrial = 6
	// trialPause is how long refusals are believed once a trial has confirmed
	// one; trialSoon, where that leaves us less than a fair share.
	trialPause = 4 * time.Minute
	trialSoon  = time.Minute
	// trialLapse is how long a trial waits for requests that may be lost.
	trialLapse = 10 * time.Minute
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
	drained := elapsed.Seconds() * b.rate(limits)
	b.Theirs += elapsed.Seconds() * (limits.Rate - b.rate(limits))
	b.Doubted += elapsed.Seconds() * (b.Learned - b.Neighbour)
	b.Level = max(0, b.Level-drained)
	switch {
	case b.Level == 0:
		b.Doubted = 0 // we did not send enough to tell
	case b.Doubted > 2*(limits.Burst-b.room(limits)):
		// We would have been refused by now.
		b.Neighbour *= neighbourLess
		b.Learned, b.Doubted = b.Neighbour, 0
	}
	if b.Trial != nil {
		b.Trial.Level = max(0, b.Trial.Level-drained)
	}
	b.lapse(now)
	b.At = now.UnixNano()
}

// lapse ends a trial that has not told for long. Its own requests may be lost, or
// their process may have died.
func (b *level) lapse(now time.Time) {
	if b.Trial != nil && now.UnixNano()-b.Trial.Since > int64(trialLapse) {
		b.Trial = nil
	}
}

// overdue says whether a trial can't tell any more what became of a request that was
// sent then: as many as it may take had drained before.
func (t *trial) overdue(sent time.Time, limits Limits) bool {
	return time.Duration(sent.UnixNano()-t.Since).Seconds()*limits.Rate > longestTrial
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
	if b.Trial != nil && b.Trial.Left > 0 {
		b.Trial.Left--
		b.Trial.Level++
		return slot{level: b.Trial.Level, refusals: b.Refusals, trial: true}
	}
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
	if limits.Rate <= 0 || s.refusals != b.Refusals {
		return
	}
	b.drain(now, limits)
	switch {
	case !s.trial:
		b.Level = max(0, b.Level-1)
	case b.Trial != nil:
		b.Trial.Left++
		b.Trial.Level = max(0, b.Trial.Level-1)
	}
}

// accepted takes in that the portal let a request through, and says whether
// that ends a trial.
func (b *level) accepted(now time.Time, limits Limits, s slot) bool {
	b.InARow = 0
	b.lapse(now)
	if !s.trial || b.Trial == nil || s.refusals != b.Refusals {
		return false
	}
	b.drain(now, limits)
	b.Trial.Accepted++
	drained := time.Duration(now.UnixNano()-b.Trial.Since).Seconds() * limits.Rate
	if float64(b.Trial.Accepted) <= drained+1 {
		return false
	}
	b.Level = b.Trial.Level
	b.Neighbour, b.Learned, b.Theirs, b.Doubted, b.Synced = 0, 0, 0, 0, now.UnixNano()
	b.Tried, b.Trial = 0, nil
	b.Refusals++ // slots given meanwhile are void
	return true
}

// refused learns from a 503, and says whether that makes slots void. Requests
// that were on their way together are refused together, and teach this once.
func (b *level) refused(now, sent time.Time, limits Limits, s slot) bool {
	b.lapse(now)
	if sent.UnixNano() <= b.Synced {
		return false
	}
	if b.Trial != nil && !s.trial {
		if !b.Trial.overdue(sent, limits) {
			return false
		}
		if b.InARow++; b.InARow < longestTrial { // so many confirm it as well
			return false
		}
	}
	b.InARow++
	b.Refusals++
	if limits.Rate <= 0 {
		b.block(now)
		b.Synced = now.UnixNano()
		return true
	}
	b.drain(now, limits)
	switch {
	case b.Trial != nil:
		b.believe(now, limits, b.Trial.Level)
		b.Tried = now.UnixNano()
		b.Trial = nil
	case !b.try(now, sent, limits):
		b.believe(now, limits, s.level)
	}
	b.Level = limits.Burst
	return true
}

// try begins a trial, unless refusals are believed at present, the bucket has no
// room for one, or answers take so long that it would need many requests.
func (b *level) try(now, sent time.Time, limits Limits) bool {
	round := now.Sub(sent).Seconds()
	requests := int(3*round*limits.Rate) + 2
	thought := min(b.Level, b.room(limits)) - 1 // without those that wait, and the refused one
	if b.credible(now, limits) || requests > longestTrial || thought+float64(requests) > limits.Burst {
		return false
	}
	b.Trial = &trial{Level: max(0, thought), Left: requests, Since: sent.UnixNano()}
	return true
}

// credible says whether a refusal is believed without a trial: for a while after
// trials have confirmed some, unless that leaves us less than a fair share.
func (b *level) credible(now time.Time, limits Limits) bool {
	pause := trialPause
	if b.Neighbour > limits.Rate*neighbourFair {
		pause = trialSoon
	}
	return b.Tried > 0 && now.UnixNano() < b.Tried+int64(pause)
}

// believe takes the bucket for full, where we had thought it to hold less. If we
// were sending as fast as it drains, what we did not know of came from a
// neighbour since the last time that the level was certain.
func (b *level) believe(now time.Time, limits Limits, thought float64) {
	b.block(now)
	switch full := thought > b.room(limits)-1; {
	case !full: // a burst of somebody's: it tells no rate
	case b.Margin == 0:
		b.Margin = mostMargin(limits)
	default:
		since := max(time.Duration(now.UnixNano()-b.Synced).Seconds(), 1)
		theirs := (b.Theirs + limits.Burst - thought) / since
		// A short time tells little.
		weight := min(1, since/10)
		b.Neighbour = min(b.Neighbour+(theirs-b.Neighbour)*weight, limits.Rate*neighbourMost)
	}
	b.Learned, b.Theirs, b.Doubted, b.Synced = b.Neighbour, 0, 0, now.UnixNano()
}

// mostMargin is what a portal may drain at once.
func mostMargin(limits Limits) float64 { return min(limits.Rate, limits.Burst/2) }

// block has nothing sent for a while, longer after refusals in a row.
func (b *level) block(now time.Time) {
	b.Blocked = now.Add(min(time.Second<<min(b.InARow-1, 5), longestBlock)).UnixNano()
}

// soundCount says whether refusals in a row can have been so many.
func soundCount(n int) bool { return n >= 0 && n < 1e6 }

// mostWaiting is how many requests may wait for a slot, those of all processes
// of a machine together; each has up to [maxInFlight].
const mostWaiting = 32 * maxInFlight

// settle bounds what was read by what can be so now.
func (b *level) settle(now time.Time, limits Limits) {
	b.Level = min(b.Level, limits.Burst+mostWaiting)
	b.Margin = min(b.Margin, mostMargin(limits)) // it may be of a time with other limits
	b.Synced = min(b.Synced, now.UnixNano())
	b.Blocked = min(b.Blocked, now.Add(longestBlock).UnixNano())
	b.Tried = min(b.Tried, now.UnixNano())
	if b.Trial != nil {
		b.Trial.Since = min(b.Trial.Since, now.UnixNano())
	}
}

// sound refuses figures that no process can have written.
func (b level) sound() bool {
	figures := []float64{b.Level, b.Margin, b.Neighbour, b.Learned, b.Theirs, b.Doubted}
	if t := b.Trial; t != nil {
		if !soundCount(t.Accepted) || t.Left < 0 || t.Left > longestTrial {
			return false
		}
		figures = append(figures, t.Level)
	}
	for _, figure := range figures {
		if !(figure >= 0 && figure < 1e6) {
			return false
		}
	}
	return b.Tried >= 0 && b.At >= 0 && b.Synced >= 0 && b.Blocked >= 0 && soundCount(b.InARow)
}
