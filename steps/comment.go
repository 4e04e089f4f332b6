package steps

import (
	"context"

	"github.com/bxflow/bxflow/engine"
)

// Comment writes a comment into the timeline of a held item, once: one of the
// same text that is there already is enough.
type Comment struct {
	Step engine.Word   `object:"step"`
	Text *engine.Value `key:"text" required:"true" doc:"What the comment says. A blank text writes none."`

	comments, owner *engine.Entity
	text            *engine.Field
}

// Verb implements [engine.Step].
func (*Comment) Verb() string { return "comment" }

// Makes implements [engine.Step].
func (*Comment) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Comment) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Comment) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Comment) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideComments}} }

// Prepare implements [engine.Step].
func (s *Comment) Prepare(p *engine.Prepare) {
	s.owner, s.comments = p.HeldEntity(s.Step.Text), p.Catalog.EntityByType(engine.TypeComment)
	s.text = s.comments.FieldByName("text")
}

// Plan implements [engine.Step].
func (s *Comment) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	var records []*engine.Record
	var keys [][]any
	for _, r := range chunk {
		raw, err := s.Text.Eval(p.Env(r))
		var text any
		if err == nil {
			text, err = s.text.Canonical(raw, p.Catalog)
		}
		switch {
		case err != nil:
			p.Invalid(r, fieldFault(s.text, err))
			continue
		case text == nil:
			p.Skip(r, "the comment is blank")
			continue
		}
		records = append(records, r)
		keys = append(keys, []any{s.owner.OwnerType(), ownerID(r.Held(s.Step.Text)), text})
	}
	comments, err := findBeside(ctx, p, s.comments, keys)
	if err != nil {
		return err
	}
	for i, r := range records {
		if h := comments.of(i); h != nil {
			p.Unchanged(r, h)
			continue
		}
		comments.create(p, r, i, nil, engine.ExternalKey{})
	}
	return nil
}
