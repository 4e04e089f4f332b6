package engine

import (
	"errors"
	"fmt"

	"github.com/bxflow/bxflow/engine/expression"
)

// Value is a value in a job file: a literal, a text with ${{ }} in it, null, or
// a list of values. Literals are kept as the source has them; the field that
// they are for gives them a type.
type Value struct {
	Pos  Pos
	Text string   // source text of a scalar
	Null bool     // the YAML null: clears a field
	List []*Value // the entries, where IsList
	// IsList tells an empty list from an empty text.
	IsList bool

	template *expression.Template
}

// Compile implements [Expr].
func (v *Value) Compile(scope expression.Scope) error {
	if v.IsList {
		var problems Problems
		for _, entry := range v.List {
			var more Problems
			if err := entry.Compile(scope); errors.As(err, &more) {
				problems = append(problems, more...)
			}
		}
		return problems.Err()
	}
	if v.Null {
		return nil
	}
	t, err := expression.ParseTemplate(v.Text, scope)
	if err != nil {
		return problemsAt(v.Pos, err)
	}
	v.template = t
	return nil
}

// Uses implements [Expr].
func (v *Value) Uses() []expression.Use {
	var uses []expression.Use
	for _, entry := range v.List {
		uses = append(uses, entry.Uses()...)
	}
	if v.template != nil {
		uses = append(uses, v.template.Uses()...)
	}
	return uses
}

// Literal returns the text of a scalar without expressions.
func (v *Value) Literal() (text string, ok bool) {
	if v == nil || v.Null || v.IsList || v.template == nil {
		return "", false
	}
	return v.template.Literal()
}

// Type is what is known of the value once it is compiled.
func (v *Value) Type() expression.Type {
	switch {
	case v.IsList:
		return expression.List
	case v.template == nil:
		return expression.Any
	}
	if program, ok := v.template.Whole(); ok {
		return program.Type()
	}
	return expression.String
}

// Eval returns the value for one record: nil for null, a []any for a list, the
// expression's own value, text, [expression.Omitted], [expression.Ref] or
// [expression.Text]. A literal comes back as its source text. A file is an error:
// [Value.EvalField] has it.
func (v *Value) Eval(env expression.Env) (any, error) {
	value, err := v.EvalField(env)
	if err == nil && namesFile(value) {
		return nil, errors.New("file(…) is for fields that hold files")
	}
	return value, err
}

// EvalField is Eval for a field of an item, which may hold an [expression.File].
func (v *Value) EvalField(env expression.Env) (any, error) {
	switch {
	case v.Null:
		return nil, nil
	case v.IsList:
		list := make([]any, 0, len(v.List))
		for _, entry := range v.List {
			e, err := entry.EvalField(env)
			if err != nil {
				return nil, err
			}
			if _, omitted := e.(expression.Omitted); omitted || e == nil || e == "" {
				continue // a blank cell adds nothing to a list
			}
			if l, ok := e.([]any); ok {
				list = append(list, l...)
				continue
			}
			list = append(list, e)
		}
		return list, nil
	}
	return v.template.Eval(env)
}

// Predicate is a condition of a job file: a bare expression that is true or
// false.
type Predicate struct {
	Pos    Pos
	Source string

	program *expression.Program
}

// Compile implements [Expr].
func (p *Predicate) Compile(scope expression.Scope) error {
	program, err := expression.CompileCondition(p.Source, scope)
	if err != nil {
		return problemsAt(p.Pos, err)
	}
	p.program = program
	return nil
}

// Uses implements [Expr].
func (p *Predicate) Uses() []expression.Use {
	if p.program == nil {
		return nil
	}
	return p.program.Uses()
}

// Eval says whether the condition holds.
func (p *Predicate) Eval(env expression.Env) (bool, error) {
	v, err := p.program.Eval(env)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition %q gave %v, not true or false", p.Source, v)
	}
	return b, nil
}

// problemsAt places the faults that the expression package found in the job
// file. An expression over several lines keeps its own line breaks, so only the
// first line is shifted.
func problemsAt(pos Pos, err error) error {
	var faults expression.Errors
	if !errors.As(err, &faults) {
		return Problems{{Pos: pos, Msg: err.Error()}}
	}
	problems := make(Problems, 0, len(faults))
	for _, fault := range faults {
		at := pos
		if fault.Line > 1 {
			at = Pos{File: pos.File, Line: pos.Line + fault.Line - 1, Column: fault.Column}
		} else if fault.Column > 0 {
			at.Column += fault.Column - 1
		}
		problems = append(problems, Problem{Pos: at, Msg: fault.Msg, Hint: fault.Hint})
	}
	return problems
}
