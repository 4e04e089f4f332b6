package schedule

import "time"

// Look is one look of [Runner.Run] at the clock, which may have been stepped.
// It returns what becomes of the entry that is due, if any.
func (r *Runner) Look(now time.Time) (due time.Time, kind EventKind, found bool) {
	starts := r.collect(now)
	if len(starts) == 0 {
		return time.Time{}, 0, false
	}
	s := starts[0]
	if s.dropped != 0 {
		return s.due, s.dropped, true
	}
	s.task.running = time.Time{} // the run is over at once
	return s.due, Started, true
}
