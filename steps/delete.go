package steps

import (
	"context"
	"fmt"
	"slices"

	"github.com/bxflow/bxflow/engine"
)

// Delete deletes an item that an earlier step of the stream holds, and with it the
// items of other entities that it links to, where nothing else does.
type Delete struct {
	Step    engine.Word   `object:"step"`
	Cascade []engine.Word `key:"cascade" doc:"Entities of linked items that go, too: contact, company. One that something else links to is kept, and listed."`

	cascade []cascade
}

// cascade is an entity whose linked items go with the deleted one.
type cascade struct {
	entity *engine.Entity
	fields []*engine.Field // that link to it
}

// Verb implements [engine.Step].
func (*Delete) Verb() string { return "delete" }

// Makes implements [engine.Step].
func (*Delete) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Delete) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Delete) Plans() bool { return false }

// Needs implements [engine.Needer].
func (s *Delete) Needs() engine.Needs {
	needs := engine.Needs{Linkers: len(s.Cascade) > 0}
	for _, w := range s.Cascade {
		needs.Entities = append(needs.Entities, w.Text)
	}
	return needs
}

// Prepare implements [engine.Step].
func (s *Delete) Prepare(p *engine.Prepare) {
	s.cascade = nil
	e := p.HeldEntity(s.Step.Text)
	if e == nil {
		return
	}
	p.Need(s.Step.Text, e.DeletionFields()...)
	for _, w := range s.Cascade {
		to := p.Entity(w)
		if to == nil {
			continue
		}
		c := cascade{entity: to, fields: e.LinksTo(to.TypeID)}
		switch {
		case c.fields == nil:
			p.Problem(w.Pos, "", "%s has no link to a %s", e.Name, to.Name)
			continue
		case to == e:
			p.Problem(w.Pos, "", "%s is deleted itself", e.Name)
			continue
		}
		s.cascade = append(s.cascade, c)
	}
	// Contacts link to companies, and go first.
	slices.SortStableFunc(s.cascade, func(a, b cascade) int { return rank(a.entity) - rank(b.entity) })
}

// rank puts companies, which the others link to, last, and contacts before them.
func rank(e *engine.Entity) int {
	switch e.TypeID {
	case engine.TypeCompany:
		return 2
	case engine.TypeContact:
		return 1
	}
	return 0
}

// Plan implements [engine.Step].
func (s *Delete) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	var deleted []*engine.Record
	for _, r := range chunk {
		h := r.Held(s.Step.Text)
		if h.ID == 0 {
			p.Invalid(r, fmt.Sprintf("the plan makes this %s, so that it can't delete it", h.Entity.Name))
			continue
		}
		p.Delete(r, h, nil)
		deleted = append(deleted, r)
	}
	for _, c := range s.cascade {
		if err := s.follow(ctx, p, c, deleted); err != nil {
			return err
		}
	}
	return nil
}

// follow deletes the items of one entity that deleted ones linked to.
func (s *Delete) follow(ctx context.Context, p *engine.Planning, c cascade, deleted []*engine.Record) error {
	var ids []int64
	for _, r := range deleted {
		ids = append(ids, c.linked(r.Held(s.Step.Text))...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil
	}
	held, err := p.Take(ctx, c.entity, ids)
	if err != nil {
		return err
	}
	links, err := p.LinksTo(ctx, c.entity, ids)
	if err != nil {
		return err
	}
	for _, r := range deleted {
		for _, id := range c.linked(r.Held(s.Step.Text)) {
			h := held[id]
			switch kept := links[id].Kept; {
			case h == nil || h.Gone != "":
			case len(kept) == 1:
				p.Keep(r, h, "kept: "+kept[0]+" links to it")
			case len(kept) > 1:
				p.Keep(r, h, fmt.Sprintf("kept: %s and %d more link to it", kept[0], len(kept)-1))
			default:
				p.Delete(r, h, links[id].Deleted)
			}
		}
	}
	return nil
}

// linked are the ids of the items that a held one links to.
func (c cascade) linked(h *engine.Held) []int64 {
	var ids []int64
	for _, f := range c.fields {
		values, several := h.Now[f.Name].([]any)
		if !several {
			values = []any{h.Now[f.Name]}
		}
		for _, v := range values {
			if id, ok := v.(int64); ok && id > 0 && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
