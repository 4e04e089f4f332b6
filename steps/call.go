package steps

import (
	"context"
	"regexp"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Call calls any REST method for each record, once. What the portal makes of it
// can't be asked for; so its answer alone tells that it was done, and the job says
// whether it may be made again when that is lost.
type Call struct {
	Method     engine.Word         `object:"method"`
	Params     []engine.FieldValue `key:"params" nested:"true" doc:"The method's parameters; values may be expressions."`
	Idempotent bool                `key:"idempotent" default:"false" doc:"true: it may be called again when its answer is lost. false: such a call is left for you to look at."`
	Repeat     bool                `key:"repeat" default:"false" doc:"true calls it in every run; otherwise once for each record."`
	Undo       engine.Word         `key:"undo" doc:"The method by which undo takes it back. Without one, undo lists it as what stays."`
	UndoParams []engine.FieldValue `key:"undo_params" nested:"true" doc:"Parameters of undo; $result[task][id] is a part of the call's answer."`
}

// Verb implements [engine.Step].
func (*Call) Verb() string { return "call" }

// Makes implements [engine.Step].
func (*Call) Makes() string { return "" }

// Target implements [engine.Step].
func (*Call) Target() string { return "" }

// Plans implements [engine.Step].
func (*Call) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Call) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideCalls}} }

// ownVerbs are the steps that do what a method does, and can tell whether it was done.
func ownVerbs() map[string]string {
	return map[string]string{
		"crm.item.add": "create or import", "crm.item.import": "create or import with automation: off", "crm.item.update": "update",
		"crm.item.delete": "delete", "crm.timeline.comment.add": "comment", "crm.address.add": "address",
		"crm.item.productrow.set": "products", "crm.item.productrow.add": "products",
	}
}

// Prepare implements [engine.Step].
func (s *Call) Prepare(p *engine.Prepare) {
	name := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)+$`)
	for _, w := range []engine.Word{s.Method, s.Undo} {
		switch lower := strings.ToLower(w.Text); {
		case w.Text == "":
		case !name.MatchString(w.Text) || lower == "batch":
			p.Problem(w.Pos, "write the name of one method, such as tasks.task.add", "%q is no method that can be called", w.Text)
		case ownVerbs()[lower] != "":
			p.Warn("step %s: %s is called as it is; %s can tell whether it was done when the answer is lost", p.ID(), w.Text, ownVerbs()[lower])
		}
	}
	if s.Undo.Text == "" && len(s.UndoParams) > 0 {
		p.Problem(p.Pos(), "add undo: and the method that takes the call back", "undo_params without undo do nothing")
	}
}

// Plan implements [engine.Step].
func (s *Call) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	for _, r := range chunk {
		fields := map[string]engine.FieldChange{engine.CallMethod: {After: s.Method.Text}}
		if s.Idempotent {
			fields[engine.CallIdempotent] = engine.FieldChange{After: true}
		}
		if s.Undo.Text != "" {
			fields[engine.CallUndo] = engine.FieldChange{After: s.Undo.Text}
		}
		env := p.Env(r)
		err := addParams(fields, "params.", s.Params, env)
		if err == nil {
			err = addParams(fields, "undo.", s.UndoParams, env)
		}
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		record := r.Key
		if s.Repeat {
			record += "\x00" + p.Now.UTC().String()
		}
		key := engine.ExternalKeyOf(p.Job.Name, p.ID(), record)
		if err := p.Call(ctx, r, key, fields); err != nil {
			return err
		}
	}
	return nil
}

// addParams evaluates parameters. Omitted ones are left out.
func addParams(fields map[string]engine.FieldChange, prefix string, params []engine.FieldValue, env expression.Env) error {
	for _, fv := range params {
		v, err := fv.Value.Eval(env)
		if err != nil {
			return err
		}
		if _, omitted := v.(expression.Omitted); omitted {
			continue
		}
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		fields[prefix+fv.Field.Text] = engine.FieldChange{After: v}
	}
	return nil
}
