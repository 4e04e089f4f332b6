package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// mapping is `fields` or `set`, its names resolved.
type mapping []mapped

type mapped struct {
	field *engine.Field
	value *engine.Value
}

// want is what a record asks of one field.
type want struct {
	field *engine.Field
	value any // canonical; nil clears the field
}

// moment of a mapping: what the fields are set on.
type moment int

const (
	onMake   moment = iota // fields of an item that is made
	onChange               // fields of an item that there is
	onEither
	onImport // fields of an item that is made without automation: its history may be set
)

// newMapping resolves the names of fields and checks what can be checked
// before there is a record: that fields can be written, and literal values.
func newMapping(p *engine.Prepare, e *engine.Entity, fields []engine.FieldValue, when moment) mapping {
	var m mapping
	for _, fv := range fields {
		f := p.Field(e, fv.Field)
		if f == nil {
			continue
		}
		if slices.ContainsFunc(m, func(other mapped) bool { return other.field == f }) {
			p.Problem(fv.Field.Pos, "", "field %s is set twice", f.Name)
			continue
		}
		switch {
		case when == onImport && history(f):
		case f.ReadOnly && history(f):
			p.Problem(fv.Field.Pos, "an administrator may set it when an item is made: under on_create of an import with automation: off", "field %s is read-only", f.Name)
			continue
		case f.ReadOnly:
			p.Problem(fv.Field.Pos, "the portal sets it itself", "field %s is read-only", f.Name)
			continue
		case f.Immutable && when == onChange:
			p.Problem(fv.Field.Pos, "it can be set when the item is made", "field %s can't be changed", f.Name)
			continue
		}
		if f.Type == engine.FieldFile && fv.Value.Type() == expression.String {
			if text, literal := fv.Value.Literal(); !literal || strings.TrimSpace(text) != "" {
				_, err := f.Canonical("a path", p.Catalog)
				p.Fail(fv.Value.Pos, err)
				continue
			}
		}
		if text, ok := fv.Value.Literal(); ok {
			if _, err := f.Canonical(text, p.Catalog); err != nil {
				p.Fail(fv.Value.Pos, err)
				continue
			}
		}
		m = append(m, mapped{field: f, value: fv.Value})
	}
	return m
}

// history says whether the field tells who made, changed or moved an item, and
// when. crm.item.import takes it from administrators.
func history(f *engine.Field) bool {
	switch f.Name {
	case "createdTime", "createdBy", "updatedTime", "updatedBy", "movedTime", "movedBy":
		return true
	}
	return false
}

// names are the REST names of the mapped fields.
func (m mapping) names() []string {
	names := make([]string, 0, len(m))
	for _, entry := range m {
		names = append(names, entry.field.Name)
	}
	return names
}

// has says whether the mapping sets a field.
func (m mapping) has(f *engine.Field) bool {
	return slices.ContainsFunc(m, func(e mapped) bool { return e.field == f })
}

// eval works out what a record asks of the mapped fields. Omitted fields are
// left out, and blank ones too unless blankClears: a blank cell says nothing
// about the item.
func (m mapping) eval(p *engine.Planning, env expression.Env, blankClears bool) ([]want, error) {
	wants := make([]want, 0, len(m))
	var faults []string
	for _, entry := range m {
		raw, err := entry.value.EvalField(env)
		if err == nil && entry.field.Type == engine.FieldFile {
			raw, err = p.Files(raw)
		}
		if err != nil {
			faults = append(faults, fieldFault(entry.field, err)+columnsOf(entry.value))
			continue
		}
		if _, omitted := raw.(expression.Omitted); omitted {
			continue
		}
		if blank(entry.value, raw) && !blankClears {
			continue
		}
		v, err := entry.field.Canonical(raw, p.Catalog)
		if err != nil {
			faults = append(faults, err.Error()+columnsOf(entry.value))
			continue
		}
		wants = append(wants, want{entry.field, v})
	}
	if faults != nil {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return wants, filesFit(wants)
}

// filesFit refuses wants whose files one request can't carry.
func filesFit(wants []want) error {
	values := make([]any, len(wants))
	for i, w := range wants {
		values[i] = w.value
	}
	return engine.FilesFit(values...)
}

func fieldFault(f *engine.Field, err error) string {
	if fault, ok := errors.AsType[*expression.Error](err); ok {
		return fmt.Sprintf("%s: %s", f.Name, fault.Text())
	}
	return fmt.Sprintf("%s: %v", f.Name, err)
}

// columnsOf names the columns that values are made from, behind a fault: there it
// is to be mended. It is empty where there are none.
func columnsOf(values ...*engine.Value) string {
	var names []string
	for _, v := range values {
		for _, use := range v.Uses() {
			if use.Name == "row" && use.Member != "" && !slices.Contains(names, use.Member) {
				names = append(names, use.Member)
			}
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " (column " + names[0] + ")"
	}
	return " (columns " + strings.Join(names, ", ") + ")"
}

// blank says whether a value came out empty without having been written as
// null or [], which clear.
func blank(v *engine.Value, raw any) bool {
	switch raw := raw.(type) {
	case string:
		return strings.TrimSpace(raw) == ""
	case []any:
		return len(raw) == 0 && len(v.List) > 0
	}
	return false
}

// forCreate turns wants into the fields of an item that is made.
func forCreate(wants []want) map[string]engine.FieldChange {
	fields := make(map[string]engine.FieldChange, len(wants))
	for _, w := range wants {
		if w.value == nil {
			continue
		}
		c := engine.FieldChange{After: w.value}
		if rows, ok := w.value.([]engine.MultiValue); ok {
			c.Add = rows
		}
		fields[w.field.Name] = c
	}
	return fields
}

// forUpdate returns the wants that differ from an item as it will be by then.
func forUpdate(ctx context.Context, p *engine.Planning, h *engine.Held, wants []want, replace bool) (map[string]engine.FieldChange, error) {
	fields := map[string]engine.FieldChange{}
	for _, w := range wants {
		f, v := linkSet(h.Entity, w)
		if f.Type == engine.FieldFile {
			var err error
			if v, err = settleFiles(ctx, p, h, want{f, v}, replace); err != nil {
				return nil, err
			}
		}
		before := h.Now[f.Name]
		c, differs := difference(f, before, v, replace)
		if differs {
			fields[f.Name] = c
		}
	}
	return fields, nil
}

// settleFiles is what a file field is to hold, of what it holds and what is given.
func settleFiles(ctx context.Context, p *engine.Planning, h *engine.Held, w want, replace bool) (any, error) {
	if err := p.Recognise(ctx, h, w.field); err != nil {
		return nil, err
	}
	v, kept := w.field.Settle(h.Now[w.field.Name], w.value, replace)
	if kept {
		p.Warn("step %s: where %s holds a file that no run of this state folder has put there, it is left alone; `replace: true` replaces it", p.ID(), w.field.Name)
	}
	return v, nil
}

// linkSet turns a single link (contactId) of an item that there is into its set
// (contactIds): setting the single one on the portal would drop all others.
func linkSet(e *engine.Entity, w want) (*engine.Field, any) {
	if w.value == nil || w.field.Multiple || !w.field.IsLink() {
		return w.field, w.value
	}
	set := e.FieldByName(w.field.Name + "s")
	if set == nil || !set.Multiple || set.ReadOnly {
		return w.field, w.value
	}
	return set, []any{w.value}
}

// difference compares one field. Multifields and links gain what they lack and
// lose nothing, unless replace makes them exactly the given.
func difference(f *engine.Field, before, after any, replace bool) (engine.FieldChange, bool) {
	switch {
	case f.Type == engine.FieldMulti:
		return multiDifference(f, before, after, replace)
	case f.IsSet() && !replace && after != nil:
		after = union(f, before, after)
	}
	if f.Equal(before, after) {
		return engine.FieldChange{}, false
	}
	return engine.FieldChange{Before: before, After: after}, true
}

// union adds to a set of links those that it lacks.
func union(f *engine.Field, before, after any) any {
	had, _ := before.([]any)
	wanted, _ := after.([]any)
	set := slices.Clone(had)
	for _, link := range wanted {
		if !slices.ContainsFunc(set, func(e any) bool { return f.Equal([]any{e}, []any{link}) }) {
			set = append(set, link)
		}
	}
	return set
}

func multiDifference(f *engine.Field, before, after any, replace bool) (engine.FieldChange, bool) {
	had, _ := before.([]engine.MultiValue)
	wanted, _ := after.([]engine.MultiValue)
	c := engine.FieldChange{Before: before}
	var now []engine.MultiValue
	for _, row := range had {
		if (replace || after == nil) && !holds(f, wanted, row) {
			c.Remove = append(c.Remove, row)
			continue
		}
		now = append(now, row)
	}
	for _, row := range wanted {
		if !holds(f, had, row) {
			c.Add = append(c.Add, row)
			now = append(now, row)
		}
	}
	if now != nil {
		c.After = now
	}
	return c, len(c.Add)+len(c.Remove) > 0
}

func holds(f *engine.Field, rows []engine.MultiValue, row engine.MultiValue) bool {
	return slices.ContainsFunc(rows, func(r engine.MultiValue) bool { return f.Fold(r.Value) == f.Fold(row.Value) })
}

// placement is the category and stage in which an item is made.
type placement struct {
	entity          *engine.Entity
	category, stage *engine.Value
}

// newPlacement checks the names that are literal.
func newPlacement(p *engine.Prepare, e *engine.Entity, category, stage *engine.Value) placement {
	pl := placement{entity: e, category: category, stage: stage}
	name := ""
	if category != nil {
		if !e.Categorized {
			p.Problem(category.Pos, "", "%s has no categories", e.Name)
			return pl
		}
		text, literal := category.Literal()
		if !literal {
			return pl
		}
		name = text
	}
	if category == nil && stage == nil {
		return pl
	}
	c, err := e.Category(name)
	if err != nil {
		p.Fail(cmp.Or(category, stage).Pos, err)
		return pl
	}
	if stage != nil {
		if text, literal := stage.Literal(); literal {
			if _, err := c.Stage(text); err != nil {
				p.Fail(stage.Pos, err)
			}
		}
	}
	return pl
}

// apply adds the category and stage to the fields of an item that is made.
func (pl placement) apply(env expression.Env, fields map[string]engine.FieldChange) error {
	name, err := evalName(pl.category, env)
	if err != nil {
		return err
	}
	stage, err := evalName(pl.stage, env)
	if err != nil {
		return err
	}
	if name == "" && stage == "" {
		return nil
	}
	c, err := pl.entity.Category(name)
	if err != nil {
		return err
	}
	if pl.entity.Categorized {
		fields["categoryId"] = engine.FieldChange{After: int64(c.ID)}
	}
	if stage != "" {
		s, err := c.Stage(stage)
		if err != nil {
			return err
		}
		fields["stageId"] = engine.FieldChange{After: s.ID}
	}
	return nil
}

// evalName evaluates a name that may be an expression; "" where there is none.
func evalName(v *engine.Value, env expression.Env) (string, error) {
	if v == nil {
		return "", nil
	}
	raw, err := v.Eval(env)
	if err != nil {
		return "", err
	}
	switch raw := raw.(type) {
	case nil, expression.Omitted:
		return "", nil
	case string:
		return strings.TrimSpace(raw), nil
	default:
		return fmt.Sprint(raw), nil
	}
}

// settle notes in which category and stage the portal will put a planned item
// where the job does not say, so that later steps know what they move.
func settle(h *engine.Held) {
	if len(h.Entity.Categories) == 0 {
		return
	}
	c, err := h.Entity.Category("")
	if id, ok := h.Now["categoryId"].(int64); ok {
		c = h.Entity.CategoryByID(int(id))
	} else if err == nil && h.Entity.Categorized {
		h.Now["categoryId"] = int64(c.ID)
	}
	if c != nil && h.Now["stageId"] == nil && len(c.Stages) > 0 {
		h.Now["stageId"] = c.Stages[0].ID
	}
}
