package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
)

// row is one record of a table whose shape only its methods know. Its values
// are nil, bool, int64, float64, string, []any or map[string]any.
type row = map[string]any

// table is a set of records with ids, everything of a portal but the items:
// statuses, people, addresses and so on. A record is never changed in place:
// put a changed copy.
type table[T any] struct {
	name string
	rows map[int64]*T
	ids  []int64 // ascending
	last int64   // the highest id ever given out
	log  *journal
	told func(id int64, rec *T) // called of every record put, also while a data file is read
}

func newTable[T any](s *store, name string, told func(int64, *T)) *table[T] {
	t := &table[T]{name: name, rows: map[int64]*T{}, log: s.log, told: told}
	s.tables[name] = t
	return t
}

// get returns the record of an id.
func (t *table[T]) get(id int64) (*T, bool) {
	rec, ok := t.rows[id]
	return rec, ok
}

// all returns the records in the order of their ids.
func (t *table[T]) all() []*T {
	list := make([]*T, len(t.ids))
	for i, id := range t.ids {
		list[i] = t.rows[id]
	}
	return list
}

// nextID gives out an id that no record has had.
func (t *table[T]) nextID() int64 {
	t.last++
	return t.last
}

// put stores a record under an id, replacing what is there.
func (t *table[T]) put(id int64, rec *T) {
	t.keep(id, rec)
	t.log.row(t.name, id, rec)
}

// add stores a record under a new id, which it returns.
func (t *table[T]) add(rec *T) int64 {
	id := t.nextID()
	t.put(id, rec)
	return id
}

// remove deletes a record and reports whether it was there.
func (t *table[T]) remove(id int64) bool {
	if _, ok := t.rows[id]; !ok {
		return false
	}
	t.drop(id)
	t.log.row(t.name, id, nil)
	return true
}

func (t *table[T]) keep(id int64, rec *T) {
	if _, ok := t.rows[id]; !ok {
		i, _ := slices.BinarySearch(t.ids, id)
		t.ids = slices.Insert(t.ids, i, id)
	}
	t.rows[id] = rec
	t.last = max(t.last, id)
	if t.told != nil {
		t.told(id, rec)
	}
}

func (t *table[T]) drop(id int64) {
	delete(t.rows, id)
	if i, ok := slices.BinarySearch(t.ids, id); ok {
		t.ids = slices.Delete(t.ids, i, i+1)
	}
}

// load puts back what a data file holds: the record, or its deletion.
func (t *table[T]) load(id int64, raw []byte) error {
	if string(raw) == "null" {
		t.drop(id)
		t.last = max(t.last, id)
		return nil
	}
	rec := new(T)
	if err := json.Unmarshal(raw, rec); err != nil {
		return fmt.Errorf("table %s: record %d: %w", t.name, id, err)
	}
	if r, ok := any(rec).(*row); ok {
		for k, v := range *r {
			(*r)[k] = plain(v)
		}
	}
	t.keep(id, rec)
	return nil
}

func (t *table[T]) save(log *journal) {
	for _, id := range t.ids {
		log.row(t.name, id, t.rows[id])
	}
	if n := len(t.ids); n == 0 || t.ids[n-1] < t.last {
		log.row(t.name, t.last, nil)
	}
}

func (t *table[T]) size() int { return len(t.ids) + 1 }

// plain turns the floats that JSON made of integers back into integers.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	default:
		return v
	}
}
