package journal

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
)

// draft implements [engine.Draft].
type draft struct {
	changes

	mu   sync.Mutex
	id   string
	last int64 // Seq of the last change
	done bool  // sealed or discarded
}

var (
	errDone    = errors.New("the plan is sealed or discarded")
	errDoubled = errors.New("another change makes it already")
)

// NewDraft begins a plan. It is this process's alone, and is not to be seen
// until it is sealed; Seal gives the header its ID, and its Format if it has
// none. Its methods may be called by several goroutines.
func (j *Journal) NewDraft(ctx context.Context) (engine.Draft, error) {
	return j.newDraft(ctx)
}

func (j *Journal) newDraft(ctx context.Context) (*draft, error) {
	now := time.Now()
	d := &draft{id: newID(now), changes: changes{j: j, n: -1}}
	err := j.write(ctx, false, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO plans (id, state, created, host, pid, boot, birth)
			VALUES (?, 'draft', ?, ?, ?, ?, ?)`,
			d.id, now.UnixMilli(), j.owner.Host, j.owner.PID, j.owner.Boot, j.owner.Birth)
		if err != nil {
			return err
		}
		d.plan, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// write runs f in a transaction, unless the draft is no more.
func (d *draft) write(ctx context.Context, durable bool, f func(*sql.Tx) error) error {
	if d.done {
		return fmt.Errorf("draft of plan %s: %w", d.id, errDone)
	}
	return d.j.write(ctx, durable, f)
}

// Append implements [engine.Draft].
func (d *draft) Append(ctx context.Context, cs []*engine.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.write(ctx, false, func(tx *sql.Tx) error {
		many, err := tx.PrepareContext(ctx, insertRows(rowsAtOnce))
		if err != nil {
			return err
		}
		defer many.Close()
		one, err := tx.PrepareContext(ctx, insertRows(1))
		if err != nil {
			return err
		}
		defer one.Close()
		for i, c := range cs {
			c.Seq, c.State = d.last+int64(i)+1, initial(c.Kind)
		}
		for some := range slices.Chunk(cs, rowsAtOnce) {
			if len(some) == rowsAtOnce {
				err := d.insert(ctx, many, some)
				if err == nil {
					continue
				}
				if !isUnique(err) {
					return err
				}
			}
			for i, c := range some {
				if err := d.insert(ctx, one, some[i:i+1]); err != nil {
					return doubled(c, err)
				}
			}
		}
		return nil
	})
	if err == nil {
		d.last += int64(len(cs))
	}
	return err
}

// rowsAtOnce is how many rows one statement inserts: most of the cost of a
// statement is its own.
const rowsAtOnce = 25

func (d *draft) insert(ctx context.Context, insert *sql.Stmt, cs []*engine.Change) error {
	var args []any
	for _, c := range cs {
		r, err := rowOf(c)
		if err != nil {
			return err
		}
		args = append(append(append(args, d.plan), r.planValues()...), r.stateValues()...)
	}
	_, err := insert.ExecContext(ctx, args...)
	return err
}

// doubled explains the one rule that a change may break: no two make one item.
func doubled(c *engine.Change, err error) error {
	if isUnique(err) {
		return changeError(c, fmt.Errorf("%q: %w", c.Ref, errDoubled))
	}
	return err
}

// Put implements [engine.Draft].
func (d *draft) Put(ctx context.Context, entries map[engine.Hash][]byte) error {
	texts := make(map[string]string, len(entries))
	for hash, value := range entries {
		texts[hex.EncodeToString(hash[:])] = hex.EncodeToString(value)
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(ctx, false, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO draft_index (plan, hash, value)
			SELECT ?, unhex(k.key), unhex(k.value) FROM json_each(?) AS k WHERE true
			ON CONFLICT DO UPDATE SET value = excluded.value`, d.plan, string(list))
		return err
	})
}

// Get implements [engine.Draft].
func (d *draft) Get(ctx context.Context, keys []engine.Hash) (map[engine.Hash][]byte, error) {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = hex.EncodeToString(k[:])
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	rows, err := d.j.db.QueryContext(ctx, `SELECT i.hash, i.value FROM json_each(?) AS k
		CROSS JOIN draft_index AS i ON i.plan = ? AND i.hash = unhex(k.value)`, string(list), d.plan)
	if err != nil {
		return nil, fault(d.j.path, err)
	}
	defer rows.Close()
	found := make(map[engine.Hash][]byte, len(keys))
	for rows.Next() {
		var hash, value []byte
		if err := rows.Scan(&hash, &value); err != nil {
			return nil, fault(d.j.path, err)
		}
		if len(hash) != len(engine.Hash{}) {
			return nil, &DamagedError{Path: d.j.path, Fault: "the index of a draft has a key of another length"}
		}
		if value == nil {
			value = []byte{} // as the driver has an empty one
		}
		found[engine.Hash(hash)] = value
	}
	return found, fault(d.j.path, rows.Err())
}

// ByItem implements [engine.Draft]. A planned item's changes include the one
// that makes it.
func (d *draft) ByItem(ctx context.Context, items []engine.ItemKey) ([]*engine.Change, error) {
	type key struct {
		Type int    `json:"t"`
		ID   int64  `json:"i"`
		Ref  string `json:"r"`
	}
	list := make([]key, len(items))
	for i, it := range items {
		list[i] = key{Type: it.TypeID, ID: it.ID, Ref: it.Ref}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var cs []*engine.Change
	for after := int64(0); ; after = cs[len(cs)-1].Seq {
		page, err := d.j.query(ctx, byItem, string(text), d.plan, after, pageRows)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return cs, nil
		}
		cs = append(cs, page...)
	}
}

// byItem has one branch for each index that knows an item's changes.
const byItem = `WITH wanted AS MATERIALIZED (
		SELECT value ->> 't' AS type_id, value ->> 'i' AS item_id, value ->> 'r' AS ref FROM json_each(?1)
	), found AS (
		SELECT c.seq FROM wanted AS w CROSS JOIN changes AS c ON c.plan = ?2 AND c.type_id = w.type_id
			AND c.item_id = w.item_id AND c.alters = 1 AND c.item_id > 0
		UNION SELECT c.seq FROM wanted AS w CROSS JOIN changes AS c ON c.plan = ?2 AND c.ref = w.ref
			AND c.alters = 1 AND c.item_id = 0 WHERE w.item_id = 0
		UNION SELECT c.seq FROM wanted AS w CROSS JOIN changes AS c ON c.plan = ?2 AND c.ref = w.ref
			AND c.kind = 'create' AND c.ref <> '' WHERE w.item_id = 0
	) ` + selectRow + `WHERE plan = ?2 AND seq IN (SELECT seq FROM found) AND seq > ?3 ORDER BY seq LIMIT ?4`

// Rewrite implements [engine.Draft]. revise may use the draft, but not append
// to it.
func (d *draft) Rewrite(ctx context.Context, revise func(*engine.Change) bool) error {
	for f := (engine.Filter{}); ; {
		page, err := d.page(ctx, f, 0)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		f.After = page[len(page)-1].Seq
		revised := slices.DeleteFunc(page, func(c *engine.Change) bool { return !revise(c) })
		if len(revised) == 0 {
			continue
		}
		if err := d.store(ctx, revised); err != nil {
			return err
		}
	}
}

// store writes changes over those with the same Seq.
func (d *draft) store(ctx context.Context, cs []*engine.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(ctx, false, func(tx *sql.Tx) error {
		update, err := tx.PrepareContext(ctx, reviseRow)
		if err != nil {
			return err
		}
		defer update.Close()
		for _, c := range cs {
			c.State = initial(c.Kind)
			r, err := rowOf(c)
			if err != nil {
				return err
			}
			args := append(append(r.planValues(), r.stateValues()...), d.plan, c.Seq)
			if _, err := update.ExecContext(ctx, args...); err != nil {
				return doubled(c, err)
			}
		}
		return nil
	})
}

// Repeats implements [engine.Draft].
func (d *draft) Repeats(ctx context.Context, portal string, since time.Time) (time.Time, error) {
	return d.j.repeats(ctx, d.plan, portal, since)
}

// Seal implements [engine.Draft].
func (d *draft) Seal(ctx context.Context, h *engine.Header) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.ID = d.id
	if h.Format == 0 {
		h.Format = engine.PlanFormat
	}
	return d.seal(ctx, h, "")
}

// seal completes the plan under the header's id. file is the seal of the file
// that it came from, if it did.
func (d *draft) seal(ctx context.Context, h *engine.Header, file string) error {
	header, err := appendJSON(nil, h)
	if err != nil {
		return fmt.Errorf("header of plan %s: %w", h.ID, err)
	}
	crash.At(crash.PlanSealing)
	err = d.write(ctx, true, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM draft_index WHERE plan = ?", d.plan); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE plans SET state = 'sealed', id = ?, created = ?, changes = ?,
			header = ?, header_crc = ?, seal = ? WHERE plan = ?`,
			h.ID, h.Created.UnixMilli(), d.last, string(header), checksum([]any{string(header), d.last}), file, d.plan)
		return err
	})
	if err == nil {
		d.done = true
		crash.At(crash.PlanSealed)
	}
	return err
}

// Discard implements [engine.Draft]. It leaves a sealed plan as it is.
func (d *draft) Discard(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return nil
	}
	err := d.write(ctx, false, func(tx *sql.Tx) error { return deletePlan(ctx, tx, d.plan) })
	if err == nil {
		d.done = true
	}
	return err
}

// forgetDrafts removes the drafts of processes that died. Alone with the
// journal, all of them have.
func (j *Journal) forgetDrafts(ctx context.Context, alone bool) error {
	type left struct {
		plan  int64
		owner Owner
	}
	var drafts []left
	rows, err := j.db.QueryContext(ctx, "SELECT plan, host, pid, boot, birth FROM plans WHERE state = 'draft'")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d left
		if err := rows.Scan(&d.plan, &d.owner.Host, &d.owner.PID, &d.owner.Boot, &d.owner.Birth); err != nil {
			return err
		}
		if alone || d.owner.Gone() {
			drafts = append(drafts, d)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { // the one connection is needed now
		return err
	}
	for _, d := range drafts {
		if err := j.write(ctx, false, func(tx *sql.Tx) error { return deletePlan(ctx, tx, d.plan) }); err != nil {
			return err
		}
	}
	return nil
}

// deletePlan removes a plan that is still a draft.
func deletePlan(ctx context.Context, tx *sql.Tx, plan int64) error {
	for _, statement := range []string{
		"DELETE FROM draft_index WHERE plan = ?",
		"DELETE FROM changes WHERE plan = ?",
		"DELETE FROM plans WHERE plan = ? AND state = 'draft'",
	} {
		if _, err := tx.ExecContext(ctx, statement, plan); err != nil {
			return err
		}
	}
	return nil
}
