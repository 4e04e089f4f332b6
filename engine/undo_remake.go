package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// remake plans an item that the run deleted, under a new id. Links to others
// that are made again follow them.
func (u *undoing) remake(ctx context.Context, entity *Entity, c *Change, item *Item) (*Change, error) {
	if item != nil {
		none := u.inverse(c, KindNone)
		none.Reason = "it is there"
		return none, nil
	}
	u.lasts.renewed++
	undo := u.inverse(c, KindCreate)
	undo.ID, undo.Import, undo.Fields = 0, true, map[string]FieldChange{}
	for name, f := range c.Fields {
		field := entity.FieldByName(name)
		if field == nil || f.Before == nil {
			continue
		}
		if set := entity.setOf(field); set != nil && c.Fields[set.Name].Before != nil {
			continue // the set has it, too
		}
		typeID, _ := field.linkedType()
		if entity.Beside() && name == "ownerId" {
			typeID = ownerType(c.Fields["ownerType"].Before)
		}
		v, err := u.relinked(ctx, typeID, f.Before)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		undo.Fields[name] = FieldChange{After: v}
		if rows := multiRows(v); rows != nil {
			f := FieldChange{After: v}
			for _, m := range rows {
				f.Add = append(f.Add, MultiValue{Type: m.Type, Value: m.Value})
			}
			undo.Fields[name] = f
		}
	}
	undo.Needs = refsIn(undo.Fields)
	u.index.put(remadeKey(ItemKey{TypeID: c.TypeID, ID: c.ID}), []byte(undo.Ref))
	if field := entity.externalField(); field != nil {
		own, _ := undo.Fields[field.Name].After.(string)
		keeps, err := u.keepsKey(ctx, field, c, own)
		if err != nil {
			return nil, err
		}
		if !keeps {
			own = ExternalKeyOf(u.o.RunID, c.Entity, strconv.FormatInt(c.ID, 10))
			undo.Fields[field.Name] = FieldChange{After: own}
		}
		undo.KeyField, undo.ExternalKey = field.Name, own
	}
	if entity.Beside() {
		undo.Import, undo.Match = false, entity.Identity
		if undo.KeyField == "" {
			undo.ExternalKey = entity.identity(undo.Fields)
		}
		return undo, nil
	}
	if undo.KeyField == "" {
		undo.Kind, undo.Fields, undo.Ref = KindInvalid, nil, ""
		undo.Reason = fmt.Sprintf("%s %d can't be made again: %s has no field for an external key, without which it might be made twice", entity.Name, c.ID, entity.Name)
	}
	return undo, nil
}

// externalField is the field that can carry an external key, nil if there is none.
func (e *Entity) externalField() *Field {
	for _, name := range []string{"xmlId", "originId"} {
		if f := e.FieldByName(name); f != nil {
			return f
		}
	}
	return nil
}

// keepsKey says whether an item that is made again may have the key that it had, by
// which it is found if the answer is lost: none has, where another item has it, too.
func (u *undoing) keepsKey(ctx context.Context, field *Field, c *Change, own string) (bool, error) {
	if own == "" {
		return false, nil
	}
	taken := HashOf("key", c.TypeID, field.Fold(own))
	entries, err := u.index.get(ctx, []Hash{taken})
	if err != nil {
		return false, err
	}
	if _, again := entries[taken]; again || u.shared[ItemKey{TypeID: c.TypeID, ID: c.ID}] {
		u.lasts.rekeyed++
		return false, nil
	}
	u.index.put(taken, nil)
	return true, nil
}

// findShared looks for items that have the keys of those that the run deleted, and did
// before it: what was made since may be those themselves, made again.
func (u *undoing) findShared(ctx context.Context, page []*Change) error {
	u.shared = map[ItemKey]bool{}
	deleted := map[int][]*Change{}
	keys := map[int][][]any{}
	for _, c := range page {
		entity := u.o.Catalog.EntityByType(c.TypeID)
		if entity == nil || c.Kind != KindDelete || c.MergedInto() != 0 || entity.Beside() || entity.externalField() == nil || entity.FieldByName(fieldCreated) == nil {
			continue
		}
		if own, ok := plain(c.Fields[entity.externalField().Name].Before).(string); ok {
			deleted[c.TypeID], keys[c.TypeID] = append(deleted[c.TypeID], c), append(keys[c.TypeID], []any{own})
		}
	}
	for _, typeID := range slices.Sorted(maps.Keys(deleted)) {
		entity := u.o.Catalog.EntityByType(typeID)
		found, err := u.o.Reader.Find(ctx, Lookup{Entity: entity, Match: []*Field{entity.externalField()}, Keys: keys[typeID], Select: []string{fieldCreated}})
		if err != nil {
			return err
		}
		for i, c := range deleted[typeID] {
			for _, item := range found[i] {
				created, known := instant(item.Fields[fieldCreated])
				if known && item.ID != c.ID && created.Before(time.UnixMilli(c.SentAt)) {
					u.shared[ItemKey{TypeID: typeID, ID: c.ID}] = true
				}
			}
		}
	}
	return nil
}

// relinked has a value that links to items of a type lead to what this undo makes
// again; of no type, 0, it is no link. What is made again only later brings the
// link along: such links go both ways, as all others end before what they lead to.
func (u *undoing) relinked(ctx context.Context, typeID int, v any) (any, error) {
	if typeID == 0 {
		return v, nil
	}
	if set, several := v.([]any); several {
		out := make([]any, 0, len(set))
		for _, one := range set {
			v, err := u.relinked(ctx, typeID, one)
			if err != nil {
				return nil, err
			}
			if v != nil {
				out = append(out, v)
			}
		}
		return out, nil
	}
	id, ok := v.(int64)
	if !ok {
		return v, nil
	}
	again, deleted, err := u.remadeAs(ctx, ItemKey{TypeID: typeID, ID: id})
	switch {
	case err != nil || !deleted:
		return v, err
	case again == "":
		return nil, nil //nolint:nilnil // no link
	}
	return expression.Ref{Step: again}, nil
}

func remadeKey(key ItemKey) Hash { return HashOf("remade", key.TypeID, key.ID) }

// remadeAs says whether the run has deleted an item, and is the ref of the change
// that makes it again, "" if none does so far.
func (u *undoing) remadeAs(ctx context.Context, key ItemKey) (ref string, deleted bool, err error) {
	entries, err := u.index.get(ctx, []Hash{remadeKey(key)})
	text, deleted := entries[remadeKey(key)]
	return string(text), deleted, err
}
