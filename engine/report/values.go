package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// plain is a value as the reports' JSON has it: the rows of a multifield as
// plain text, files of the portal as their addresses, all else as it is.
func plain(v any) any {
	switch v := v.(type) {
	case engine.MultiValue:
		return v.Value
	case engine.File:
		if v.URL != "" {
			return v.URL
		}
	case []engine.MultiValue:
		list := make([]any, len(v))
		for i, row := range v {
			list[i] = row.Value
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	case expression.Ref:
		return map[string]any{"ref": v.Step}
	case expression.Text:
		return map[string]any{"text": plain(v.Parts)}
	case map[string]any: // a row of a multifield that was stored
		if value, ok := v["value"]; ok {
			return value
		}
	}
	return v
}

// names turns ids into names, as far as there is a catalog.
type names struct {
	catalog *engine.Catalog
}

// field is the field of a change, or nil where it is not known.
func (n names) field(typeID int, name string) *engine.Field {
	if n.catalog == nil {
		return nil
	}
	e := n.catalog.EntityByType(typeID)
	if e == nil {
		return nil
	}
	return e.FieldByName(name)
}

// label is what a field is called in a report: custom fields by their title,
// whose REST names say nothing.
func (n names) label(typeID int, name string) string {
	if f := n.field(typeID, name); f != nil && f.Custom && f.Title != "" {
		return clean(f.Title)
	}
	return clean(name)
}

// value is the text of a value, with the name that an id stands for.
func (n names) value(typeID int, field string, v any) string {
	if list, ok := plain(v).([]any); ok {
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = n.value(typeID, field, e)
		}
		if f := n.field(typeID, field); f != nil && f.Type == engine.FieldProductRow {
			return strings.Join(parts, "; ")
		}
		return strings.Join(parts, ", ")
	}
	s := scalar(plain(v))
	if f := n.field(typeID, field); f != nil && f.Type == engine.FieldProductRow {
		if row, ok := engine.ParseProductRow(s); ok {
			return clean(row.String())
		}
	}
	if name := n.name(typeID, field, s); name != "" && name != s {
		return clean(name) + " (" + s + ")"
	}
	return s
}

// name is what an id is called: a stage, a category, an option or a person.
func (n names) name(typeID int, field, id string) string {
	if n.catalog == nil || id == "" {
		return ""
	}
	e := n.catalog.EntityByType(typeID)
	if e == nil {
		return ""
	}
	switch field {
	case "stageId":
		return stageName(e, id)
	case "categoryId":
		if number, err := strconv.Atoi(id); err == nil {
			if c := e.CategoryByID(number); c != nil {
				return c.Name
			}
		}
		return ""
	}
	f := e.FieldByName(field)
	if f == nil {
		return ""
	}
	if f.Type == engine.FieldUser || f.Type == engine.FieldEmployee {
		return n.person(id)
	}
	for _, o := range f.Options {
		if o.ID == id {
			return o.Name
		}
	}
	return ""
}

func stageName(e *engine.Entity, id string) string {
	for _, c := range e.Categories {
		for _, s := range c.Stages {
			if s.ID == id {
				return s.Name
			}
		}
	}
	return ""
}

func (n names) person(id string) string {
	for _, u := range n.catalog.Users {
		if strconv.FormatInt(u.ID, 10) == id {
			return u.Name
		}
	}
	return ""
}

// scalar is the text of a single value. Text that begins or ends with blanks
// is quoted, because nobody would see them.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if v != strings.TrimSpace(v) {
			return strconv.Quote(v)
		}
		return clean(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int, int64, json.Number:
		return clean(fmt.Sprint(v))
	}
	return reference(v)
}

// reference is the text of a value that holds the id of an item which the plan
// makes, or of one whose shape is not ours to know.
func reference(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return clean(fmt.Sprint(v))
	}
	if ref, ok := m["ref"].(string); ok {
		return "(id of " + clean(ref) + ")"
	}
	parts, ok := m["text"].([]any)
	if !ok {
		return clean(fmt.Sprint(v))
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(scalar(part))
	}
	return b.String()
}

// Plain is a value of an item as reports print it: the rows of a multifield as
// plain text.
func Plain(v any) any { return plain(v) }

// Name is what the ids in a field's value are called (stages, options, people),
// "" where they have no names.
func Name(c *engine.Catalog, typeID int, field string, v any) string {
	n := names{c}
	list, ok := plain(v).([]any)
	if !ok {
		return n.name(typeID, field, scalar(plain(v)))
	}
	var found []string
	for _, e := range list {
		if name := n.name(typeID, field, scalar(e)); name != "" {
			found = append(found, name)
		}
	}
	return strings.Join(found, ", ")
}

// Value is the text of a field's value, with the name that an id stands for.
func Value(c *engine.Catalog, typeID int, field string, v any) string {
	return names{c}.value(typeID, field, v)
}
