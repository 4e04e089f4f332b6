package sandbox

import (
	"maps"
	"slices"
	"strconv"
)

// Merging duplicates (crm.entity.mergeBatch): the first item stays. It gets the
// phones and e-mails of the others and what it lacks; what links to the others links
// to it then, their comments, to-dos, tasks and requisites become its own, and they
// are deleted.
//
// A real portal decides by rules of its own, which are not documented, when values
// that differ want a person. Here single values of custom fields do, and of system
// fields the first item's stay. Bindings in custom fields are left as they are.

func mergeMethods() []method {
	return []method{{"crm.entity.mergeBatch", "crm", true, entityMerge}}
}

// mergeError is the refusal of a merge: status 400 and the code 0.
func mergeError(text string) *apiError { return fault(400, "0", text) }

func entityMerge(c *call) (any, *apiError) {
	params, err := c.array("params")
	if err != nil {
		return nil, err
	}
	typeID := intOf(memberText(params, "entityTypeId"))
	if typeID == 0 {
		return nil, mergeError("The parameter entityTypeId is required.")
	}
	e := c.store.entities[int(typeID)]
	if e == nil || typeID > companyType {
		return nil, mergeError("Entity type " + strconv.FormatInt(typeID, 10) + " is not supported")
	}
	raw, _ := params.get("entityIds")
	var items []*item
	for _, v := range valuesOf(raw) {
		it := e.item(intOf(textOf(v)))
		if it != nil && !slices.Contains(items, it) {
			items = append(items, it)
		}
	}
	switch {
	case len(items) == 0:
		return nil, mergeError("The parameter entityIds does not contains valid elements.")
	case len(items) == 1:
		return nil, mergeError("The parameter entityIds must contains at least two elements.")
	case e.conflict(items):
		return object{{"STATUS", "CONFLICT"}, {"ENTITY_IDS", []any{}}}, nil
	}
	kept, gone := items[0].clone(), []int64{}
	for _, other := range items[1:] {
		e.absorb(kept, other)
		gone = append(gone, other.id)
	}
	kept.set(e.known.updated, nowUnix())
	kept.set(e.known.updatedBy, c.user)
	e.put(kept)
	for _, id := range gone {
		c.store.relink(e, id, kept.id)
		c.store.reown(e, id, kept.id)
		c.store.removeItem(e, id)
	}
	return object{{"STATUS", "SUCCESS"}, {"ENTITY_IDS", gone}}, nil
}

// conflict says whether items hold different single values in a custom field.
func (e *entity) conflict(items []*item) bool {
	for _, f := range e.fields {
		if !f.custom() || f.is(multiple) {
			continue
		}
		var first any
		for _, it := range items {
			switch v := it.get(f); {
			case v == nil:
			case first == nil:
				first = v
			case !sameValue(first, v):
				return true
			}
		}
	}
	return false
}

// absorb gives an item, which isn't stored yet, what another one has.
func (e *entity) absorb(kept, other *item) {
	for _, f := range e.fields {
		val := other.get(f)
		switch have := kept.get(f).(type) {
		case nil:
			if val != nil && !f.is(readOnly) && f != e.known.fm {
				kept.set(f, val)
			}
		case []int64:
			more, _ := val.([]int64)
			kept.set(f, union(have, more))
		case []string:
			more, _ := val.([]string)
			kept.set(f, union(have, more))
		}
	}
	if e.known.fm == nil {
		return
	}
	list := kept.comms(e.known.fm)
	for _, c := range other.comms(e.known.fm) {
		key := commKey(c.kind, c.value)
		if !slices.ContainsFunc(list, func(have comm) bool { return key != "" && commKey(have.kind, have.value) == key }) {
			list = e.store.addComm(list, c)
		}
	}
	if len(list) > 0 {
		kept.set(e.known.fm, list)
	}
}

// union is a list with those of another one that it lacks.
func union[T comparable](list, more []T) []T {
	list = slices.Clone(list)
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// relink has everything that links to one item link to another one.
func (s *store) relink(to *entity, from, kept int64) {
	for _, typeID := range slices.Sorted(maps.Keys(s.entities)) {
		e := s.entities[typeID]
		for _, f := range e.fields {
			if f.parent != to.typeID || f.derive != nil {
				continue
			}
			for _, id := range slices.Clone(e.fieldIndex(f).ids[strconv.FormatInt(from, 10)]) {
				it := e.item(id).clone()
				switch val := it.get(f).(type) {
				case int64:
					it.set(f, kept)
				case []int64:
					without := slices.DeleteFunc(slices.Clone(val), func(n int64) bool { return n == kept })
					without[slices.Index(without, from)] = kept
					it.set(f, without)
				}
				e.put(it)
			}
		}
	}
}

// reown gives what stands beside one item to another one.
func (s *store) reown(e *entity, from, kept int64) {
	for _, t := range []struct{ name, owner, kind string }{
		{commentTable, "ENTITY_ID", "ENTITY_TYPE"}, {requisiteTable, "ENTITY_ID", "ENTITY_TYPE_ID"}, {todoTable, "ownerId", "ownerTypeId"},
	} {
		rows := s.existing(t.name)
		for _, id := range rows.ids {
			rec, _ := rows.get(id)
			kind := textOf((*rec)[t.kind])
			if intOf((*rec)[t.owner]) != from || kind != e.name && kind != strconv.Itoa(e.typeID) {
				continue
			}
			moved := maps.Clone(*rec)
			moved[t.owner] = kept
			s.rows(t.name).put(id, &moved)
		}
	}
	code := abbreviation(e.typeID) + "_"
	tasks := s.existing(taskTable)
	for _, id := range tasks.ids {
		rec, _ := tasks.get(id)
		bound, _ := (*rec)["UF_CRM_TASK"].([]any)
		if i := slices.Index(bound, any(code+strconv.FormatInt(from, 10))); i >= 0 {
			moved := maps.Clone(*rec)
			bound = slices.Clone(bound)
			bound[i] = code + strconv.FormatInt(kept, 10)
			moved["UF_CRM_TASK"] = bound
			s.rows(taskTable).put(id, &moved)
		}
	}
}
