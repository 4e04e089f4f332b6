package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// UndoOptions is what planning the undoing of a run takes.
type UndoOptions struct {
	Header    *Header // of the plan that the run applied
	RunID     string
	Log       Log      // of the run
	Catalog   *Catalog // with its linkers
	PortalRef string   // the portal's name as the user gave it, never a URL
	Reader    Reader
	Gauge     Gauge
	Draft     Draft
	Now       time.Time
	// Fence is as in [PlanOptions]: what the run has just made and lists don't
	// show is asked for again until then, before it counts as gone.
	Fence time.Duration
	// Force takes back items, too, that somebody has changed since.
	Force    bool
	Progress func(Progress)
}

// Undo plans the inverse of what a run has done, in reverse order: what it made
// is deleted, what it changed gets its values of before, what it deleted is made
// again, under a new id. An item that somebody has changed since is a conflict
// and left alone, and so is what such an item links to.
//
// The plan is applied, journaled and undone like any other. The run must have
// nothing in doubt.
func Undo(ctx context.Context, o UndoOptions) (*Header, error) {
	u := &undoing{o: &o, index: newPlanIndex(o.Draft), sums: newSums(), steps: map[string]int{}, held: map[ItemKey][]*Change{}}
	u.header = u.newHeader()
	progress := &planProgress{tell: o.Progress, gauge: o.Gauge}
	defer progress.begin(ctx)()
	if err := u.noteOwn(ctx); err != nil {
		return nil, err
	}
	for before := int64(0); ; {
		page, err := u.page(ctx, before)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		before = page[len(page)-1].Seq
		page = slices.DeleteFunc(page, func(c *Change) bool { return c.State != StateDone && !c.doneInPart() })
		if err := u.plan(ctx, page); err != nil {
			return nil, err
		}
		progress.done(u.header.Rows)
	}
	if err := u.sumUp(ctx); err != nil {
		return nil, err
	}
	return u.header, o.Draft.Seal(ctx, u.header)
}

// undoing is the plan of an undo in the making.
type undoing struct {
	o        *UndoOptions
	header   *Header
	index    *planIndex
	sums     *sums
	steps    map[string]int // positions of the run's steps
	lasts    lasts
	linked   map[ItemKey][]ItemKey // which items link to those of the page in hand
	shared   map[ItemKey]bool      // which of the page's had a key that others have, too
	held     map[ItemKey][]*Change // creations that wait for the removal of an item
	released []*Change             // creations that were held, and may go on
}

// lasts counts what no plan can take back.
type lasts struct{ robots, renewed, rekeyed, files, replaced, closed, calls, amounts, merged int }

func (u *undoing) newHeader() *Header {
	h := u.o.Header
	last := len(h.Steps) - 1
	for i, s := range h.Steps {
		u.steps[s.ID] = last - i
	}
	return &Header{
		Format: PlanFormat, Job: h.Job, JobFile: h.JobFile, JobHash: h.JobHash, Includes: h.Includes, Portal: u.o.Catalog.Portal, PortalRef: u.o.PortalRef,
		Created: u.o.Now.UTC(), Expires: u.o.Now.UTC().Add(PlanLifetime), Needs: h.Needs, Catalog: u.o.Catalog.Fingerprint(), Parts: u.o.Catalog.Parts(),
		Undoes: u.o.RunID,
	}
}

// page reads the last changes before a place that the run has done, and those that
// failed: some of them were done in part.
func (u *undoing) page(ctx context.Context, before int64) ([]*Change, error) {
	var page []*Change
	f := Filter{States: []State{StateDone, StateFailed}, Before: before, Reverse: true, Limit: pageSize}
	for c, err := range u.o.Log.Changes(ctx, f) {
		if err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	return page, nil
}

// plan plans the inverse of a page of changes.
func (u *undoing) plan(ctx context.Context, page []*Change) error {
	made, err := u.made(ctx, page)
	if err != nil {
		return err
	}
	now, err := u.read(ctx, page, made)
	if err != nil {
		return err
	}
	if err := u.findLinks(ctx, page); err != nil {
		return err
	}
	if err := u.findShared(ctx, page); err != nil {
		return err
	}
	inverse := make([]*Change, 0, len(page))
	for _, c := range page {
		entity := u.o.Catalog.EntityByType(c.TypeID)
		if entity == nil {
			return fmt.Errorf("the portal has no entity type %d", c.TypeID)
		}
		key := ItemKey{TypeID: c.TypeID, ID: c.ID}
		var undo *Change
		switch {
		case c.TypeID == TypeCall && c.Kind == KindCreate:
			undo, err = u.uncall(ctx, c)
		case c.TypeID == TypeCall:
			undo = u.inverse(c, KindNone)
			undo.Reason = "a call that was taken back is not made again; run the job"
		case c.Kind == KindCreate:
			var held bool
			if held, err = u.hold(ctx, c); !held && err == nil {
				undo, err = u.remove(ctx, entity, c, now[key], made)
			}
		case c.MergedInto() != 0:
			undo = u.parted(c)
		case c.Kind == KindDelete:
			undo, err = u.remake(ctx, entity, c, now[key])
		case c.Kind == KindUpdate, c.Kind == KindMove:
			u.lasts.robots++
			if made[c.Ref].State == StateDone {
				err = u.recall(ctx, entity, c) // the whole item goes
				if err == nil && entity.ProductsOwner() != 0 {
					err = u.recallRows(ctx, entity, c, now[key])
				}
			} else {
				undo = u.restore(entity, c, now[key], made)
				err = u.linksOf(ctx, entity, undo)
			}
			if undo != nil && undo.Kind.Writes() && entity.ProductsOwner() != 0 {
				u.lasts.amounts++
			}
		default:
		}
		if err != nil {
			return err
		}
		if undo == nil {
			continue
		}
		u.header.Rows++
		inverse = append(inverse, undo)
	}
	if err := u.index.flush(ctx); err != nil {
		return err
	}
	if err := u.o.Draft.Append(ctx, inverse); err != nil {
		return err
	}
	for _, c := range inverse {
		if err := u.sums.add(c); err != nil {
			return err
		}
	}
	if released := u.released; len(released) > 0 {
		u.released = nil
		return u.plan(ctx, released)
	}
	return nil
}

// made are the planned items that changes are about or refer to.
func (u *undoing) made(ctx context.Context, page []*Change) (map[string]Made, error) {
	refs := map[string]bool{}
	for _, c := range page {
		if c.Ref != "" {
			refs[c.Ref] = true
		}
		befores := map[string]FieldChange{}
		for name, f := range c.Fields {
			befores[name] = FieldChange{After: f.Before}
		}
		for _, ref := range append(refsIn(c.Fields), refsIn(befores)...) {
			refs[ref] = true
		}
	}
	return u.o.Log.Made(ctx, slices.Sorted(maps.Keys(refs)))
}

// read returns the items of changes as they will be once what is planned so far
// is done; nil for those that are not there.
func (u *undoing) read(ctx context.Context, page []*Change, made map[string]Made) (map[ItemKey]*Item, error) {
	ids, names := map[int]map[int64]time.Time{}, map[int]map[string]bool{}
	var keys []ItemKey
	for _, c := range page {
		if c.TypeID == TypeCall {
			continue // nothing of it can be read
		}
		if c.Kind != KindCreate && c.Kind != KindDelete && made[c.Ref].State == StateDone && c.TypeID > TypeProducts {
			continue // the whole item goes; product rows tell whether it is as it was
		}
		if ids[c.TypeID] == nil {
			ids[c.TypeID], names[c.TypeID] = map[int64]time.Time{}, map[string]bool{}
		}
		ids[c.TypeID][c.ID] = time.Time{}
		if c.Kind == KindCreate {
			ids[c.TypeID][c.ID] = time.UnixMilli(c.SentAt)
		}
		keys = append(keys, ItemKey{TypeID: c.TypeID, ID: c.ID})
		for name := range c.Fields {
			names[c.TypeID][name] = true
		}
		delete(names[c.TypeID], mergedInto)
		if entity := u.o.Catalog.EntityByType(c.TypeID); c.Kind == KindCreate && entity != nil {
			for _, name := range entity.DeletionFields() {
				names[c.TypeID][name] = true
			}
			for _, name := range []string{fieldCreated, fieldUpdated} {
				if entity.FieldByName(name) != nil {
					names[c.TypeID][name] = true
				}
			}
		}
	}
	now := map[ItemKey]*Item{}
	for _, typeID := range slices.Sorted(maps.Keys(ids)) {
		entity := u.o.Catalog.EntityByType(typeID)
		if entity == nil {
			return nil, fmt.Errorf("the portal has no entity type %d", typeID)
		}
		items, err := u.listed(ctx, entity, ids[typeID], slices.Sorted(maps.Keys(names[typeID])))
		if err != nil {
			return nil, err
		}
		for id, item := range items {
			now[ItemKey{TypeID: typeID, ID: id}] = &item
		}
	}
	planned, err := u.o.Draft.ByItem(ctx, keys)
	if err != nil {
		return nil, err
	}
	for _, c := range planned {
		if item := now[ItemKey{TypeID: c.TypeID, ID: c.ID}]; item != nil && c.Kind.Writes() {
			for name, f := range c.Fields {
				item.Fields[name] = f.After
			}
		}
	}
	return now, nil
}

// listed reads items by their ids, each of which comes with the time at which it
// was made, if the run made it. Those that lists may just not show yet are asked
// for again, unless the journal knows of their deletion.
func (u *undoing) listed(ctx context.Context, entity *Entity, made map[int64]time.Time, names []string) (map[int64]Item, error) {
	items := map[int64]Item{}
	missing := slices.Sorted(maps.Keys(made))
	for wait := time.Second; ; wait = min(2*wait, maxListWait) {
		some, err := u.o.Reader.Get(ctx, entity, missing, names)
		if err != nil {
			return nil, err
		}
		maps.Copy(items, some)
		missing = slices.DeleteFunc(missing, func(id int64) bool {
			_, there := some[id]
			return there || time.Since(made[id]) >= u.o.Fence
		})
		if len(missing) > 0 {
			gone, err := u.o.Log.Deleted(ctx, entity.TypeID, missing, time.Now().Add(-u.o.Fence))
			if err != nil {
				return nil, err
			}
			missing = slices.DeleteFunc(missing, func(id int64) bool { return gone[id] })
		}
		if len(missing) == 0 {
			return items, nil
		}
		pause(ctx, nil, wait)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// maxListWait is how long to wait at the most before lists are asked again for
// what they may not show yet.
const maxListWait = 10 * time.Second

// inverse begins the change that takes another one back.
func (u *undoing) inverse(c *Change, kind Kind) *Change {
	ref := c.Ref
	if ref == "" {
		ref = itemRef(c.Entity, c.TypeID, c.ID)
	}
	return &Change{
		Step: c.Step, Index: u.steps[c.Step], Kind: kind, Entity: c.Entity, TypeID: c.TypeID, ID: c.ID, Ref: ref,
		Source: c.Source, Key: c.Key, Line: c.Line,
	}
}

// remove plans the deletion of an item that the run made.
func (u *undoing) remove(ctx context.Context, entity *Entity, c *Change, item *Item, made map[string]Made) (*Change, error) {
	if !c.Import {
		u.lasts.robots++
	}
	if item == nil {
		none := u.inverse(c, KindNone)
		none.Reason = "it is gone already"
		return none, nil
	}
	known, err := u.toldOf(ctx, c)
	if err != nil {
		return nil, err
	}
	theirs, err := u.withoutOwn(ctx, entity, *item)
	if err != nil {
		return nil, err
	}
	// Changes come in reverse, so that what links to the item came before.
	key := ItemKey{TypeID: c.TypeID, ID: c.ID}
	links, err := u.linksTo(ctx, key)
	if err != nil {
		return nil, err
	}
	foreign, err := u.foreign(ctx, key, linkedBy(entity, c, made))
	if err != nil {
		return nil, err
	}
	undo := u.inverse(c, KindDelete)
	undo.Needs, undo.Fields = links.Planned, map[string]FieldChange{}
	for _, f := range entity.Fields {
		if v := plain(item.Fields[f.Name]); entity.remade(f) && v != nil {
			undo.Fields[f.Name] = FieldChange{Before: v}
		}
		if f.Type == FieldFile && plain(item.Fields[f.Name]) != nil {
			u.lasts.files++
		}
	}
	undo.Image = entity.Image(*item)
	switch changed := u.changedSince(entity, c, known, theirs); {
	case u.o.Force:
	case changed != "":
		undo.Kind, undo.Reason = KindConflict, changed
	case len(links.Kept) > 0:
		undo.Kind, undo.Reason = KindSkip, links.Kept[0]+" is kept and links to it"
	case foreign != "":
		undo.Kind, undo.Reason = KindConflict, foreign+" links to it by now"
	}
	return undo, u.linksOf(ctx, entity, undo)
}

// restore plans the values of before for an item that the run changed.
func (u *undoing) restore(entity *Entity, c *Change, item *Item, made map[string]Made) *Change {
	undo := u.inverse(c, c.Kind)
	undo.Fields = map[string]FieldChange{}
	if item == nil {
		undo.Kind, undo.Fields, undo.Reason = KindConflict, nil, fmt.Sprintf("%s %d is gone", entity.Name, c.ID)
		return undo
	}
	var other []string
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		field := entity.FieldByName(name)
		if field == nil {
			continue
		}
		f, changed := c.Fields[name], false
		f.Before, f.After = filled(f.Before, made), filled(f.After, made)
		now := plain(item.Fields[name])
		lost := lostFiles(f, now)
		u.lasts.replaced += lost
		switch {
		case lost > 0 && !field.Multiple: // what it has instead is left there
		case field.Type == FieldMulti:
			f = undoMulti(field, f, multiRows(now))
			changed = len(f.Add)+len(f.Remove) > 0
		case field.IsSet():
			f = rebase(field, FieldChange{Before: f.After, After: stillThere(f.Before, now)}, now)
			changed = !field.Equal(f.Before, f.After)
		case field.Equal(now, f.Before): // as it was, whoever saw to it
		case field.Equal(now, f.After) || u.o.Force:
			f, changed = FieldChange{Before: now, After: f.Before}, true
		default:
			other = append(other, fmt.Sprintf("%s was %s, is %s now, and was to be %s", name, shown(f.After), shown(now), shown(f.Before)))
			f, changed = FieldChange{Before: f.After, After: f.Before, Drifted: true, Now: now}, true
		}
		if changed {
			undo.Fields[name] = f
		}
	}
	switch {
	case other != nil:
		undo.Kind, undo.Reason = KindConflict, "changed since: "+strings.Join(other, "; ")
	case len(undo.Fields) == 0:
		undo.Kind, undo.Fields = KindNone, nil
	default:
		for name, f := range undo.Fields {
			item.Fields[name] = f.After // what an earlier change of the item finds
		}
		if stage, moved := undo.Fields["stageId"]; moved && entity.FieldByName("closedate") != nil && entity.closes(stage.Before) {
			u.lasts.closed++
		}
	}
	return undo
}

// closes says whether a stage ends what its item is about.
func (e *Entity) closes(stage any) bool {
	for _, c := range e.Categories {
		for _, s := range c.Stages {
			if s.ID == stage {
				return s.Semantics != ""
			}
		}
	}
	return false
}

// filled puts the ids of made items into a value.
func filled(v any, made map[string]Made) any {
	ids := &queue{ids: map[string]int64{}}
	for ref, m := range made {
		ids.ids[ref] = m.ID
	}
	return ids.resolve(v)
}

// undoMulti takes back the rows that a change added and removed, of what the
// multifield holds now.
func undoMulti(field *Field, f FieldChange, now []MultiValue) FieldChange {
	undo := FieldChange{}
	var after []MultiValue
	before := multiRows(f.Before)
	for _, row := range now {
		if field.hasMulti(f.Add, row.Value) && !field.hasMulti(before, row.Value) {
			undo.Remove = append(undo.Remove, row)
		} else {
			after = append(after, row)
		}
	}
	for _, gone := range f.Remove {
		if !field.hasMulti(after, gone.Value) && gone.Value != "" {
			row := MultiValue{Type: gone.Type, Value: gone.Value}
			undo.Add, after = append(undo.Add, row), append(after, row)
		}
	}
	if now != nil {
		undo.Before = now
	}
	if after != nil {
		undo.After = after
	}
	return undo
}

// sumUp writes the sums and what will last into the header.
func (u *undoing) sumUp(ctx context.Context) (err error) {
	h := u.header
	h.Summary, h.Cleared, h.Content = u.sums.total, u.sums.cleared, u.sums.digest.String()
	for _, s := range slices.Backward(u.o.Header.Steps) {
		step := StepSummary{ID: s.ID, Verb: "undo", Entity: s.Entity}
		if counts := u.sums.steps[s.ID]; counts != nil {
			step.Counts = *counts
		}
		h.Steps = append(h.Steps, step)
	}
	if h.Estimate, err = estimate(ctx, u.o.Draft, u.o.Gauge, h.Created, u.o.Fence); err != nil {
		return err
	}
	if n := u.lasts.robots; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("robots, triggers, workflows and notifications that %d changes of the run may have set off", n))
	}
	if n := u.sums.total.Delete + u.sums.total.Create; n > 0 {
		h.Lasting = append(h.Lasting, "the timelines and histories of items: those of deleted ones go, and the entries that the run caused stay")
	}
	if n := u.lasts.renewed; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("the ids of items that are made again (%d): they get new ones, and links from elsewhere to the old ones stay broken", n))
	}
	if n := u.lasts.rekeyed; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("keys that other items have, too (%d): the items that are made again get keys of their own", n))
	}
	if n := u.lasts.merged; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("items that were merged into others (%d): the portal can't part them", n))
	}
	if n := u.lasts.calls; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("calls for which the job names no method that undoes them (%d)", n))
	}
	if n := u.lasts.amounts; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("the amounts of items (%d), which follow their product rows: one that was none of their sum does not come back", n))
	}
	if n := u.lasts.closed; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("the closing dates of items (%d), which the portal set when they reached their last stage", n))
	}
	if n := u.lasts.replaced; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("files that the run replaced or removed (%d): nobody has kept their contents", n))
	}
	if n := u.lasts.files; n > 0 {
		h.Lasting = append(h.Lasting, fmt.Sprintf("%d files of items that are deleted", n))
	}
	return nil
}
