package engine

import (
	"context"
	"fmt"
	"strconv"

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
	for _, name := range []string{"xmlId", "originId"} {
		field := entity.FieldByName(name)
		if field == nil {
			continue
		}
		undo.KeyField = name
		if own, ok := undo.Fields[name].After.(string); ok {
			undo.ExternalKey = own
			break
		}
		undo.ExternalKey = ExternalKeyOf(u.o.RunID, c.Entity, strconv.FormatInt(c.ID, 10))
		undo.Fields[name] = FieldChange{After: undo.ExternalKey}
		break
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
