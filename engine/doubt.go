package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// askLost asks what became of creates whose answers were lost, by their external
// keys; of what carries none, by what it is.
func (r *runner) askLost(q *inquiry, changes []*Change, now time.Time) error {
	creates := map[lookup][]*Change{}
	for _, c := range changes {
		if c.TypeID == TypeCall && c.Kind == KindCreate {
			r.lostCall(c, r.expired(c, now))
			continue
		}
		if c.Kind == KindCreate {
			k := lookup{c.TypeID, c.KeyField}
			if c.KeyField == "" {
				k.fields = strings.Join(c.Match, ",")
			}
			creates[k] = append(creates[k], c)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(creates), lookup.compare) {
		if err := r.askLostBy(q, k, creates[k], now); err != nil {
			return err
		}
	}
	return nil
}

// lookup is one way to look for items that are to be made.
type lookup struct {
	typeID int
	fields string // REST names, joined
}

func (l lookup) compare(other lookup) int {
	return cmp.Or(cmp.Compare(l.typeID, other.typeID), cmp.Compare(l.fields, other.fields))
}

// askLostBy looks lost creates up by the fields that tell them from others.
func (r *runner) askLostBy(q *inquiry, k lookup, changes []*Change, now time.Time) error {
	entity := r.o.Catalog.EntityByType(k.typeID)
	if entity == nil {
		return fmt.Errorf("the portal has no entity type %d", k.typeID)
	}
	match, err := entity.fieldsNamed(k.fields)
	if err != nil {
		return err
	}
	keys := make([][]any, len(changes))
	names := map[string]bool{}
	for i, c := range changes {
		keys[i] = []any{c.ExternalKey}
		if c.KeyField == "" {
			keys[i] = r.queue.identityOf(match, c)
		}
		for name := range c.Fields {
			names[name] = true
		}
	}
	for _, name := range entity.imageFields() {
		names[name] = true
	}
	q.add(Lookup{
		Entity: entity, Match: match, Keys: keys,
		Select: slices.Sorted(maps.Keys(names)), Expected: true,
	}, func(found [][]Item) {
		for i, c := range changes {
			r.judgeCreate(c, found[i], now)
		}
	})
	return nil
}

// fieldsNamed are the fields of a [lookup].
func (e *Entity) fieldsNamed(names string) ([]*Field, error) {
	var fields []*Field
	for name := range strings.SplitSeq(names, ",") {
		f := e.FieldByName(name)
		if f == nil {
			return nil, fmt.Errorf("%s has no field %q", e.Name, name)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// identityOf are the values of a create that was sent, the ids of made items among
// them filled in.
func (q *queue) identityOf(match []*Field, c *Change) []any {
	key := make([]any, len(match))
	for i, f := range match {
		key[i] = q.resolve(c.Fields[f.Name].After)
	}
	return key
}

// judgeCreate settles a lost create by the items that carry its external key, if
// it can be settled by now.
func (r *runner) judgeCreate(c *Change, found []Item, now time.Time) {
	switch {
	case len(found) == 1:
		c.Error = ""
		r.done(c, Outcome{Kind: OutcomeDone, ID: found[0].ID, Item: &found[0]})
	case len(found) > 1:
		c.State, c.Error = StateQuarantined, fmt.Sprintf("%d items carry the external key %q; delete all but one", len(found), c.ExternalKey)
		if c.KeyField == "" {
			c.Error = fmt.Sprintf("there are %d of this %s; delete all but one", len(found), c.Entity)
		}
	case r.expired(c, now):
		c.State, c.Error = StatePlanned, ""
	}
}

// judgeLost settles a lost update, move or delete, if it can be settled by now.
// These carry absolute values, so that repeating them does no harm; but a late
// one must not land on top of what follows, so they too wait for the fence.
func (r *runner) judgeLost(entity *Entity, c *Change, found []Item, now time.Time) {
	there := len(found) > 0
	switch {
	case c.Kind == KindDelete && !there, c.Kind != KindDelete && there && r.holdsLost(entity, c, found[0]):
		c.State, c.Error = StateDone, ""
	case c.Kind != KindDelete && !there && !r.queue.ours(c.Ref): // lists may not show yet what was just made
		c.State, c.Error = StateConflict, fmt.Sprintf("%s %d is gone", entity.Name, c.ID)
	case r.expired(c, now):
		c.State, c.Error = StatePlanned, ""
	}
}

// holdsLost says whether an item is as a lost change wants it, and then takes over
// the ids of the files that it uploaded.
func (r *runner) holdsLost(entity *Entity, c *Change, item Item) bool {
	done := *c
	done.Fields = maps.Clone(c.Fields)
	done.land(entity, item)
	if !r.holds(entity, &done, item) {
		return false
	}
	c.Fields = done.Fields
	return true
}

// holds says whether an item already is as a change wants it.
func (r *runner) holds(entity *Entity, c *Change, item Item) bool {
	for name, f := range c.Fields {
		field := entity.FieldByName(name)
		if field == nil || !taken(field, r.queue.resolve(f.After), item.Fields[name]) {
			return false
		}
		for _, gone := range f.Remove {
			if field.hasMulti(multiRows(item.Fields[name]), gone.Value) {
				return false
			}
		}
	}
	return true
}
