// Package proof holds the tests of what bxflow promises when things go wrong:
// nothing is made twice, nothing is lost, whatever ends the program and
// whatever the portal does. It has no code that ships.
//
// The program runs as a process of its own, against a sandbox that the tests
// serve over HTTP and that records every request and every effect. After each
// test the [Evidence] is held against the rules: [Evidence.Check] compares what
// the portal saw with what the journal says.
//
//	go test ./engine/proof -v
//	BXFLOW_PROOF=long go test ./engine/proof -v -timeout 3h
//
// run the short form and the long one; both print a table of runs, faults and
// findings.
package proof
