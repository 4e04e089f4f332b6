package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

const (
	methodFindByComm = "crm.duplicate.findbycomm"
	// maxCommunications is how many values it looks at; it ignores the rest.
	maxCommunications = 20
)

// findByCommunication looks keys up whose m-th value is a phone number or an
// e-mail address, in the portal's duplicate index, which knows other ways to
// write them. What it names is then read, and judged by the other fields of the key.
// The index names at most twenty items for a value (crm.duplicate.findbycomm).
func (c *Client) findByCommunication(ctx context.Context, l engine.Lookup, m int) ([][]engine.Item, error) {
	field := l.Match[m]
	owner, err := ownerOf(l.Entity, field)
	if err != nil {
		return nil, err
	}
	rest := l
	rest.Match = slices.Delete(slices.Clone(l.Match), m, m+1)
	if slices.ContainsFunc(rest.Match, func(f *engine.Field) bool { return f.Type == engine.FieldMulti }) {
		return nil, fmt.Errorf("look-up in %s: only one phone or email field can be matched at a time", l.Entity.Name)
	}
	idsOf, err := c.communicationIDs(ctx, l, m, owner)
	if err != nil {
		return nil, fmt.Errorf("looking up %d keys in %s: %w", len(l.Keys), l.Entity.Name, err)
	}
	var ids []int64
	for _, found := range idsOf {
		ids = append(ids, found...)
	}
	fields := append(slices.Clone(l.Select), field.Name)
	for _, f := range rest.Match {
		fields = append(fields, f.Name)
	}
	items, err := c.Get(ctx, l.Entity, ids, fields)
	if err != nil {
		return nil, err
	}
	out := make([][]engine.Item, len(l.Keys))
	for i, key := range l.Keys {
		var found []engine.Item
		for _, id := range idsOf[multiText(key[m])] {
			if item, ok := items[id]; ok {
				found = append(found, item)
			}
		}
		rest.Keys = [][]any{slices.Delete(slices.Clone(key), m, m+1)}
		if len(rest.Match) > 0 {
			found = assign(rest, found)[0]
		}
		out[i] = found
	}
	return out, nil
}

// ownerOf is the portal's word for an entity that has an index of this kind.
func ownerOf(e *engine.Entity, f *engine.Field) (string, error) {
	if f.Name != "phone" && f.Name != "email" {
		return "", fmt.Errorf("look-up in %s: %s can't be matched; match phone, email or another field", e.Name, f.Name)
	}
	switch e.TypeID {
	case engine.TypeLead:
		return "LEAD", nil
	case engine.TypeContact:
		return "CONTACT", nil
	case engine.TypeCompany:
		return "COMPANY", nil
	}
	return "", fmt.Errorf("look-up in %s: it has no %s to be matched", e.Name, f.Name)
}

// communicationIDs asks the duplicate index for each different value. Values that
// nobody has are told by twenties: an empty answer goes for all of a call. Those
// of the other calls are asked for one by one, since an answer does not say which
// value matched. Where one request carries them all anyway, or most will be
// found, they are asked for one by one at once.
func (c *Client) communicationIDs(ctx context.Context, l engine.Lookup, m int, owner string) (map[string][]int64, error) {
	var values []string
	for _, key := range l.Keys {
		values = append(values, multiText(key[m]))
	}
	values = distinct(values)
	if len(values) > maxBatch && !l.Expected {
		several := slices.Collect(slices.Chunk(values, maxCommunications))
		replies, err := c.askCommunications(ctx, l.Match[m], owner, several)
		if err != nil {
			return nil, err
		}
		values = nil
		for i, r := range replies {
			// A value that the portal refuses is none of the others' business.
			if ids, err := idsIn(r, owner); err != nil || len(ids) > 0 {
				values = append(values, several[i]...)
			}
		}
	}
	single := slices.Collect(slices.Chunk(values, 1))
	replies, err := c.askCommunications(ctx, l.Match[m], owner, single)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]int64, len(values))
	for i, r := range replies {
		if found[values[i]], err = idsIn(r, owner); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// askCommunications asks the duplicate index for each list of values.
func (c *Client) askCommunications(ctx context.Context, field *engine.Field, owner string, lists [][]string) ([]reply, error) {
	calls := make([]call, 0, len(lists))
	for _, list := range lists {
		values := make([]any, 0, len(list))
		for _, value := range list {
			values = append(values, value)
		}
		calls = append(calls, call{Method: methodFindByComm, Params: map[string]any{
			"type": strings.ToUpper(field.Name), "values": values, "entity_type": owner,
		}})
	}
	return c.ask(ctx, calls, askOptions{})
}

// idsIn reads an answer of the duplicate index: the ids in ascending order.
func idsIn(r reply, owner string) ([]int64, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	var answer object
	if err := json.Unmarshal(r.Result.Value, &answer); err != nil {
		return nil, &Error{Method: methodFindByComm, Verdict: Unknown, Message: "the answer is not a list of ids"}
	}
	raw, ok := answer[owner]
	if !ok {
		return nil, nil
	}
	var numbers []number
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return nil, &Error{Method: methodFindByComm, Verdict: Unknown, Message: "the answer is not a list of ids"}
	}
	ids := make([]int64, 0, len(numbers))
	for _, id := range numbers {
		ids = append(ids, int64(id.whole()))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// multiText is the number or address of a key: a text, or the first row.
func multiText(value any) string {
	switch v := value.(type) {
	case engine.MultiValue:
		return v.Value
	case []engine.MultiValue:
		if len(v) > 0 {
			return v[0].Value
		}
	}
	return fmt.Sprint(value)
}
