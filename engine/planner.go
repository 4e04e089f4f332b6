package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc"

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
	// Elsewhere are the other portals that the job reads, by the names that
	// [Job.Elsewhere] returns.
	Elsewhere map[string]Elsewhere
	Gauge     Gauge
	Draft     Draft
	History   History   // nil: there were no runs
	Now       time.Time // frozen for the whole plan
	// Fence is how long after a create was sent the portal's lists may not show
	// its item: as long as it may take effect. They follow by then. 0: lists
	// are trusted.
	Fence time.Duration
	// Retry plans only the records that a run failed on; nil: all.
	Retry    *Retry
	Progress func(Progress)
}

// Planning is what a step sees while it plans: the catalog, a portal that it
// can only read, and the plan so far.
type Planning struct {
	Reader  Reader
	Catalog *Catalog
	Job     *Job
	Now     time.Time

	options   *PlanOptions
	elsewhere map[string]*Catalog // of the other portals that the job reads, by name
	header    *Header
	shape     *streamShape
	spec      *StepSpec
	index     *planIndex
	pending   []*Change    // of this chunk
	items     chunkItems   // held in this chunk
	written   map[int]bool // entity types that earlier chunks change
	dead      map[deadStep]string
	steps     []StepSummary // in the order of the job
	sums      *sums
	storing   conc.WaitGroup // of the chunk before
	storeErr  error
	matches   map[int][][]*Field // lists of fields that later steps match by, per entity type
	files     []FileInfo
	opened    map[string]File // files of the job that were looked at lately, by their names there
	warned    map[string]bool
	shapes    []*streamShape
	progress  *planProgress
	began     time.Time      // before anything was read
	expected  int            // records of this stream, about; 0: nobody said
	before    int            // records of this stream in earlier chunks
	inHand    int            // records of this chunk
	asked     map[int]int    // keys that were looked up, per entity type
	whole     map[int]bool   // entity types of which all items are read
	searches  []*Search      // in the order of the first of each
	bad       map[string]int // records of this stream that can't be planned, by the step where they broke
	broken    []string       // what steps forbid the plan to be applied for
}

// deadStep names a step's part of a record that turned out not to be possible
// after it was planned.
type deadStep struct{ step, source string }

type chunkItems map[ItemKey]*Held

// Plan works out what a job would change and seals it in the draft. The error
// is [Problems] for faults of the job, an [UnlistedError] if the plan would make
// again what a run has just made, and a [GuardError] where a guard does not hold:
// the header comes back with it.
func Plan(ctx context.Context, o PlanOptions) (*Header, error) {
	began, progress := time.Now(), &planProgress{tell: o.Progress, gauge: o.Gauge}
	defer progress.begin(ctx)()
	catalog, err := o.Catalogue.Catalog(ctx, o.Job.Needs())
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	elsewhere, err := loadElsewhere(ctx, &o, catalog)
	if err != nil {
		return nil, err
	}
	var lastRun time.Time
	if o.History != nil {
		if lastRun, err = o.History.LastRun(ctx, o.Job.Name, catalog.Portal.ID); err != nil {
			return nil, err
		}
	}
	shapes, warnings, err := prepareJob(ctx, o.Job, catalog, elsewhere, jobEnv(o.Job, o.Now, lastRun))
	if err != nil {
		return nil, err
	}
	p := &Planning{
		Reader: o.Reader, Catalog: catalog, Job: o.Job, Now: o.Now, options: &o, elsewhere: elsewhere,
		index: newPlanIndex(o.Draft), written: map[int]bool{}, dead: map[deadStep]string{},
		sums: newSums(), matches: map[int][][]*Field{}, warned: map[string]bool{},
		shapes: shapes, progress: progress, began: began, asked: map[int]int{}, whole: map[int]bool{},
	}
	defer p.storing.Wait()
	p.header = newHeader(&o, catalog, warnings)
	p.header.LastRun = lastRun
	for _, name := range o.Job.Elsewhere() {
		p.header.Read = append(p.header.Read, elsewhere[name].Portal)
	}
	p.collectMatches(shapes)
	for _, shape := range shapes {
		if err := p.stream(ctx, shape); err != nil {
			return nil, err
		}
	}
	if err := p.seal(ctx); err != nil {
		return nil, err
	}
	rows := p.header.Rows
	if o.Retry != nil {
		rows = o.Retry.Rows
	}
	if len(p.broken) > 0 {
		return p.header, &GuardError{Broken: p.broken}
	}
	return p.header, checkGuards(o.Job, p.header, rows)
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
	retries := ""
	if o.Retry != nil {
		retries = o.Retry.Run
	}
	return &Header{
		Format: PlanFormat, Retries: retries, Job: o.Job.Name, JobFile: o.Job.File, JobHash: o.Job.Hash, Includes: o.Job.Includes, Params: params,
		Portal: c.Portal, PortalRef: o.PortalRef, Created: o.Now.UTC(), Expires: o.Now.UTC().Add(PlanLifetime),
		Needs: o.Job.Needs(), Catalog: c.Fingerprint(), Parts: c.Parts(), OnError: o.Job.OnError, StepError: stepErrors, Warnings: warnings,
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
	p.shape, p.bad = shape, map[string]int{}
	p.expected, p.before = 0, 0
	before := p.header.Rows
	for _, spec := range shape.stream.Steps {
		summary := StepSummary{ID: spec.ID, Verb: spec.Step.Verb()}
		if e := p.entityOf(spec); e != nil {
			summary.Entity = e.Name
		}
		p.steps = append(p.steps, summary)
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
		p.before += p.inHand
	}
	if err := p.gather(ctx); err != nil {
		return err
	}
	return p.sweep(ctx, p.header.Rows-before)
}

// gather plans what steps have kept for the end of the stream.
func (p *Planning) gather(ctx context.Context) error {
	for _, spec := range p.shape.stream.Steps {
		gatherer, ok := spec.Step.(Gatherer)
		if !ok {
			continue
		}
		p.spec = spec
		p.items, p.pending = chunkItems{}, nil
		if err := gatherer.Gather(ctx, p); err != nil {
			return fmt.Errorf("step %s: %w", spec.ID, err)
		}
		if err := p.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sweep plans what steps want for items that none of the stream's rows is about. A
// row that can't be used may be about any of them: then nothing is swept.
func (p *Planning) sweep(ctx context.Context, rows int) error {
	bad := 0
	for _, spec := range p.shape.stream.Steps {
		bad += p.bad[spec.ID]
		sweeper, ok := spec.Step.(Sweeper)
		if !ok || p.options.Retry != nil {
			continue
		}
		p.spec = spec
		chunks := sweeper.Sweep(ctx, p)
		switch {
		case chunks == nil:
			continue
		case rows == 0:
			p.Warn("step %s: the source has no rows, so nothing counts as missing from it", spec.ID)
			continue
		case bad > 0:
			p.Warn("step %s: what is missing from the source is left alone, since rows that can't be used (%d) may be about it", spec.ID, bad)
			continue
		}
		for chunk, err := range chunks {
			if err != nil {
				return fmt.Errorf("step %s: %w", spec.ID, err)
			}
			p.items, p.pending = chunkItems{}, nil
			for _, r := range chunk {
				r.env = p.baseEnv(r)
			}
			if err := sweeper.PlanSweep(ctx, p, chunk); err != nil {
				return fmt.Errorf("step %s: %w", spec.ID, err)
			}
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Forbid has the plan refused, like a guard that does not hold.
func (p *Planning) Forbid(reason string) { p.broken = append(p.broken, reason) }

func (p *Planning) entityOf(spec *StepSpec) *Entity {
	if t := spec.Step.Target(); t != "" {
		return p.shape.entities[t]
	}
	return p.shape.entities[spec.ID]
}

// chunk plans every step for some records and stores the changes.
func (p *Planning) chunk(ctx context.Context, keys *recordKeys, chunk []*Record) error {
	p.items, p.pending = chunkItems{}, nil
	for _, r := range chunk {
		r.env = p.baseEnv(r)
	}
	if err := p.holdSource(ctx, chunk); err != nil {
		return err
	}
	if err := keys.assign(ctx, chunk); err != nil {
		return err
	}
	if !p.shape.gathers() {
		chunk = p.options.Retry.only(chunk)
	}
	p.header.Rows += len(chunk)
	p.inHand = len(chunk)
	for _, r := range chunk {
		if r.Fault != "" {
			p.faulty(r)
		}
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
	return p.commit(ctx)
}

// commit ends a chunk: its changes are stored while the next one is planned.
func (p *Planning) commit(ctx context.Context) error {
	slices.SortStableFunc(p.pending, func(a, b *Change) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Line, b.Line))
	})
	p.dropNetZero()
	if p.Job.Fuse {
		p.fuse()
	}
	for _, c := range p.pending {
		if c.Kind.Writes() {
			p.written[c.TypeID] = true
		}
	}
	if err := p.stored(); err != nil {
		return err
	}
	if err := p.index.flush(ctx); err != nil {
		return err
	}
	changes := p.pending
	p.pending = nil
	p.storing.Go(func() { p.storeErr = p.store(ctx, changes) })
	p.progress.done(p.header.Rows)
	return nil
}

// store puts a chunk's changes on disk, while the next chunk is planned.
func (p *Planning) store(ctx context.Context, changes []*Change) error {
	if err := p.options.Draft.Append(ctx, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if err := p.sums.add(c); err != nil {
			return err
		}
	}
	return nil
}

// stored waits until all chunks so far are on disk.
func (p *Planning) stored() error {
	p.storing.Wait()
	return p.storeErr
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
	if err := p.Overlay(ctx, held); err != nil || len(held) == 0 || len(p.shape.stream.Vars) == 0 {
		return err
	}
	for _, r := range chunk { // now that variables can see the item
		env := p.Env(r)
		p.addVars(env)
		r.env["vars"] = env["vars"]
	}
	return nil
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
		if reason := p.missing(r, uses); reason != "" {
			p.Skip(r, reason)
			p.unusable(r)
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

// missing says why a record lacks one of the steps' items, "" if it has all.
func (p *Planning) missing(r *Record, steps []string) string {
	for _, id := range steps {
		if reason, broken := r.broken[id]; broken {
			return fmt.Sprintf("needs %s: %s", id, reason)
		}
		if h := r.held[id]; h != nil && h.Gone != "" {
			return h.deleted(r)
		}
	}
	return ""
}

// JobEnv is what expressions see that is the same for all records.
func (p *Planning) JobEnv() expression.Env {
	return jobEnv(p.Job, p.Now, p.header.LastRun)
}

func jobEnv(job *Job, now, lastRun time.Time) expression.Env {
	return expression.Env{
		"params": job.Params, "env": job.Env, "maps": job.Maps, "now": now, "last_run": lastRunAs(lastRun, now.Location()),
	}
}

func (p *Planning) baseEnv(r *Record) expression.Env {
	env := p.JobEnv()
	if p.shape.columned {
		env["row"] = r.Row
	}
	if r.Abroad != nil {
		env[p.shape.stream.Source.ID] = p.abroad(r)
	}
	p.addVars(env)
	return env
}
