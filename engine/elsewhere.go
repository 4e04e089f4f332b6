package engine

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/bxflow/bxflow/engine/expression"
)

// PortalSource is a source whose items may come from another portal than the
// one that the job writes to.
type PortalSource interface {
	// FromPortal is the name of that portal as the job has it; the zero Word for
	// the job's own.
	FromPortal() Word
}

// Elsewhere is another portal than the one that a job writes to. It is read only.
type Elsewhere struct {
	Catalogue Catalogue
	Reader    Reader
}

// fromPortal is the name of the other portal that a stream reads, "" if it
// reads the job's own.
func (s *Stream) fromPortal() string {
	if from, ok := s.Source.Source.(PortalSource); ok {
		return from.FromPortal().Text
	}
	return ""
}

// Elsewhere are the names of the other portals that the job reads, each once.
func (j *Job) Elsewhere() []string {
	var names []string
	for _, s := range j.Streams {
		if name := s.fromPortal(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// NeedsFrom says what of another portal the job names.
func (j *Job) NeedsFrom(portal string) Needs {
	n := Needs{Users: true}
	for _, s := range j.Streams {
		name := CanonicalEntityName(s.Source.Source.Makes())
		if s.fromPortal() == portal && !slices.Contains(n.Entities, name) {
			n.Entities = append(n.Entities, name)
		}
	}
	return n
}

// loadElsewhere loads what the job names of other portals.
func loadElsewhere(ctx context.Context, o *PlanOptions, own *Catalog) (map[string]*Catalog, error) {
	catalogs := map[string]*Catalog{}
	for _, name := range o.Job.Elsewhere() {
		other, ok := o.Elsewhere[name]
		if !ok {
			return nil, fmt.Errorf("portal %s: only the job's own portal can be read here", name)
		}
		c, err := other.Catalogue.Catalog(ctx, o.Job.NeedsFrom(name))
		if err != nil {
			return nil, fmt.Errorf("portal %s: catalog: %w", name, err)
		}
		if c.Portal.ID == own.Portal.ID {
			return nil, fmt.Errorf("portal %s is the one that the job writes to; leave `portal` out of the select, or name another portal to write to", name)
		}
		catalogs[name] = c
	}
	return catalogs, nil
}

// FromPortal returns what a source reads from: the portal with that name, or
// the job's own for "".
func (p *Planning) FromPortal(name string) (Reader, *Catalog) {
	if name == "" {
		return p.Reader, p.Catalog
	}
	return p.options.Elsewhere[name].Reader, p.elsewhere[name]
}

// abroad is an item of another portal, as expressions see it: what stands for
// people, options, stages and categories is their name, which means the same on
// the portal that the job writes to. Links stay ids of the other portal.
func (p *Planning) abroad(r *Record) map[string]any {
	source := p.shape.stream.Source.ID
	e, c := p.shape.entities[source], p.elsewhere[p.shape.elsewhere]
	item := map[string]any{"id": int(r.Abroad.ID), "created": false}
	for alias, name := range p.shape.aliases[source] {
		v, err := nameOf(c, e, e.FieldByName(name), r.Abroad.Fields[name])
		if err != nil {
			v = fmt.Errorf("%s of %s: %w", name, r.Source, err) // of whatever uses it
		}
		item[alias] = v
	}
	return item
}

// named says whether values of the field are ids that have names.
func (f *Field) named() bool {
	switch f.Type {
	case FieldUser, FieldEmployee, FieldEnum, FieldStatus, FieldCategory:
		return true
	default:
		return f.Name == "stageId"
	}
}

// abroadType is the type of a field of an item of another portal.
func abroadType(f *Field) expression.Type {
	if f.named() && !f.Multiple {
		return expression.String
	}
	return expressionType(f)
}

func nameOf(c *Catalog, e *Entity, f *Field, v any) (any, error) {
	if !f.named() {
		return expressionValue(f, v), nil
	}
	if !f.Multiple {
		return nameOfOne(c, e, f, v)
	}
	values, _ := v.([]any)
	names := make([]any, 0, len(values))
	for _, one := range values {
		name, err := nameOfOne(c, e, f, one)
		if err != nil {
			return nil, err
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// ValueNames are the names of all that a field may hold, as expressions of a job
// have them that reads this portal: list values, stages, categories, or people by
// their e-mail addresses. It is empty for other fields.
func (c *Catalog) ValueNames(e *Entity, f *Field) []Option { return slices.Collect(c.valueNames(e, f)) }

func (c *Catalog) valueNames(e *Entity, f *Field) iter.Seq[Option] {
	return func(yield func(Option) bool) {
		switch {
		case f.Type == FieldUser || f.Type == FieldEmployee:
			for _, u := range c.Users {
				if !yield(Option{ID: strconv.FormatInt(u.ID, 10), Name: cmp.Or(u.Email, u.Name)}) {
					return
				}
			}
		case f.Type == FieldCategory:
			for _, category := range e.Categories {
				if !yield(Option{ID: strconv.Itoa(category.ID), Name: category.Name}) {
					return
				}
			}
		case f.Name == "stageId":
			for _, category := range e.Categories {
				for _, stage := range category.Stages {
					if !yield(Option{ID: stage.ID, Name: stage.Name}) {
						return
					}
				}
			}
		default:
			for _, o := range f.Options {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// nameOfOne refuses an id without a name: the same id may be something else on
// the portal that the job writes to.
func nameOfOne(c *Catalog, e *Entity, f *Field, v any) (string, error) {
	if v == nil || v == "" || v == int64(0) && f.Type != FieldCategory {
		return "", nil
	}
	id := fmt.Sprint(v)
	for o := range c.valueNames(e, f) {
		if o.ID == id {
			return o.Name, nil
		}
	}
	return "", fmt.Errorf("%s has no name on its portal", id)
}
