// Package crash names the places where a process may die between one durable
// fact and the next, so that tests can end it at each of them. A program that
// nobody tests passes them by: [At] then does nothing.
package crash

import "sync/atomic"

// Point is a place in the code.
type Point string

// The points, in the order in which a run comes by them.
const (
	LeaseTaken     Point = "lease-taken"     // the right to write is held, nothing is planned
	PlanSealing    Point = "plan-sealing"    // all changes are stored, the plan is not complete
	PlanSealed     Point = "plan-sealed"     // the plan is complete, no run applies it
	RunBeginning   Point = "run-beginning"   // the run is not on disk yet
	RunBegun       Point = "run-begun"       // it is
	RunResumed     Point = "run-resumed"     // an interrupted run is this process's
	IntentBefore   Point = "intent-before"   // the limits admit a request, its intent is not written
	IntentWritten  Point = "intent-written"  // the intent is written, but not committed
	IntentDurable  Point = "intent-durable"  // it is on disk, and nothing has left
	RequestBefore  Point = "request-before"  // the next step connects or writes
	RequestWritten Point = "request-written" // all bytes of a request have left
	AnswerBegun    Point = "answer-begun"    // its answer begins to arrive
	AnswerRead     Point = "answer-read"     // all of the answer is here, and only here
	OutcomeBefore  Point = "outcome-before"  // outcomes are known, not written
	OutcomeWritten Point = "outcome-written" // they are written, but not committed
	OutcomeDurable Point = "outcome-durable" // they are on disk
	LookupBefore   Point = "lookup-before"   // changes in doubt are to be looked up
	LookupAnswered Point = "lookup-answered" // what became of them is known, not written
	DriftRead      Point = "drift-read"      // the items to be changed were read again
	RunFinishing   Point = "run-finishing"   // all is done, the result is not on disk
	RunFinished    Point = "run-finished"    // the result is on disk, nobody was told
	FileMoved      Point = "file-moved"      // an input file is where it goes in the end, which is not on disk
)

// Points are those that every run comes by; only one that has read files to be
// moved comes by FileMoved.
func Points() []Point {
	return []Point{
		LeaseTaken, PlanSealing, PlanSealed, RunBeginning, RunBegun, RunResumed,
		IntentBefore, IntentWritten, IntentDurable, RequestBefore, RequestWritten, AnswerBegun, AnswerRead,
		OutcomeBefore, OutcomeWritten, OutcomeDurable, LookupBefore, LookupAnswered, DriftRead, RunFinishing, RunFinished,
	}
}

//nolint:gochecknoglobals // a process dies as a whole, so there is one hook for it
var hook atomic.Pointer[func(Point)]

// At is called by the code at a point.
func At(p Point) {
	if f := hook.Load(); f != nil {
		(*f)(p)
	}
}

// On has f called at every point from now on; nil ends that. It is for tests,
// and f may be called by several goroutines at once.
func On(f func(Point)) {
	if f == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&f)
}
