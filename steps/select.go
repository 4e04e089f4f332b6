package steps

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// chunkSize is how many records are planned together: the keys of one look-up
// request (50 commands of 50 keys).
const chunkSize = 2500

// Select begins a stream of the portal's items.
type Select struct {
	Entity engine.Word         `object:"entity"`
	Where  []engine.FieldValue `key:"where" doc:"Conditions that all hold: a field, with an operator before it where it is not equality (<, <=, >, >=, !, %), and a value. category and stage take names. A comparison (<, <=, >, >=) with null is left out, as with last_run before the first run."`
	Portal engine.Word         `key:"portal" doc:"Another portal than the job writes to, by its name: its items are read, and no step can change them. In expressions people are their e-mail, and list values, statuses, stages and categories their names; links stay the ids of that portal."`
	Fields []engine.Word       `key:"fields" doc:"Further fields to be read. Those that the job uses are read anyway."`

	id     string
	entity *engine.Entity
	where  []test
}

// test is one condition, its field resolved.
type test struct {
	op    string
	field *engine.Field
	name  string // category or stage, "" for others
	value *engine.Value
}

// Verb implements [engine.Source].
func (*Select) Verb() string { return "select" }

// Makes implements [engine.Source].
func (s *Select) Makes() string { return s.Entity.Text }

// FromPortal implements [engine.PortalSource].
func (s *Select) FromPortal() engine.Word { return s.Portal }

// Prepare implements [engine.Source].
func (s *Select) Prepare(p *engine.Prepare) {
	s.id = p.ID()
	s.entity, s.where = p.Entity(s.Entity), nil
	p.Holds(s.entity)
	if s.entity == nil {
		return
	}
	for _, w := range s.Fields {
		if f := p.Field(s.entity, w); f != nil {
			p.Need(s.id, f.Name)
		}
	}
	for _, fv := range s.Where {
		if t, ok := s.test(p, fv); ok {
			s.where = append(s.where, t)
		}
	}
	env := expression.Env{"params": p.Job.Params, "env": p.Job.Env, "now": time.Now()}
	if _, at, err := s.conditions(p.Catalog, env); err != nil {
		p.Fail(at, err)
	}
}

// operators of filters, the longer before those that they begin with.
func operators() []string {
	return []string{"!=%", "!%=", "!@", "!=", "!%", ">=", "<=", "=%", "%=", "!", ">", "<", "=", "%", "@"}
}

func (s *Select) test(p *engine.Prepare, fv engine.FieldValue) (test, bool) {
	t, field := newTest(fv.Field.Text)
	t.value = fv.Value
	t.field = p.Field(s.entity, engine.Word{Text: field, Pos: fv.Field.Pos})
	return t, t.field != nil
}

// compares says whether the condition asks for order, which null has none of.
func (t test) compares() bool { return strings.ContainsAny(t.op, "<>") }

// newTest takes a condition's key apart: the operator, and the field that
// follows it.
func newTest(key string) (t test, field string) {
	t.op, field = cutOperator(key)
	switch strings.ToLower(strings.TrimSpace(field)) {
	case "category":
		t.name, field = "category", "categoryId"
	case "stage":
		t.name, field = "stage", "stageId"
	}
	return t, field
}

func cutOperator(key string) (op, field string) {
	for _, op := range operators() {
		if rest, ok := strings.CutPrefix(key, op); ok {
			return op, rest
		}
	}
	return "", key
}

// Records implements [engine.Source].
func (s *Select) Records(ctx context.Context, p *engine.Planning) iter.Seq2[[]*engine.Record, error] {
	return func(yield func([]*engine.Record, error) bool) {
		reader, catalog := p.FromPortal(s.Portal.Text)
		where, _, err := s.conditions(catalog, p.JobEnv())
		if err != nil {
			yield(nil, fmt.Errorf("step %s: where: %w", s.id, err))
			return
		}
		var chunk []*engine.Record
		for page, err := range reader.Scan(ctx, s.entity, where, p.Fields(s.id)) {
			if err != nil {
				yield(nil, fmt.Errorf("step %s: %w", s.id, err))
				return
			}
			for _, item := range page {
				chunk = append(chunk, s.record(item))
			}
			if len(chunk) >= chunkSize {
				if !yield(chunk, nil) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk, nil)
		}
	}
}

func (s *Select) record(item engine.Item) *engine.Record {
	r := &engine.Record{Source: fmt.Sprintf("%s:%d", s.entity.Name, item.ID), Key: strconv.FormatInt(item.ID, 10)}
	if s.Portal.Text != "" {
		r.Key = r.Source
		r.Source, r.Abroad = s.Portal.Text+"/"+r.Source, &item
		return r
	}
	r.Hold(s.id, engine.NewHeld(s.entity, item))
	return r
}

// conditions evaluates `where`. It needs no record, so that its names are
// checked before anything is planned; an error comes with its place.
func (s *Select) conditions(c *engine.Catalog, env expression.Env) ([]engine.Condition, engine.Pos, error) {
	category := ""
	var out []engine.Condition
	for _, t := range s.where {
		raw, err := t.value.Eval(env)
		if err != nil {
			return nil, t.value.Pos, errors.New(fieldFault(t.field, err))
		}
		if raw == nil && t.compares() {
			continue // last_run, before the first
		}
		if t.name == "category" {
			category = fmt.Sprint(raw)
		}
		v, err := s.operand(c, t, category, raw)
		if err != nil {
			return nil, t.value.Pos, err
		}
		out = append(out, engine.Condition{Op: t.op, Field: t.field, Value: v})
	}
	return out, engine.Pos{}, nil
}

// operand brings a condition's value to the portal's form: names become ids,
// and a list stays one (any of).
func (s *Select) operand(c *engine.Catalog, t test, category string, raw any) (any, error) {
	list, isList := raw.([]any)
	if !isList {
		return s.operandOne(c, t, category, raw)
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		v, err := s.operandOne(c, t, category, e)
		if err != nil {
			return nil, err
		}
		if several, ok := v.([]any); ok {
			out = append(out, several...)
		} else {
			out = append(out, v)
		}
	}
	return out, nil
}

func (s *Select) operandOne(c *engine.Catalog, t test, category string, raw any) (any, error) {
	switch t.name {
	case "category":
		found, err := s.entity.Category(fmt.Sprint(raw))
		if err != nil {
			return nil, err
		}
		return int64(found.ID), nil
	case "stage":
		return s.stage(category, fmt.Sprint(raw))
	}
	one := *t.field
	one.Multiple = false
	if strings.Contains(t.op, "%") {
		return fmt.Sprint(raw), onlyEmptiness(one)
	}
	v, err := one.Canonical(raw, c)
	if err == nil && v != nil {
		err = onlyEmptiness(one)
	}
	return v, err
}

// onlyEmptiness refuses a value to be compared with fields that the portal's
// lists don't compare.
func onlyEmptiness(f engine.Field) error {
	if f.Type != engine.FieldMulti {
		return nil
	}
	return fmt.Errorf("%s: lists can't be asked for values of phone, email, web and im, only whether there are any; use find for one value", f.Name)
}

// stage finds a stage by name: in the category that `where` names, else in
// whichever category has the only one of that name.
func (s *Select) stage(category, name string) (any, error) {
	if category != "" || !s.entity.Categorized {
		c, err := s.entity.Category(category)
		if err != nil {
			return nil, err
		}
		stage, err := c.Stage(name)
		if err != nil {
			return nil, err
		}
		return stage.ID, nil
	}
	var ids []any
	var first error
	for i := range s.entity.Categories {
		stage, err := s.entity.Categories[i].Stage(name)
		if err == nil {
			ids = append(ids, stage.ID)
		} else if first == nil {
			first = err
		}
	}
	switch len(ids) {
	case 0:
		return nil, first
	case 1:
		return ids[0], nil
	}
	return ids, nil
}
