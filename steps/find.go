package steps

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Find holds an item of the portal that has the given values, and changes
// nothing.
type Find struct {
	Entity   engine.Word         `object:"entity"`
	By       []engine.FieldValue `key:"by" required:"true" doc:"Fields and the values that they must have, all together."`
	OnMany   string              `key:"on_many" enum:"fail,first,newest" default:"fail" doc:"What to do when several items match."`
	Required bool                `key:"required" default:"true" doc:"false: a record without a hit goes on, and steps that need the item skip it."`

	entity *engine.Entity
	by     mapping
}

// Verb implements [engine.Step].
func (*Find) Verb() string { return "find" }

// Makes implements [engine.Step].
func (s *Find) Makes() string { return s.Entity.Text }

// Target implements [engine.Step].
func (*Find) Target() string { return "" }

// Plans implements [engine.Step].
func (*Find) Plans() bool { return false }

// Prepare implements [engine.Step].
func (s *Find) Prepare(p *engine.Prepare) {
	s.entity, s.by = p.Entity(s.Entity), nil
	p.Holds(s.entity)
	if s.entity == nil {
		return
	}
	for _, fv := range s.By {
		f := p.Field(s.entity, fv.Field)
		if f == nil || !sought(p, fv.Field.Pos, f, s.list()) {
			continue
		}
		if text, ok := fv.Value.Literal(); ok {
			if _, err := f.Canonical(text, p.Catalog); err != nil {
				p.Fail(fv.Value.Pos, err)
			}
		}
		s.by = append(s.by, mapped{f, fv.Value})
	}
	if len(s.By) == 0 {
		p.Problem(s.Entity.Pos, "name the fields to find it by", "find has an empty `by`")
	}
}

// sought says whether items can be found by a field together with the ones before
// it, or reports that they can't.
func sought(p *engine.Prepare, pos engine.Pos, f *engine.Field, before []*engine.Field) bool {
	switch {
	case slices.Contains(before, f):
		p.Problem(pos, "name it once", "field %s is there twice", f.Name)
	case f.Type == engine.FieldFile:
		p.Problem(pos, "name a field that holds a value", "no item can be found by field %s: it holds files", f.Name)
	case f.Type != engine.FieldMulti && f.Multiple:
		p.Problem(pos, "name a field that holds one value", "no item can be found by field %s: it holds several values", f.Name)
	case f.Type != engine.FieldMulti:
		return true
	case f.Name != "phone" && f.Name != "email": // crm.duplicate.findbycomm knows no others
		p.Problem(pos, "name phone, email or another field", "no item can be found by field %s: the portal doesn't look for it", f.Name)
	case slices.ContainsFunc(before, func(f *engine.Field) bool { return f.Type == engine.FieldMulti }):
		p.Problem(pos, "match: [[phone], [email]] of an import tries them in turn", "no item can be found by phone and email together")
	default:
		return true
	}
	return false
}

// list are the fields of `by`.
func (s *Find) list() []*engine.Field {
	list := make([]*engine.Field, 0, len(s.by))
	for _, m := range s.by {
		list = append(list, m.field)
	}
	return list
}

// Matches implements [engine.Matcher].
func (s *Find) Matches() (*engine.Entity, [][]*engine.Field) {
	return s.entity, [][]*engine.Field{s.list()}
}

// Plan implements [engine.Step].
func (s *Find) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	var records []*engine.Record
	var keys [][]any
	for _, r := range chunk {
		wants, err := s.by.eval(p, p.Env(r), false)
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		key, complete := keyOf(s.list(), wants)
		if !complete {
			s.miss(p, r, "a value to find it by is empty")
			continue
		}
		records, keys = append(records, r), append(keys, key)
	}
	made, err := p.PlannedItems(ctx, s.entity, s.list(), keys)
	if err != nil {
		return err
	}
	found, err := find(ctx, p, s.entity, s.list(), keys, nil)
	if err != nil {
		return err
	}
	var held []*engine.Held
	for i, r := range records {
		hits := found[i]
		switch {
		case made[i] != nil && len(hits) == 0:
			r.Hold(p.ID(), made[i])
			p.Unchanged(r, made[i])
		case len(hits) == 0:
			s.miss(p, r, "no "+s.entity.Name+" has "+describe(s.list(), keys[i]))
		default:
			hit, err := choose(hits, s.OnMany)
			if err != nil {
				p.Invalid(r, err.Error())
				continue
			}
			h := p.Hold(r, hit, s.entity)
			held = append(held, h)
			p.Unchanged(r, h)
		}
	}
	return p.Overlay(ctx, held)
}

func (s *Find) miss(p *engine.Planning, r *engine.Record, reason string) {
	if s.Required {
		p.Invalid(r, reason)
		return
	}
	p.Skip(r, reason)
}

// find looks keys up and returns the hits of each, with the fields that the
// stream needs of the step in hand and some more.
func find(ctx context.Context, p *engine.Planning, e *engine.Entity, list []*engine.Field, keys [][]any, more []string) ([][]engine.Item, error) {
	hits := make([][]engine.Item, len(keys))
	var known [][]any
	var places []int
	for i, key := range keys {
		if !planned(key) {
			known, places = append(known, key), append(places, i)
		}
	}
	if known == nil {
		return hits, nil
	}
	found, err := p.Find(ctx, engine.Lookup{Entity: e, Match: list, Keys: known, Select: append(p.Fields(p.ID()), more...)})
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		hits[place] = found[i]
	}
	return hits, nil
}

// planned says whether a key holds the id of an item that this plan makes: no
// item of the portal can have it.
func planned(key []any) bool {
	return slices.ContainsFunc(key, func(v any) bool {
		switch v.(type) {
		case expression.Ref, expression.Text:
			return true
		default:
			return false
		}
	})
}

// choose picks one of several hits, or says that it can't.
func choose(hits []engine.Item, onMany string) (engine.Item, error) {
	switch {
	case len(hits) == 1 || onMany == "first":
		return hits[0], nil
	case onMany == "newest":
		return hits[len(hits)-1], nil
	}
	return engine.Item{}, fmt.Errorf("%d items match: %s; merge them, or set on_many: first or newest", len(hits), ids(hits))
}

// ids lists the ids of items, the first few.
func ids(items []engine.Item) string {
	const shown = 5
	var b strings.Builder
	for i, item := range items {
		if i == shown {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.FormatInt(item.ID, 10))
	}
	return b.String()
}

// keyOf picks the values of a list of fields; complete is false where one is
// empty. The id of a planned item is a value like others.
func keyOf(list []*engine.Field, wants []want) (key []any, complete bool) {
	for _, f := range list {
		var v any
		for _, w := range wants {
			if w.field == f {
				v = w.value
			}
		}
		switch value := v.(type) {
		case []engine.MultiValue:
			v = value[0].Value
		case []any:
			return nil, false
		}
		if v == nil || f.Fold(v) == "" { // a phone without a digit, n/a, is nobody's
			return nil, false
		}
		key = append(key, v)
	}
	return key, true
}

// describe prints a key for people: CPF 123, name Ana.
func describe(list []*engine.Field, key []any) string {
	parts := make([]string, len(list))
	for i, f := range list {
		name := f.Title
		if name == "" {
			name = f.Name
		}
		parts[i] = fmt.Sprintf("%s %v", name, key[i])
	}
	return strings.Join(parts, ", ")
}
