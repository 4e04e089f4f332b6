package steps

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bxflow/bxflow/engine"
)

// maxDuplicates is how many different rows of one key are taken together.
const maxDuplicates = 1000

// Scouts implements [engine.Scout]: where the last of several rows wins, or
// where they are merged, the first must know of them.
func (s *Import) Scouts() bool { return s.Duplicates == "last" || s.Duplicates == "merge" }

// checkDuplicates reports fields, and a condition, that can't be known before the
// rows above are planned.
func (s *Import) checkDuplicates(p *engine.Prepare) {
	if !s.Scouts() {
		return
	}
	check := func(pos engine.Pos, what string, e engine.Expr) {
		for _, u := range e.Uses() {
			switch u.Name {
			case "row", "params", "env", "now", "last_run", "vars", "maps":
			default:
				p.Problem(pos, "map it from the row, or use duplicates: fail or first",
					"duplicates: %s: %s depends on %s", s.Duplicates, what, u.Name)
			}
		}
	}
	for _, fv := range s.Fields {
		check(fv.Value.Pos, "field "+fv.Field.Text, fv.Value)
	}
	if when := p.When(); when != nil {
		check(when.Pos, "when", when)
	}
}

// Scout implements [engine.Scout]: it keeps the rows of each key.
func (s *Import) Scout(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	keys := make([]engine.Hash, 0, len(chunk))
	records := make([]*engine.Record, 0, len(chunk))
	for _, r := range chunk {
		wants, err := s.fields.eval(p, p.Env(r), s.Blank == "clear")
		if err != nil {
			continue // planning will say so
		}
		if list, key, ok := s.firstKey(wants); ok {
			keys = append(keys, p.ClaimKey("rows", list, s.folded(list, key)))
			records = append(records, r)
		}
	}
	noted, err := p.Noted(ctx, keys)
	if err != nil {
		return err
	}
	for i, k := range keys {
		rows, err := rowsOf(noted[k])
		if err != nil {
			return err
		}
		if len(rows) == maxDuplicates {
			return fmt.Errorf("%s: more than %d rows of one key", records[i].Source, maxDuplicates)
		}
		text, err := json.Marshal(append(rows, records[i].Row))
		if err != nil {
			return err
		}
		noted[k] = text
		p.Note(k, text)
	}
	return nil
}

func rowsOf(text []byte) ([]map[string]any, error) {
	if text == nil {
		return nil, nil
	}
	var rows []map[string]any
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("index of the plan: %w", err)
	}
	return rows, nil
}

// combine gives the entries that own their key what all rows of the key ask
// for together.
func (s *Import) combine(ctx context.Context, p *engine.Planning, entries []*entry) error {
	if !s.Scouts() {
		return nil
	}
	keys := make([]engine.Hash, len(entries))
	for i, e := range entries {
		list, key, _ := s.firstKey(e.wants)
		keys[i] = p.ClaimKey("rows", list, s.folded(list, key))
	}
	noted, err := p.Noted(ctx, keys)
	if err != nil {
		return err
	}
	for i, e := range entries {
		rows, err := rowsOf(noted[keys[i]])
		if err != nil {
			return err
		}
		if rows == nil { // what is read from has it only since: it stands for itself
			continue
		}
		if e.wants, err = s.together(p, rows); err != nil {
			return err
		}
	}
	return nil
}

// together evaluates the rows of one key: the last of them wins, or later ones
// add what earlier ones leave empty.
func (s *Import) together(p *engine.Planning, rows []map[string]any) ([]want, error) {
	if s.Duplicates == "last" {
		rows = rows[len(rows)-1:]
	}
	var all []want
	for _, row := range rows {
		wants, err := s.fields.eval(p, p.RowEnv(row), s.Blank == "clear")
		if err != nil {
			return nil, err
		}
		for _, w := range wants {
			all = addWant(all, w)
		}
	}
	return all, nil
}

// addWant adds what a later row asks of a field: values of multifields, and
// others where nothing was asked before.
func addWant(all []want, w want) []want {
	for i, known := range all {
		if known.field != w.field {
			continue
		}
		had, multi := known.value.([]engine.MultiValue)
		more, _ := w.value.([]engine.MultiValue)
		switch {
		case multi:
			for _, row := range more {
				if !holds(w.field, had, row) {
					had = append(had, row)
				}
			}
			all[i].value = had
		case known.value == nil:
			all[i].value = w.value
		}
		return all
	}
	return append(all, w)
}
