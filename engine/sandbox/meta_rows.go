package sandbox

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The metadata and the small tables (statuses, users, addresses, requisites,
// …) are short, so their lists are answered by looking at every row. A row is
// the object that the answer would hold.

// rowCondition is one "prefix + field" key of a filter with its values.
type rowCondition struct {
	field, operator string
	values          []any
}

// splitOperator parts a filter key into its prefix and its field.
func splitOperator(key string) (prefix, field string) {
	for _, op := range operators() {
		if rest, ok := strings.CutPrefix(key, op.prefix); ok {
			return op.prefix, rest
		}
	}
	return "", key
}

// rowConditions reads a filter. Keys of fields that the rows do not have are
// dropped without a word, as the old lists do.
func rowConditions(filter *array, known func(field string) bool) []rowCondition {
	var conditions []rowCondition
	for key, val := range filter.all() {
		op, field := splitOperator(key)
		if !known(field) {
			continue
		}
		conditions = append(conditions, rowCondition{field, op, valuesOf(val)})
	}
	return conditions
}

// valuesOf returns the elements of an array, or the one value that is none.
func valuesOf(val any) []any {
	if a, ok := val.(*array); ok {
		return slices.Clone(a.vals)
	}
	return []any{val}
}

// filterRows keeps the rows that meet every condition.
func filterRows(rows []object, conditions []rowCondition) []object {
	return slices.DeleteFunc(slices.Clone(rows), func(row object) bool { return !meetAll(conditions, row.get) })
}

// meetAll reports whether a row, given by what its fields hold, meets every
// condition.
func meetAll(conditions []rowCondition, get func(field string) (any, bool)) bool {
	return !slices.ContainsFunc(conditions, func(c rowCondition) bool { return !c.meets(get) })
}

func (c rowCondition) meets(get func(string) (any, bool)) bool {
	have, ok := get(c.field)
	if !ok {
		return false
	}
	if list, ok := have.([]any); ok {
		// A multiple value meets a condition if one of its elements does.
		return slices.ContainsFunc(list, c.holds)
	}
	return c.holds(have)
}

func (c rowCondition) holds(have any) bool {
	negated := strings.HasPrefix(c.operator, "!")
	operator := strings.TrimPrefix(c.operator, "!")
	return negated != slices.ContainsFunc(c.values, func(want any) bool { return rowMatches(operator, have, want) })
}

// rowMatches compares a stored value with a wanted one. As in the database
// behind the portal, texts are compared without regard to case.
func rowMatches(operator string, have, want any) bool {
	h, w := rowText(have), rowText(want)
	switch operator {
	case ">":
		return compareRowText(h, w) > 0
	case ">=":
		return compareRowText(h, w) >= 0
	case "<":
		return compareRowText(h, w) < 0
	case "<=":
		return compareRowText(h, w) <= 0
	case "%":
		return strings.Contains(strings.ToLower(h), strings.ToLower(w))
	case "=%", "%=":
		return like(strings.ToLower(h), strings.ToLower(w))
	default:
		return compareRowText(h, w) == 0
	}
}

// rowText is a value as the database compares it: booleans are Y and N there.
func rowText(val any) string {
	switch val := val.(type) {
	case string:
		return val
	case bool:
		if val {
			return "Y"
		}
		return "N"
	case int:
		return strconv.Itoa(val)
	case int64:
		return strconv.FormatInt(val, 10)
	case float64:
		return strconv.FormatFloat(val, 'f', -1, 64)
	default:
		return ""
	}
}

// compareRowText compares two numbers, two times, or any other two texts.
func compareRowText(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	if s, err := time.Parse(time.RFC3339, a); err == nil {
		if t, err := time.Parse(time.RFC3339, b); err == nil {
			return s.Compare(t)
		}
	}
	return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
}

// orderRows sorts rows by a map of field to direction; fields that the rows do
// not have are left out.
func orderRows(rows []object, order *array) {
	slices.SortStableFunc(rows, func(a, b object) int {
		for field, direction := range order.all() {
			x, okX := a.get(field)
			y, okY := b.get(field)
			if !okX || !okY {
				continue
			}
			c := compareRowText(rowText(x), rowText(y))
			if strings.EqualFold(rowText(direction), "desc") {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
}

// selectFields keeps the named members of a row; no names or "*" keep all.
func selectFields(row object, names []string) object {
	if len(names) == 0 || slices.Contains(names, "*") {
		return row
	}
	return slices.DeleteFunc(slices.Clone(row), func(p pair) bool { return !slices.Contains(names, p.key) })
}
