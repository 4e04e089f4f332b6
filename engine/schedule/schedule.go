// Package schedule says when a job is due and starts it then. Cron fields are
// read as wall-clock time of one time zone: a time that a change of the clocks
// leaves out is due when the gap ends, and one that they repeat is due once.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Overlap says what happens to a due time while the job still runs.
type Overlap string

// The ways to deal with an overlap. An empty one means Skip.
const (
	Skip  Overlap = "skip"  // the due time passes without a run
	Queue Overlap = "queue" // one run waits and starts when this one ends
)

// CatchUp says what happens to due times that passed while nothing ran: the
// program was stopped, the machine was off or asleep.
type CatchUp string

// The ways to catch up. An empty one means None.
const (
	None CatchUp = "none" // they are gone
	Once CatchUp = "once" // one run makes up for all of them
)

// Spec is a schedule as a job file has it.
type Spec struct {
	// Cron is five fields (minute, hour, day of month, month, day of week),
	// or @hourly, @daily, @weekly, @monthly, @yearly, or @every with a
	// duration of whole seconds, which is counted from the epoch and so
	// does not depend on when the program was started.
	Cron string
	// Timezone is a name of the IANA database such as America/Sao_Paulo.
	// Empty: the machine's own.
	Timezone string
	Overlap  Overlap
	CatchUp  CatchUp
}

// Schedule is a [Spec] that was found to be sound. It is never changed and
// safe for concurrent use.
type Schedule struct {
	spec     Spec
	zone     *time.Location
	every    time.Duration // 0: fields
	fields   cron.Schedule // reads and returns wall-clock times, dressed as UTC
	warnings []string
}

// maxCron bounds what is parsed; the longest sensible fields are far shorter.
const maxCron = 500

// Parse checks everything about spec. The error names the key and says what to
// write instead.
func Parse(spec Spec) (*Schedule, error) {
	s := &Schedule{spec: spec, zone: time.Local}
	if s.spec.Overlap == "" {
		s.spec.Overlap = Skip
	}
	if s.spec.CatchUp == "" {
		s.spec.CatchUp = None
	}
	if o := s.spec.Overlap; o != Skip && o != Queue {
		return nil, fmt.Errorf("overlap: %q is not skip or queue", string(o))
	}
	if c := s.spec.CatchUp; c != None && c != Once {
		return nil, fmt.Errorf("catch_up: %q is not none or once", string(c))
	}
	if spec.Timezone != "" {
		zone, err := time.LoadLocation(spec.Timezone)
		if err != nil || spec.Timezone == "Local" {
			return nil, fmt.Errorf("timezone: %q is not known; write a name such as America/Sao_Paulo or Europe/Lisbon", spec.Timezone)
		}
		s.zone = zone
	}
	if err := s.parseCron(spec.Cron); err != nil {
		return nil, fmt.Errorf("cron: %w", err)
	}
	return s, nil
}

func (s *Schedule) parseCron(text string) error {
	words := strings.Fields(text)
	switch {
	case len(words) == 0:
		return errors.New("it is empty; write five fields, such as 0 6 * * 1-5")
	case len(text) > maxCron:
		return fmt.Errorf("it is %d characters long, more than %d", len(text), maxCron)
	case strings.HasPrefix(words[0], "TZ=") || strings.HasPrefix(words[0], "CRON_TZ="):
		return fmt.Errorf("%q does not belong here; use the key timezone", words[0])
	case strings.EqualFold(words[0], "@every"):
		every, err := parseEvery(words[1:])
		s.every = every
		return err
	case strings.HasPrefix(words[0], "@"):
		fields, err := nickname(words)
		if err != nil {
			return err
		}
		words = strings.Fields(fields)
	}
	canonical, err := canonicalFields(words)
	if err != nil {
		return err
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	s.fields, err = parser.Parse(strings.Join(canonical, " "))
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	// From the first leap day on, every date that exists comes up within the
	// five years that are searched.
	if s.fields.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("%q is never due; see whether the month has that day", text)
	}
	if !anyValue(canonical[dayOfMonth]) && !anyValue(canonical[dayOfWeek]) {
		s.warnings = append(s.warnings, fmt.Sprintf(
			"cron: %q gives a day of month and a day of week: it is due on days that are either; leave one at *", text))
	}
	return nil
}

func parseEvery(words []string) (time.Duration, error) {
	if len(words) != 1 {
		return 0, errors.New("@every needs one duration, such as @every 15m")
	}
	d, err := time.ParseDuration(words[0])
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write @every 15m or @every 1h30m", words[0])
	}
	if d < time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a number of whole seconds, one at the least", words[0])
	}
	return d, nil
}

// Spec returns what the schedule was made of, defaults filled in.
func (s *Schedule) Spec() Spec { return s.spec }

// Zone returns the time zone that the fields are read in.
func (s *Schedule) Zone() *time.Location { return s.zone }

// Warnings lists what is allowed but rarely meant.
func (s *Schedule) Warnings() []string { return s.warnings }

// Next returns the first due time after the given one, in the schedule's zone,
// to the second. It is the zero time if there is none within five years.
//
// Where the clocks are put forward, what falls into the gap is due at its end,
// once. Where they are put back, every wall-clock time is due at its first
// pass only. Neither touches @every, which counts real time.
func (s *Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		period := int64(s.every / time.Second)
		n := floorDiv(after.Unix(), period) + 1
		return time.Unix(n*period, 0).In(s.zone)
	}
	for wall := wallClock(after.In(s.zone)); ; {
		wall = s.fields.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		// Behind a change of the clocks, the wall shows times again
		// whose first pass is over.
		if due := instant(wall, s.zone); due.After(after) {
			return due
		}
	}
}

// latest returns the last due time up to now, given one that is not after it.
func (s *Schedule) latest(due, now time.Time) time.Time {
	if next := s.Next(due); next.IsZero() || next.After(now) {
		return due
	}
	// Years may have passed: look for it from now, further back each time.
	for back := time.Minute; ; back *= 2 {
		from := now.Add(-back)
		if !from.After(due) {
			break
		}
		if next := s.Next(from); !next.IsZero() && !next.After(now) {
			due = next
			break
		}
	}
	for {
		next := s.Next(due)
		if next.IsZero() || next.After(now) {
			return due
		}
		due = next
	}
}

// wallClock returns what the clock on the wall shows at t, dressed as UTC,
// where no hour is left out and none comes twice.
func wallClock(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// instant returns the first moment at which the clock on a wall in zone shows
// wall; if it never does, the moment at which it jumps over it.
func instant(wall time.Time, zone *time.Location) time.Time {
	year, month, day := wall.Date()
	hour, minute, second := wall.Clock()
	t := time.Date(year, month, day, hour, minute, second, 0, zone)
	start, end := t.ZoneBounds()
	switch shown := wallClock(t); {
	case shown.After(wall):
		return start // t was reckoned with the offset before the gap
	case shown.Before(wall):
		return end // and here with the one behind it
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	if first := t.Add(-time.Duration(before-now) * time.Second); before > now && first.Before(start) {
		return first
	}
	return t
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
