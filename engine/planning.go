package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine/expression"
)

// Env is what the expressions of the step in hand see of a record.
func (p *Planning) Env(r *Record) expression.Env {
	env := maps.Clone(r.env)
	if env == nil {
		env = p.baseEnv(r)
	}
	for id, h := range r.held {
		item := map[string]any{"created": h.Created}
		if h.ID != 0 {
			item["id"] = int(h.ID)
		} else {
			item["id"] = expression.Ref{Step: h.Ref}
		}
		for alias, name := range p.shape.aliases[id] {
			f := h.Entity.FieldByName(name)
			item[alias] = expressionValue(f, h.Now[name])
		}
		env[id] = item
	}
	return env
}

// Fields are the REST names of the fields that this stream needs of a step's
// items: what look-ups must select.
func (p *Planning) Fields(step string) []string {
	return slices.Sorted(maps.Keys(p.shape.needs[step]))
}

// ID is the id of the step in hand.
func (p *Planning) ID() string { return p.spec.ID }

// Hold makes the record hold an item of the portal under the step in hand.
// Records that reach the same item share it.
func (p *Planning) Hold(r *Record, item Item, e *Entity) *Held {
	h := p.share(NewHeld(e, item))
	r.Hold(p.spec.ID, h)
	return h
}

// Share returns the one Held of an item of the portal in this chunk.
func (p *Planning) Share(e *Entity, item Item) *Held { return p.share(NewHeld(e, item)) }

// Refresh brings the items that records hold under the step in hand up to what
// this plan already asks of them.
func (p *Planning) Refresh(ctx context.Context, chunk []*Record) ([]*Held, error) {
	held := make([]*Held, len(chunk))
	for i, r := range chunk {
		held[i] = p.share(r.Held(p.spec.ID))
		r.Hold(p.spec.ID, held[i])
	}
	return held, p.Overlay(ctx, held)
}

// share returns the one Held of an item in this chunk.
func (p *Planning) share(h *Held) *Held {
	if known, ok := p.items[h.key()]; ok {
		for name, v := range h.Now {
			if _, has := known.Now[name]; !has {
				known.Now[name], known.before[name] = v, v
			}
		}
		return known
	}
	p.items[h.key()] = h
	return h
}

// Overlay brings items up to what earlier chunks and streams of this plan ask
// of them. Steps call it with the items that they just took from the portal.
func (p *Planning) Overlay(ctx context.Context, held []*Held) error {
	byKey := map[ItemKey]*Held{}
	var keys []ItemKey
	for _, h := range held {
		if p.written[h.Entity.TypeID] && byKey[h.key()] == nil && len(h.changes) == 0 {
			byKey[h.key()] = h
			keys = append(keys, h.key())
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := p.stored(); err != nil {
		return err
	}
	changes, err := p.options.Draft.ByItem(ctx, keys)
	if err != nil {
		return err
	}
	for _, c := range changes {
		key := ItemKey{TypeID: c.TypeID, ID: c.ID, Ref: c.Ref}
		if c.Kind == KindDelete {
			key.Ref = "" // the deletion's own
		}
		h := byKey[key]
		if h == nil {
			continue
		}
		if c.Kind == KindCreate {
			h.Made = map[string]any{}
		}
		if c.Kind == KindDelete {
			h.Gone = c.Source
			continue
		}
		for name, f := range c.Fields {
			h.Now[name] = f.After
			if c.Kind == KindCreate {
				h.Made[name] = f.After
			}
		}
	}
	return nil
}

// change begins a change of the step in hand for a record.
func (p *Planning) change(r *Record, kind Kind) *Change {
	c := &Change{
		Step: p.spec.ID, Index: p.spec.Index, Kind: kind, Source: r.Source, Key: r.Key, Line: r.Line,
	}
	if e := p.entityOf(p.spec); e != nil {
		c.Entity, c.TypeID = e.Name, e.TypeID
	}
	if kind != KindSkip {
		c.Row = r.Cells
	}
	p.pending = append(p.pending, c)
	return c
}

// Skip records that the step does nothing for a record. Later steps that need
// its item are skipped too.
func (p *Planning) Skip(r *Record, reason string) {
	p.change(r, KindSkip).Reason = reason
	p.breakStep(r, reason)
}

// Invalid records that a row can't become a change, and why.
func (p *Planning) Invalid(r *Record, reason string) {
	c := p.change(r, KindInvalid)
	c.Reason = reason
	p.unusable(r)
	p.breakStep(r, "the row is invalid at step "+p.spec.ID)
}

// unusable counts a record that the step in hand can't use, once.
func (p *Planning) unusable(r *Record) {
	if !r.unusable {
		r.unusable = true
		p.bad[p.spec.ID]++
	}
}

// breakStep says that a step of the record did not come about. A step that
// changes an item leaves the item itself usable.
func (p *Planning) breakStep(r *Record, reason string) {
	if p.spec.Step.Target() == "" {
		r.Break(p.spec.ID, reason)
	}
}

// Create plans a new item and makes the record hold it.
func (p *Planning) Create(r *Record, e *Entity, values map[string]FieldChange, external ExternalKey) *Change {
	c, h := p.create(r, e, p.spec.ID, values, external)
	r.Hold(p.spec.ID, h)
	return c
}

// CreateBeside plans something new that stands beside an item. It is found again
// by what it is, and by an external key where it can carry one.
func (p *Planning) CreateBeside(r *Record, e *Entity, values map[string]FieldChange, external ExternalKey) *Held {
	maker := p.spec.ID
	if e.TypeID == TypeRequisite { // one record may need a requisite and its address
		maker += ".requisite"
	}
	c, h := p.create(r, e, maker, values, external)
	c.Match = e.Identity
	if external.Field == "" {
		c.ExternalKey = e.identity(values)
	}
	return h
}

// create plans something new. Its ref names the maker and the record.
func (p *Planning) create(r *Record, e *Entity, maker string, values map[string]FieldChange, external ExternalKey) (*Change, *Held) {
	c := p.change(r, KindCreate)
	c.Entity, c.TypeID, c.Ref = e.Name, e.TypeID, maker+"@"+r.Source
	c.Fields, c.ExternalKey, c.KeyField = values, external.Key, external.Field
	c.Needs = refsIn(values)
	now := make(map[string]any, len(values))
	for name, f := range values {
		now[name] = f.After
	}
	h := &Held{Entity: e, Ref: c.Ref, Created: true, Now: now, changes: []*Change{c}}
	p.items[h.key()] = h
	p.indexPlanned(h)
	return c, h
}

// Change plans a change of a held item's fields, or records that it already is
// as wanted.
func (p *Planning) Change(r *Record, kind Kind, h *Held, fields map[string]FieldChange) *Change {
	if len(fields) == 0 {
		return p.Unchanged(r, h)
	}
	c := p.change(r, kind)
	c.Entity, c.TypeID = h.Entity.Name, h.Entity.TypeID
	c.ID, c.Ref, c.Fields = h.ID, h.Ref, fields
	c.Needs = refsIn(fields)
	if h.ID == 0 {
		c.Needs = append(c.Needs, h.Ref)
	}
	for name, f := range fields {
		h.Now[name] = f.After
	}
	h.changes = append(h.changes, c)
	p.indexChanged(h, fields)
	return c
}

// Unchanged records that a held item already is as wanted.
func (p *Planning) Unchanged(r *Record, h *Held) *Change {
	c := p.change(r, KindNone)
	c.Entity, c.TypeID, c.ID, c.Ref = h.Entity.Name, h.Entity.TypeID, h.ID, h.Ref
	return c
}

// Withdraw makes the part of an earlier record in a step invalid after all, and
// with it whatever was planned on it. It takes effect when the plan is sealed.
func (p *Planning) Withdraw(step, source, reason string) {
	key := deadStep{step, source}
	if _, known := p.dead[key]; !known {
		p.dead[key] = reason
		p.bad[step]++
	}
}

// UseFile notes an input file for the plan's header. A file that was noted
// before must not have changed since.
func (p *Planning) UseFile(f FileInfo) error {
	for i, known := range p.files {
		if known.Path == f.Path {
			if known.SHA256 != f.SHA256 {
				return fmt.Errorf("file %q changed while it was planned; run it again", f.Path)
			}
			p.files[i].Filing = cmp.Or(known.Filing, f.Filing)
			return nil
		}
	}
	p.files = append(p.files, f)
	return nil
}

// Warn adds a warning to the plan, once.
func (p *Planning) Warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !p.warned[text] {
		p.warned[text] = true
		p.header.Warnings = append(p.header.Warnings, text)
	}
}

// indexPlanned lets later steps find a planned item by the fields they match.
func (p *Planning) indexPlanned(h *Held) {
	lists := p.matches[h.Entity.TypeID]
	if h.Entity.Beside() {
		lists = [][]*Field{h.Entity.IdentityFields()}
	}
	for _, list := range lists {
		p.indexBy(h, list)
	}
}

// indexChanged lets them find an item that is given other values of these fields.
func (p *Planning) indexChanged(h *Held, fields map[string]FieldChange) {
	for _, list := range p.matches[h.Entity.TypeID] {
		if slices.ContainsFunc(list, func(f *Field) bool { _, changed := fields[f.Name]; return changed }) {
			p.indexBy(h, list)
		}
	}
}

func (p *Planning) indexBy(h *Held, list []*Field) {
	for _, key := range matchKeys(list, h.Now) {
		p.index.put(plannedHash(h.Entity, list, key), h.indexed())
	}
}

// indexed is an item as the index has it: its ref, or #17 where it has an id.
func (h *Held) indexed() []byte {
	if h.ID != 0 {
		return strconv.AppendInt([]byte("#"), h.ID, 10)
	}
	return []byte(h.Ref)
}

// indexedItem is what [Held.indexed] stands for.
func indexedItem(name []byte) (*Claim, error) {
	digits, ok := strings.CutPrefix(string(name), "#")
	if !ok {
		return &Claim{Ref: string(name)}, nil
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("index of the plan: %w", err)
	}
	return &Claim{ID: id}, nil
}

// PlannedItems returns, for each key, the item that will match it because this
// plan makes it or gives it these values, or nil.
func (p *Planning) PlannedItems(ctx context.Context, e *Entity, list []*Field, keys [][]any) ([]*Held, error) {
	hashes := make([]Hash, len(keys))
	for i, key := range keys {
		hashes[i] = plannedHash(e, list, key)
	}
	found, err := p.index.get(ctx, hashes)
	if err != nil {
		return nil, err
	}
	held := make([]*Held, len(keys))
	if len(found) == 0 {
		return held, nil
	}
	claims := make(map[Hash]*Claim, len(found))
	for h, name := range found {
		if claims[h], err = indexedItem(name); err != nil {
			return nil, err
		}
	}
	if err := p.Recall(ctx, e, slices.Collect(maps.Values(claims)), p.Fields(p.ID())); err != nil {
		return nil, err
	}
	for i, h := range hashes {
		if c := claims[h]; c != nil {
			held[i] = p.items[ItemKey{TypeID: e.TypeID, ID: c.ID, Ref: c.Ref}]
		}
	}
	return held, nil
}

// PlannedSince is what PlannedItems returns for one key where this chunk has
// planned it: a step that looks its records up together sees with it what it has
// planned for the first of them since.
func (p *Planning) PlannedSince(e *Entity, list []*Field, key []any) *Held {
	name, ok := p.index.fresh[plannedHash(e, list, key)]
	if !ok {
		return nil
	}
	c, err := indexedItem(name)
	if err != nil {
		return nil
	}
	return p.items[ItemKey{TypeID: e.TypeID, ID: c.ID, Ref: c.Ref}]
}

func plannedHash(e *Entity, list []*Field, key []any) Hash {
	names := make([]string, len(list))
	values := make([]any, len(key))
	for i, f := range list {
		names[i] = f.Name
		values[i] = f.Fold(key[i])
	}
	return HashOf("planned", e.TypeID, names, values)
}

// matchKeys are the keys by which an item with these values is found: one,
// or one for each value of a multifield; none where a field is empty.
func matchKeys(list []*Field, values map[string]any) [][]any {
	keys := [][]any{{}}
	for _, f := range list {
		var alternatives []any
		switch v := values[f.Name].(type) {
		case nil:
			return nil
		case []MultiValue:
			for _, m := range v {
				if f.Fold(m.Value) != "" {
					alternatives = append(alternatives, m.Value)
				}
			}
		default:
			alternatives = []any{v}
		}
		var longer [][]any
		for _, key := range keys {
			for _, a := range alternatives {
				longer = append(longer, append(slices.Clone(key), a))
			}
		}
		keys = longer
	}
	return keys
}

// refsIn lists the planned items that values refer to, each once.
func refsIn(fields map[string]FieldChange) []string {
	refs := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case expression.Ref:
			refs[v.Step] = true
		case expression.Text:
			for _, part := range v.Parts {
				walk(part)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	for _, f := range fields {
		walk(f.After)
	}
	return slices.Sorted(maps.Keys(refs))
}

// Conflict records that the portal is not as the step needs it.
func (p *Planning) Conflict(r *Record, reason string) {
	c := p.change(r, KindConflict)
	c.Reason = reason
	p.unusable(r)
	p.breakStep(r, "conflict at step "+p.spec.ID)
}
