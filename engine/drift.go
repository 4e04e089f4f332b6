package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// DriftError says that a strict apply found the portal other than its plan saw
// it. Nothing was written.
type DriftError struct {
	Conflicts int
	Examples  []string // the first of them
}

// Error names the first conflicts.
func (e *DriftError) Error() string {
	return fmt.Sprintf("the portal has changed since the plan was made: %d conflicts; %s", e.Conflicts, strings.Join(e.Examples, "; "))
}

// askDrift asks what tells whether the portal still is as changes were planned
// on. The answers settle some of them: what already is as wanted is unchanged,
// what is otherwise than planned is a conflict. The others may be sent.
//
// The portal has no compare-and-set: what changes between this reading and the
// write is not seen.
func (r *runner) askDrift(q *inquiry, changes []*Change, now time.Time) error {
	if err := r.askTwins(q, changes); err != nil {
		return err
	}
	return r.askItems(q, changes, now)
}

// recheckBehind compares the change that waits behind one that was just done
// with their item, as the portal's answer shows it: nothing is asked. It returns
// the task if that settles it.
func (r *runner) recheckBehind(done *task, item Item) *task {
	entity := r.o.Catalog.EntityByType(done.change.TypeID)
	if entity == nil {
		return nil
	}
	next := r.queue.nextOfItem(done)
	if next == nil {
		return nil
	}
	if r.drifted(entity, next.change, []Item{item}, busyFields{}) {
		return next
	}
	r.queue.saw(next)
	return nil
}

// askTwins looks for items that meanwhile have a key of one that is to be made:
// what an import matched by, and the external key. Where the plan has just looked
// both up and the run goes on with it, the former alone tells: only another run
// of the job makes an item of that external key, and it would have to be given
// other values since. The key of a create in doubt is asked for anyway.
func (r *runner) askTwins(q *inquiry, changes []*Change) error {
	byKey := map[lookup][]*Change{}
	byMatch := map[lookup][]*Change{}
	for _, c := range changes {
		if c.Kind != KindCreate {
			continue
		}
		if c.KeyField != "" && !c.State.inDoubt() && (len(c.Match) == 0 || r.queue.old) {
			k := lookup{c.TypeID, c.KeyField}
			byKey[k] = append(byKey[k], c)
		}
		if len(c.Match) > 0 {
			k := lookup{c.TypeID, strings.Join(c.Match, ",")}
			byMatch[k] = append(byMatch[k], c)
		}
	}
	for _, group := range []map[lookup][]*Change{byKey, byMatch} {
		for _, k := range slices.SortedFunc(maps.Keys(group), lookup.compare) {
			if err := r.askTwinsBy(q, k, group[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// askTwinsBy looks for items with the keys of changes and settles those that have
// one.
func (r *runner) askTwinsBy(q *inquiry, k lookup, changes []*Change) error {
	entity := r.o.Catalog.EntityByType(k.typeID)
	if entity == nil {
		return fmt.Errorf("the portal has no entity type %d", k.typeID)
	}
	match, err := entity.fieldsNamed(k.fields)
	if err != nil {
		return err
	}
	var asked []*Change
	var keys [][]any
	names := map[string]bool{}
	for _, c := range changes {
		key := keyOf(match, c)
		if key == nil {
			continue
		}
		asked, keys = append(asked, c), append(keys, key)
		for name := range c.Fields {
			names[name] = true
		}
	}
	if len(asked) == 0 {
		return nil
	}
	q.add(Lookup{Entity: entity, Match: match, Keys: keys, Select: slices.Sorted(maps.Keys(names))}, func(found [][]Item) {
		for i, c := range asked {
			if c.State == StatePlanned && len(found[i]) > 0 {
				r.twin(entity, c, found[i], match, keys[i])
			}
		}
	})
	return nil
}

// keyOf is the key by which a change's item would be found, nil where it holds
// the id of an item that is not made yet.
func keyOf(match []*Field, c *Change) []any {
	key := make([]any, 0, len(match))
	for _, f := range match {
		switch v := c.Fields[f.Name].After.(type) {
		case nil, expression.Ref, expression.Text:
			return nil
		case []MultiValue:
			key = append(key, v[0].Value)
		default:
			key = append(key, v)
		}
	}
	return key
}

// twin settles a create whose key an item of the portal has by now.
func (r *runner) twin(entity *Entity, c *Change, hits []Item, match []*Field, key []any) {
	item := hits[0]
	var names []string
	for i, f := range match {
		names = append(names, fmt.Sprintf("%s %v", f.Name, key[i]))
	}
	what := strings.Join(names, ", ")
	if len(hits) > 1 {
		c.State, c.Error = StateConflict, fmt.Sprintf("%d items have %s by now", len(hits), what)
		return
	}
	c.ID = item.ID
	if len(c.Match) == 0 && !r.o.Strict {
		// An item of this very row, which another run of the job made since:
		// `create` makes it once and holds it, as it is by now.
		c.State = StateUnchanged
		return
	}
	if other := r.differences(entity, c, item, false); len(other) > 0 {
		c.State = StateConflict
		c.Error = fmt.Sprintf("%s %d has %s by now: %s", entity.Name, item.ID, what, strings.Join(other, "; "))
		return
	}
	c.State = StateUnchanged
}

// askItems reads the items that are to be changed, and those of lost updates,
// moves and deletes. What follows a lost change of the same item is compared only
// once that is settled.
func (r *runner) askItems(q *inquiry, changes []*Change, now time.Time) error {
	byType := map[int][]*Change{}
	for _, c := range changes {
		if c.Kind.Writes() && c.Kind != KindCreate && c.ID != 0 {
			byType[c.TypeID] = append(byType[c.TypeID], c)
		}
	}
	for _, typeID := range slices.Sorted(maps.Keys(byType)) {
		entity := r.o.Catalog.EntityByType(typeID)
		if entity == nil {
			return fmt.Errorf("the portal has no entity type %d", typeID)
		}
		asked := byType[typeID]
		ids, names := make([]int64, len(asked)), map[string]bool{}
		for i, c := range asked {
			ids[i] = c.ID
			for name := range c.Fields {
				names[name] = true
			}
			delete(names, mergedInto)
			if c.Kind == KindDelete {
				for _, name := range entity.imageFields() {
					names[name] = true
				}
			}
		}
		r.askLinks(q, entity, asked)
		q.add(Lookup{Entity: entity, IDs: ids, Select: slices.Sorted(maps.Keys(names))}, func(found [][]Item) {
			r.judgeItems(entity, asked, found, now)
		})
		r.askKept(q, entity, asked)
	}
	return nil
}

// askLinks asks whether something links by now to items that are to go with
// others: they were planned to because nothing else did. What an item itself is
// linked with, as a company with its contacts, the plan has seen.
func (r *runner) askLinks(q *inquiry, entity *Entity, changes []*Change) {
	going := map[int64]*Change{}
	var ids []int64
	for _, c := range changes {
		if c.Kind == KindDelete && len(c.Needs) > 0 && c.MergedInto() == 0 {
			going[c.ID], ids = c, append(ids, c.ID)
		}
	}
	lookups, _ := linkLookups(r.o.Catalog.linkers(), map[int][]int64{entity.TypeID: ids})
	for _, l := range lookups {
		q.add(l, func(found [][]Item) {
			for i, id := range ids {
				c := going[id]
				seen := entity.linksIn(c, func(f FieldChange) any { return f.Before })
				for _, from := range found[i] {
					if c.State == StatePlanned && !seen[ItemKey{TypeID: l.Entity.TypeID, ID: from.ID}] && !slices.Contains(c.Needs, deletionRef(l.Entity, from.ID)) {
						c.State, c.Error = StateConflict, fmt.Sprintf("%s %d links to it by now", l.Entity.Name, from.ID)
					}
				}
			}
		})
	}
}

// judgeItems settles changes of items, each item's in their order.
func (r *runner) judgeItems(entity *Entity, changes []*Change, found [][]Item, now time.Time) {
	busy, open := busyFields{}, map[ItemKey]bool{}
	for i, c := range changes {
		lost := c.State.inDoubt()
		if lost {
			r.judgeLost(entity, c, found[i], now)
		}
		if c.State == StatePlanned && !open[c.itemKey()] {
			r.drifted(entity, c, found[i], busy)
		}
		if lost && !c.State.Final() {
			open[c.itemKey()] = true
		}
		if c.State != StateDone && c.State != StateUnchanged {
			busy.add(c)
		}
	}
}

// busyFields are the fields of items that earlier changes are still to write:
// for those, the portal can't be as a later change expects it yet.
type busyFields map[ItemKey]map[string]bool

func (b busyFields) add(c *Change) {
	fields := b[c.itemKey()]
	if fields == nil {
		fields = map[string]bool{}
		b[c.itemKey()] = fields
	}
	for name := range c.Fields {
		fields[name] = true
	}
}

// drifted settles a change if its item, one or none, is not, or no longer, to be
// changed.
func (r *runner) drifted(entity *Entity, c *Change, found []Item, busy busyFields) bool {
	there, item := len(found) > 0, Item{}
	if there {
		item = found[0]
	}
	switch {
	case !there && c.Kind == KindDelete:
		c.State = StateUnchanged
		return true
	case !there && r.queue.ours(c.Ref):
		return false // lists may not show yet what was just made; if it is gone, the portal will say so
	case !there:
		c.State, c.Error = StateConflict, fmt.Sprintf("%s %d is gone", entity.Name, c.ID)
		return true
	case c.Kind == KindDelete:
		return keptFor(entity, c, item)
	}
	for name, f := range c.Fields {
		if busy[c.itemKey()][name] {
			return false
		}
		// What the portal itself fills in when the run makes an item is no
		// change of anybody's.
		if f.Before == nil && r.queue.ours(c.Ref) {
			f.Before = item.Fields[name]
			c.Fields[name] = f
		}
	}
	if r.holds(entity, c, item) {
		c.State = StateUnchanged
		return true
	}
	if other := r.differences(entity, c, item, true); len(other) > 0 {
		c.State, c.Error = StateConflict, strings.Join(other, "; ")
		return true
	}
	return false
}

// keptFor settles a deletion whose item was changed since it was planned.
func keptFor(entity *Entity, c *Change, item Item) bool {
	if c.Image == "" || entity.Image(item) == c.Image {
		return false
	}
	var other []string
	for _, field := range entity.Fields {
		f, now := c.Fields[field.Name], plain(item.Fields[field.Name])
		if entity.imaged(field) && !field.Equal(f.Before, now) {
			f.Drifted, f.Now = true, now
			c.Fields[field.Name] = f
			other = append(other, fmt.Sprintf("%s was %s in the plan and is %s now", field.Name, shown(f.Before), shown(now)))
		}
	}
	c.State, c.Error = StateConflict, strings.Join(other, "; ")
	return true
}

// differences lists the fields in which an item is neither as the plan saw it
// (where it is to be updated) nor as it is to be. Sets and multifields, which
// grow by what is added, are brought up to date instead.
func (r *runner) differences(entity *Entity, c *Change, item Item, update bool) []string {
	var other []string
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		f, field := c.Fields[name], entity.FieldByName(name)
		if field == nil || unknownYet(f.After) && !update {
			continue
		}
		if r.queue.unmade(f.Before) == "" {
			f.Before = r.queue.resolve(f.Before)
		}
		now := item.Fields[name]
		switch {
		case taken(field, r.queue.resolve(f.After), now):
		case update && field.Equal(now, f.Before):
		case update && hasLocal(f.Before): // what an earlier change of the run uploaded
			c.follow(item)
		case update && field.Type == FieldMulti && len(f.Remove) == 0:
		case update && field.IsSet():
			c.Fields[name] = rebase(field, f, now)
		default:
			f.Drifted, f.Now = true, now
			c.Fields[name] = f
			other = append(other, fmt.Sprintf("%s was %s in the plan, is %s now, and was to be %s", name, shown(f.Before), shown(now), shown(f.After)))
		}
	}
	return other
}

// unknownYet says whether a value holds the id of an item that is not made yet.
func unknownYet(v any) bool {
	switch v := v.(type) {
	case expression.Ref, expression.Text:
		return true
	case []any:
		return slices.ContainsFunc(v, unknownYet)
	default:
		return false
	}
}

// rebase makes the same additions to and removals from a set as it is now.
func rebase(field *Field, f FieldChange, now any) FieldChange {
	has := func(set []any, v any) bool {
		return slices.ContainsFunc(set, func(e any) bool { return field.equalOne(e, v) })
	}
	before, after := listOf(f.Before), listOf(f.After)
	var set []any
	for _, v := range listOf(now) {
		if !has(before, v) || has(after, v) {
			set = append(set, v)
		}
	}
	for _, v := range after {
		if !has(before, v) && !has(set, v) {
			set = append(set, v)
		}
	}
	f.Before, f.After = now, nil
	if set != nil {
		f.After = set
	}
	return f
}

// shown prints a canonical value for people.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "empty"
	case []MultiValue:
		values := make([]string, len(v))
		for i, m := range v {
			values[i] = m.Value
		}
		return fmt.Sprintf("%q", values)
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		if r, ok := productRowsOf(v); ok && len(r) > 0 {
			return strings.Join(r, "; ")
		}
		return fmt.Sprint(v)
	default:
		return fmt.Sprint(v)
	}
}

// checkStrictly compares the whole plan with the portal before anything is
// written.
func (r *runner) checkStrictly(ctx context.Context) error {
	drift := &DriftError{}
	there := map[string]int64{} // ids of planned items that meanwhile exist, by ref
	for after := int64(0); ; {
		page, err := r.page(ctx, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Seq
		for _, c := range page {
			if c.ID == 0 && c.Kind != KindCreate {
				c.ID = there[c.Ref] // 0 for an item that this run makes
			}
		}
		q := &inquiry{}
		if err := r.askDrift(q, page, time.Now()); err != nil {
			return err
		}
		if err := r.ask(ctx, q); err != nil {
			return err
		}
		for _, c := range page {
			if c.Kind == KindCreate && c.ID != 0 {
				there[c.Ref] = c.ID
			}
			if c.State != StateConflict {
				continue
			}
			drift.Conflicts++
			if len(drift.Examples) < 5 {
				drift.Examples = append(drift.Examples, fmt.Sprintf("%s %s: %s", c.Step, c.Source, c.Error))
			}
		}
	}
	if drift.Conflicts > 0 {
		return drift
	}
	return nil
}
