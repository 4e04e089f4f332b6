package engine

import (
	"context"
	"iter"
)

// Step is one step of a job: its settings, and how to plan them. A step never
// writes: it is given a [Reader] and returns changes.
//
// To add a kind: one file in steps with the settings struct and these methods,
// its test, and one line in the list of kinds.
type Step interface {
	// Verb is the key of the step in job files: import, update, …
	Verb() string
	// Makes is the entity, as written, whose items the step makes or finds
	// and holds under its id. Empty for a step that changes a held item.
	Makes() string
	// Target is the id of the earlier step whose item this one changes.
	// Empty for a step that makes items.
	Target() string
	// Plans says whether the held item may not exist yet when it is planned:
	// true for import and create.
	Plans() bool
	// Prepare resolves names against the catalog and says which fields of
	// which items it needs. It makes no calls and reports every problem.
	Prepare(p *Prepare)
	// Plan returns the changes for a chunk of records, through p. Problems
	// of single records go to the record; an error ends the plan.
	Plan(ctx context.Context, p *Planning, chunk []*Record) error
}

// Needer is a step that works on items of further entities than those that steps
// make or hold.
type Needer interface {
	Needs() Needs
}

// Sweeper is a step that has more to plan once all records of its stream are: for
// items that none of them is about.
type Sweeper interface {
	// Sweep yields records of such items in chunks, each with its item held under
	// the step's id; nil where nothing is to be swept.
	Sweep(ctx context.Context, p *Planning) iter.Seq2[[]*Record, error]
	// PlanSweep plans the changes of a chunk.
	PlanSweep(ctx context.Context, p *Planning, chunk []*Record) error
}

// Gatherer is a step of which several records may make one change together. A retry
// plans all records of its stream: some alone would undo what the others did.
type Gatherer interface {
	// Gather plans what still waits for more records, once there are none.
	Gather(ctx context.Context, p *Planning) error
}

// Source begins a stream.
type Source interface {
	// Verb is the key in job files: read or select.
	Verb() string
	// Makes is the entity whose items are the stream's records; empty for
	// rows of a file.
	Makes() string
	// Prepare resolves names, and opens files as far as their header.
	Prepare(p *Prepare)
	// Records yields the stream's records in order, in chunks. An error ends
	// the plan; a bad row is a record with its fault.
	Records(ctx context.Context, p *Planning) iter.Seq2[[]*Record, error]
}

// StepKind is a kind of step: its verb and a maker of its settings with their defaults.
// Exactly one of the makers is set.
type StepKind struct {
	Verb   string
	Doc    string // one sentence, for the schema and the docs
	Step   func() Step
	Source func() Source
}
