package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// pageSize is what every list of the portal returns at most.
const pageSize = 50

// Find implements [engine.Reader].
func (c *Client) Find(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	found, err := c.FindAll(ctx, []engine.Lookup{l})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// FindAll implements [engine.Reader]. Fifty keys share a call and fifty calls a
// request. The portal compares texts as its database does, in any case and
// with accents ignored; a found item counts only for the keys that it has
// exactly. A multiple field matches by any of its values.
func (c *Client) FindAll(ctx context.Context, lookups []engine.Lookup) ([][][]engine.Item, error) {
	found := make([][][]engine.Item, len(lookups))
	var lists []listing
	from := make([]int, len(lookups)+1) // where each look-up's lists begin
	for n, l := range lookups {
		from[n] = len(lists)
		if err := checkLookup(l); err != nil {
			return nil, err
		}
		if l.Entity.Beside() && len(l.IDs)+len(l.Keys) > 0 {
			var err error
			if found[n], err = c.findBeside(ctx, l); err != nil {
				return nil, err
			}
			continue
		}
		if len(l.IDs) > 0 {
			lists = append(lists, idLists(l.Entity, l.IDs, l.Select)...)
			continue
		}
		if len(l.Keys) == 0 {
			found[n] = [][]engine.Item{}
			continue
		}
		if i := slices.IndexFunc(l.Match, func(f *engine.Field) bool { return f.Type == engine.FieldMulti }); i >= 0 {
			var err error
			if found[n], err = c.findByCommunication(ctx, l, i); err != nil {
				return nil, err
			}
			continue
		}
		if t, err := c.wholeTable(ctx, l); err != nil {
			return nil, fmt.Errorf("reading %s: %w", l.Entity.Name, err)
		} else if t != nil {
			found[n] = t.find(l)
			continue
		}
		more, err := lookupLists(l)
		if err != nil {
			return nil, err
		}
		lists = append(lists, more...)
	}
	from[len(lookups)] = len(lists)
	items, err := c.listAll(ctx, lists)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", described(lookups), err)
	}
	for n, l := range lookups {
		switch answers := items[from[n]:from[n+1]]; {
		case found[n] != nil:
		case len(l.IDs) > 0:
			found[n] = assignIDs(l.IDs, answers)
		default:
			found[n] = assign(l, sorted(answers))
		}
	}
	return found, nil
}

// assignIDs gives each id its item, if there is one.
func assignIDs(ids []int64, lists [][]engine.Item) [][]engine.Item {
	byID := map[int64]engine.Item{}
	for _, items := range lists {
		for _, item := range items {
			byID[item.ID] = item
		}
	}
	out := make([][]engine.Item, len(ids))
	for i, id := range ids {
		if item, ok := byID[id]; ok {
			out[i] = []engine.Item{item}
		}
	}
	return out
}

func checkLookup(l engine.Lookup) error {
	if (len(l.Match) == 0) == (len(l.IDs) == 0) {
		return errors.New("a look-up needs fields to match, or ids")
	}
	for _, key := range l.Keys {
		if len(key) != len(l.Match) {
			return fmt.Errorf("look-up in %s: a key of %d values for %d fields", l.Entity.Name, len(key), len(l.Match))
		}
	}
	return nil
}

// described names look-ups in an error.
func described(lookups []engine.Lookup) string {
	parts := make([]string, 0, len(lookups))
	for _, l := range lookups {
		if len(l.IDs) > 0 {
			parts = append(parts, fmt.Sprintf("%d items of %s", len(l.IDs), l.Entity.Name))
		} else {
			parts = append(parts, fmt.Sprintf("%d keys in %s", len(l.Keys), l.Entity.Name))
		}
	}
	return strings.Join(parts, ", ")
}

// lookupLists covers the keys of a look-up with lists, fifty keys in each. A
// field that has one value in all keys is compared once; if one field is left,
// its values make a list; otherwise each key is a group of its own.
//
// A full page may hide more. Where most keys will be found, one key less in each
// list saves asking again for what is there only if a key has two items.
func lookupLists(l engine.Lookup) ([]listing, error) {
	names := slices.Clone(l.Select)
	for _, f := range l.Match {
		names = append(names, f.Name)
	}
	var same []engine.Condition
	var differing []int
	for i, f := range l.Match {
		first := keyText(f, l.Keys[0][i])
		if slices.ContainsFunc(l.Keys, func(key []any) bool { return keyText(f, key[i]) != first }) {
			differing = append(differing, i)
		} else {
			same = append(same, engine.Condition{Op: "=", Field: f, Value: l.Keys[0][i]})
		}
	}
	if len(differing) == 0 {
		filter, err := filterOf(same)
		return []listing{{entity: l.Entity, fields: names, filter: filter}}, err
	}
	size := pageSize
	if l.Expected {
		size--
	}
	var lists []listing
	for part := range slices.Chunk(distinctKeys(l, differing), size) {
		var filter map[string]any
		var err error
		if len(differing) == 1 && listable(l.Match[differing[0]]) {
			values := make([]any, 0, len(part))
			for _, key := range part {
				values = append(values, key[differing[0]])
			}
			filter, err = filterOf(append(slices.Clone(same), engine.Condition{Op: "@", Field: l.Match[differing[0]], Value: values}))
		} else {
			filter, err = groupFilter(l, same, differing, part)
		}
		if err != nil {
			return nil, err
		}
		lists = append(lists, listing{entity: l.Entity, fields: names, filter: filter})
	}
	return lists, nil
}

// listable says whether the portal takes a list of values for a field of this
// kind without altering them.
func listable(f *engine.Field) bool {
	switch f.Type {
	case engine.FieldDate, engine.FieldDateTime, engine.FieldBoolean, engine.FieldMoney, engine.FieldAddress, engine.FieldFile:
		return false
	default:
		return true
	}
}

// groupFilter is met by the items that have all of one key.
func groupFilter(l engine.Lookup, same []engine.Condition, differing []int, keys [][]any) (map[string]any, error) {
	filter, err := filterOf(same)
	if err != nil {
		return nil, err
	}
	group := map[string]any{"logic": "OR"}
	for n, key := range keys {
		var conditions []engine.Condition
		for _, i := range differing {
			conditions = append(conditions, engine.Condition{Op: "=", Field: l.Match[i], Value: key[i]})
		}
		one, err := filterOf(conditions)
		if err != nil {
			return nil, err
		}
		group[strconv.Itoa(n)] = one
	}
	filter["0"] = group
	return filter, nil
}

// distinctKeys are the keys that differ in these fields.
func distinctKeys(l engine.Lookup, fields []int) [][]any {
	seen := map[string]bool{}
	var keys [][]any
	for _, key := range l.Keys {
		var b strings.Builder
		for _, i := range fields {
			b.WriteString(keyText(l.Match[i], key[i]))
			b.WriteByte(0)
		}
		if !seen[b.String()] {
			seen[b.String()] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// keyText is equal for equal canonical values, whatever their Go type became in
// storage.
//
// A moment is compared by its instant, however it is written, and texts in any
// case, as the portal's database does: an item that differs by case only would
// else be made a second time.
func keyText(f *engine.Field, value any) string {
	text := fmt.Sprint(canonical(f, value))
	if f.Type == engine.FieldDateTime {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return strings.ToLower(strings.TrimSpace(text))
}

// joinedKey is the one text of a look-up's key, as [itemKeys] has it.
func joinedKey(match []*engine.Field, key []any) string {
	texts := make([]string, 0, len(key))
	for m, f := range match {
		texts = append(texts, keyText(f, key[m]))
	}
	return strings.Join(texts, "\x00")
}

// assign gives each key the items that have it.
func assign(l engine.Lookup, items []engine.Item) [][]engine.Item {
	byKey := map[string][]int{}
	for i, key := range l.Keys {
		joined := joinedKey(l.Match, key)
		byKey[joined] = append(byKey[joined], i)
	}
	out := make([][]engine.Item, len(l.Keys))
	for _, item := range items {
		hit := map[int]bool{}
		for _, joined := range itemKeys(l.Match, item) {
			for _, i := range byKey[joined] {
				if !hit[i] {
					hit[i] = true
					out[i] = append(out[i], item)
				}
			}
		}
	}
	return out
}

// itemKeys are all keys that an item has: several where fields are multiple.
func itemKeys(match []*engine.Field, item engine.Item) []string {
	keys := []string{""}
	for m, f := range match {
		values, several := item.Fields[f.Name].([]any)
		if !several {
			values = []any{item.Fields[f.Name]}
		}
		if f.Name == "id" {
			values = []any{item.ID}
		}
		var next []string
		for _, key := range keys {
			for _, v := range values {
				if v == nil {
					continue
				}
				text := keyText(f, v)
				if m > 0 {
					text = key + "\x00" + text
				}
				next = append(next, text)
			}
		}
		keys = next
	}
	return keys
}

// listing asks for the items of an entity that meet a filter.
type listing struct {
	entity *engine.Entity
	fields []string
	filter map[string]any
	whole  bool // one page can hold them all
}

// listAll reads all items of each list, by ascending id. A full page may hide
// more: it is always continued, together with all others.
func (c *Client) listAll(ctx context.Context, lists []listing) ([][]engine.Item, error) {
	items := make([][]engine.Item, len(lists))
	open := make([]int, len(lists))
	for n := range lists {
		open[n] = n
	}
	for len(open) > 0 {
		calls := make([]call, 0, len(open))
		for _, n := range open {
			var after any
			if page := items[n]; len(page) > 0 {
				after = page[len(page)-1].ID
			}
			calls = append(calls, listCall(lists[n].entity, lists[n].fields, lists[n].filter, after))
		}
		replies, err := c.ask(ctx, calls, askOptions{})
		if err != nil {
			return nil, err
		}
		var next []int
		for i, n := range open {
			page, err := pageOf(lists[n].entity, replies[i])
			if err != nil {
				return nil, err
			}
			if before := items[n]; len(before) > 0 && len(page) > 0 && page[0].ID <= before[len(before)-1].ID {
				return nil, outOfOrder()
			}
			items[n] = append(items[n], page...)
			if len(page) >= pageSize && !lists[n].whole {
				next = append(next, n)
			}
		}
		open = next
	}
	return items, nil
}

// sorted joins lists whose items may be in several of them.
func sorted(lists [][]engine.Item) []engine.Item {
	items := slices.Concat(lists...)
	slices.SortFunc(items, func(a, b engine.Item) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(items, func(a, b engine.Item) bool { return a.ID == b.ID })
}

// pageOf reads the answer of crm.item.list, whose ids must ascend: pages are
// continued by them.
func pageOf(e *engine.Entity, r reply) ([]engine.Item, error) {
	items, err := decodeItems(e, r)
	if err != nil {
		return nil, err
	}
	last := int64(0)
	for _, item := range items {
		if item.ID <= last {
			return nil, outOfOrder()
		}
		last = item.ID
	}
	return items, nil
}

func outOfOrder() *Error {
	return &Error{Method: methodList, Verdict: Unknown, Message: "the answer's items are not in the order of their ids"}
}

// Get implements [engine.Reader].
func (c *Client) Get(ctx context.Context, e *engine.Entity, ids []int64, fields []string) (map[int64]engine.Item, error) {
	byID := make(map[int64]engine.Item, len(ids))
	if len(ids) == 0 {
		return byID, nil
	}
	found, err := c.FindAll(ctx, []engine.Lookup{{Entity: e, IDs: ids, Select: fields}})
	if err != nil {
		return nil, err
	}
	for _, items := range found[0] {
		for _, item := range items {
			byID[item.ID] = item
		}
	}
	return byID, nil
}

// idLists asks for items by their ids, fifty in each list.
func idLists(e *engine.Entity, ids []int64, fields []string) []listing {
	wanted := slices.Clone(ids)
	slices.Sort(wanted)
	var lists []listing
	for part := range slices.Chunk(slices.Compact(wanted), pageSize) {
		values := make([]any, 0, len(part))
		for _, id := range part {
			values = append(values, id)
		}
		lists = append(lists, listing{entity: e, fields: fields, filter: map[string]any{"@id": values}, whole: true})
	}
	return lists
}
