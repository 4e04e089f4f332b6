package sandbox

import (
	"slices"
	"strconv"
	"strings"
)

// index finds the items of an entity by a key: the value of a field, or the
// phones and e-mails in their normal form.
type index struct {
	keys func(*item) []string
	ids  map[string][]int64 // not sorted
}

// replace moves an item from the keys of its old form to those of its new one;
// old is nil for a new item, it is nil for a deleted one.
func (ix *index) replace(old, it *item) {
	var was, is []string
	if old != nil {
		was = ix.keys(old)
	}
	if it != nil {
		is = ix.keys(it)
	}
	if slices.Equal(was, is) {
		return
	}
	for _, k := range was {
		list := ix.ids[k]
		if i := slices.Index(list, old.id); i >= 0 {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
		}
		if len(list) == 0 {
			delete(ix.ids, k)
			continue
		}
		ix.ids[k] = list
	}
	for _, k := range is {
		ix.ids[k] = append(ix.ids[k], it.id)
	}
}

// index returns the index of a name, building it at its first use. It may be
// called by methods that only read.
func (e *entity) index(name string, keys func(*item) []string) *index {
	e.indexMu.Lock()
	defer e.indexMu.Unlock()

	ix, ok := e.indexes[name]
	if !ok {
		ix = &index{keys: keys, ids: make(map[string][]int64, len(e.items))}
		for _, it := range e.items {
			ix.replace(nil, it)
		}
		e.indexes[name] = ix
	}
	return ix
}

// fieldIndex returns the index of a field's values.
func (e *entity) fieldIndex(f *field) *index {
	return e.index(f.upper, func(it *item) []string { return keysOf(it.get(f)) })
}

// keysOf returns the keys under which a stored value is found.
func keysOf(val any) []string {
	switch val := val.(type) {
	case string:
		if val == "" {
			return nil
		}
		return []string{foldKey(val)}
	case int64:
		return []string{strconv.FormatInt(val, 10)}
	case float64:
		return []string{strconv.FormatFloat(val, 'f', -1, 64)}
	case []int64:
		keys := make([]string, len(val))
		for i, n := range val {
			keys[i] = strconv.FormatInt(n, 10)
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	case []string:
		keys := make([]string, len(val))
		for i, s := range val {
			keys[i] = foldKey(s)
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	default:
		return nil
	}
}

// foldKey is a text as the database compares it: without regard to case and to
// spaces at its end (the collations of MySQL's utf8 character sets).
func foldKey(s string) string { return strings.ToLower(strings.TrimRight(s, " ")) }
