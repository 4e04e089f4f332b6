package jobs

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// paramTypes are the types that a parameter can have. A float is a number by its older name.
func paramTypes() []string {
	return []string{"string", "number", "int", "bool", "date", "path", "enum", "float"}
}

// params reads the parameters and gives them their values: from the command line, else the default.
func (d *decoder) params(n *node) {
	d.job.Params = make(map[string]any)
	d.job.ParamTypes = make(map[string]expression.Type)
	d.job.GivenPaths = make(map[string]bool)
	d.kinds = make(map[string]paramKind)
	if n != nil && n.shape != mapping {
		d.fault(n.pos, "write name: {type: string}", "params is a mapping of names, not %s", n.describe())
		return
	}
	var known []string
	if n != nil {
		for _, p := range n.pairs {
			known = append(known, p.key.Text)
			d.param(p.key, p.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.options.Params)) {
		if !slices.Contains(known, name) {
			hint := "the job has none: leave it out"
			if len(known) > 0 {
				hint = expression.Suggest(name, slices.Clone(known))
			}
			d.fault(engine.Pos{}, hint, "--param %s: the job has no parameter %q", name, name)
		}
	}
}

// param reads one parameter.
func (d *decoder) param(key engine.Word, n *node) {
	what := fmt.Sprintf("parameter %q", key.Text)
	parts, ok := d.entries(n, what, []string{"type", "default", "required", "values", "description"})
	if !ok {
		return
	}
	kind := d.choice(parts["type"], "type", paramTypes()...)
	if parts["type"] == nil {
		kind = "string"
	}
	d.job.ParamTypes[key.Text] = staticType(kind)
	d.text(parts["description"], "description")
	var values []string
	for _, w := range d.words(parts["values"], "values") {
		values = append(values, w.Text)
	}
	if (kind == "enum") != (values != nil) {
		d.fault(n.pos, "an enum, and nothing else, has values: [a, b]", "%s is of type %s", what, kind)
		return
	}
	required := d.choice(parts["required"], "required", "true", "false") == "true"
	if required && parts["default"] != nil {
		d.fault(parts["default"].pos, "leave one out", "%s is required and has a default", what)
	}
	d.kinds[key.Text] = paramKind{what, kind, values}
	d.paramValue(key, d.kinds[key.Text], parts["default"], required)
}

// paramKind is what a parameter's value must be.
type paramKind struct {
	what   string
	kind   string
	values []string
}

// example is a value that would do, for messages.
func (k paramKind) example() string {
	switch k.kind {
	case "int":
		return "12"
	case "number", "float":
		return "1234.5"
	case "bool":
		return "true"
	case "date":
		return "2026-11-23"
	case "enum":
		return strings.Join(k.values, "|")
	case "path":
		return "FILE"
	}
	return "…"
}

// paramValue finds a parameter's value. The default is checked even where another value was given.
func (d *decoder) paramValue(key engine.Word, k paramKind, fallback *node, required bool) {
	if fallback != nil {
		if fallback.shape == scalar && fallback.text == "" && !fallback.null && k.kind == "string" {
			d.job.Params[key.Text] = ""
		} else if w := d.word(fallback, k.what); w.Text != "" {
			value, err := d.fallback(k, w.Text)
			if err != nil {
				hint := "write default: " + k.example()
				if k.kind == "path" {
					hint = "" // the error says it
				}
				d.fault(w.Pos, hint, "default of %s: %v", k.what, err)
			}
			d.job.Params[key.Text] = value
		}
	}
	given, ok := d.options.Params[key.Text]
	switch {
	case ok:
		value, err := d.given(k, given)
		if err != nil {
			d.fault(key.Pos, fmt.Sprintf("write --param %s=%s", key.Text, k.example()), "--param %s: %v", key.Text, err)
		}
		d.job.Params[key.Text] = value
	case fallback == nil && !d.options.CheckOnly:
		hint := fmt.Sprintf("give it: --param %s=%s", key.Text, k.example())
		if !required {
			hint += ", or a default:"
		}
		d.fault(key.Pos, hint, "%s has no value", k.what)
	}
}

// fallback parses a default. Its paths are the file's, and may not leave the file's folder.
func (d *decoder) fallback(k paramKind, text string) (any, error) {
	if k.kind == "path" && text != "-" {
		if _, err := d.job.Path(text); err != nil {
			return nil, err
		}
	}
	return d.parse(k, text)
}

// given parses a value of the command line. Its paths are the user's own: they are relative to the present folder and may
// lie outside the job's. A file that is not there but beside the job is that one.
func (d *decoder) given(k paramKind, text string) (any, error) {
	if k.kind != "path" || text == "-" {
		return d.parse(k, text)
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !filepath.IsAbs(text) {
		beside, err := filepath.Abs(filepath.Join(d.job.Dir, text))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(beside); err == nil {
			path = beside
		}
	}
	d.job.GivenPaths[path] = true
	return path, nil
}

// parse gives a text the parameter's type.
func (d *decoder) parse(k paramKind, text string) (any, error) {
	switch k.kind {
	case "int":
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%q is not a whole number", text)
	case "number", "float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is not a number with a decimal point", text)
		}
		return f, nil
	case "bool":
		if text == "true" || text == "false" {
			return text == "true", nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", text)
	case "date":
		t, err := time.ParseInLocation(time.DateOnly, text, d.zone())
		if err != nil {
			return nil, fmt.Errorf("%q is not a date", text)
		}
		return t, nil
	case "enum":
		if !slices.Contains(k.values, text) {
			return nil, fmt.Errorf("%q is not one of %s", text, strings.Join(k.values, ", "))
		}
	}
	return text, nil
}

// zone is where the job's dates are.
func (d *decoder) zone() *time.Location {
	if d.job.Schedule == nil || d.job.Schedule.Timezone == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(d.job.Schedule.Timezone)
	if err != nil {
		return time.UTC // reported with the schedule
	}
	return zone
}

// staticType is what expressions know of a parameter.
func staticType(kind string) expression.Type {
	switch kind {
	case "int":
		return expression.Int
	case "number", "float":
		return expression.Float
	case "bool":
		return expression.Bool
	case "date":
		return expression.Time
	case "":
		return expression.Any // the type was wrong, which is reported once
	}
	return expression.String
}
