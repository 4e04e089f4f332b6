package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// Prepare is what a step sees while its names are resolved: the catalog, and
// the steps above it. It collects problems and never stops at the first.
type Prepare struct {
	Job     *Job
	Catalog *Catalog
	Context context.Context //nolint:containedctx // of the planning: Prepare is that long a parameter list

	env      expression.Env
	stopped  *error
	shape    *streamShape
	common   *Common
	when     *Predicate // of the step
	problems *Problems
	warnings *[]string
}

// streamShape is what planning knows of a stream once it is prepared.
type streamShape struct {
	stream    *Stream
	columns   []string           // of a file; nil for a select
	entities  map[string]*Entity // by step id, of the items held
	planned   map[string]bool    // step ids whose item may not exist yet
	needs     map[string]map[string]bool
	aliases   map[string]map[string]string // step id → name in expressions → REST name
	vars      map[string]expression.Type   // nil: there are none, or not yet
	columned  bool
	elsewhere string // the other portal that the stream reads; "": the job's own
	open      bool   // the header could not be read: any column may be there
}

func newStreamShape(s *Stream) *streamShape {
	return &streamShape{
		stream: s, entities: map[string]*Entity{}, planned: map[string]bool{},
		needs: map[string]map[string]bool{}, aliases: map[string]map[string]string{},
	}
}

// gathers says whether several records of the stream may make one change.
func (s *streamShape) gathers() bool {
	return slices.ContainsFunc(s.stream.Steps, func(spec *StepSpec) bool { _, ok := spec.Step.(Gatherer); return ok })
}

// JobEnv is what expressions see that is the same for all records, the same as
// while the job is planned.
func (p *Prepare) JobEnv() expression.Env { return maps.Clone(p.env) }

// Problem reports a fault of the job at a place, with what to do about it.
func (p *Prepare) Problem(pos Pos, hint, format string, args ...any) {
	*p.problems = append(*p.problems, Problem{
		File: cmp.Or(pos.File, p.Job.File), Pos: pos, Step: p.common.ID, Msg: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// Fail reports an error at a place. A [NameError] and
// [Problems] say themselves what to do.
func (p *Prepare) Fail(pos Pos, err error) {
	if problems, ok := errors.AsType[Problems](err); ok {
		for _, problem := range problems {
			problem.File, problem.Step = cmp.Or(problem.Pos.File, p.Job.File), p.common.ID
			*p.problems = append(*p.problems, problem)
		}
		return
	}
	p.Problem(pos, "", "%v", err)
}

// Stop ends the planning with an error that is no fault of the job: what it reads
// from can't be reached.
func (p *Prepare) Stop(err error) {
	if *p.stopped == nil {
		*p.stopped = err
	}
}

// Warn adds a warning to the plan.
func (p *Prepare) Warn(format string, args ...any) {
	*p.warnings = append(*p.warnings, fmt.Sprintf(format, args...))
}

// ID is the id of the step that is being prepared.
func (p *Prepare) ID() string { return p.common.ID }

// Pos is where the step stands in the job file.
func (p *Prepare) Pos() Pos { return p.common.Pos }

// When is the step's condition, nil if it has none.
func (p *Prepare) When() *Predicate { return p.when }

// Last says whether the step is the last one of its stream.
func (p *Prepare) Last() bool {
	steps := p.shape.stream.Steps
	return len(steps) > 0 && &steps[len(steps)-1].Common == p.common
}

// Entity resolves an entity's name, or reports that it can't.
func (p *Prepare) Entity(w Word) *Entity {
	e, err := p.Catalog.Entity(w.Text)
	if err != nil {
		p.Fail(w.Pos, err)
	}
	return e
}

// Field resolves a field's name, or reports that it can't.
func (p *Prepare) Field(e *Entity, w Word) *Field {
	f, err := e.Field(w.Text)
	if err != nil {
		p.Fail(w.Pos, err)
	}
	return f
}

// Columns declares the header of the stream's file.
func (p *Prepare) Columns(names []string) {
	p.shape.columns, p.shape.columned, p.shape.open = names, true, false
}

// AnyColumn declares that the header of the stream's file could not be read, so
// that only that is reported and not each use of a column.
func (p *Prepare) AnyColumn() { p.shape.columned, p.shape.open = true, true }

// HasColumn says whether the stream's file has a column of that name.
func (p *Prepare) HasColumn(name string) bool { return slices.Contains(p.shape.columns, name) }

// CompileRow compiles an expression of a source that is evaluated for each of
// its rows.
func (p *Prepare) CompileRow(e Expr) { p.compile([]Expr{e}, p.scope()) }

// Holds declares that the step's item is of this entity.
func (p *Prepare) Holds(e *Entity) {
	p.shape.entities[p.common.ID] = e
	p.Need(p.common.ID)
}

// HeldEntity returns the entity of the item that an earlier step holds, or nil
// where that step could not be resolved.
func (p *Prepare) HeldEntity(step string) *Entity { return p.shape.entities[step] }

// Need says that planning must know these fields of a step's item.
func (p *Prepare) Need(step string, names ...string) {
	set := p.shape.needs[step]
	if set == nil {
		set = map[string]bool{}
		p.shape.needs[step] = set
	}
	for _, name := range names {
		set[name] = true
	}
}

// compile checks a step's expressions against what it really sees, and notes
// which fields of which items they read.
func (p *Prepare) compile(exprs []Expr, scope expression.Scope) {
	for _, e := range exprs {
		if err := e.Compile(scope); err != nil {
			p.Fail(p.common.Pos, err)
			continue
		}
		for _, u := range e.Uses() {
			entity := p.shape.entities[u.Name]
			if entity == nil || u.Member == "id" || u.Member == "created" || u.Member == "" {
				continue
			}
			f, err := entity.Field(u.Member)
			if err != nil {
				p.Fail(p.common.Pos, err)
				continue
			}
			p.Need(u.Name, f.Name)
			if p.shape.aliases[u.Name] == nil {
				p.shape.aliases[u.Name] = map[string]string{}
			}
			p.shape.aliases[u.Name][u.Member] = f.Name
		}
	}
}

// scope is what the expressions of the next step of the stream may see.
func (p *Prepare) scope() expression.Scope {
	s := expression.Scope{
		Params: p.Job.ParamTypes, Env: slices.Sorted(maps.Keys(p.Job.Env)),
		Items: map[string]*expression.Record{}, Planned: p.shape.planned,
		Vars: p.shape.vars, Maps: slices.Sorted(maps.Keys(p.Job.Maps)),
	}
	if p.shape.columned {
		s.Row = &expression.Record{Fields: map[string]expression.Type{}, Open: p.shape.open, Other: expression.String}
		for _, c := range p.shape.columns {
			s.Row.Fields[c] = expression.String
		}
	}
	for id, e := range p.shape.entities {
		typeOf := expressionType
		if p.shape.elsewhere != "" && id == p.shape.stream.Source.ID {
			typeOf = abroadType
		}
		s.Items[id] = itemScope(e, typeOf)
	}
	return s
}

// itemScope lists the names by which expressions may reach an item's fields:
// REST names, original names and titles.
func itemScope(e *Entity, typeOf func(*Field) expression.Type) *expression.Record {
	if e == nil {
		return &expression.Record{Open: true}
	}
	fields := map[string]expression.Type{"id": expression.Any, "created": expression.Bool}
	for _, f := range e.Fields {
		for _, name := range []string{f.Name, f.Upper, f.Title} {
			if _, taken := fields[name]; name != "" && !taken {
				fields[name] = typeOf(f)
			}
		}
	}
	return &expression.Record{Fields: fields}
}

func expressionType(f *Field) expression.Type {
	if f.Multiple || f.Type == FieldMulti {
		return expression.List
	}
	switch f.Type {
	case FieldInteger, FieldUser, FieldEmployee, FieldCategory, FieldContact, FieldCompany, FieldLead, FieldDeal:
		return expression.Int
	case FieldDouble:
		return expression.Float
	case FieldBoolean:
		return expression.Bool
	case FieldEnum, FieldCRMEntity:
		return expression.Any
	default:
		return expression.String
	}
}

// expressionValue is a canonical value as expressions see it: an empty one is
// the type's zero value, a list option its label, so that conditions read as
// they are spoken.
func expressionValue(f *Field, v any) any {
	if f.Multiple || f.Type == FieldMulti {
		return expressionList(f, v)
	}
	if file, ok := v.(File); ok {
		return fileText(file)
	}
	switch expressionType(f) {
	case expression.Int:
		if v == nil {
			return 0
		}
		if n, ok := v.(int64); ok {
			return int(n)
		}
	case expression.Float:
		if v == nil {
			return 0.0
		}
	case expression.Bool:
		b, ok := v.(bool)
		return ok && b
	case expression.String:
		if v == nil {
			return ""
		}
	default:
	}
	if f.Type == FieldEnum {
		return optionLabel(f, v)
	}
	return v
}

func expressionList(f *Field, v any) any {
	list := []any{}
	switch v := v.(type) {
	case []MultiValue:
		for _, m := range v {
			list = append(list, m.Value)
		}
	case []any:
		for _, e := range v {
			if f.Type == FieldEnum {
				e = optionLabel(f, e)
			}
			switch v := e.(type) {
			case int64:
				e = int(v)
			case File:
				e = fileText(v)
			}
			list = append(list, e)
		}
	}
	return list
}

func optionLabel(f *Field, v any) any {
	n, ok := v.(int64)
	if !ok {
		return v
	}
	id := strconv.FormatInt(n, 10)
	for _, o := range f.Options {
		if o.ID == id {
			return o.Name
		}
	}
	return int(n)
}

// prepareJob resolves all streams of a job against a catalog.
func prepareJob(ctx context.Context, job *Job, catalog *Catalog, elsewhere map[string]*Catalog, env expression.Env) ([]*streamShape, []string, error) {
	var problems Problems
	var warnings []string
	var stopped error
	shapes := make([]*streamShape, 0, len(job.Streams))
	for _, stream := range job.Streams {
		shape := newStreamShape(stream)
		shapes = append(shapes, shape)
		p := &Prepare{Job: job, Catalog: catalog, Context: ctx, env: env, stopped: &stopped, shape: shape, problems: &problems, warnings: &warnings}
		p.common = &stream.Source.Common
		if shape.elsewhere = stream.fromPortal(); shape.elsewhere != "" {
			p.Catalog = elsewhere[shape.elsewhere]
		}
		stream.Source.Source.Prepare(p)
		p.Catalog = catalog
		p.compileVars()
		for _, spec := range stream.Steps {
			p.common, p.when = &spec.Common, spec.When
			p.compile(spec.allExprs(), p.scope())
			spec.Step.Prepare(p)
			if spec.Step.Plans() {
				shape.planned[spec.ID] = true
			}
		}
	}
	problems = append(problems, checkNotices(job, catalog)...)
	if err := unresolved(problems); err != nil {
		return nil, nil, err
	}
	if stopped != nil {
		return nil, nil, stopped
	}
	return shapes, warnings, nil
}

// unresolved returns the problems, each once.
func unresolved(problems Problems) error {
	seen := map[string]bool{}
	var once Problems
	for _, p := range problems {
		if text := p.Error(); !seen[text] {
			seen[text] = true
			once = append(once, p)
		}
	}
	return once.Err()
}

// Needs says what of the portal that it writes to the job names.
func (j *Job) Needs() Needs {
	var n Needs
	add := func(name string) {
		name = CanonicalEntityName(name)
		has := slices.ContainsFunc(n.Entities, func(e string) bool { return strings.EqualFold(e, name) })
		if name != "" && !has {
			n.Entities = append(n.Entities, name)
		}
	}
	for _, s := range j.Streams {
		if s.fromPortal() == "" {
			add(s.Source.Source.Makes())
		}
		for _, step := range s.Steps {
			add(step.Step.Makes())
			if needer, ok := step.Step.(Needer); ok {
				more := needer.Needs()
				n.Linkers = n.Linkers || more.Linkers
				for _, name := range more.Beside {
					if !slices.Contains(n.Beside, name) {
						n.Beside = append(n.Beside, name)
					}
				}
				for _, name := range more.Entities {
					add(name)
				}
			}
		}
	}
	n.Users = true
	return n
}

// Check holds a job against a portal's catalog without planning it. It reads
// the headers of the job's files, but none of their rows. The catalogs of the
// other portals that it reads are by [Job.Elsewhere].
func Check(ctx context.Context, job *Job, catalog *Catalog, elsewhere map[string]*Catalog) (warnings []string, err error) {
	_, warnings, err = prepareJob(ctx, job, catalog, elsewhere, jobEnv(job, time.Now(), time.Time{}))
	return warnings, err
}
