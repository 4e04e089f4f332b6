package jobs

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// givenVerb is the verb of the steps that make the items of a test's portal.
const givenVerb = "create"

// expectable are the kinds of changes that a test can expect.
func expectable() []string {
	return []string{"create", "update", "move", "delete", "unchanged", "skip", "invalid", "conflict"}
}

// tests reads the job's examples. They are judged after the steps, which they name.
func (d *decoder) tests(n *node) {
	if n == nil || n.faulty {
		return
	}
	if n.shape != list {
		d.fault(n.pos, "begin with `- name: …`", "tests is a list of tests, not %s", n.describe())
		return
	}
	names := make(map[string]engine.Pos)
	for _, item := range n.items {
		test := d.test(item)
		if test == nil {
			continue
		}
		if first, twice := names[test.Name.Text]; twice {
			d.fault(test.Name.Pos, "choose another name", "test %q is there twice, first in line %d", test.Name.Text, first.Line)
		}
		names[test.Name.Text] = test.Name.Pos
		d.job.Tests = append(d.job.Tests, test)
	}
}

// test reads one test.
func (d *decoder) test(n *node) *engine.Test {
	parts, ok := d.entries(n, "a test", []string{"name", "params", "env", "now", "portal", "portals", "rows", "expect"})
	if !ok {
		return nil
	}
	t := &engine.Test{Name: d.word(parts["name"], "name"), Env: d.texts(parts["env"], "env"), Params: d.testParams(parts["params"])}
	if parts["name"] == nil {
		d.fault(n.pos, "add name:, which says what is shown", "the test has no name")
		t.Name.Pos = n.pos
	}
	for _, p := range pairsOf(parts["env"]) {
		if _, listed := d.job.Env[p.key.Text]; !listed {
			d.fault(p.key.Pos, "list it under env: of the job", "environment variable %q is not the job's", p.key.Text)
		}
	}
	t.Now = d.testNow(parts["now"])
	t.Given = d.portalItems(parts["portal"])
	t.Elsewhere = d.otherItems(parts["portals"])
	t.Rows = d.testRows(parts["rows"])
	switch expect := parts["expect"]; {
	case expect == nil:
		d.fault(n.pos, "add expect:, a list of changes; [] where there are none", "the test expects nothing")
	case expect.shape != list:
		d.fault(expect.pos, "write `- create: STEP`", "expect is a list of changes, not %s", expect.describe())
	default:
		for _, item := range expect.items {
			if e, ok := d.expectation(item); ok {
				t.Expect = append(t.Expect, e)
			}
		}
	}
	return t
}

// pairsOf are the entries of a node that may be none.
func pairsOf(n *node) []pair {
	if n == nil {
		return nil
	}
	return n.pairs
}

// texts reads a mapping of names to single values.
func (d *decoder) texts(n *node, what string) map[string]string {
	if n == nil {
		return nil
	}
	if n.shape != mapping {
		d.fault(n.pos, "write name: value", "%s is a mapping of names, not %s", what, n.describe())
		return nil
	}
	texts := make(map[string]string, len(n.pairs))
	for _, p := range n.pairs {
		texts[p.key.Text] = d.text(p.value, p.key.Text)
	}
	return texts
}

// testParams reads the parameters of a test. Its paths are the file's.
func (d *decoder) testParams(n *node) map[string]string {
	params := d.texts(n, "params")
	for _, p := range pairsOf(n) {
		kind, known := d.kinds[p.key.Text]
		if !known {
			d.fault(p.key.Pos, expression.Suggest(p.key.Text, slices.Sorted(maps.Keys(d.kinds))), "the job has no parameter %q", p.key.Text)
			continue
		}
		text := params[p.key.Text]
		if _, err := d.fallback(kind, text); err != nil {
			d.fault(p.value.pos, "", "%s: %v", kind.what, err)
		}
		if kind.kind == "path" && text != "-" {
			params[p.key.Text] = filepath.Join(d.job.Dir, text)
		}
	}
	return params
}

// testNow reads when a test takes place.
func (d *decoder) testNow(n *node) time.Time {
	w := d.word(n, "now")
	if w.Text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, w.Text, d.zone()); err == nil {
			return t
		}
	}
	d.fault(w.Pos, "write 2026-11-23 or 2026-11-23T10:00:00Z", "now: %q is not a date", w.Text)
	return time.Time{}
}

// portalItems reads the steps that make the items of a test's portal.
func (d *decoder) portalItems(n *node) []*engine.StepSpec {
	if n == nil || n.faulty {
		return nil
	}
	const remedy = "write `- create: contact` and its fields"
	if n.shape != list {
		d.fault(n.pos, remedy, "portal of a test is a list of items, not %s", n.describe())
		return nil
	}
	s := &stepper{
		decoder: d, ids: make(map[string]made), writes: make(map[string]engine.Word), stream: &engine.Stream{}, keyed: true,
	}
	s.reserve(n.items)
	for _, item := range n.items {
		if item.shape != mapping || entry(item, givenVerb) == nil {
			d.fault(item.pos, remedy, "an item of the test's portal is made by create")
			continue
		}
		s.step(item)
	}
	return s.stream.Steps
}

// otherItems reads the steps that make the items on the other portals that the job reads.
func (d *decoder) otherItems(n *node) map[string][]*engine.StepSpec {
	if n == nil || n.faulty {
		return nil
	}
	if n.shape != mapping {
		d.fault(n.pos, "write the name of one, and `- create: contact` below it", "portals of a test is a mapping of names, not %s", n.describe())
		return nil
	}
	items := make(map[string][]*engine.StepSpec, len(n.pairs))
	for _, p := range n.pairs {
		if read := d.job.Elsewhere(); !slices.Contains(read, p.key.Text) {
			d.fault(p.key.Pos, expression.Suggest(p.key.Text, read), "the job reads no portal %q", p.key.Text)
		}
		items[p.key.Text] = d.portalItems(p.value)
	}
	return items
}

// testRows reads the rows that stand for those of the job's reads.
func (d *decoder) testRows(n *node) map[string][]engine.Row {
	if n == nil || n.faulty {
		return nil
	}
	var reads []string
	for _, s := range d.job.Streams {
		if s.Source.Source.Makes() == "" {
			reads = append(reads, s.Source.ID)
		}
	}
	switch {
	case len(reads) == 0:
		d.fault(n.pos, "give items under portal: or portals: of the test", "the job reads no rows")
	case n.shape == mapping:
		rows := make(map[string][]engine.Row, len(n.pairs))
		for _, p := range n.pairs {
			if !slices.Contains(reads, p.key.Text) {
				d.fault(p.key.Pos, expression.Suggest(p.key.Text, slices.Clone(reads)), "no read of the job has the id %q", p.key.Text)
				continue
			}
			rows[p.key.Text] = d.rowsOf(p.value)
		}
		return rows
	case len(reads) > 1:
		d.fault(n.pos, "write them under "+strings.Join(reads, ": and ")+":", "the job has %d reads, and the rows are for one", len(reads))
	default:
		return map[string][]engine.Row{reads[0]: d.rowsOf(n)}
	}
	return nil
}

// rowsOf reads a list of rows.
func (d *decoder) rowsOf(n *node) []engine.Row {
	rows := []engine.Row{}
	if n.shape != list {
		d.fault(n.pos, "write `- {column: value}`", "rows is a list of rows, not %s", n.describe())
		return rows
	}
	for _, item := range n.items {
		if item.shape != mapping {
			d.fault(item.pos, "write `- {column: value}`", "a row is a mapping of columns, not %s", item.describe())
			continue
		}
		var row engine.Row
		for _, p := range item.pairs {
			cell := engine.Cell{Column: p.key.Text}
			if !p.value.null {
				cell.Text = d.text(p.value, p.key.Text)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

// expectation reads one expected change.
func (d *decoder) expectation(n *node) (engine.Expectation, bool) {
	kinds := expectable()
	parts, ok := d.entries(n, "an expected change", append(slices.Clone(kinds), "row", "fields", "error"))
	if !ok {
		return engine.Expectation{}, false
	}
	var e engine.Expectation
	for _, kind := range kinds {
		if parts[kind] == nil {
			continue
		}
		if e.Kind != "" {
			d.fault(parts[kind].pos, "make two of it", "an expected change is of one kind, this is %s and %s", e.Kind, kind)
			return e, false
		}
		e.Kind, e.Step = engine.Kind(kind), d.word(parts[kind], kind)
	}
	if e.Kind == "" {
		d.fault(n.pos, "write one of "+strings.Join(kinds, ", ")+", and the step's id", "the expected change has no kind")
		return e, false
	}
	ids := d.stepIDs()
	if e.Step.Text != "" && !slices.Contains(ids, e.Step.Text) {
		d.fault(e.Step.Pos, expression.Suggest(e.Step.Text, ids), "no step of the job has the id %q", e.Step.Text)
	}
	values := &stepDecoder{decoder: d, verb: e.Step}
	if parts["row"] != nil {
		e.Row = values.integer(parts["row"], "row")
		if parts["row"].text == "0" {
			d.fault(parts["row"].pos, "the first row is 1", "row cannot be 0")
		}
	}
	e.Error = d.text(parts["error"], "error")
	if parts["fields"] != nil {
		e.Fields = values.fieldValues(parts["fields"], "fields")
	}
	for _, p := range values.rows {
		d.compile(p, d.scope(), "")
	}
	return e, true
}

// stepIDs are the ids of the steps that plan changes.
func (d *decoder) stepIDs() []string {
	var ids []string
	for _, stream := range d.job.Streams {
		for _, s := range stream.Steps {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
