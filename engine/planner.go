package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// PlanLifetime is how long a plan may be applied after it was made.
const PlanLifetime = 24 * time.Hour

// PlanOptions is what planning a job takes.
type PlanOptions struct {
	Job       *Job
	PortalRef string // the portal's name as the user gave it, never a URL
	Catalogue Catalogue
	Reader    Reader
	Gauge     Gauge
	Draft     Draft
	Now       time.Time // frozen for the whole plan
	Progress  func(Progress)
}

// Planning is what a step sees while it plans: the catalog, a portal that it
// can only read, and the plan so far.
type Planning struct {
	Reader  Reader
	Catalog *Catalog
	Job     *Job
	Now     time.Time

	options *PlanOptions
	header  *Header
	shape   *streamShape
	spec    *StepSpec
	index   *planIndex
	pending []*Change    // of this chunk
	items   chunkItems   // held in this chunk
	written map[int]bool // entity types that earlier chunks change
	dead    map[deadStep]string
	steps   map[string]*StepSummary
	matches map[int][][]*Field // lists of fields that later steps match by, per entity type
	files   []FileInfo
	warned  map[string]bool
}

// deadStep names a step's part of a record that turned out not to be possible
// after it was planned.
type deadStep struct{ step, source string }

type chunkItems map[ItemKey]*Held

// Plan works out what a job would change and seals it in the draft. The error
// is [Problems] for faults of the job, and a [GuardError] where a guard does not
// hold: the header comes back with it.
func Plan(ctx context.Context, o PlanOptions) (*Header, error) {
	catalog, err := o.Catalogue.Catalog(ctx, o.Job.Needs())
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	shapes, warnings, err := prepareJob(o.Job, catalog)
	if err != nil {
		return nil, err
	}
	p := &Planning{
		Reader: o.Reader, Catalog: catalog, Job: o.Job, Now: o.Now, options: &o,
		index: newPlanIndex(o.Draft), written: map[int]bool{}, dead: map[deadStep]string{},
		steps: map[string]*StepSummary{}, matches: map[int][][]*Field{}, warned: map[string]bool{},
	}
	p.header = newHeader(&o, catalog, warnings)
	p.collectMatches(shapes)
	for _, shape := range shapes {
		if err := p.stream(ctx, shape); err != nil {
			return nil, err
		}
	}
	if err := p.seal(ctx); err != nil {
		return nil, err
	}
	return p.header, checkGuards(o.Job, p.header)
}

func newHeader(o *PlanOptions, c *Catalog, warnings []string) *Header {
	params := make(map[string]string, len(o.Job.Params))
	for name, v := range o.Job.Params {
		params[name] = fmt.Sprint(v)
	}
	for _, w := range o.Job.Warnings {
		warnings = append(warnings, w.Error())
	}
	stepErrors := map[string]OnError{}
	for _, stream := range o.Job.Streams {
		for _, s := range stream.Steps {
			if s.OnError != (OnError{}) {
				stepErrors[s.ID] = s.OnError
			}
		}
	}
	return &Header{
		Format: PlanFormat, Job: o.Job.Name, JobFile: o.Job.File, JobHash: o.Job.Hash, Params: params,
		Portal: c.Portal, PortalRef: o.PortalRef, Created: o.Now.UTC(), Expires: o.Now.UTC().Add(PlanLifetime),
		Needs: o.Job.Needs(), Catalog: c.Fingerprint(), OnError: o.Job.OnError, StepError: stepErrors, Warnings: warnings,
	}
}

// Matcher is a step that looks items up by fields, so that steps above it know
// by which values the items that they plan will be found.
type Matcher interface {
	// Matches returns the entity and the lists of fields, once prepared.
	Matches() (*Entity, [][]*Field)
}

func (p *Planning) collectMatches(shapes []*streamShape) {
	for _, shape := range shapes {
		for _, spec := range shape.stream.Steps {
			m, ok := spec.Step.(Matcher)
			if !ok {
				continue
			}
			e, lists := m.Matches()
			if e != nil {
				p.matches[e.TypeID] = append(p.matches[e.TypeID], lists...)
			}
		}
	}
}

// stream plans all records of a stream, chunk by chunk.
func (p *Planning) stream(ctx context.Context, shape *streamShape) error {
	p.shape = shape
	for _, spec := range shape.stream.Steps {
		summary := &StepSummary{ID: spec.ID, Verb: spec.Step.Verb()}
		if e := p.entityOf(spec); e != nil {
			summary.Entity = e.Name
		}
		p.steps[spec.ID] = summary
	}
	keys, err := newRecordKeys(ctx, p, shape)
	if err != nil {
		return err
	}
	for chunk, err := range shape.stream.Source.Source.Records(ctx, p) {
		if err != nil {
			return err
		}
		if err := p.chunk(ctx, keys, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (p *Planning) entityOf(spec *StepSpec) *Entity {
	if t := spec.Step.Target(); t != "" {
		return p.shape.entities[t]
	}
	return p.shape.entities[spec.ID]
}

// chunk plans every step for some records and stores the changes.
func (p *Planning) chunk(ctx context.Context, keys *recordKeys, chunk []*Record) error {
	p.items, p.pending = chunkItems{}, p.pending[:0]
	p.header.Rows += len(chunk)
	for _, r := range chunk {
		r.env = p.baseEnv(r)
		if r.Fault != "" {
			p.faulty(r)
		}
	}
	if err := p.holdSource(ctx, chunk); err != nil {
		return err
	}
	if err := keys.assign(ctx, chunk); err != nil {
		return err
	}
	for _, spec := range p.shape.stream.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.spec = spec
		if err := spec.Step.Plan(ctx, p, p.ready(chunk)); err != nil {
			return fmt.Errorf("step %s: %w", spec.ID, err)
		}
	}
	p.dropNetZero()
	for _, c := range p.pending {
		if c.Kind.Writes() {
			p.written[c.TypeID] = true
		}
	}
	if err := p.options.Draft.Append(ctx, p.pending); err != nil {
		return err
	}
	if err := p.index.flush(ctx); err != nil {
		return err
	}
	p.report()
	return nil
}

func (p *Planning) report() {
	if p.options.Progress == nil {
		return
	}
	limit := ""
	if p.options.Gauge != nil {
		limit = p.options.Gauge.Status()
	}
	p.options.Progress(Progress{Phase: "plan", Done: p.header.Rows, Limit: limit})
}

// faulty makes a record that could not be read an invalid change of the
// stream's first step; the others skip it.
func (p *Planning) faulty(r *Record) {
	steps := p.shape.stream.Steps
	if len(steps) == 0 {
		return
	}
	p.spec = steps[0]
	p.Invalid(r, r.Fault)
}

// holdSource makes the records of a select hold their items as this plan
// leaves them.
func (p *Planning) holdSource(ctx context.Context, chunk []*Record) error {
	id := p.shape.stream.Source.ID
	var held []*Held
	for _, r := range chunk {
		if h := r.Held(id); h != nil {
			h = p.share(h)
			r.Hold(id, h)
			held = append(held, h)
		}
	}
	return p.overlay(ctx, held)
}

// ready returns the records for which the step in hand is to be planned: its
// condition holds and the items that it needs are there. The others are
// skipped, with the reason.
func (p *Planning) ready(chunk []*Record) []*Record {
	uses := p.spec.Uses()
	out := make([]*Record, 0, len(chunk))
	for _, r := range chunk {
		if r.Fault != "" {
			if p.spec.Index != p.shape.stream.Steps[0].Index {
				p.Skip(r, "the row can't be read")
			}
			continue
		}
		if reason := r.missing(uses); reason != "" {
			p.Skip(r, reason)
			continue
		}
		if p.spec.When != nil {
			yes, err := p.spec.When.Eval(p.Env(r))
			if err != nil {
				p.Invalid(r, "when: "+err.Error())
				continue
			}
			if !yes {
				p.Skip(r, "when is false: "+p.spec.When.Source)
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// missing says why the record lacks one of the steps' items, "" if it has all.
func (r *Record) missing(steps []string) string {
	for _, id := range steps {
		if reason, broken := r.broken[id]; broken {
			return fmt.Sprintf("needs %s: %s", id, reason)
		}
	}
	return ""
}

func (p *Planning) baseEnv(r *Record) expression.Env {
	env := expression.Env{"params": p.Job.Params, "env": p.Job.Env, "now": p.Now}
	if p.shape.columned {
		env["row"] = r.Row
	}
	return env
}

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
func (p *Planning) Overlay(ctx context.Context, held []*Held) error { return p.overlay(ctx, held) }

func (p *Planning) overlay(ctx context.Context, held []*Held) error {
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
	changes, err := p.options.Draft.ByItem(ctx, keys)
	if err != nil {
		return err
	}
	for _, c := range changes {
		h := byKey[ItemKey{TypeID: c.TypeID, ID: c.ID, Ref: c.Ref}]
		if h == nil {
			continue
		}
		for name, f := range c.Fields {
			h.Now[name] = f.After
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
	c.Reason, c.Row = reason, r.Cells
	p.breakStep(r, "the row is invalid at step "+p.spec.ID)
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
	c := p.change(r, KindCreate)
	c.Ref = p.spec.ID + "@" + r.Source
	c.Fields, c.ExternalKey, c.KeyField = values, external.Key, external.Field
	c.Needs = refsIn(values)
	now := make(map[string]any, len(values))
	for name, f := range values {
		now[name] = f.After
	}
	h := &Held{Entity: e, Ref: c.Ref, Created: true, Now: now, changes: []*Change{c}}
	p.items[h.key()] = h
	r.Hold(p.spec.ID, h)
	p.indexPlanned(h)
	return c
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
	}
}

// UseFile notes an input file for the plan's header. A file that was noted
// before must not have changed since.
func (p *Planning) UseFile(f FileInfo) error {
	for _, known := range p.files {
		if known.Path == f.Path {
			if known != f {
				return fmt.Errorf("file %q changed while it was planned; run it again", f.Path)
			}
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
	for _, list := range p.matches[h.Entity.TypeID] {
		for _, key := range matchKeys(list, h.Now) {
			p.index.put(plannedHash(h.Entity, list, key), []byte(h.Ref))
		}
	}
}

// PlannedItems returns, for each key, the item that this plan makes and that
// will match it, or nil.
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
	var fresh []*Held
	for i, h := range hashes {
		ref, ok := found[h]
		if !ok {
			continue
		}
		item := &Held{Entity: e, Ref: string(ref), Created: true, Now: map[string]any{}}
		if known, ok := p.items[item.key()]; ok {
			held[i] = known
			continue
		}
		p.items[item.key()] = item
		held[i] = item
		fresh = append(fresh, item)
	}
	return held, p.overlay(ctx, fresh)
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
				alternatives = append(alternatives, m.Value)
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

// dropNetZero takes the fields that a record's steps change and change back out
// of all its changes.
func (p *Planning) dropNetZero() {
	for _, h := range p.items {
		if h.before == nil || len(h.changes) < 2 {
			continue
		}
		final := map[string]FieldChange{}
		for _, c := range h.changes {
			for name, f := range c.Fields {
				if first, seen := final[name]; seen {
					f.Before = first.Before
				}
				final[name] = f
			}
		}
		for name, f := range final {
			field := h.Entity.FieldByName(name)
			if field == nil || !field.Equal(f.Before, f.After) {
				continue
			}
			for _, c := range h.changes {
				delete(c.Fields, name)
				if len(c.Fields) == 0 {
					c.Kind = KindNone
				}
			}
		}
	}
}

// seal revises what turned out impossible, sums up and closes the draft.
func (p *Planning) seal(ctx context.Context) error {
	if len(p.dead) > 0 {
		if err := p.bury(ctx); err != nil {
			return err
		}
	}
	if err := p.sum(ctx); err != nil {
		return err
	}
	p.header.Files = p.files
	return p.options.Draft.Seal(ctx, p.header)
}

// bury makes the withdrawn parts of records invalid and skips what needs them.
func (p *Planning) bury(ctx context.Context) error {
	uses := map[string][]string{}
	for _, stream := range p.Job.Streams {
		for _, s := range stream.Steps {
			uses[s.ID] = s.Uses()
		}
	}
	deadRefs := map[string]bool{}
	return p.options.Draft.Rewrite(ctx, func(c *Change) bool {
		if reason, dead := p.dead[deadStep{c.Step, c.Source}]; dead {
			p.revise(c, KindInvalid, reason, deadRefs)
			return true
		}
		if !c.Kind.Writes() && c.Kind != KindNone {
			return false
		}
		for _, id := range uses[c.Step] {
			if _, dead := p.dead[deadStep{id, c.Source}]; dead {
				p.dead[deadStep{c.Step, c.Source}] = "needs " + id
				p.revise(c, KindSkip, "needs "+id+": the row is invalid there", deadRefs)
				return true
			}
		}
		for _, ref := range c.Needs {
			if deadRefs[ref] {
				p.revise(c, KindSkip, "needs "+ref+": that row is invalid", deadRefs)
				return true
			}
		}
		return false
	})
}

func (p *Planning) revise(c *Change, kind Kind, reason string, deadRefs map[string]bool) {
	if c.Kind == KindCreate {
		deadRefs[c.Ref] = true
	}
	c.Kind, c.Reason, c.Fields, c.Needs, c.Ref, c.ExternalKey = kind, reason, nil, nil, "", ""
}

// sum counts the changes and digests them.
func (p *Planning) sum(ctx context.Context) error {
	digest := newDigest()
	commands := map[string]int{}
	for c, err := range p.options.Draft.Changes(ctx, Filter{}) {
		if err != nil {
			return err
		}
		p.steps[c.Step].Add(c.Kind, 1)
		p.header.Summary.Add(c.Kind, 1)
		p.header.Cleared += cleared(c)
		if c.Kind.Writes() {
			commands[commandMethod(c)]++
		}
		if err := digest.add(c); err != nil {
			return err
		}
	}
	for _, stream := range p.Job.Streams {
		for _, s := range stream.Steps {
			p.header.Steps = append(p.header.Steps, *p.steps[s.ID])
		}
	}
	p.header.Content = digest.String()
	forecast := p.options.Gauge.Forecast(commands)
	p.header.Estimate = Estimate{Requests: forecast.Requests, Seconds: forecast.Seconds, LimitedBy: forecast.LimitedBy}
	return nil
}

// cleared counts the fields that a change empties.
func cleared(c *Change) int {
	n := 0
	for _, f := range c.Fields {
		if f.After == nil && f.Before != nil {
			n++
		}
	}
	return n
}

func commandMethod(c *Change) string {
	switch c.Kind {
	case KindCreate:
		if c.Import {
			return "crm.item.import"
		}
		return "crm.item.add"
	case KindDelete:
		return "crm.item.delete"
	default:
		return "crm.item.update"
	}
}

// GuardError says which guards of a job its plan breaks.
type GuardError struct{ Broken []string }

// Error lists the guards that do not hold.
func (e *GuardError) Error() string {
	return "guard: " + strings.Join(e.Broken, "; ") + "; nothing was written"
}

// checkGuards judges a plan by the job's guards.
func checkGuards(job *Job, h *Header) error {
	if len(job.Guards) == 0 {
		return nil
	}
	text, err := json.Marshal(h.Summary)
	if err != nil {
		return err
	}
	counts := map[string]any{}
	if err := json.Unmarshal(text, &counts); err != nil {
		return err
	}
	for name, v := range counts {
		if f, ok := v.(float64); ok {
			counts[name] = int(f)
		}
	}
	counts["rows"], counts["cleared"] = h.Rows, h.Cleared
	var broken []string
	for _, g := range job.Guards {
		holds, err := g.Eval(expression.Env{"plan": counts, "params": job.Params, "env": job.Env, "now": h.Created})
		switch {
		case err != nil:
			broken = append(broken, fmt.Sprintf("%q: %v", g.Source, err))
		case !holds:
			broken = append(broken, fmt.Sprintf("%q does not hold (%s)", g.Source, guardFacts(g, counts)))
		}
	}
	if broken == nil {
		return nil
	}
	return &GuardError{Broken: broken}
}

// guardFacts shows the counts that a guard speaks of.
func guardFacts(g *Predicate, counts map[string]any) string {
	var facts []string
	for _, u := range g.Uses() {
		if v, ok := counts[u.Member]; ok && u.Name == "plan" {
			facts = append(facts, fmt.Sprintf("plan.%s is %v", u.Member, v))
		}
	}
	slices.Sort(facts)
	return strings.Join(slices.Compact(facts), ", ")
}

// Conflict records that the portal is not as the step needs it.
func (p *Planning) Conflict(r *Record, reason string) {
	c := p.change(r, KindConflict)
	c.Reason, c.Row = reason, r.Cells
	p.breakStep(r, "conflict at step "+p.spec.ID)
}
