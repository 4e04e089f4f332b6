package steps

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// missing is what becomes of the items of an import that no row is about any more.
type missing struct {
	scope Select // the items that should be in the source
	set   mapping
	move  Move
	most  float64 // how many may be missing, or their share
	share bool
	seen  int // items of the scope, and those of them that are missing
	gone  int
}

func (s *Import) prepareMissing(p *engine.Prepare) {
	s.missing = missing{scope: Select{id: p.ID(), Entity: s.Entity, entity: s.entity, Where: s.MissingWhere}}
	if s.Missing == "keep" {
		if len(s.MissingWhere)+len(s.MissingSet) > 0 || s.MissingTo != nil {
			p.Problem(s.Entity.Pos, "add missing: mark, move or delete, or leave these keys out", "missing_… keys without missing do nothing")
		}
		return
	}
	m := &s.missing
	if len(s.MissingWhere) == 0 {
		p.Problem(s.Entity.Pos, "add missing_where: and conditions, so that items which others made are left alone", "missing must know which items the source is to have")
	}
	for _, fv := range s.MissingWhere {
		if t, ok := m.scope.test(p, fv); ok {
			m.scope.where = append(m.scope.where, t)
		}
	}
	env := expression.Env{"params": p.Job.Params, "env": p.Job.Env, "now": time.Now(), "last_run": nil}
	if _, at, err := m.scope.conditions(p.Catalog, env); err != nil {
		p.Fail(at, err)
	}
	switch {
	case s.Missing == "mark" && len(s.MissingSet) == 0:
		p.Problem(s.Entity.Pos, "add missing_set: and the fields that mark an item", "missing: mark does not say how")
	case s.Missing != "mark" && len(s.MissingSet) > 0:
		p.Problem(s.Entity.Pos, "", "missing_set is of missing: mark only")
	case s.Missing == "move" && s.MissingTo == nil:
		p.Problem(s.Entity.Pos, "add missing_to: and a stage", "missing: move does not say where to")
	case s.Missing != "move" && s.MissingTo != nil:
		p.Problem(s.Entity.Pos, "", "missing_to is of missing: move only")
	case s.Missing == "move" && len(s.entity.Categories) == 0:
		p.Problem(s.MissingTo.Pos, "", "%s has no stages", s.entity.Name)
	}
	m.set = newMapping(p, s.entity, s.MissingSet, onChange)
	if s.MissingTo != nil {
		m.move = Move{To: s.MissingTo}
		if name, literal := s.MissingTo.Literal(); literal && len(s.entity.Categories) > 0 {
			m.move.checkStage(p, s.entity, name)
		}
	}
	text, share := strings.CutSuffix(strings.TrimSpace(s.MissingMost), "%")
	most, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || most < 0 || share && most > 100 {
		p.Problem(s.Entity.Pos, "write 50, or 10%", "missing_most %q is no number and no share", s.MissingMost)
	}
	m.most, m.share = most, share
}

// Sweep implements [engine.Sweeper].
func (s *Import) Sweep(ctx context.Context, p *engine.Planning) iter.Seq2[[]*engine.Record, error] {
	if s.Missing == "keep" {
		return nil
	}
	return func(yield func([]*engine.Record, error) bool) {
		m := &s.missing
		m.seen, m.gone = 0, 0
		where, _, err := m.scope.conditions(p.Catalog, p.JobEnv())
		if err != nil {
			yield(nil, fmt.Errorf("missing_where: %w", err))
			return
		}
		var page []engine.Item
		for items, err := range p.Reader.Scan(ctx, s.entity, where, m.fields(s.entity)) {
			if err != nil {
				yield(nil, err)
				return
			}
			if page = append(page, items...); len(page) < chunkSize {
				continue
			}
			if !s.leftovers(ctx, p, page, yield) {
				return
			}
			page = nil
		}
		if !s.leftovers(ctx, p, page, yield) {
			return
		}
		if m.tooMany() {
			p.Forbid(fmt.Sprintf("step %s: %d of %d items are missing from the source, and missing_most allows %s", p.ID(), m.gone, m.seen, s.MissingMost))
		}
	}
}

// fields are what must be known of an item to do away with it.
func (m *missing) fields(e *engine.Entity) []string {
	switch {
	case m.move.To != nil:
		return []string{"stageId", "categoryId"}
	case len(m.set) > 0:
		return m.set.names()
	}
	return e.DeletionFields()
}

// tooMany says whether more are missing than may be.
func (m *missing) tooMany() bool {
	most := m.most
	if m.share {
		most = m.most / 100 * float64(m.seen)
	}
	return float64(m.gone) > most
}

// leftovers yields the items that no row has claimed.
func (s *Import) leftovers(ctx context.Context, p *engine.Planning, items []engine.Item, yield func([]*engine.Record, error) bool) bool {
	keys := make([]engine.Hash, len(items))
	for i, item := range items {
		keys[i] = p.ClaimKey("item", item.ID, "")
	}
	claims, err := p.Claims(ctx, keys)
	if err != nil {
		return yield(nil, err)
	}
	var chunk []*engine.Record
	for i, item := range items {
		if claims[keys[i]] == nil {
			chunk = append(chunk, s.missing.scope.record(item))
		}
	}
	s.missing.seen += len(items)
	s.missing.gone += len(chunk)
	return len(chunk) == 0 || yield(chunk, nil)
}

// PlanSweep implements [engine.Sweeper].
func (s *Import) PlanSweep(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	held, err := p.Refresh(ctx, chunk)
	if err != nil {
		return err
	}
	for i, r := range chunk {
		h := held[i]
		switch s.Missing {
		case "delete":
			p.Delete(r, h, nil)
		case "move":
			fields, err := s.missing.move.fields(p, r, h)
			if err != nil {
				p.Invalid(r, err.Error())
				continue
			}
			p.Change(r, engine.KindMove, h, fields)
		default:
			wants, err := s.missing.set.eval(p, p.Env(r), false)
			if err != nil {
				p.Invalid(r, err.Error())
				continue
			}
			fields, err := forUpdate(ctx, p, h, wants, true)
			if err != nil {
				return err
			}
			p.Change(r, engine.KindUpdate, h, fields)
		}
	}
	return nil
}
