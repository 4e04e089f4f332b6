package engine

import (
	"context"
	"encoding/json"
	"fmt"
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

// addForeign adds the items that link to one and that this undo leaves as they
// are, but for those that the item's own change linked.
func (u *undoing) addForeign(ctx context.Context, l *links, to ItemKey, own map[ItemKey]bool) error {
	keys := make([]Hash, 0, len(u.linked[to]))
	for _, from := range u.linked[to] {
		keys = append(keys, freedKey(from))
	}
	freed, err := u.index.get(ctx, keys)
	if err != nil {
		return err
	}
	for i, from := range u.linked[to] {
		if _, ok := freed[keys[i]]; ok || own[from] {
			continue
		}
		for _, e := range u.linkers() {
			if e.TypeID == from.TypeID {
				l.Kept = append(l.Kept, fmt.Sprintf("%s %d", e.Name, from.ID))
			}
		}
	}
	return nil
}

// freedKey marks an item whose links this undo ends.
func freedKey(from ItemKey) Hash { return HashOf("freed", from.TypeID, from.ID) }

// linksOf notes which items a change's item links to: they may be deleted after
// it is, and must stay if it does.
func (u *undoing) linksOf(ctx context.Context, entity *Entity, undo *Change) error {
	for name, f := range undo.Fields {
		to, ok := linkedItem(entity.FieldByName(name), f.Before)
		if id, owned := f.Before.(int64); owned && entity.Beside() && name == "ownerId" {
			to, ok = ItemKey{TypeID: ownerType(undo.Fields["ownerType"].Before), ID: id}, true
		}
		if !ok {
			continue
		}
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
