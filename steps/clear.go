package steps

import (
	"context"

	"github.com/bxflow/bxflow/engine"
)

// Clear empties fields of an item that an earlier step of the stream holds:
// lists, phones and links lose all of their values.
type Clear struct {
	Step   engine.Word   `object:"step"`
	Fields []engine.Word `key:"fields" required:"true" doc:"The fields that are to be empty, by title, REST name or UF_ name."`

	fields []*engine.Field
}

// Verb implements [engine.Step].
func (*Clear) Verb() string { return "clear" }

// Makes implements [engine.Step].
func (*Clear) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Clear) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Clear) Plans() bool { return false }

// Prepare implements [engine.Step].
func (s *Clear) Prepare(p *engine.Prepare) {
	s.fields = nil
	e := p.HeldEntity(s.Step.Text)
	if e == nil {
		return
	}
	if len(s.Fields) == 0 {
		p.Problem(s.Step.Pos, "name the fields that are to be empty", "clear has an empty `fields`")
	}
	for _, w := range s.Fields {
		f := p.Field(e, w)
		if f == nil {
			continue
		}
		switch {
		case f.ReadOnly:
			p.Problem(w.Pos, "the portal sets it itself", "field %s is read-only", f.Name)
			continue
		case f.Immutable:
			p.Problem(w.Pos, "it can be set when the item is made", "field %s can't be changed", f.Name)
			continue
		case f.Required, f.Name == "stageId", f.Name == "categoryId":
			p.Problem(w.Pos, "every item must have a value there; update it to another one", "field %s can't be empty", f.Name)
			continue
		case f.Type == engine.FieldBoolean:
			p.Problem(w.Pos, "update it to false", "field %s is always yes or no", f.Name)
			continue
		}
		f = wholeSet(e, f)
		s.fields = append(s.fields, f)
		p.Need(s.Step.Text, f.Name)
	}
}

// wholeSet is the set that a single link (contactId) belongs to, or the field
// itself: a link is gone when no item of its set is left.
func wholeSet(e *engine.Entity, f *engine.Field) *engine.Field {
	if f.Multiple || !f.IsLink() {
		return f
	}
	if set := e.FieldByName(f.Name + "s"); set != nil && set.Multiple && !set.ReadOnly {
		return set
	}
	return f
}

// Plan implements [engine.Step].
func (s *Clear) Plan(_ context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		h := r.Held(s.Step.Text)
		fields := map[string]engine.FieldChange{}
		for _, f := range s.fields {
			if c, differs := difference(f, h.Now[f.Name], nil, true); differs {
				fields[f.Name] = c
			}
		}
		p.Change(r, engine.KindUpdate, h, fields)
	}
	return nil
}
