package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine/crash"
)

// resolve finds out what became of changes whose answers were lost.
func (r *runner) resolve(ctx context.Context, doubts []*task) error {
	creates := map[doubtKey][]*task{}
	items := map[int][]*task{}
	for _, t := range doubts {
		if c := t.change; c.Kind == KindCreate {
			k := doubtKey{c.TypeID, c.KeyField}
			creates[k] = append(creates[k], t)
		} else {
			items[c.TypeID] = append(items[c.TypeID], t)
		}
	}
	for k, tasks := range creates {
		if err := r.resolveCreates(ctx, k, tasks); err != nil {
			return r.keepDoubt(ctx, doubts, err)
		}
	}
	for typeID, tasks := range items {
		if err := r.resolveItems(ctx, typeID, tasks); err != nil {
			return r.keepDoubt(ctx, doubts, err)
		}
	}
	return nil
}

type doubtKey struct {
	typeID int
	field  string
}

// keepDoubt puts unresolved changes back; a run that is being stopped leaves
// them to its resumption.
func (r *runner) keepDoubt(ctx context.Context, doubts []*task, err error) error {
	for _, t := range doubts {
		if t.state == taskResolving {
			r.queue.doubt(t, time.UnixMilli(t.change.SentAt))
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return &StopError{Reason: "what became of sent changes can't be found out", Err: err}
}

// resolveCreates looks lost creates up by their external keys.
func (r *runner) resolveCreates(ctx context.Context, k doubtKey, tasks []*task) error {
	entity := r.o.Catalog.EntityByType(k.typeID)
	if entity == nil || entity.FieldByName(k.field) == nil {
		return fmt.Errorf("entity type %d has no field %q", k.typeID, k.field)
	}
	keys := make([][]any, len(tasks))
	names := map[string]bool{}
	for i, t := range tasks {
		keys[i] = []any{t.change.ExternalKey}
		for name := range t.change.Fields {
			names[name] = true
		}
	}
	for _, name := range entity.imageFields() {
		names[name] = true
	}
	looked := time.Now()
	crash.At(crash.LookupBefore)
	hits, err := r.o.Reader.Find(ctx, Lookup{
		Entity: entity, Match: []*Field{entity.FieldByName(k.field)}, Keys: keys, Select: slices.Sorted(maps.Keys(names)),
	})
	if err != nil {
		return err
	}
	crash.At(crash.LookupAnswered)
	var settled []*Change
	var over []*task
	for i, t := range tasks {
		c := t.change
		switch {
		case len(hits[i]) == 1:
			item := hits[i][0]
			r.done(c, Outcome{Kind: OutcomeDone, ID: item.ID, Item: &item})
			c.Error = ""
		case len(hits[i]) > 1:
			c.State, c.Error = StateQuarantined, fmt.Sprintf("%d items carry the external key %q; delete all but one", len(hits[i]), c.ExternalKey)
		case looked.Sub(time.UnixMilli(c.SentAt)) >= r.o.Fence:
			c.State, c.Error = StatePlanned, ""
		default:
			r.queue.doubt(t, time.UnixMilli(c.SentAt))
			continue
		}
		settled, over = append(settled, c), append(over, t)
	}
	return r.conclude(ctx, settled, over)
}

func (r *runner) conclude(ctx context.Context, settled []*Change, over []*task) error {
	if err := r.settle(ctx, settled); err != nil {
		return err
	}
	return r.release(ctx, over)
}

// resolveItems reads the items of lost updates, moves and deletes. These carry
// absolute values, so that repeating them does no harm; but a late one must not
// land on top of what follows, so they too wait for the fence.
func (r *runner) resolveItems(ctx context.Context, typeID int, tasks []*task) error {
	entity := r.o.Catalog.EntityByType(typeID)
	if entity == nil {
		return fmt.Errorf("the portal has no entity type %d", typeID)
	}
	ids := make([]int64, len(tasks))
	names := map[string]bool{}
	for i, t := range tasks {
		ids[i] = t.change.ID
		for name := range t.change.Fields {
			names[name] = true
		}
	}
	looked := time.Now()
	crash.At(crash.LookupBefore)
	found, err := r.o.Reader.Get(ctx, entity, ids, slices.Sorted(maps.Keys(names)))
	if err != nil {
		return err
	}
	crash.At(crash.LookupAnswered)
	var settled []*Change
	var over []*task
	for _, t := range tasks {
		c := t.change
		item, there := found[c.ID]
		switch {
		case c.Kind == KindDelete && !there, c.Kind != KindDelete && there && r.holds(entity, c, item):
			c.State, c.Error = StateDone, ""
		case c.Kind != KindDelete && !there && !r.queue.ours(c.Ref): // lists may not show yet what was just made
			c.State, c.Error = StateConflict, fmt.Sprintf("%s %d is gone", entity.Name, c.ID)
		case looked.Sub(time.UnixMilli(c.SentAt)) >= r.o.Fence:
			c.State, c.Error = StatePlanned, ""
		default:
			r.queue.doubt(t, time.UnixMilli(c.SentAt))
			continue
		}
		settled, over = append(settled, c), append(over, t)
	}
	return r.conclude(ctx, settled, over)
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
