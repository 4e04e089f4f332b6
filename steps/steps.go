// Package steps holds the kinds of steps that a job may have, one a file.
//
// A kind is a struct of settings, decoded from the job file by its tags, and a
// planner. It never writes: it is given records and a portal that it can only
// read, and says which changes it wants.
package steps

import "github.com/bxflow/bxflow/engine"

// All lists the kinds, in the order of the documentation. A new kind is one
// line here.
func All() []engine.StepKind {
	return []engine.StepKind{
		{Verb: "read", Doc: "Begins a stream of rows from a file: CSV, TSV, JSON, JSONL or XLSX, also as .gz; a pattern takes several, - is standard input.", Source: func() engine.Source { return &Read{} }},
		{Verb: "select", Doc: "Begins a stream of items from the portal.", Source: func() engine.Source { return &Select{} }},
		{Verb: "import", Doc: "Creates or updates an item by key.", Step: func() engine.Step { return &Import{} }},
		{Verb: "create", Doc: "Creates an item, once for each record.", Step: func() engine.Step { return &Create{} }},
		{Verb: "find", Doc: "Finds an item by fields.", Step: func() engine.Step { return &Find{} }},
		{Verb: "update", Doc: "Changes fields of a held item.", Step: func() engine.Step { return &Update{} }},
		{Verb: "move", Doc: "Moves a held item to another stage.", Step: func() engine.Step { return &Move{} }},
		{Verb: "clear", Doc: "Empties fields of a held item.", Step: func() engine.Step { return &Clear{} }},
		{Verb: "delete", Doc: "Deletes a held item.", Step: func() engine.Step { return &Delete{} }},
		{Verb: "merge", Doc: "Merges held items that are duplicates of each other.", Step: func() engine.Step { return &Merge{} }},
		{Verb: "address", Doc: "Gives a held contact, company or lead an address, or changes it.", Step: func() engine.Step { return &Address{} }},
		{Verb: "products", Doc: "Gives a held lead, deal, quote, invoice or card its product rows, all of them.", Step: func() engine.Step { return &Products{} }},
		{Verb: "comment", Doc: "Writes a comment into the timeline of a held item, once.", Step: func() engine.Step { return &Comment{} }},
		{Verb: "todo", Doc: "Plans a to-do for a person on a held item, once.", Step: func() engine.Step { return &Todo{} }},
		{Verb: "task", Doc: "Makes a task for a person, bound to a held item, once.", Step: func() engine.Step { return &Task{} }},
		{Verb: "call", Doc: "Calls a REST method for each record, once.", Step: func() engine.Step { return &Call{} }},
	}
}
