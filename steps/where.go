package steps

import (
	"fmt"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Where reads conditions that were typed as FIELD=VALUE, with names and
// operators as in the `where` of a select: stage=New, ">=createdTime=2026-01-31".
// A condition of equality that is given several times is met by any of its
// values; all others have to be met.
func Where(c *engine.Catalog, e *engine.Entity, typed []string) ([]engine.Condition, error) {
	s := Select{entity: e}
	var tests []test
	var values [][]any
	category := ""
	for _, text := range typed {
		op, rest := cutOperator(text)
		name, value, ok := strings.Cut(rest, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%q is not FIELD=VALUE, such as stage=New or \">createdTime=2026-01-31\"", text)
		}
		t, name := newTest(op + name)
		field, err := e.Field(name)
		if err != nil {
			return nil, err
		}
		t.field = field
		if t.name == "category" {
			category = value
		}
		again := len(tests)
		for i, other := range tests {
			if other.op == t.op && other.field == field && (t.op == "" || t.op == "=" || t.op == "@") {
				again = i
			}
		}
		if again == len(tests) {
			tests, values = append(tests, t), append(values, nil)
		}
		values[again] = append(values[again], value)
	}
	var where []engine.Condition
	for i, t := range tests {
		raw := any(values[i])
		if len(values[i]) == 1 {
			raw = values[i][0]
		}
		value, err := s.operand(c, t, category, raw)
		if err != nil {
			return nil, err
		}
		where = append(where, engine.Condition{Op: t.op, Field: t.field, Value: value})
	}
	return where, nil
}
