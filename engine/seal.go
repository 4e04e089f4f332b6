package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// dropNetZero takes the fields that a record's steps change and change back out
// of all its changes.
func (p *Planning) dropNetZero() {
	for _, h := range p.items {
		if h.before == nil || len(h.changes) < 2 {
			continue
		}
		if h.Gone != "" {
			dropBeforeDeletion(h)
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

// dropBeforeDeletion takes out what a record's steps change about an item that a
// later one deletes.
func dropBeforeDeletion(h *Held) {
	for _, c := range h.changes {
		if c.Kind != KindDelete {
			c.Kind, c.Fields, c.Needs = KindNone, nil, nil
			c.Reason = "the item is deleted"
		}
	}
}

// seal revises what turned out impossible, sums up and closes the draft.
func (p *Planning) seal(ctx context.Context) error {
	if err := p.stored(); err != nil {
		return err
	}
	if len(p.dead) > 0 {
		if err := p.bury(ctx); err != nil {
			return err
		}
	}
	if err := p.checkRepeats(ctx); err != nil {
		return err
	}
	if err := p.sumUp(ctx); err != nil {
		return err
	}
	p.header.Files = p.files
	for _, s := range p.searches {
		p.header.Searches = append(p.header.Searches, *s)
	}
	return p.options.Draft.Seal(ctx, p.header)
}

// UnlistedError says that a plan would make again what a run has just made,
// because the portal's lists don't show it yet. They do by Until, unless it has
// been deleted there; the job is to be planned again.
type UnlistedError struct{ Until time.Time }

// Error says what to wait for.
func (e *UnlistedError) Error() string {
	return "the portal's lists don't show yet what a run has just made; plan again, at the latest at " + e.Until.Format(time.TimeOnly)
}

// checkRepeats refuses to make what lists may just not show yet.
func (p *Planning) checkRepeats(ctx context.Context) error {
	if p.options.Fence == 0 {
		return nil
	}
	sent, err := p.options.Draft.Repeats(ctx, p.header.Portal.ID, p.Now.Add(-p.options.Fence))
	if err != nil || sent.IsZero() {
		return err
	}
	return &UnlistedError{Until: sent.Add(p.options.Fence)}
}

// bury makes the withdrawn parts of records invalid and skips what needs them.
// What was summed up before no longer counts.
func (p *Planning) bury(ctx context.Context) error {
	uses := map[string][]string{}
	for _, stream := range p.Job.Streams {
		for _, s := range stream.Steps {
			uses[s.ID] = s.Uses()
		}
	}
	dead := deadItems{refs: map[string]bool{}, withdrawn: map[stepItem]bool{}}
	p.sums = newSums()
	var sumErr error
	err := p.options.Draft.Rewrite(ctx, func(c *Change) bool {
		revised := p.buryOne(c, uses, dead)
		sumErr = errors.Join(sumErr, p.sums.add(c))
		return revised
	})
	return errors.Join(err, sumErr)
}

// deadItems are the items that turn out not to be made, by ref, and those of which a
// step's change is withdrawn.
type deadItems struct {
	refs      map[string]bool
	withdrawn map[stepItem]bool
}

type stepItem struct {
	step string
	item ItemKey
}

// buryOne revises one change, and says whether it did.
func (p *Planning) buryOne(c *Change, uses map[string][]string, items deadItems) bool {
	own := stepItem{c.Step, c.itemKey()}
	if reason, dead := p.dead[deadStep{c.Step, c.Source}]; dead {
		items.withdrawn[own] = c.ID != 0
		p.revise(c, KindInvalid, reason, items)
		return true
	}
	if !c.Kind.Writes() && c.Kind != KindNone {
		return false
	}
	for _, id := range uses[c.Step] {
		if _, dead := p.dead[deadStep{id, c.Source}]; dead {
			p.dead[deadStep{c.Step, c.Source}] = "needs " + id
			p.revise(c, KindSkip, "needs "+id+": the row is invalid there", items)
			return true
		}
	}
	if c.Kind == KindNone && (items.refs[c.Ref] || items.withdrawn[own]) {
		shared := c.Ref
		if items.withdrawn[own] {
			shared = "the change of " + itemRef(c.Entity, c.TypeID, c.ID)
		}
		p.dead[deadStep{c.Step, c.Source}] = "shares the change of another row"
		p.revise(c, KindInvalid, "shares "+shared+": that row is invalid", items)
		return true
	}
	for _, ref := range c.Needs {
		if items.refs[ref] {
			p.revise(c, KindSkip, "needs "+ref+": that row is invalid", items)
			return true
		}
	}
	return false
}

func (p *Planning) revise(c *Change, kind Kind, reason string, items deadItems) {
	if c.Kind == KindCreate {
		items.refs[c.Ref] = true
	}
	c.Kind, c.Reason, c.Fields, c.Needs, c.Ref, c.ExternalKey = kind, reason, nil, nil, "", ""
}

// sums are what a plan's header says of its changes.
type sums struct {
	total   Counts
	steps   map[string]*Counts
	cleared int
	imports int
	digest  *planDigest
}

func newSums() *sums {
	return &sums{steps: map[string]*Counts{}, digest: newDigest()}
}

// add takes in the next change of the plan.
func (s *sums) add(c *Change) error {
	if s.steps[c.Step] == nil {
		s.steps[c.Step] = &Counts{}
	}
	s.steps[c.Step].Add(c.Kind, 1)
	s.total.Add(c.Kind, 1)
	s.cleared += cleared(c)
	if c.Kind == KindCreate && c.Import {
		s.imports++
	}
	return s.digest.add(c)
}

// sumUp writes the sums into the header.
func (p *Planning) sumUp(ctx context.Context) (err error) {
	h := p.header
	h.Summary, h.Cleared, h.Imports, h.Content = p.sums.total, p.sums.cleared, p.sums.imports, p.sums.digest.String()
	for _, step := range p.steps {
		if counts := p.sums.steps[step.ID]; counts != nil {
			step.Counts = *counts
		}
		h.Steps = append(h.Steps, step)
	}
	h.Estimate, err = estimate(ctx, p.options.Draft, p.options.Gauge, h.Created, p.options.Fence)
	return err
}

// estimate rehearses the run of a plan that was made just now.
func estimate(ctx context.Context, d Draft, g Gauge, created time.Time, fence time.Duration) (Estimate, error) {
	f, err := rehearse(ctx, d, g.Rehearse(), created, fence, false)
	return Estimate{Requests: f.Requests, Seconds: f.Seconds, LimitedBy: f.LimitedBy, Limit: f.Limit}, err
}

// EstimateSaved is what applying a plan later takes, which looks at the portal
// again before it writes.
func EstimateSaved(ctx context.Context, changes Changes, g Gauge, fence time.Duration) (Estimate, error) {
	f, err := rehearse(ctx, changes, g.Rehearse(), time.Time{}, fence, true)
	return Estimate{Requests: f.Requests, Seconds: f.Seconds, LimitedBy: f.LimitedBy, Limit: f.Limit}, err
}

// cleared counts the fields that a change empties.
func cleared(c *Change) int {
	n := 0
	if c.Kind == KindDelete {
		return 0
	}
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
		if c.MergedInto() != 0 {
			return "crm.entity.mergeBatch"
		}
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

// checkGuards judges a plan of so many rows by the job's guards.
func checkGuards(job *Job, h *Header, rows int) error {
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
	env := jobEnv(job, h.Created, h.LastRun)
	env["plan"] = counts
	counts["rows"], counts["cleared"] = rows, h.Cleared
	var broken []string
	for _, g := range job.Guards {
		holds, err := g.Eval(env)
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
