package steps

import (
	"context"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// beside is what stands beside the items of some records, by its identity: what
// the portal has, and what the plan makes.
type beside struct {
	entity *engine.Entity
	keys   [][]any
	held   []*engine.Held               // of each key; nil where there was none before the chunk
	made   map[engine.Hash]*engine.Held // in this chunk
}

// findBeside looks up what the keys, values of the entity's identity, stand for. Of
// several the oldest counts.
func findBeside(ctx context.Context, p *engine.Planning, e *engine.Entity, keys [][]any) (*beside, error) {
	b := &beside{entity: e, keys: keys, made: map[engine.Hash]*engine.Held{}}
	if len(keys) == 0 {
		return b, nil
	}
	var err error
	if b.held, err = p.PlannedItems(ctx, e, e.IdentityFields(), keys); err != nil {
		return nil, err
	}
	var names []string
	for _, f := range e.Fields {
		names = append(names, f.Name)
	}
	hits, err := find(ctx, p, e, e.IdentityFields(), keys, names)
	if err != nil {
		return nil, err
	}
	var there []*engine.Held
	for i, items := range hits {
		if len(items) > 0 {
			b.held[i] = p.Share(e, items[0])
			there = append(there, b.held[i])
		}
	}
	return b, p.Overlay(ctx, there)
}

// of is what a key stands for, nil if there is nothing yet.
func (b *beside) of(i int) *engine.Held {
	if b.held[i] != nil {
		return b.held[i]
	}
	return b.made[engine.HashOf(b.keys[i]...)]
}

// create plans what a key stands for, with further values.
func (b *beside) create(p *engine.Planning, r *engine.Record, i int, fields map[string]engine.FieldChange, external engine.ExternalKey) *engine.Held {
	if fields == nil {
		fields = map[string]engine.FieldChange{}
	}
	for n, name := range b.entity.Identity {
		fields[name] = engine.FieldChange{After: b.keys[i][n]}
	}
	h := p.CreateBeside(r, b.entity, fields, external)
	b.made[engine.HashOf(b.keys[i]...)] = h
	return h
}

// ownerID is the id of a held item, or a reference to one that is planned.
func ownerID(h *engine.Held) any {
	if h.ID == 0 {
		return expression.Ref{Step: h.Ref}
	}
	return h.ID
}
