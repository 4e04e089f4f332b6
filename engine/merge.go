package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Merging has the portal put what one item holds into another one and delete it
// (crm.entity.mergeBatch, of two items at a time). It is planned, journaled and
// counted as the deletion of the one that goes: the change holds all that it had.
// Where the answer is lost, it tells by being there whether it was done. Only one
// at a time goes into an item.

// mergedInto names the field of a deletion whose After is the id of the item that
// the deleted one goes into.
const mergedInto = "mergedInto"

// Mergeable says whether every portal can merge items of the entity: newer ones can
// those of others, too.
func (e *Entity) Mergeable() bool {
	return slices.Contains([]int{TypeLead, TypeDeal, TypeContact, TypeCompany}, e.TypeID)
}

// MergedInto is the id of the item that a deletion has its item go into, 0 if it
// just deletes it.
func (c *Change) MergedInto() int64 {
	f, merges := c.Fields[mergedInto]
	if !merges || c.Kind != KindDelete {
		return 0
	}
	id, err := strconv.ParseInt(fmt.Sprint(f.After), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// Merge plans that an item goes into another one of its entity, since both have the
// same values in the fields by, or each has them in common with the one that goes
// into it before, through. Both must have been taken ([Planning.Take]).
func (p *Planning) Merge(r *Record, h, into, through *Held, by []*Field) {
	var after []string
	if through != into {
		after = []string{deletionRef(through.Entity, through.ID)}
	}
	p.Delete(r, h, after)
	c := p.pending[len(p.pending)-1]
	c.Reason = fmt.Sprintf("goes into %s, which %s", into.Called(), into.gain(h))
	c.Fields[mergedInto] = FieldChange{After: into.ID}
	for _, f := range by {
		c.Match = append(c.Match, f.Name)
	}
}

// Flush stores what a step that gathers has planned so far, and lets go of the items
// that it took.
func (p *Planning) Flush(ctx context.Context) error {
	err := p.commit(ctx)
	p.items = chunkItems{}
	return err
}

// Called is what an item is called by: contact 7 (Ana Souza).
func (h *Held) Called() string {
	name, _ := h.Now["name"].(string)
	last, _ := h.Now["lastName"].(string)
	title, _ := h.Now["title"].(string)
	text := fmt.Sprintf("%s %d", h.Entity.Name, h.ID)
	if called := cmp.Or(title, strings.TrimSpace(name+" "+last)); called != "" {
		text += " (" + brief(called) + ")"
	}
	return text
}

// gain takes over what another item has and this one does not, and says what that
// is and where they differ.
func (h *Held) gain(other *Held) string {
	var gains, differs []string
	for _, f := range h.Entity.Fields {
		ours, theirs := plain(h.Now[f.Name]), plain(other.Now[f.Name])
		switch _, links := f.linkedType(); {
		case theirs == nil || f.ReadOnly || !h.Entity.remade(f):
		case f.Type == FieldMulti:
			rows := multiRows(ours)
			var added []string
			for _, row := range multiRows(theirs) {
				if !f.hasMulti(rows, row.Value) {
					rows, added = append(slices.Clone(rows), row), append(added, row.Value)
				}
			}
			if added != nil {
				gains = append(gains, called(f)+" "+brief(strings.Join(added, ", ")))
				h.Now[f.Name] = rows
			}
		case ours == nil:
			gains = append(gains, called(f)+" "+brief(shown(theirs)))
			h.Now[f.Name] = theirs
		case links || f.IsSet() || f.Equal(ours, theirs):
		case slices.Contains([]string{"xmlId", "originId", "originatorId"}, f.Name): // whence it came
		default:
			differs = append(differs, called(f))
		}
	}
	text := "gains nothing"
	if gains != nil {
		text = "gains " + strings.Join(gains, ", ")
	}
	if differs != nil {
		text += "; they differ in " + strings.Join(differs, ", ")
	}
	return text
}

// called is what people call a field.
func called(f *Field) string { return cmp.Or(f.Title, f.Name) }

// brief is the beginning of a long text.
func brief(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// MatchKeys are the keys by which items are the same that have these values: one for
// each value of a multifield, none where a field of the list is empty.
func MatchKeys(list []*Field, values map[string]any) []Hash {
	var hashes []Hash
	for _, key := range matchKeys(list, values) {
		empty := false
		for i, f := range list {
			key[i] = f.Fold(plain(key[i]))
			empty = empty || key[i] == nil || key[i] == ""
		}
		if !empty {
			hashes = append(hashes, HashOf("same", key))
		}
	}
	return hashes
}

// askKept asks whether items that others are to go into are still there, and still
// the same as those.
func (r *runner) askKept(q *inquiry, entity *Entity, changes []*Change) {
	var merges []*Change
	var ids []int64
	names := map[string]bool{}
	for _, c := range changes {
		if into := c.MergedInto(); into != 0 {
			merges, ids = append(merges, c), append(ids, into)
			for _, name := range c.Match {
				names[name] = true
			}
		}
	}
	if merges == nil {
		return
	}
	q.add(Lookup{Entity: entity, IDs: ids, Select: slices.Sorted(maps.Keys(names))}, func(found [][]Item) {
		for i, c := range merges {
			if c.State != StatePlanned {
				continue
			}
			if len(found[i]) == 0 {
				c.State, c.Error = StateConflict, fmt.Sprintf("%s %d, which it was to go into, is gone", entity.Name, ids[i])
				continue
			}
			list, err := entity.fieldsNamed(strings.Join(c.Match, ","))
			if err != nil || len(c.Needs) > 0 { // they have it in common only once the one between has gone there
				continue
			}
			theirs := MatchKeys(list, found[i][0].Fields)
			if !slices.ContainsFunc(MatchKeys(list, c.befores()), func(key Hash) bool { return slices.Contains(theirs, key) }) {
				c.State, c.Error = StateConflict, fmt.Sprintf("%s %d, which it was to go into, has another %s by now", entity.Name, ids[i], strings.Join(c.Match, " and "))
			}
		}
	})
}

// befores are the values that a change found.
func (c *Change) befores() map[string]any {
	values := make(map[string]any, len(c.Fields))
	for name, f := range c.Fields {
		values[name] = f.Before
	}
	return values
}

// parted tells that nothing takes a merge back.
func (u *undoing) parted(c *Change) *Change {
	u.lasts.merged++
	none := u.inverse(c, KindNone)
	none.Reason = fmt.Sprintf("it went into %s %d, and the portal can't part them", c.Entity, c.MergedInto())
	return none
}
