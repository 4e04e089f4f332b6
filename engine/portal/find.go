package portal

import (
	"context"
	"encoding/json"
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

// Find implements [engine.Reader]. Fifty keys share a call and fifty calls a
// request. The portal compares texts as its database does, in any case and
// with accents ignored; a found item counts only for the keys that it has
// exactly. A multiple field matches by any of its values.
func (c *Client) Find(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	if len(l.Match) == 0 {
		return nil, errors.New("a look-up needs a field to match")
	}
	for _, key := range l.Keys {
		if len(key) != len(l.Match) {
			return nil, fmt.Errorf("look-up in %s: a key of %d values for %d fields", l.Entity.Name, len(key), len(l.Match))
		}
	}
	if len(l.Keys) == 0 || c.knownEmpty(l.Entity) {
		return make([][]engine.Item, len(l.Keys)), nil
	}
	if i := slices.IndexFunc(l.Match, func(f *engine.Field) bool { return f.Type == engine.FieldMulti }); i >= 0 {
		return c.findByCommunication(ctx, l, i)
	}
	fields := slices.Clone(l.Select)
	for _, f := range l.Match {
		fields = append(fields, f.Name)
	}
	filters, err := lookupFilters(l)
	if err != nil {
		return nil, err
	}
	items, err := c.listAll(ctx, l.Entity, fields, filters)
	if err != nil {
		return nil, fmt.Errorf("looking up %d keys in %s: %w", len(l.Keys), l.Entity.Name, err)
	}
	return assign(l, items), nil
}

// lookupFilters covers the keys with filters, fifty keys in each. A field that
// has one value in all keys is compared once; if one field is left, its values
// make a list; otherwise each key is a group of its own.
func lookupFilters(l engine.Lookup) ([]map[string]any, error) {
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
		return []map[string]any{filter}, err
	}
	var filters []map[string]any
	for part := range slices.Chunk(distinctKeys(l, differing), pageSize) {
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
		filters = append(filters, filter)
	}
	return filters, nil
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

// assign gives each key the items that have it.
func assign(l engine.Lookup, items []engine.Item) [][]engine.Item {
	byKey := map[string][]int{}
	for i, key := range l.Keys {
		texts := make([]string, 0, len(key))
		for m, f := range l.Match {
			texts = append(texts, keyText(f, key[m]))
		}
		joined := strings.Join(texts, "\x00")
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

// listAll reads all items that meet one of the filters, by ascending id. A full
// page may hide more: it is always continued, together with all others.
func (c *Client) listAll(ctx context.Context, e *engine.Entity, fields []string, filters []map[string]any) ([]engine.Item, error) {
	byID := map[int64]engine.Item{}
	calls := make([]call, 0, len(filters))
	for _, filter := range filters {
		calls = append(calls, listCall(e, fields, filter, nil))
	}
	for len(calls) > 0 {
		replies, err := c.ask(ctx, calls, askOptions{})
		if err != nil {
			return nil, err
		}
		var nextFilters []map[string]any
		var next []call
		for i, r := range replies {
			page, err := pageOf(e, r)
			if err != nil {
				return nil, err
			}
			for _, item := range page {
				byID[item.ID] = item
			}
			if len(page) >= pageSize {
				nextFilters = append(nextFilters, filters[i])
				next = append(next, listCall(e, fields, filters[i], page[len(page)-1].ID))
			}
		}
		calls, filters = next, nextFilters
	}
	return sortedItems(byID), nil
}

func sortedItems(byID map[int64]engine.Item) []engine.Item {
	items := make([]engine.Item, 0, len(byID))
	for _, item := range byID {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b engine.Item) int { return int(max(-1, min(1, a.ID-b.ID))) })
	return items
}

// pageOf reads the answer of crm.item.list, whose ids must ascend: pages are
// continued by them.
func pageOf(e *engine.Entity, r reply) ([]engine.Item, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	var answer struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(r.Result.Value, &answer); err != nil {
		return nil, &Error{Method: methodList, Verdict: Unknown, Message: "the answer is not a list of items"}
	}
	items := make([]engine.Item, 0, len(answer.Items))
	last := int64(0)
	for _, raw := range answer.Items {
		item, ok := decodeItem(e, raw, false)
		if !ok || item.ID <= last {
			return nil, &Error{Method: methodList, Verdict: Unknown, Message: "the answer's items are not in the order of their ids"}
		}
		last = item.ID
		items = append(items, item)
	}
	return items, nil
}

// Get implements [engine.Reader].
func (c *Client) Get(ctx context.Context, e *engine.Entity, ids []int64, fields []string) (map[int64]engine.Item, error) {
	wanted := slices.Clone(ids)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	var filters []map[string]any
	for part := range slices.Chunk(wanted, pageSize) {
		values := make([]any, 0, len(part))
		for _, id := range part {
			values = append(values, id)
		}
		filters = append(filters, map[string]any{"@id": values})
	}
	byID := make(map[int64]engine.Item, len(wanted))
	calls := make([]call, 0, len(filters))
	for _, filter := range filters {
		calls = append(calls, listCall(e, fields, filter, nil))
	}
	if len(calls) == 0 {
		return byID, nil
	}
	replies, err := c.ask(ctx, calls, askOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %d items of %s: %w", len(wanted), e.Name, err)
	}
	for _, r := range replies {
		page, err := pageOf(e, r)
		if err != nil {
			return nil, fmt.Errorf("reading %d items of %s: %w", len(wanted), e.Name, err)
		}
		for _, item := range page {
			byID[item.ID] = item
		}
	}
	return byID, nil
}

// knownEmpty says whether the portal certainly holds no item of an entity: it
// was seen empty a moment ago and nothing was written since, here. The moment
// is short, since a request of a process that died may still be running, and a
// look-up past its fence (1.25 times the longest request) must see what it made.
func (c *Client) knownEmpty(e *engine.Entity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.empty[e.TypeID]
	return ok && e.Empty && time.Since(seen) < c.governor.limits.Request/4
}

// forgetEmpty notes that entities are about to get items.
func (c *Client) forgetEmpty(commands []engine.Command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, command := range commands {
		if command.Entity != nil {
			delete(c.empty, command.Entity.TypeID)
		}
	}
}
