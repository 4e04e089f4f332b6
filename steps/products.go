package steps

import (
	"context"
	"fmt"
	"slices"

	"github.com/bxflow/bxflow/engine"
)

// Products gives a held item its product rows: those of all records that hold the
// item, in their order. The item has no others then. Where one of its records can't
// be used, none of its rows are written, since some of them would pass for all.
//
// Records of one item belong together if they are in one chunk, or follow each other:
// the item of a chunk's last record waits for the next one.
type Products struct {
	Step engine.Word           `object:"step"`
	Rows [][]engine.FieldValue `key:"rows" required:"true" doc:"A product row, or a list of them: name, product (id), price (of one, after the discount and with tax), quantity (1), discount (percent) or discount sum, tax (percent), tax included, measure. Records that hold the same item add up. A row of blanks is left out; [] takes all rows away."`

	products *engine.Entity
	rows     []mapping
	waiting  *cart
	waits    *engine.Planning // the plan that it waits in
}

// Verb implements [engine.Step].
func (*Products) Verb() string { return "products" }

// Makes implements [engine.Step].
func (*Products) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Products) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Products) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Products) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideProducts}} }

// Prepare implements [engine.Step].
func (s *Products) Prepare(p *engine.Prepare) {
	s.rows = nil
	owner := p.HeldEntity(s.Step.Text)
	if owner == nil {
		return
	}
	if s.products = p.Catalog.EntityByType(engine.ProductsOf(owner).TypeID); s.products == nil {
		p.Problem(s.Step.Pos, "leads, deals, quotes, invoices and cards with an amount have them", "%s has no product rows", owner.Name)
		return
	}
	for _, fields := range s.Rows {
		s.rows = append(s.rows, newMapping(p, engine.ProductRowFields(), fields, onEither))
	}
}

// cart are the records that hold one item, and the rows that they give it.
type cart struct {
	owner   *engine.Held
	records []*engine.Record
	rows    []engine.ProductRow
	fault   string // why it gets none
}

// Plan implements [engine.Step].
func (s *Products) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	type itemKey struct {
		id  int64
		ref string
	}
	carts, byItem := s.kept(p), map[itemKey]*cart{}
	for _, c := range carts {
		byItem[itemKey{c.owner.ID, c.owner.Ref}] = c
	}
	var last *cart
	for _, r := range chunk {
		h := r.Held(s.Step.Text)
		c := byItem[itemKey{h.ID, h.Ref}]
		if c == nil {
			c = &cart{owner: h}
			byItem[itemKey{h.ID, h.Ref}], carts = c, append(carts, c)
		}
		last = c
		rows, err := s.evaluate(p, r)
		switch {
		case err != nil:
			p.Invalid(r, err.Error())
			c.fault = r.Source + ", of the same item, can't be used"
		case len(rows) == 0 && len(s.rows) > 0:
			p.Skip(r, "every product row is blank")
		default:
			c.records, c.rows = append(c.records, r), append(c.rows, rows...)
		}
	}
	if last != nil {
		s.waiting, s.waits = last, p
		carts = slices.DeleteFunc(carts, func(c *cart) bool { return c == last })
	}
	return s.fill(ctx, p, carts)
}

// Gather implements [engine.Gatherer].
func (s *Products) Gather(ctx context.Context, p *engine.Planning) error {
	return s.fill(ctx, p, s.kept(p))
}

// kept takes what waits from an earlier chunk of the plan.
func (s *Products) kept(p *engine.Planning) []*cart {
	c := s.waiting
	s.waiting = nil
	if c == nil || s.waits != p {
		return nil
	}
	return []*cart{c}
}

func (s *Products) evaluate(p *engine.Planning, r *engine.Record) ([]engine.ProductRow, error) {
	env := p.Env(r)
	var rows []engine.ProductRow
	for i, m := range s.rows {
		wants, err := m.eval(p, env, false)
		if err == nil && len(wants) == 0 {
			continue
		}
		var row engine.ProductRow
		if err == nil {
			values := map[string]any{}
			for _, w := range wants {
				values[w.field.Name] = w.value
			}
			row, err = engine.NewProductRow(values)
		}
		switch {
		case err == nil:
			rows = append(rows, row)
		case len(s.rows) > 1:
			return nil, fmt.Errorf("product row %d: %w", i+1, err)
		default:
			return nil, err
		}
	}
	return rows, nil
}

// fill plans the rows of items.
func (s *Products) fill(ctx context.Context, p *engine.Planning, carts []*cart) error {
	there, err := s.read(ctx, p, carts)
	if err != nil {
		return err
	}
	keys := make([]engine.Hash, len(carts))
	held := make([]*engine.Held, 0, len(carts))
	of := map[*cart]*engine.Held{}
	for i, c := range carts {
		keys[i] = engine.HashOf("products", p.ID(), s.products.TypeID, c.owner.ID, c.owner.Ref)
		item, found := there[c.owner.ID]
		if c.owner.ID != 0 && !found {
			continue
		}
		of[c] = p.HoldBeside(s.products, c.owner, item.Fields)
		held = append(held, of[c])
	}
	if err := p.Overlay(ctx, held); err != nil {
		return err
	}
	noted, err := p.Noted(ctx, keys)
	if err != nil {
		return err
	}
	for i, c := range carts {
		s.plan(p, c, of[c], keys[i], noted[keys[i]])
	}
	return nil
}

// read asks for the product rows of the items that there are.
func (s *Products) read(ctx context.Context, p *engine.Planning, carts []*cart) (map[int64]engine.Item, error) {
	var ids []int64
	for _, c := range carts {
		if c.owner.ID != 0 {
			ids = append(ids, c.owner.ID)
		}
	}
	return p.Reader.Get(ctx, s.products, ids, []string{engine.ProductRows})
}

// plan plans the rows of one item. Noted is the record by which an earlier chunk did.
func (s *Products) plan(p *engine.Planning, c *cart, h *engine.Held, key engine.Hash, noted []byte) {
	earlier := string(noted)
	rows, err := engine.ProductRowsOf(c.rows)
	switch {
	case c.fault != "":
	case earlier != "":
		c.fault = fmt.Sprintf("its item has product rows from %s too, more than %d records before; sort the rows by the item", earlier, chunkSize)
	case err != nil:
		c.fault = err.Error()
	}
	if c.fault != "" {
		if earlier != "" {
			p.Withdraw(p.ID(), earlier, c.fault)
		}
		for _, r := range c.records {
			p.Invalid(r, c.fault)
		}
	}
	if c.fault != "" || len(c.records) == 0 {
		return
	}
	p.Note(key, []byte(c.records[0].Source))
	for i, r := range c.records {
		switch {
		case h == nil:
			p.Conflict(r, fmt.Sprintf("%s %d is gone", c.owner.Entity.Name, c.owner.ID))
		case i > 0:
			p.Unchanged(r, h).Reason = "its rows go with " + c.records[0].Source
		default:
			fields := map[string]engine.FieldChange{}
			if c, differs := difference(h.Entity.FieldByName(engine.ProductRows), h.Now[engine.ProductRows], rows, true); differs {
				fields[engine.ProductRows] = c
			}
			p.Change(r, engine.KindUpdate, h, fields)
		}
	}
}
