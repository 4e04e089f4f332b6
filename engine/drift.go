package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/crash"
	"github.com/bxflow/bxflow/engine/expression"
)

// believed is how long it is believed that the portal is as it was last seen.
// What leaves later is compared with the portal first: a request for up to
// [mostChecked] items, where about twenty batches leave in that time.
const believed = 20 * time.Second

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

// check compares changes that are to leave with the portal, and settles those
// that need not or may not be sent any more.
func (r *runner) check(ctx context.Context, tasks []*task) error {
	changes := make([]*Change, len(tasks))
	for i, t := range tasks {
		changes[i] = t.change
		if t.change.ID == 0 && t.change.Kind != KindCreate {
			t.change.ID = r.queue.made(t.change.Ref)
		}
	}
	asked := time.Now()
	settled, err := r.recheck(ctx, changes)
	if err != nil {
		r.queue.unchecked(tasks)
		return stopped(ctx, err)
	}
	if err := r.settle(ctx, settled); err != nil {
		return err
	}
	return r.settle(ctx, r.queue.checked(tasks, asked))
}

// recheck compares the portal with what changes were planned on, in bulk, and
// returns those that are settled by it: what already is as wanted is unchanged,
// what is otherwise than planned is a conflict. The others may be sent.
//
// The portal has no compare-and-set: what changes between this reading and the
// write is not seen.
func (r *runner) recheck(ctx context.Context, changes []*Change) (settled []*Change, err error) {
	settled, err = r.recheckNew(ctx, changes)
	if err != nil {
		return nil, err
	}
	more, err := r.recheckItems(ctx, changes)
	crash.At(crash.DriftRead)
	return append(settled, more...), err
}

// recheckBehind compares the change that waits behind one that was just done
// with their item, as the portal's answer shows it: nothing is asked. It returns
// the task if that settles it.
func (r *runner) recheckBehind(done *task, item Item) *task {
	entity := r.o.Catalog.EntityByType(done.change.TypeID)
	next := r.queue.nextOfItem(done)
	if entity == nil || next == nil {
		return nil
	}
	if r.drifted(entity, next.change, item, true, busyFields{}) {
		return next
	}
	r.queue.saw(next, time.Now())
	return nil
}

// lookup is one way to look for twins of items that are to be made.
type lookup struct {
	typeID int
	fields string // REST names, joined
}

// recheckNew looks for items that meanwhile have a key of one that is to be
// made: the external key, or what an import matched by.
func (r *runner) recheckNew(ctx context.Context, page []*Change) ([]*Change, error) {
	byKey := map[lookup][]*Change{}
	byMatch := map[lookup][]*Change{}
	for _, c := range page {
		if c.Kind != KindCreate {
			continue
		}
		if c.KeyField != "" {
			k := lookup{c.TypeID, c.KeyField}
			byKey[k] = append(byKey[k], c)
		}
		if len(c.Match) > 0 {
			k := lookup{c.TypeID, strings.Join(c.Match, ",")}
			byMatch[k] = append(byMatch[k], c)
		}
	}
	var settled []*Change
	for _, group := range []map[lookup][]*Change{byKey, byMatch} {
		for _, k := range slices.SortedFunc(maps.Keys(group), func(a, b lookup) int { return strings.Compare(a.fields, b.fields) }) {
			found, err := r.twins(ctx, k, group[k])
			if err != nil {
				return nil, err
			}
			settled = append(settled, found...)
		}
	}
	return settled, nil
}

// twins looks for items with the keys of changes and settles those that have
// one.
func (r *runner) twins(ctx context.Context, k lookup, changes []*Change) ([]*Change, error) {
	entity := r.o.Catalog.EntityByType(k.typeID)
	if entity == nil {
		return nil, fmt.Errorf("the portal has no entity type %d", k.typeID)
	}
	var match []*Field
	for name := range strings.SplitSeq(k.fields, ",") {
		f := entity.FieldByName(name)
		if f == nil {
			return nil, fmt.Errorf("%s has no field %q", entity.Name, name)
		}
		match = append(match, f)
	}
	var asked []*Change
	var keys [][]any
	names := map[string]bool{}
	for _, c := range changes {
		key := keyOf(match, c)
		if c.State != StatePlanned || key == nil {
			continue
		}
		asked, keys = append(asked, c), append(keys, key)
		for name := range c.Fields {
			names[name] = true
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	hits, err := r.o.Reader.Find(ctx, Lookup{Entity: entity, Match: match, Keys: keys, Select: slices.Sorted(maps.Keys(names))})
	if err != nil {
		return nil, err
	}
	var settled []*Change
	for i, c := range asked {
		if len(hits[i]) > 0 {
			r.twin(entity, c, hits[i], match, keys[i])
			settled = append(settled, c)
		}
	}
	return settled, nil
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
	if other := r.differences(entity, c, item, false); len(other) > 0 {
		c.State = StateConflict
		c.Error = fmt.Sprintf("%s %d has %s by now: %s", entity.Name, item.ID, what, strings.Join(other, "; "))
		return
	}
	c.State = StateUnchanged
}

// recheckItems reads the items that a page changes.
func (r *runner) recheckItems(ctx context.Context, page []*Change) ([]*Change, error) {
	byType := map[int][]*Change{}
	for _, c := range page {
		if c.Kind.Writes() && c.Kind != KindCreate && c.ID != 0 {
			byType[c.TypeID] = append(byType[c.TypeID], c)
		}
	}
	busy := busyFields{}
	var settled []*Change
	for _, typeID := range slices.Sorted(maps.Keys(byType)) {
		entity := r.o.Catalog.EntityByType(typeID)
		if entity == nil {
			return nil, fmt.Errorf("the portal has no entity type %d", typeID)
		}
		ids, names := map[int64]bool{}, map[string]bool{}
		for _, c := range byType[typeID] {
			ids[c.ID] = true
			for name := range c.Fields {
				names[name] = true
			}
			if c.Kind == KindDelete {
				for _, name := range entity.imageFields() {
					names[name] = true
				}
			}
		}
		now, err := r.o.Reader.Get(ctx, entity, slices.Sorted(maps.Keys(ids)), slices.Sorted(maps.Keys(names)))
		if err != nil {
			return nil, err
		}
		for _, c := range byType[typeID] {
			item, there := now[c.ID]
			if r.drifted(entity, c, item, there, busy) {
				settled = append(settled, c)
			}
			busy.add(c)
		}
	}
	return settled, nil
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

// drifted settles a change if its item is not, or no longer, to be changed.
func (r *runner) drifted(entity *Entity, c *Change, item Item, there bool, busy busyFields) bool {
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
		if field.imaged() && !field.Equal(f.Before, now) {
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
		if field == nil || unknownYet(f.After) {
			continue
		}
		now := item.Fields[name]
		switch {
		case taken(field, f.After, now):
		case update && field.Equal(now, f.Before):
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
		settled, err := r.recheck(ctx, page)
		if err != nil {
			return err
		}
		for _, c := range settled {
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
