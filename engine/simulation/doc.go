// Package simulation holds the tests that run whole jobs in simulated time: the
// real planner, runner, journal and client against a sandbox that fails, with
// crashes and neighbours, in a fraction of the time that they would take. It has
// no code that ships.
//
// A world and all that goes wrong in it are drawn from a seed. The order in
// which goroutines that are ready at the same moment go on is not, nor are the
// client's pauses between tries, so that a seed repeats its world exactly and
// its events nearly so: the command that a failing seed prints tries it a
// number of times.
//
//	go test ./engine/simulation -v
//	BXFLOW_PROOF=long go test ./engine/simulation -v -timeout 1h
//
// run the short form and the long one; each test logs its figures.
package simulation
