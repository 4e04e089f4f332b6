package expression

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/vm"
)

// Program is a compiled expression. It is safe for concurrent use.
type Program struct {
	source    excerpt
	program   *vm.Program
	uses      []Use
	usesNow   bool
	direct    *Use // the whole expression is this member
	condition bool
	machines  sync.Pool
}

// Source is the expression's text.
func (p *Program) Source() string { return p.source.text }

// Uses lists the members that the expression reads, in the order of its text, each as often as it stands there.
func (p *Program) Uses() []Use { return slices.Clone(p.uses) }

// Ref tells the step when the whole expression is STEP.id.
func (p *Program) Ref() (step string, ok bool) {
	if p.direct == nil || p.direct.Member != "id" {
		return "", false
	}
	switch p.direct.Name {
	case nameRow, nameParams, nameEnv, nameVars, nameMaps, namePlan:
		return "", false
	}
	return p.direct.Name, true
}

// Type is what is known of the value before there is one.
func (p *Program) Type() Type { return typeOf(p.program.Node().Nature()) }

// typeOf is the type that expr-lang found.
func typeOf(n *nature.Nature) Type {
	switch n.Kind { //nolint:exhaustive // all other kinds are Any
	case reflect.String:
		return String
	case reflect.Int, reflect.Int64:
		return Int
	case reflect.Float64:
		return Float
	case reflect.Bool:
		return Bool
	case reflect.Slice:
		return List
	}
	if n.Type == reflect.TypeFor[time.Time]() {
		return Time
	}
	return Any
}

// open tells whether the expression reads a member whose type is not known yet.
func (p *Program) open(scope Scope) bool {
	a := analysis{scope: scope}
	for _, use := range p.uses {
		if use.Name == nameMaps {
			continue // pick gives what it gives
		}
		record := a.record(use.Name)
		t, listed := record.Fields[use.Member]
		if listed && t == Any || !listed && record.Other == Any {
			return true
		}
	}
	return false
}

// Eval gives the value of the expression. Its error is an [*Error]; [ErrNotYet] and [ErrNoItem] are in its chain where
// they are the reason. The value is one of those that the package comment lists; it shares lists and maps with env.
func (p *Program) Eval(env Env) (any, error) {
	if err := p.check(env); err != nil {
		return nil, err
	}
	var value any
	var err error
	if p.direct != nil {
		value, _ = member(env, *p.direct)
	} else {
		value, err = p.run(env)
	}
	if err == nil {
		value, err = result(value)
	}
	if err != nil {
		return nil, p.source.placed(err)
	}
	if _, isBool := value.(bool); p.condition && !isBool {
		return nil, p.source.fault(0, "", "a condition must be true or false, this is %s", describe(value))
	}
	return value, nil
}

// Holds evaluates a condition.
func (p *Program) Holds(env Env) (bool, error) {
	value, err := p.Eval(env)
	if err != nil {
		return false, err
	}
	holds, ok := value.(bool)
	if !ok {
		return false, p.source.fault(0, "", "a condition must be true or false, this is %s", describe(value))
	}
	return holds, nil
}

// run evaluates on a machine of the pool.
func (p *Program) run(env Env) (any, error) {
	machine, ok := p.machines.Get().(*vm.VM)
	if !ok {
		return nil, errors.New("no machine")
	}
	value, err := machine.Run(p.program, map[string]any(env))
	// What the machine still holds would keep the record's values alive.
	clear(machine.Stack[:cap(machine.Stack)])
	clear(machine.Variables)
	p.machines.Put(machine)
	return value, err
}

// check finds the members that the expression needs and the record does not have, so that none is quietly null.
func (p *Program) check(env Env) error {
	if _, ok := env[nameNow].(time.Time); p.usesNow && !ok {
		return p.source.fault(0, "", "there is no present time to evaluate this with")
	}
	for _, use := range p.uses {
		value, fault := member(env, use)
		if fault != nil && !use.Optional {
			return fault
		}
		if p.direct != nil {
			continue
		}
		switch value.(type) {
		case Ref, Text:
			return &Error{
				Line: use.Line, Column: use.Column, cause: ErrNotYet,
				Msg:  fmt.Sprintf("%s.%s is not known yet: the item does not exist before the plan is applied", use.Name, use.Member),
				Hint: fmt.Sprintf("let ${{ %s.%s }} stand alone or directly inside text", use.Name, use.Member),
			}
		}
	}
	return nil
}

// member reads one member of a record.
func member(env Env, use Use) (any, *Error) {
	var value any
	var ok bool
	switch record := env[use.Name].(type) {
	case map[string]any:
		value, ok = record[use.Member]
	case map[string]string:
		value, ok = record[use.Member]
	case map[string]*Map:
		value, ok = record[use.Member]
	}
	if fault, failed := value.(error); failed {
		return nil, unusable(fault, use)
	}
	if ok {
		return value, nil
	}
	return nil, absent(env[use.Name], use)
}

// unusable says why a variable has no value.
func unusable(err error, use Use) *Error {
	return &Error{Line: use.Line, Column: use.Column, Msg: err.Error(), cause: err}
}

// absent says why a record has no such member.
func absent(record any, use Use) *Error {
	fault := &Error{Line: use.Line, Column: use.Column}
	var known []string
	switch r := record.(type) {
	case nil:
		fault.Msg, fault.cause = fmt.Sprintf("there is no item: step %q holds none for this record", use.Name), ErrNoItem
		return fault
	case map[string]any:
		known = keys(r)
	case map[string]string:
		known = keys(r)
	default:
		fault.Msg = fmt.Sprintf("%q is %s, not a record", use.Name, describe(record))
		return fault
	}
	what := "field"
	if use.Name == nameRow {
		what = "column"
	}
	fault.Msg, fault.Hint = fmt.Sprintf("unknown %s %q of %s", what, use.Member, use.Name), Suggest(use.Member, known)
	return fault
}

// result brings a value into one of the forms that callers handle, or refuses it.
func result(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int64, string, time.Time, Omitted, Ref, Text, File:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case float32:
		return result(float64(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errors.New("the result is not a number (a division by zero, or a number out of range)")
		}
		return v, nil
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return list, nil
	case []any:
		return list(v)
	case []int:
		list := make([]any, len(v))
		for i, n := range v {
			list[i] = int64(n)
		}
		return list, nil
	case map[string]any:
		return mapping(v)
	}
	return nil, fmt.Errorf("%s is no value for a field", describe(value))
}

// list is result for each element. Nothing can be left alone inside a list.
func list(values []any) (any, error) {
	out := make([]any, len(values))
	for i, v := range values {
		r, err := inner(v)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

// mapping is result for each value.
func mapping(values map[string]any) (any, error) {
	out := make(map[string]any, len(values))
	for k, v := range values {
		r, err := inner(v)
		if err != nil {
			return nil, err
		}
		out[k] = r
	}
	return out, nil
}

// inner is result for a value inside another.
func inner(v any) (any, error) {
	if _, ok := v.(Omitted); ok {
		return nil, errors.New("omit() must be the whole value, not a part of it")
	}
	return result(v)
}

// describe names a value's type, and the value itself where it is short.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		const short = 40
		if r := []rune(v); len(r) > short {
			v = string(r[:short]) + "…"
		}
		return fmt.Sprintf("text %q", v)
	case bool, int, int64, float64:
		return fmt.Sprintf("the value %v", v)
	case time.Time:
		return "a date"
	case time.Duration:
		return "a length of time"
	case Omitted:
		return "omit()"
	case File:
		return "a file"
	case Ref, Text:
		return "the id of an item that does not exist yet"
	case []any, []string, []int:
		return "a list"
	case map[string]any, map[string]string, *Map:
		return "a map"
	}
	return fmt.Sprintf("a %T", value)
}
