package steps

import (
	"context"

	"github.com/bxflow/bxflow/engine"
)

// Update changes fields of an item that an earlier step of the stream holds.
type Update struct {
	Step    engine.Word         `object:"step"`
	Set     []engine.FieldValue `key:"set" required:"true" doc:"Fields and their new values. A blank cell leaves a field alone; null clears it."`
	Replace bool                `key:"replace" default:"false" doc:"true makes phones, e-mails, links and files exactly the given ones; otherwise the given are added."`
	Blank   string              `key:"blank" enum:"omit,clear" default:"omit" doc:"clear: a blank value clears the field."`

	set mapping
}

// Verb implements [engine.Step].
func (*Update) Verb() string { return "update" }

// Makes implements [engine.Step].
func (*Update) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Update) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Update) Plans() bool { return false }

// Prepare implements [engine.Step].
func (s *Update) Prepare(p *engine.Prepare) {
	e := p.HeldEntity(s.Step.Text)
	if e == nil {
		return
	}
	s.set = newMapping(p, e, s.Set, onChange)
	needFor(p, s.Step.Text, e, s.set)
}

// needFor says that planning must know the present values of mapped fields,
// and of the sets that single links belong to.
func needFor(p *engine.Prepare, step string, e *engine.Entity, m mapping) {
	p.Need(step, m.names()...)
	for _, entry := range m {
		if set := e.FieldByName(entry.field.Name + "s"); entry.field.IsLink() && set != nil {
			p.Need(step, set.Name)
		}
	}
}

// Plan implements [engine.Step].
func (s *Update) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		h := r.Held(s.Step.Text)
		wants, err := s.set.eval(p, p.Env(r), s.Blank == "clear")
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		fields, err := forUpdate(ctx, p, h, wants, s.Replace)
		if err != nil {
			return err
		}
		p.Change(r, engine.KindUpdate, h, fields)
	}
	return nil
}
