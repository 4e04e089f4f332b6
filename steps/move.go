package steps

import (
	"context"
	"fmt"

	"github.com/bxflow/bxflow/engine"
)

// Move brings a held item to another stage, and to another category where one
// is named.
type Move struct {
	Step     engine.Word   `object:"step"`
	To       *engine.Value `key:"to" required:"true" doc:"The stage, by name or id."`
	Category *engine.Value `key:"category" doc:"The category to move to, by name or id. Default: the item's own."`
}

// Verb implements [engine.Step].
func (*Move) Verb() string { return "move" }

// Makes implements [engine.Step].
func (*Move) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Move) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Move) Plans() bool { return false }

// Prepare implements [engine.Step].
func (s *Move) Prepare(p *engine.Prepare) {
	e := p.HeldEntity(s.Step.Text)
	if e == nil {
		return
	}
	p.Need(s.Step.Text, "stageId")
	if e.Categorized {
		p.Need(s.Step.Text, "categoryId")
	}
	if len(e.Categories) == 0 {
		p.Problem(s.Step.Pos, "", "%s has no stages", e.Name)
		return
	}
	if s.Category != nil {
		newPlacement(p, e, s.Category, s.To)
		return
	}
	if name, literal := s.To.Literal(); literal {
		s.checkStage(p, e, name)
	}
}

// checkStage reports a stage that no category of the entity has.
func (s *Move) checkStage(p *engine.Prepare, e *engine.Entity, name string) {
	var first error
	for i := range e.Categories {
		_, err := e.Categories[i].Stage(name)
		if err == nil {
			return
		}
		if first == nil {
			first = err
		}
	}
	p.Fail(s.To.Pos, first)
}

// Plan implements [engine.Step].
func (s *Move) Plan(_ context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		h := r.Held(s.Step.Text)
		fields, err := s.fields(p, r, h)
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		p.Change(r, engine.KindMove, h, fields)
	}
	return nil
}

func (s *Move) fields(p *engine.Planning, r *engine.Record, h *engine.Held) (map[string]engine.FieldChange, error) {
	env := p.Env(r)
	c, err := s.category(p, r, h)
	if err != nil {
		return nil, err
	}
	name, err := evalName(s.To, env)
	if err != nil {
		return nil, err
	}
	stage, err := c.Stage(name)
	if err != nil {
		return nil, err
	}
	fields := map[string]engine.FieldChange{}
	if now := h.Now["stageId"]; now != stage.ID {
		fields["stageId"] = engine.FieldChange{Before: now, After: stage.ID}
	}
	if now := h.Now["categoryId"]; h.Entity.Categorized && now != int64(c.ID) {
		fields["categoryId"] = engine.FieldChange{Before: now, After: int64(c.ID)}
	}
	return fields, nil
}

func (s *Move) category(p *engine.Planning, r *engine.Record, h *engine.Held) (*engine.Category, error) {
	name, err := evalName(s.Category, p.Env(r))
	if err != nil {
		return nil, err
	}
	if name != "" {
		return h.Entity.Category(name)
	}
	id, _ := h.Now["categoryId"].(int64)
	if c := h.Entity.CategoryByID(int(id)); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%s %d is in category %d, which the portal does not list", h.Entity.Name, h.ID, id)
}
