// Package engine plans and applies jobs against a Bitrix24 portal.
//
// A [Job] is a list of streams. A stream begins with a [Source] of records and
// goes on with steps; each [Step] is a pure planner: it is given records and a
// [Reader] and returns the changes that it wants. The [Planner] gathers them
// into a plan, kept in a [Store]; the [Runner] is the only holder of a
// [Writer], and only a sealed plan feeds it. A dry run is therefore the same
// code, stopped half-way.
//
// The package knows no step kind, job file, database or HTTP: it declares the
// small interfaces that it needs, and its neighbours implement them.
package engine
