package engine

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// linkers are the entities whose items may link to others, each once.
func (c *Catalog) linkers() []*Entity {
	all := slices.Clone(c.Entities)
	for _, e := range c.Linkers {
		if c.EntityByType(e.TypeID) == nil {
			all = append(all, e)
		}
	}
	return all
}

// findLinks returns the items of the portal that link to the given ones, of which
// to has the ids by entity type.
func findLinks(ctx context.Context, reader Reader, linkers []*Entity, to map[int][]int64) (map[ItemKey][]ItemKey, error) {
	lookups, types := linkLookups(linkers, to)
	linked := map[ItemKey][]ItemKey{}
	if len(lookups) == 0 {
		return linked, nil
	}
	found, err := reader.FindAll(ctx, lookups)
	if err != nil {
		return nil, err
	}
	for n, hits := range found {
		for i, id := range to[types[n]] {
			key := ItemKey{TypeID: types[n], ID: id}
			for _, from := range hits[i] {
				linked[key] = append(linked[key], ItemKey{TypeID: lookups[n].Entity.TypeID, ID: from.ID})
			}
		}
	}
	return linked, nil
}

// linkLookups are the look-ups that find links to items, and of which type those
// are.
func linkLookups(linkers []*Entity, to map[int][]int64) (lookups []Lookup, types []int) {
	for _, e := range linkers {
		for _, f := range e.linkFields() {
			typeID, _ := f.linkedType()
			ids := to[typeID]
			if len(ids) == 0 {
				continue
			}
			keys := make([][]any, len(ids))
			for i, id := range ids {
				keys[i] = []any{id}
			}
			lookups = append(lookups, Lookup{Entity: e, Match: []*Field{f}, Keys: keys})
			types = append(types, typeID)
		}
	}
	return lookups, types
}

// linkFields are the fields by which items of an entity link to others. A single
// link (contactId) is left out where there is the set that it belongs to, and a
// company's list of contacts, which shows the links that those have.
func (e *Entity) linkFields() []*Field {
	var fields []*Field
	for _, f := range e.Fields {
		to, links := f.linkedType()
		mirror := e.TypeID == TypeCompany && to == TypeContact
		if links && !mirror && (f.Multiple || e.setOf(f) == nil) {
			fields = append(fields, f)
		}
	}
	return fields
}

// LinksTo are the fields by which items of the entity link to those of another
// type.
func (e *Entity) LinksTo(typeID int) []*Field {
	var fields []*Field
	for _, f := range e.linkFields() {
		if to, _ := f.linkedType(); to == typeID {
			fields = append(fields, f)
		}
	}
	return fields
}

// setOf is the set (contactIds) that a single link (contactId) belongs to, nil if
// there is none.
func (e *Entity) setOf(f *Field) *Field {
	if set := e.FieldByName(f.Name + "s"); set != nil && set.Multiple && set.Type == f.Type {
		return set
	}
	return nil
}

// linkedType is the type of the items that a field links to: parentId128 to those
// of type 128.
func (f *Field) linkedType() (typeID int, links bool) {
	if f == nil {
		return 0, false
	}
	switch f.Type {
	case FieldContact:
		return TypeContact, true
	case FieldCompany:
		return TypeCompany, true
	case FieldLead:
		return TypeLead, true
	case FieldDeal:
		return TypeDeal, true
	case FieldCRMEntity:
		number, _ := strings.CutPrefix(f.Name, "parentId")
		typeID, err := strconv.Atoi(number)
		return typeID, err == nil && typeID > 0
	default:
		return 0, false
	}
}

// linkedItems are the items that a link's value names: one, or those of a set.
func linkedItems(f *Field, v any) []ItemKey {
	typeID, links := f.linkedType()
	if !links {
		return nil
	}
	v = plain(v)
	ids, several := v.([]any)
	if !several {
		ids = []any{v}
	}
	var items []ItemKey
	for _, v := range ids {
		if id, ok := v.(int64); ok && id != 0 {
			items = append(items, ItemKey{TypeID: typeID, ID: id})
		}
	}
	return items
}

// linksIn are the items that some value of each field of a change links to.
func (e *Entity) linksIn(c *Change, value func(FieldChange) any) map[ItemKey]bool {
	linked := map[ItemKey]bool{}
	for name, f := range c.Fields {
		for _, item := range linkedItems(e.FieldByName(name), value(f)) {
			linked[item] = true
		}
	}
	return linked
}
