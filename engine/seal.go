package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine/expression"
)

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
	p.header.Estimate = Estimate(forecast)
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
