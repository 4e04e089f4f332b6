package engine

import (
	"context"
	"iter"
	"maps"
	"time"
)

// Item is one CRM item as the portal has it. Fields are keyed by REST name and
// hold canonical values (see [Field.Canonical]); an empty value is nil or
// absent. Multifields are under phone, email, web and im.
type Item struct {
	ID     int64
	Fields map[string]any
}

// MultiValue is one row of a multifield: a phone number, an e-mail address.
type MultiValue struct {
	ID    int64  `json:"id,omitempty"`   // the portal's row id; 0 for one not yet stored
	Type  string `json:"type,omitempty"` // WORK, MOBILE, …; empty: the portal's default
	Value string `json:"value"`
}

// Condition is one condition of a filter. Op is the portal's prefix: "" or "="
// equals (a []any value: any of), "!", ">", ">=", "<", "<=", "@", "!@", "%",
// "!%", "=%". Value is canonical.
type Condition struct {
	Op    string
	Field *Field
	Value any
}

// Lookup asks for the items whose Match fields equal one of the Keys, all
// together. Keys are canonical values in the order of Match; none is nil.
type Lookup struct {
	Entity *Entity
	Match  []*Field
	Keys   [][]any
	IDs    []int64  // instead of Match and Keys: asks for the items with these ids
	Select []string // REST names wanted; the match fields and id come always
	// Expected says that most keys will be found. It changes how many requests
	// that takes, not what is found.
	Expected bool
	// Whole, if set, has all items of the entity read, and kept for the look-ups
	// that follow: the portal's as they were at that moment or later.
	Whole time.Time
}

// Catalogue is where catalogs come from.
type Catalogue interface {
	// Catalog loads what needs names, in one batch request, two at the most.
	// A name that the portal lacks is no error here: its entity is missing
	// from the catalog. Errors mean that the portal could not be asked.
	Catalog(ctx context.Context, needs Needs) (*Catalog, error)
}

// Reader is the part of a portal that steps may use. It can't write. Its
// methods repeat a failed read for at least a minute before they give up; the
// errors they return end a plan.
type Reader interface {
	// Find returns, for each key of the look-up in order, the items that
	// match it, all of them, by ascending id. A phone or e-mail field is
	// looked up through the portal's duplicate index, which normalises.
	Find(ctx context.Context, l Lookup) ([][]Item, error)
	// FindAll is Find for several look-ups, in as few requests as they fit in
	// together: fifty keys or ids of one entity in a call, fifty calls in a
	// request. The answers are in the order of the look-ups; for one by ids
	// they hold an item for each id, or none.
	FindAll(ctx context.Context, lookups []Lookup) ([][][]Item, error)
	// Get returns the items with these ids that exist, by id.
	Get(ctx context.Context, e *Entity, ids []int64, fields []string) (map[int64]Item, error)
	// Scan returns all items that meet the conditions, by ascending id, in
	// pages. Some requests are read ahead of what is taken, so that memory stays
	// bounded by their pages. Items that are made meanwhile may be left out.
	Scan(ctx context.Context, e *Entity, where []Condition, fields []string) iter.Seq2[[]Item, error]
}

// Writer carries commands to a portal. Only the [Runner] holds one.
type Writer interface {
	// BatchSize is how many commands the next request should carry at most,
	// 1 to 50, of imports 1 to 1,000: fewer while commands are slow or little
	// execution time is left.
	BatchSize() int
	// Write sends the commands in order, in one request where their data
	// allows it. It first waits until the portal's limits admit the request,
	// then calls before, and sends nothing if that returns an error, which
	// comes back as it is. Otherwise there is one outcome for each command;
	// the error is nil. Write repeats nothing: that is the runner's decision.
	// The end of ctx ends the waiting; a request that has left is heard out.
	Write(ctx context.Context, commands []Command, before func() error) ([]Outcome, error)
}

// CommandKind says what a command does.
type CommandKind string

// The kinds of commands.
const (
	CommandAdd    CommandKind = "add"    // make an item
	CommandImport CommandKind = "import" // make an item, no automation runs
	CommandUpdate CommandKind = "update" // change fields or the stage
	CommandDelete CommandKind = "delete"
	CommandMerge  CommandKind = "merge" // have the item go into another one
)

// Command is one write, complete: every reference is filled in.
type Command struct {
	Kind   CommandKind
	Entity *Entity
	ID     int64 // of the item; 0 for add and import
	Into   int64 // of the item that it goes into, for merge
	// Fields are the values to be set, by REST name, canonical; nil clears.
	Fields map[string]any
	// Multi are the rows of multifields to be added (ID 0) and to be removed
	// (ID set, Value empty), by field: phone, email, web, im.
	Multi map[string][]MultiValue
}

// Uploads is how many bytes of files the command carries.
func (c Command) Uploads() int64 { return uploadOf(maps.Values(c.Fields)) }

// OutcomeKind says what is known of a command after its request.
type OutcomeKind string

// The kinds of outcomes.
const (
	// OutcomeDone: the portal said that it did it.
	OutcomeDone OutcomeKind = "done"
	// OutcomeFailed: the portal refused this command for good; nothing was done.
	OutcomeFailed OutcomeKind = "failed"
	// OutcomeConflict: the portal did nothing and wants a person to decide.
	OutcomeConflict OutcomeKind = "conflict"
	// OutcomeRefused: refused before execution, by a limit or before a byte
	// was written; the same command may be sent again at any time.
	OutcomeRefused OutcomeKind = "refused"
	// OutcomeUnknown: it may or may not have been executed, or still be running.
	OutcomeUnknown OutcomeKind = "unknown"
	// OutcomeFatal: refused, and every other command will be too (credentials,
	// scope, a deleted portal): the run must stop.
	OutcomeFatal OutcomeKind = "fatal"
)

// Outcome is what became of one command.
type Outcome struct {
	Kind OutcomeKind
	ID   int64 // of the made or changed item
	// Item is the item as the portal answered it; nil where it answers none
	// (import, delete).
	Item *Item
	// Code and Message are the portal's error code and its localised text.
	Code    string
	Message string
	// Cost is the execution time that the portal reported for the command, 0
	// where it reported none.
	Cost time.Duration
}

// Usage counts what was asked of a portal since it was opened.
type Usage struct {
	Requests int `json:"requests"` // HTTP requests
	Commands int `json:"commands"` // methods called, those inside batches too
	Rejected int `json:"rejected"` // answers 503 QUERY_LIMIT_EXCEEDED and 429 OPERATION_TIME_LIMIT
	Retried  int `json:"retried"`  // requests sent again
}

// Plus adds another count.
func (u Usage) Plus(o Usage) Usage {
	return Usage{
		Requests: u.Requests + o.Requests, Commands: u.Commands + o.Commands,
		Rejected: u.Rejected + o.Rejected, Retried: u.Retried + o.Retried,
	}
}

// Since is what was asked after an earlier count.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		Requests: u.Requests - before.Requests, Commands: u.Commands - before.Commands,
		Rejected: u.Rejected - before.Rejected, Retried: u.Retried - before.Retried,
	}
}

// Forecast is what the governor expects of some writes.
type Forecast struct {
	Requests  int
	Seconds   float64
	LimitedBy string // none, bucket or execution_time
	Limit     string // what that limit is; empty if there is none
}

// Gauge shows the state of a portal's limits, for progress lines and estimates.
type Gauge interface {
	Usage() Usage
	// Forecast predicts how long writes take from now: commands by kind and
	// entity type id, e.g. {"crm.item.add": 5000}.
	Forecast(commands map[string]int) Forecast
	// Rehearse begins a run in imagined time, from how things stand now.
	Rehearse() Rehearsal
	// Load is how much of the portal's limits is in use right now.
	Load() Load
}
