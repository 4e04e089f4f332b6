package portal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// filterOf writes conditions as a filter of crm.item.list, all of them to be
// met. Two on the same key, or on one that the caller needs for itself, go into
// a group, since a key can stand only once.
func filterOf(where []engine.Condition, taken ...string) (map[string]any, error) {
	filter := map[string]any{}
	used := map[string]bool{}
	for _, key := range taken {
		used[key] = true
	}
	group := map[string]any{"logic": "AND"}
	for _, c := range where {
		key, value, err := conditionOf(c)
		if err != nil {
			return nil, err
		}
		if !used[key] {
			filter[key], used[key] = value, true
			continue
		}
		group[strconv.Itoa(len(group)-1)] = map[string]any{key: value}
	}
	if len(group) > 1 {
		filter["0"] = group
	}
	return filter, nil
}

// conditionOf writes one condition. Custom yes/no fields are compared with 1
// and 0, all others with Y and N (crm.item.list, parameter filter).
func conditionOf(c engine.Condition) (key string, value any, err error) {
	if c.Field == nil || c.Field.Type == engine.FieldMulti {
		return "", nil, errors.New("a condition on phone, email, web or im can't be put to the portal")
	}
	op := c.Op
	list, several := c.Value.([]any)
	switch op {
	case "", "=":
		op = "="
		if several {
			op = "@"
		}
	case "!", "!=":
		op = "!="
		if several {
			op = "!@"
		}
	case "@", "!@":
		if !several {
			list, several = []any{c.Value}, true
		}
	case ">", ">=", "<", "<=", "%", "!%", "=%":
		if several {
			return "", nil, fmt.Errorf("condition %s%s: a list of values can't be compared this way", op, c.Field.Name)
		}
	default:
		return "", nil, fmt.Errorf("condition on %s: there is no operator %q", c.Field.Name, c.Op)
	}
	if !several {
		value, err = filterValue(c.Field, c.Value)
		return op + c.Field.Name, value, err
	}
	values := make([]any, 0, len(list))
	for _, one := range list {
		v, err := filterValue(c.Field, one)
		if err != nil {
			return "", nil, err
		}
		values = append(values, v)
	}
	return op + c.Field.Name, values, nil
}

func filterValue(f *engine.Field, value any) (any, error) {
	wire, err := encodeOne(f, value)
	if err != nil || f.Type != engine.FieldBoolean || !f.Custom {
		return wire, err
	}
	if wire == "Y" {
		return "1", nil
	}
	return "0", nil
}

// onEmptiness says whether a condition is that a field is empty, or is not.
// What "empty" is in a filter depends on how the portal stores the field, so
// such conditions are judged here, on the canonical value.
func onEmptiness(c engine.Condition) bool {
	if c.Value != nil {
		return false
	}
	switch c.Op {
	case "", "=", "!", "!=":
		return true
	}
	return false
}

// onOthers says whether a condition is that certain contacts are not linked: the
// portal takes it for its opposite (crm.item.list, contactIds), and so it is judged
// here as well.
func onOthers(c engine.Condition) bool {
	if c.Value == nil || c.Field.Name != "contactIds" {
		return false
	}
	switch c.Op {
	case "!", "!=", "!@":
		return true
	}
	return false
}

// meets judges the conditions that are judged here.
func meets(item engine.Item, conditions []engine.Condition) bool {
	for _, c := range conditions {
		if onOthers(c) {
			without, several := c.Value.([]any)
			if !several {
				without = []any{c.Value}
			}
			linked, _ := item.Fields[c.Field.Name].([]any)
			if slices.ContainsFunc(without, func(id any) bool { return slices.Contains(linked, id) }) {
				return false
			}
			continue
		}
		empty := item.Fields[c.Field.Name] == nil
		if wanted := c.Op == "" || c.Op == "="; empty != wanted {
			return false
		}
	}
	return true
}

// listCall is one page of crm.item.list: ascending ids after the given one, or
// after a reference; no counting (start -1).
func listCall(e *engine.Entity, fields []string, filter map[string]any, after any) call {
	withID := map[string]any{}
	maps.Copy(withID, filter)
	if after != nil {
		withID[">id"] = after
	}
	names := "N"
	for key := range filter {
		if isOddName(key) {
			// With an operator before it, the portal may not find its way back
			// from such a name (crm.item.list, parameter useOriginalUfNames).
			names = "Y"
		}
	}
	if names == "Y" {
		withID = originalNames(e, withID)
	}
	params := map[string]any{
		"entityTypeId": e.TypeID, "select": selection(e, fields), "order": map[string]any{"id": "ASC"},
		"start": -1, "useOriginalUfNames": names,
	}
	if len(withID) > 0 {
		params["filter"] = withID
	}
	return call{Method: methodList, Params: params}
}

// isOddName says whether a filter's key names a custom field with digits
// between underscores: ufCrm_3_DIGIT_10.
func isOddName(key string) bool {
	_, rest, ok := strings.Cut(key, "ufCrm_")
	digits := strings.TrimLeft(rest, "0123456789")
	return ok && len(digits) < len(rest) && strings.HasPrefix(digits, "_")
}

// originalNames puts the UF_ names of custom fields into a filter.
func originalNames(e *engine.Entity, filter map[string]any) map[string]any {
	out := make(map[string]any, len(filter))
	for key, value := range filter {
		if nested, ok := value.(map[string]any); ok {
			value = originalNames(e, nested)
		}
		for _, f := range e.Fields {
			if op, ok := cutSuffix(key, f.Name); ok && f.Custom && f.Upper != "" {
				key = op + f.Upper
				break
			}
		}
		out[key] = value
	}
	return out
}

// cutSuffix tells an operator from the name behind it.
func cutSuffix(key, name string) (op string, ok bool) {
	if len(key) < len(name) || key[len(key)-len(name):] != name {
		return "", false
	}
	op = key[:len(key)-len(name)]
	switch op {
	case "", "=", "!=", "@", "!@", ">", ">=", "<", "<=", "%", "!%", "=%":
		return op, true
	}
	return "", false
}

// selection names the fields to be read; the id comes always. Multifields come
// only with all the others. No fields are all.
func selection(e *engine.Entity, fields []string) []any {
	names := []any{"id"}
	seen := map[string]bool{"id": true}
	for _, name := range fields {
		f := e.FieldByName(name)
		if f != nil && f.Type == engine.FieldMulti {
			return []any{"*"}
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(fields) == 0 {
		return []any{"*"}
	}
	return names
}
