package steps

import (
	"context"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Todo plans an activity for a person on a held item (crm.activity.todo.add), once
// for a record, a title and a deadline.
//
// The portal documents no way to list to-dos or to take one away. So it is a raw call
// like those of [Call]: the journal tells what was made, a lost answer is left for
// somebody to look at, and undo lists it as what stays.
type Todo struct {
	Step        engine.Word   `object:"step"`
	Deadline    *engine.Value `key:"deadline" required:"true" doc:"When it is due: 2026-12-01T10:00, in the zone of this machine where none is given. A blank one plans nothing; one that is reckoned from today is another one tomorrow."`
	Title       *engine.Value `key:"title" required:"true" doc:"What is to be done, in short."`
	Description *engine.Value `key:"description" doc:"What is to be done, at length."`
	Responsible *engine.Value `key:"responsible" doc:"Who is to do it: a name, an e-mail address or an id. Default: whom the webhook belongs to."`

	owner  *engine.Entity
	fields mapping
}

// methodTodo makes a to-do.
const methodTodo = "crm.activity.todo.add"

// Verb implements [engine.Step].
func (*Todo) Verb() string { return "todo" }

// Makes implements [engine.Step].
func (*Todo) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Todo) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Todo) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Todo) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideCalls}} }

// Prepare implements [engine.Step].
func (s *Todo) Prepare(p *engine.Prepare) {
	s.owner = p.HeldEntity(s.Step.Text)
	params := &engine.Entity{Name: "to-do", Fields: []*engine.Field{
		{Name: "deadline", Type: engine.FieldDateTime},
		{Name: "title", Type: engine.FieldString},
		{Name: "description", Type: engine.FieldText},
		{Name: "responsibleId", Type: engine.FieldUser},
	}}
	s.fields = newMapping(p, params, givenFields(params, s.Deadline, s.Title, s.Description, s.Responsible), onMake)
}

// Plan implements [engine.Step].
func (s *Todo) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		wants, err := s.fields.eval(p, p.Env(r), false)
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		fields := map[string]engine.FieldChange{
			engine.CallMethod:    {After: methodTodo},
			"params.ownerTypeId": {After: int64(s.owner.TypeID)},
			"params.ownerId":     {After: ownerID(r.Held(s.Step.Text))},
		}
		said := map[string]any{}
		for _, w := range wants {
			fields["params."+w.field.Name] = engine.FieldChange{After: w.value}
			said[w.field.Name] = w.value
		}
		deadline, _ := said["deadline"].(string)
		title, _ := said["title"].(string)
		switch {
		case deadline == "":
			p.Skip(r, "the deadline is blank")
			continue
		case title == "":
			p.Skip(r, "the title is blank")
			continue
		}
		if due, err := time.Parse(time.RFC3339, deadline); err == nil {
			deadline = due.UTC().Format(time.RFC3339) // the same moment in whatever zone
		}
		key := engine.ExternalKeyOf(p.Job.Name, p.ID(), r.Key+"\x00"+title+"\x00"+deadline)
		if err := p.Call(ctx, r, key, fields); err != nil {
			return err
		}
	}
	return nil
}
