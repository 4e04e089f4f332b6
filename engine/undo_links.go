package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// links are what links to an item.
type links struct {
	Planned []string `json:"planned,omitempty"` // refs of changes that end the link
	Kept    []string `json:"kept,omitempty"`    // items that stay
}

func linksKey(key ItemKey) Hash { return HashOf("links", key.TypeID, key.ID) }

func (u *undoing) linksTo(ctx context.Context, to ItemKey) (links, error) {
	key := linksKey(to)
	entries, err := u.index.get(ctx, []Hash{key})
	var l links
	if text, ok := entries[key]; ok && err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// findLinks looks for items that link to those that the run made: what somebody
// has linked since must not lose its contact.
func (u *undoing) findLinks(ctx context.Context, page []*Change) error {
	made := map[int][]int64{}
	for _, c := range page {
		if c.Kind == KindCreate && !u.o.Force {
			made[c.TypeID] = append(made[c.TypeID], c.ID)
		}
	}
	var err error
	u.linked, err = findLinks(ctx, u.o.Reader, u.linkers(), made)
	return err
}

// linkers are the entities whose items may link to others, each once.
func (u *undoing) linkers() []*Entity { return u.o.Catalog.linkers() }

// linkedBy are the items that a change itself linked its item with. Some links
// go both ways: the contacts of a company that the run made have it among their
// companies, and lose nothing that was theirs when it goes.
func linkedBy(entity *Entity, c *Change, made map[string]Made) map[ItemKey]bool {
	return entity.linksIn(c, func(f FieldChange) any { return filled(f.After, made) })
}

// foreign names an item that links to one and that this undo leaves as it is, ""
// if there is none; those that the item's own change linked are none.
func (u *undoing) foreign(ctx context.Context, to ItemKey, own map[ItemKey]bool) (string, error) {
	keys := make([]Hash, 0, len(u.linked[to]))
	for _, from := range u.linked[to] {
		keys = append(keys, freedKey(from))
	}
	freed, err := u.index.get(ctx, keys)
	if err != nil {
		return "", err
	}
	for i, from := range u.linked[to] {
		if _, ok := freed[keys[i]]; ok || own[from] {
			continue
		}
		for _, e := range u.linkers() {
			if e.TypeID == from.TypeID {
				return fmt.Sprintf("%s %d", e.Name, from.ID), nil
			}
		}
	}
	return "", nil
}

// freedKey marks an item whose links this undo ends.
func freedKey(from ItemKey) Hash { return HashOf("freed", from.TypeID, from.ID) }

// linksOf notes which items a change's item links to: they may be deleted after
// it is, and must stay if it does.
func (u *undoing) linksOf(ctx context.Context, entity *Entity, undo *Change) error {
	linked := entity.linksIn(undo, func(f FieldChange) any { return f.Before })
	if id, ok := undo.Fields["ownerId"].Before.(int64); ok && entity.Beside() {
		linked[ItemKey{TypeID: ownerType(undo.Fields["ownerType"].Before), ID: id}] = true
	}
	for to := range linked {
		l, err := u.linksTo(ctx, to)
		if err != nil {
			return err
		}
		if undo.Kind.Writes() {
			u.index.put(freedKey(ItemKey{TypeID: undo.TypeID, ID: undo.ID}), nil)
			l.Planned = append(l.Planned, undo.Ref)
		} else {
			l.Kept = append(l.Kept, fmt.Sprintf("%s %d", entity.Name, undo.ID))
		}
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		u.index.put(linksKey(to), text)
	}
	return nil
}

// noteOwn notes which items the run has made, by which of its changes, and which
// it has deleted.
func (u *undoing) noteOwn(ctx context.Context) error {
	f := Filter{Kinds: []Kind{KindCreate, KindDelete}, States: []State{StateDone}}
	n := 0
	for c, err := range u.o.Log.Changes(ctx, f) {
		if err != nil {
			return err
		}
		key := ItemKey{TypeID: c.TypeID, ID: c.ID}
		if c.Kind == KindCreate {
			u.index.put(ownKey(key), []byte(strconv.FormatInt(c.Seq, 10)))
		} else {
			u.index.put(remadeKey(key), nil)
		}
		if n++; n%pageSize == 0 {
			if err := u.index.flush(ctx); err != nil {
				return err
			}
		}
	}
	return u.index.flush(ctx)
}

func ownKey(key ItemKey) Hash { return HashOf("own", key.TypeID, key.ID) }

// own returns, of these items, those that the run has made, by the number of the
// change that did; 0 for those of which the undo is planned.
func (u *undoing) own(ctx context.Context, items []ItemKey) (map[ItemKey]int64, error) {
	keys := make([]Hash, len(items))
	for i, item := range items {
		keys[i] = ownKey(item)
	}
	entries, err := u.index.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	own := map[ItemKey]int64{}
	for i, item := range items {
		if text, ok := entries[keys[i]]; ok {
			if own[item], err = strconv.ParseInt(string(text), 10, 64); err != nil {
				return nil, err
			}
		}
	}
	return own, nil
}

// hold keeps a creation back while an item that the run made before it links to
// its item: that one is to be looked at first, as it may have to stay. Else it
// counts as planned, and what waited for it goes on.
func (u *undoing) hold(ctx context.Context, c *Change) (bool, error) {
	key := ItemKey{TypeID: c.TypeID, ID: c.ID}
	own, err := u.own(ctx, u.linked[key])
	if err != nil {
		return false, err
	}
	for _, from := range u.linked[key] {
		if seq := own[from]; seq > 0 && seq < c.Seq {
			u.held[from] = append(u.held[from], c)
			return true, nil
		}
	}
	u.index.put(ownKey(key), []byte("0"))
	u.released = append(u.released, u.held[key]...)
	delete(u.held, key)
	return false, nil
}

// withoutOwn is an item without the links of its sets that go with other items
// which the run made: they are no change by somebody.
func (u *undoing) withoutOwn(ctx context.Context, entity *Entity, item Item) (Item, error) {
	item.Fields = maps.Clone(item.Fields)
	for _, f := range entity.Fields {
		ids, several := plain(item.Fields[f.Name]).([]any)
		if !several {
			continue
		}
		own, err := u.own(ctx, linkedItems(f, ids))
		if err != nil {
			return Item{}, err
		}
		item.Fields[f.Name] = slices.DeleteFunc(slices.Clone(ids), func(v any) bool {
			return slices.ContainsFunc(linkedItems(f, v), func(item ItemKey) bool { _, made := own[item]; return made })
		})
	}
	return item, nil
}
