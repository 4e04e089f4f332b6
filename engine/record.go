package engine

import (
	"github.com/bxflow/bxflow/engine/expression"
)

// Record is one row of a file or one item of a select, plus what each step made
// of it.
type Record struct {
	// Source says where the record is from: clients.csv:12, or deal:17.
	Source string
	Line   int            // line of the file where it begins; 0 for an item
	Row    map[string]any // cells by column name, all text; nil for an item
	Cells  []string       // the same in the file's order, for the rows that fail
	Key    string         // what makes the row the same row next time
	Fault  string         // why the row can't be read, "" if it can

	// Abroad is the item of another portal than the job writes to that the record
	// is; nil for others. Expressions see it, and no step can change it.
	Abroad *Item

	held     map[string]*Held  // by step id
	broken   map[string]string // why a step has no item for the record, by step id
	unusable bool              // for a step so far, which its when did not leave out
	env      expression.Env
}

// Held is an item as a record's steps hold it: as the portal has it, changed by
// what this plan has already asked for.
type Held struct {
	Entity *Entity
	ID     int64  // 0 while the item is only planned
	Ref    string // of a planned item
	// Created says that this plan makes the item.
	Created bool
	// Gone is the record for which this plan deletes the item, "" if it does not.
	Gone string
	// Now are the known field values after this plan's changes so far, by
	// REST name, canonical. For a planned item these are all it will have.
	Now map[string]any
	// Made are the values with which an earlier chunk of the plan makes the
	// item; nil for others.
	Made map[string]any

	before     map[string]any  // as the portal has them
	changes    []*Change       // of this chunk, in order
	recognised map[string]bool // fields whose files the journal was asked about
}

// NewHeld holds an item of the portal.
func NewHeld(e *Entity, item Item) *Held {
	now := make(map[string]any, len(item.Fields))
	before := make(map[string]any, len(item.Fields))
	for name, v := range item.Fields {
		now[name], before[name] = v, v
	}
	return &Held{Entity: e, ID: item.ID, Now: now, before: before}
}

// key names the item inside the plan.
func (h *Held) key() ItemKey { return ItemKey{TypeID: h.Entity.TypeID, ID: h.ID, Ref: h.Ref} }

// Held returns the item that an earlier step holds for the record, or nil.
func (r *Record) Held(step string) *Held { return r.held[step] }

// Hold makes the record hold an item under a step's id.
func (r *Record) Hold(step string, h *Held) {
	if r.held == nil {
		r.held = map[string]*Held{}
	}
	r.held[step] = h
}

// Break says why the record has no item under a step's id; later steps that
// need it are skipped with the reason.
func (r *Record) Break(step, reason string) {
	if r.broken == nil {
		r.broken = map[string]string{}
	}
	r.broken[step] = reason
}
