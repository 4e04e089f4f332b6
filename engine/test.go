package engine

import "time"

// Test is an example of what a job does: what is there, and what is planned.
type Test struct {
	Name   Word
	Params map[string]string
	Env    map[string]string
	Now    time.Time        // zero: the present time
	Rows   map[string][]Row // by id of the read that they stand for
	Given  []*StepSpec      // make the items that are on the portal before
	// Elsewhere make those on the other portals that the job reads, by name.
	Elsewhere map[string][]*StepSpec
	Expect    []Expectation
}

// Row is a row of a test: its cells in the order of the job file.
type Row []Cell

// Cell is one cell of a row.
type Cell struct{ Column, Text string }

// Expectation is a change that a test expects of a plan.
type Expectation struct {
	Kind   Kind
	Step   Word
	Row    int          // of the test's rows, from 1; 0: any
	Fields []FieldValue // as the change leaves them; others may change as well
	Error  string       // a part of the change's reason
}
