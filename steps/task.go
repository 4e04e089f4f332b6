package steps

import (
	"context"
	"fmt"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Task makes a task for a person, bound to a held item (tasks.task.add), once for a
// record.
//
// It is a raw call like those of [Call], so that the journal tells what was made, and
// undo deletes it. The portal lists tasks, but none of the fields by which they are
// found (the filter of tasks.task.list) can carry a key of bxflow's, and titles are
// not unique: of a lost answer nobody knows, and it is left for somebody to look at.
type Task struct {
	Step        engine.Word   `object:"step"`
	Title       *engine.Value `key:"title" required:"true" doc:"What is to be done, in short. A blank one makes no task."`
	Responsible *engine.Value `key:"responsible" required:"true" doc:"Who is to do it: a name, an e-mail address or an id."`
	Description *engine.Value `key:"description" doc:"What is to be done, at length."`
	Deadline    *engine.Value `key:"deadline" doc:"When it is due: 2026-12-01T10:00, in the zone of this machine where none is given. Default: no deadline."`

	owner  *engine.Entity
	fields mapping
}

// The methods that make a task and delete it.
const (
	methodTask       = "tasks.task.add"
	methodDeleteTask = "tasks.task.delete"
)

// Verb implements [engine.Step].
func (*Task) Verb() string { return "task" }

// Makes implements [engine.Step].
func (*Task) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Task) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Task) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Task) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideCalls}} }

// Prepare implements [engine.Step].
func (s *Task) Prepare(p *engine.Prepare) {
	s.owner = p.HeldEntity(s.Step.Text)
	params := &engine.Entity{Name: "task", Fields: []*engine.Field{
		{Name: "TITLE", Title: "Title", Type: engine.FieldString},
		{Name: "RESPONSIBLE_ID", Title: "Responsible", Type: engine.FieldUser},
		{Name: "DESCRIPTION", Title: "Description", Type: engine.FieldText},
		{Name: "DEADLINE", Title: "Deadline", Type: engine.FieldDateTime},
	}}
	s.fields = newMapping(p, params, givenFields(params, s.Title, s.Responsible, s.Description, s.Deadline), onMake)
}

// givenFields gives fields, in their order, the values that a job has for them.
func givenFields(e *engine.Entity, values ...*engine.Value) []engine.FieldValue {
	var given []engine.FieldValue
	for i, v := range values {
		if v != nil {
			given = append(given, engine.FieldValue{Field: engine.Word{Text: e.Fields[i].Name, Pos: v.Pos}, Value: v})
		}
	}
	return given
}

// Plan implements [engine.Step].
func (s *Task) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		wants, err := s.fields.eval(p, p.Env(r), false)
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		fields := map[string]engine.FieldChange{
			engine.CallMethod: {After: methodTask}, engine.CallUndo: {After: methodDeleteTask},
			"undo.taskId":                {After: "$result[task][id]"},
			"params.fields[UF_CRM_TASK]": {After: []any{s.binding(r.Held(s.Step.Text))}},
		}
		for _, w := range wants {
			if w.value != nil {
				fields["params.fields["+w.field.Name+"]"] = engine.FieldChange{After: w.value}
			}
		}
		switch {
		case fields["params.fields[TITLE]"].After == nil:
			p.Skip(r, "the title is blank")
			continue
		case fields["params.fields[RESPONSIBLE_ID]"].After == nil:
			p.Invalid(r, "responsible is blank; a task needs a person")
			continue
		}
		if err := p.Call(ctx, r, engine.ExternalKeyOf(p.Job.Name, p.ID(), r.Key), fields); err != nil {
			return err
		}
	}
	return nil
}

// binding is how a task names the item that it belongs to: D_1, T80_6.
func (s *Task) binding(h *engine.Held) any {
	code := engine.TypeCode(s.owner.TypeID) + "_"
	if h.ID == 0 {
		return expression.Text{Parts: []any{code, expression.Ref{Step: h.Ref}}}
	}
	return fmt.Sprintf("%s%d", code, h.ID)
}
