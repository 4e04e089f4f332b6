package engine

import (
	"errors"
	"fmt"

	"github.com/bxflow/bxflow/engine/expression"
)

// Var is a named expression of a job. It is worked out once for each record,
// when the record is taken from its source, and then is the same for all steps.
type Var struct {
	Name  Word
	Value *Value
}

// compileVars compiles a stream's variables, each in sight of those above it,
// and lets the steps see them.
func (p *Prepare) compileVars() {
	p.common = &Common{} // a variable is no step's
	for _, v := range p.shape.stream.Vars {
		p.compile([]Expr{v.Value}, p.scope())
		if p.shape.vars == nil {
			p.shape.vars = map[string]expression.Type{}
		}
		p.shape.vars[v.Name.Text] = v.Value.Type()
	}
}

// addVars works out the stream's variables for what a record's expressions see.
// One that can't be worked out is an error of whatever uses it, and of nothing
// else.
func (p *Planning) addVars(env expression.Env) {
	if len(p.shape.stream.Vars) == 0 {
		return
	}
	values := make(map[string]any, len(p.shape.stream.Vars))
	env["vars"] = values
	for _, v := range p.shape.stream.Vars {
		value, err := v.Value.EvalField(env)
		if err != nil {
			value = varFault(v, err)
		}
		values[v.Name.Text] = native(value)
	}
}

// varFault is the error of a variable without the place in its text: the error
// of what uses it says where that stands.
func varFault(v *Var, err error) error {
	if fault, ok := errors.AsType[*expression.Error](err); ok {
		return fmt.Errorf("vars.%s: %s", v.Name.Text, fault.Text())
	}
	return fmt.Errorf("vars.%s: %w", v.Name.Text, err)
}

// native turns the whole numbers that expressions give into those that they take.
func native(v any) any {
	switch v := v.(type) {
	case int64:
		return int(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = native(e)
		}
		return list
	}
	return v
}
