// Package expression is the language of a job's ${{ … }} and conditions: expr-lang, compiled once, type-checked against
// the names that a step can see, and closed to everything else.
//
// [Compile] and [CompileCondition] turn one expression into a [Program]; [ParseTemplate] turns a scalar of the job file,
// with or without ${{ … }} in it, into a [Template]. Both report faults as [Errors], each with its line and column in
// the text that was given and, where one is known, the remedy. Eval reports one [*Error].
//
// An expression sees `row` (or the ids of the steps above it), `params`, `env`, `vars`, `maps` (as what pick chooses from), `plan`
// (guards only), `now` (the frozen time, written `now` or `now()`), `null`, and the functions of [Functions]. A record is used by naming one of its
// members, `row.cpf` or `row["e mail"]`, never as a whole, so that [Program.Uses] is complete. Methods, ranges beyond
// [MaxRange], predicates nested deeper than two, and text over [MaxText] bytes are refused: an expression cannot run
// long, grow large, or reach anything that its scope does not name.
//
// Values come out as nil (clear the field), [Omitted] (leave it alone), bool, int64, float64, string, [time.Time],
// []any, map[string]any, a [File], or as the [Ref] or [Text] of an item that does not exist yet. Blank text in a conversion such as
// number, date or phone gives blank text again, so that a blank cell means the same with and without a conversion.
package expression

// Limits of what one expression may cost. They bound its time as well, since it has no loops but predicates over lists.
const (
	// MaxSource is the length of an expression in bytes.
	MaxSource = 4096
	// MaxNodes is the number of nodes of an expression's syntax tree.
	MaxNodes = 1000
	// MaxRange is the number of elements of a range such as 1..10, whose ends must be literals, and of a split text.
	MaxRange = 1000
	// MaxText is the length in bytes of a text that an expression may build.
	MaxText = 1 << 20

	memoryBudget      = 100_000 // values in lists and maps that one evaluation may make
	maxPredicateDepth = 2
)

// Type says what an expression knows about a value before it has one. A value of every type may also be null.
type Type int

// The types that a scope can give to a name. Any is checked when the expression is evaluated.
const (
	Any Type = iota
	String
	Int
	Float
	Bool
	Time
	List
)

// String is the type's name in messages.
func (t Type) String() string {
	switch t {
	case String:
		return "text"
	case Int:
		return "whole number"
	case Float:
		return "number"
	case Bool:
		return "true or false"
	case Time:
		return "date"
	case List:
		return "list"
	case Any:
	}
	return "any"
}

// Record says which members a name has.
type Record struct {
	Fields map[string]Type
	// Open says that there may be members that Fields does not list (the header or the portal's fields are not known
	// yet); they are of type Other and looked for when the expression is evaluated.
	Open  bool
	Other Type
}

// Scope says which names an expression may use, and what they are.
type Scope struct {
	Row   *Record            // the row's columns; nil: this stream has no rows
	Items map[string]*Record // the fields of the items that steps hold, by step id; `id` and `created` are added
	// Planned are the step ids whose item may not exist before the plan is applied. Their `.id` must stand alone.
	Planned map[string]bool
	Params  map[string]Type
	Env     []string        // names of environment variables that the job lists
	Vars    map[string]Type // the job's variables; nil: there are none
	Maps    []string        // names of the maps that the job has in files
	Plan    *Record         // the plan's figures; nil everywhere but in guards
}

// Env holds the values of one evaluation: "now" (a [time.Time]; its location is the zone of dates), "last_run" (the same, or
// nil), "row", "params",
// "env", "vars", "maps" (a map[string]*[Map]), "plan" and one entry for each step id, each of them a map[string]any or map[string]string. A step that holds
// no item for this record has no entry. The "id" of an item that does not exist yet is a [Ref]. A variable that could not be worked out is an error.
type Env map[string]any

// Ref stands for the id of an item that does not exist yet: the one that Step makes of the same record.
type Ref struct{ Step string }

// Text is text with ids in it that are not known yet. Its parts are strings and [Ref]s.
type Text struct{ Parts []any }

// Omitted is what omit() gives: leave the field as it is.
type Omitted struct{}

// File is a file that the job names, for a field that holds files.
type File struct{ Path string }

// Use is a member that an expression reads: {"row", "cpf"}, {"client", "id"}, {"env", "HOME"}.
type Use struct {
	Name, Member string
	// Optional is set for `client?.id`: null where the record has no such item or member. Others are errors then.
	Optional bool
	// Line and Column, from 1, are where the member stands in the expression's text.
	Line, Column int
}
