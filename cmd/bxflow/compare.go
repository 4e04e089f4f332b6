package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/report"
)

// differences says in what a change is not as a test expects it.
func (t *trial) differences(e engine.Expectation, c *engine.Change) engine.Problems {
	all := t.problems
	t.problems = nil
	if !strings.Contains(c.Reason, e.Error) {
		t.fault(e.Step.Pos, "", "%s is expected with the reason %q", t.describe(c), e.Error)
	}
	for _, f := range e.Fields {
		if err := t.difference(f, c); err != nil {
			t.fault(f.Value.Pos, "", "%s by %s for %s: %v", c.Kind, c.Step, c.Source, err)
		}
	}
	found := t.problems
	t.problems = all
	return found
}

// difference says in what one field of a change is not as expected, or nil.
func (t *trial) difference(want engine.FieldValue, c *engine.Change) error {
	entity := t.catalog.EntityByType(c.TypeID)
	if entity == nil {
		return errors.New("it changes no fields")
	}
	raw, err := want.Value.Eval(expression.Env{"now": t.now})
	if err != nil {
		return err
	}
	name, equal, err := t.comparison(entity, want.Field.Text, raw)
	if err != nil {
		return err
	}
	change, changed := c.Fields[name]
	switch {
	case !changed && raw == nil && c.Kind == engine.KindCreate:
		return nil
	case !changed:
		return fmt.Errorf("%s is expected to be %q, and is not changed", want.Field.Text, fmt.Sprint(raw))
	case equal(change.After):
		return nil
	}
	return fmt.Errorf("%s is expected to be %q, and will be %q", want.Field.Text, fmt.Sprint(raw), report.Value(t.catalog, c.TypeID, name, change.After))
}

// comparison finds the field that a name of a test means, and how its value is
// compared: stages and categories by name or id, items that the plan makes by
// the step that makes them, files by name, all else as the job's own values are.
func (t *trial) comparison(entity *engine.Entity, name string, raw any) (field string, equal func(any) bool, err error) {
	text := fmt.Sprint(raw)
	switch name {
	case "stage", "stageId":
		return "stageId", func(after any) bool {
			for _, c := range entity.Categories {
				if s, err := c.Stage(text); err == nil && s.ID == after {
					return true
				}
			}
			return false
		}, nil
	case "category", "categoryId":
		c, err := entity.Category(text)
		if err != nil {
			return "", nil, err
		}
		return "categoryId", func(after any) bool { return after == int64(c.ID) }, nil
	}
	f, err := entity.Field(name)
	if err != nil {
		return "", nil, err
	}
	if f.IsLink() {
		if _, err := f.Canonical(raw, t.catalog); err != nil {
			return f.Name, func(after any) bool { return refersTo(after, text) }, nil
		}
	}
	if f.Type == engine.FieldFile {
		return f.Name, func(after any) bool { return slices.Equal(fileNames(raw), fileNames(after)) }, nil
	}
	value, err := f.Canonical(raw, t.catalog)
	if err != nil {
		return "", nil, err
	}
	return f.Name, func(after any) bool { return f.Equal(value, after) }, nil
}

// fileNames are the names of files: those that a test gives, or of those that a field
// is to hold.
func fileNames(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case engine.File:
		return []string{v.Name}
	case []any:
		var names []string
		for _, e := range v {
			names = append(names, fileNames(e)...)
		}
		return names
	}
	return nil
}

// refersTo says whether a value is the id of an item that the step makes.
func refersTo(v any, step string) bool {
	switch v := v.(type) {
	case expression.Ref:
		maker, _, _ := strings.Cut(v.Step, "@")
		return maker == step
	case []any:
		return len(v) == 1 && refersTo(v[0], step)
	}
	return false
}
