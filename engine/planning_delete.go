package engine

import (
	"context"
	"fmt"
)

// Delete plans the deletion of an item that there is, once the deletions that
// after names are done: if one of those is not, the item stays. The change holds
// all that the item has, so that it can be made again. What the plan was to
// change about it before is dropped. A second deletion is skipped.
func (p *Planning) Delete(r *Record, h *Held, after []string) {
	if h.Gone != "" {
		p.Skip(r, h.deleted(r))
		return
	}
	c := p.change(r, KindDelete)
	c.Entity, c.TypeID, c.ID, c.Ref = h.Entity.Name, h.Entity.TypeID, h.ID, deletionRef(h.Entity, h.ID)
	c.Needs, c.Fields = after, map[string]FieldChange{}
	untouched := true
	held := h.Now
	if len(h.changes) > 0 {
		held = h.before
	}
	for _, f := range h.Entity.Fields {
		v := plain(held[f.Name])
		if h.Entity.remade(f) && v != nil {
			c.Fields[f.Name] = FieldChange{Before: v}
		}
		untouched = untouched && f.Equal(v, h.before[f.Name])
	}
	if untouched { // else the portal's item is to be another by then
		c.Image = h.Entity.Image(Item{ID: h.ID, Fields: h.before})
	}
	h.Gone = r.Source
	h.changes = append(h.changes, c)
}

// deleted says that an item of a record is, and for which other one.
func (h *Held) deleted(r *Record) string {
	text := fmt.Sprintf("%s %d is deleted", h.Entity.Name, h.ID)
	if h.Gone != r.Source {
		text += " for " + h.Gone
	}
	return text
}

// remade says whether a deleted item that is made again gets its value of the
// field: those of its image, and its links.
func (e *Entity) remade(f *Field) bool {
	_, links := f.linkedType()
	return e.imaged(f) || links && !f.ReadOnly
}

// DeletionFields are the names of the fields that planning a deletion must know.
func (e *Entity) DeletionFields() []string {
	var names []string
	for _, f := range e.Fields {
		if e.remade(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// deletionRef is the ref of an item's deletion.
func deletionRef(e *Entity, id int64) string { return itemRef(e.Name, e.TypeID, id) }

// itemRef is a ref of an item that is there, as people read it. Two smart processes
// may have one title.
func itemRef(entity string, typeID int, id int64) string {
	const firstSmartProcess = 128 // entityTypeId, of crm.type.add
	if typeID < firstSmartProcess {
		return fmt.Sprintf("%s %d", entity, id)
	}
	return fmt.Sprintf("%s %d (type %d)", entity, id, typeID)
}

// Keep records that an item which was to go with another one stays.
func (p *Planning) Keep(r *Record, h *Held, reason string) {
	c := p.change(r, KindSkip)
	c.Entity, c.TypeID, c.ID, c.Reason = h.Entity.Name, h.Entity.TypeID, h.ID, reason
}

// Take holds items of the portal by their ids, as this plan leaves them, with all
// that deleting them takes. Those that are not there are left out.
func (p *Planning) Take(ctx context.Context, e *Entity, ids []int64) (map[int64]*Held, error) {
	items, err := p.Reader.Get(ctx, e, ids, e.DeletionFields())
	if err != nil {
		return nil, err
	}
	held := make(map[int64]*Held, len(items))
	all := make([]*Held, 0, len(items))
	for id, item := range items {
		held[id] = p.share(NewHeld(e, item))
		all = append(all, held[id])
	}
	return held, p.Overlay(ctx, all)
}

// Links are the items of the portal that link to one.
type Links struct {
	Deleted []string // refs of those that this plan deletes
	Kept    []string // the others, as they are called
}

// LinksTo finds what links to items of an entity. The job must have asked for
// the portal's linkers ([Needer]).
func (p *Planning) LinksTo(ctx context.Context, e *Entity, ids []int64) (map[int64]Links, error) {
	found, err := findLinks(ctx, p.Reader, p.Catalog.linkers(), map[int][]int64{e.TypeID: ids})
	if err != nil {
		return nil, err
	}
	var linkers []ItemKey
	for _, from := range found {
		linkers = append(linkers, from...)
	}
	gone, err := p.gone(ctx, linkers)
	if err != nil {
		return nil, err
	}
	names := map[int]*Entity{}
	for _, e := range p.Catalog.linkers() {
		names[e.TypeID] = e
	}
	links := map[int64]Links{}
	for to, from := range found {
		var l Links
		for _, key := range from {
			if gone[key] {
				l.Deleted = append(l.Deleted, deletionRef(names[key.TypeID], key.ID))
			} else {
				l.Kept = append(l.Kept, fmt.Sprintf("%s %d", names[key.TypeID].Name, key.ID))
			}
		}
		links[to.ID] = l
	}
	return links, nil
}

// gone says which items this plan deletes so far.
func (p *Planning) gone(ctx context.Context, keys []ItemKey) (map[ItemKey]bool, error) {
	gone := map[ItemKey]bool{}
	var earlier []ItemKey
	for _, key := range keys {
		switch h := p.items[key]; {
		case h != nil:
			gone[key] = h.Gone != ""
		case p.written[key.TypeID]:
			earlier = append(earlier, key)
		}
	}
	if len(earlier) == 0 {
		return gone, nil
	}
	if err := p.stored(); err != nil {
		return nil, err
	}
	changes, err := p.options.Draft.ByItem(ctx, earlier)
	for _, c := range changes {
		if c.Kind == KindDelete {
			gone[ItemKey{TypeID: c.TypeID, ID: c.ID}] = true
		}
	}
	return gone, err
}
