package steps

import (
	"context"
	"fmt"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Create makes an item for each record, once: a record that it made an item for
// before holds that item and changes nothing.
type Create struct {
	Entity      engine.Word         `object:"entity"`
	Category    *engine.Value       `key:"category" doc:"Category (pipeline) of the new item, by name or id. Default: the default one."`
	Stage       *engine.Value       `key:"stage" doc:"Stage of the new item, by name or id. Default: the first one."`
	Fields      []engine.FieldValue `key:"fields" doc:"Fields of the new item, by title, REST name or UF_ name."`
	Automation  string              `key:"automation" enum:"on,off" default:"on" doc:"off makes the item by crm.item.import, so that no robots, triggers or workflows run."`
	ExternalKey engine.Word         `key:"external_key" doc:"The text field that carries the external key. Default: xmlId, or originId."`

	entity *engine.Entity
	fields mapping
	place  placement
	key    *engine.Field
}

// Verb implements [engine.Step].
func (*Create) Verb() string { return "create" }

// Makes implements [engine.Step].
func (s *Create) Makes() string { return s.Entity.Text }

// Target implements [engine.Step].
func (*Create) Target() string { return "" }

// Plans implements [engine.Step].
func (*Create) Plans() bool { return true }

// Prepare implements [engine.Step].
func (s *Create) Prepare(p *engine.Prepare) {
	s.entity = p.Entity(s.Entity)
	p.Holds(s.entity)
	if s.entity == nil {
		return
	}
	s.fields = newMapping(p, s.entity, s.Fields, onMake)
	s.place = newPlacement(p, s.entity, s.Category, s.Stage)
	s.key = keyField(p, s.entity, s.ExternalKey)
}

// request is what one record asks for.
type request struct {
	record *engine.Record
	fields map[string]engine.FieldChange
	key    engine.ExternalKey
}

// Plan implements [engine.Step].
func (s *Create) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	var asked []request
	var keys [][]any
	for _, r := range chunk {
		fields, err := s.evaluate(p, r)
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		key := stamp(p, r, s.key, fields)
		asked = append(asked, request{r, fields, key})
		keys = append(keys, []any{key.Key})
	}
	held, err := p.PlannedItems(ctx, s.entity, []*engine.Field{s.key}, keys)
	if err != nil {
		return err
	}
	found, err := find(ctx, p, s.entity, []*engine.Field{s.key}, keys, nil)
	if err != nil {
		return err
	}
	var existing []*engine.Held
	first := map[string]request{}
	for i, a := range asked {
		if before, again := first[a.key.Key]; again {
			s.again(p, before, a)
			continue
		}
		first[a.key.Key] = a
		switch hits := found[i]; {
		case held[i] != nil: // made by an earlier chunk
			if differs(held[i], a.fields) {
				s.clash(p, sourceOf(held[i]), a)
				continue
			}
			a.record.Hold(p.ID(), held[i])
			p.Unchanged(a.record, held[i])
		case len(hits) > 1:
			p.Conflict(a.record, fmt.Sprintf("%d items carry the external key %q: %s; delete all but one", len(hits), a.key.Key, ids(hits)))
		case len(hits) == 1:
			h := p.Hold(a.record, hits[0], s.entity)
			existing = append(existing, h)
			p.Unchanged(a.record, h)
		default:
			s.create(p, a)
		}
	}
	return p.Overlay(ctx, existing)
}

// again settles a record whose key an earlier one of the chunk has: it holds
// that one's item if both ask for the same; otherwise neither can be told to be
// the right one.
func (s *Create) again(p *engine.Planning, before, a request) {
	h := before.record.Held(p.ID())
	switch {
	case h == nil:
		p.Invalid(a.record, fmt.Sprintf("has the key of %s, which makes no item", before.record.Source))
	case engine.HashOf(before.fields) == engine.HashOf(a.fields):
		a.record.Hold(p.ID(), h)
		p.Unchanged(a.record, h)
	default:
		s.clash(p, before.record.Source, a)
	}
}

// clash makes two records of one key and different fields invalid.
func (s *Create) clash(p *engine.Planning, earlier string, a request) {
	p.Withdraw(p.ID(), earlier, fmt.Sprintf("%s has the same key (%s) and other values", a.record.Source, a.record.Key))
	p.Invalid(a.record, fmt.Sprintf("%s has the same key (%s) and other values", earlier, a.record.Key))
}

func (s *Create) create(p *engine.Planning, a request) {
	c := p.Create(a.record, s.entity, a.fields, a.key)
	c.Import = s.Automation == "off"
	settle(a.record.Held(p.ID()))
}

// Matches implements [engine.Matcher]: records of one key hold one item.
func (s *Create) Matches() (*engine.Entity, [][]*engine.Field) {
	return s.entity, [][]*engine.Field{{s.key}}
}

func (s *Create) evaluate(p *engine.Planning, r *engine.Record) (map[string]engine.FieldChange, error) {
	env := p.Env(r)
	wants, err := s.fields.eval(p, env, false)
	if err != nil {
		return nil, err
	}
	fields := forCreate(wants)
	return fields, s.place.apply(env, fields)
}

// differs says whether a planned item was made with other fields. Later steps
// may have changed it since; a field that they did not touch tells.
func differs(h *engine.Held, fields map[string]engine.FieldChange) bool {
	for name, f := range fields {
		field := h.Entity.FieldByName(name)
		if field != nil && h.Made[name] != nil && !field.Equal(h.Made[name], f.After) {
			return true
		}
	}
	return false
}

// sourceOf is the record that a planned item is made for.
func sourceOf(h *engine.Held) string {
	_, source, _ := strings.Cut(h.Ref, "@")
	return source
}
