package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

const methodFindByComm = "crm.duplicate.findbycomm"

// findByCommunication looks keys up whose m-th value is a phone number or an
// e-mail address, in the portal's duplicate index, which knows other ways to
// write them. Its answers do not say which value matched, so each value is a
// call; what it names is then read, and judged by the other fields of the key.
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

// communicationIDs asks the duplicate index for each different value.
func (c *Client) communicationIDs(ctx context.Context, l engine.Lookup, m int, owner string) (map[string][]int64, error) {
	var values []string
	for _, key := range l.Keys {
		values = append(values, multiText(key[m]))
	}
	values = distinct(values)
	calls := make([]call, 0, len(values))
	for _, value := range values {
		calls = append(calls, call{Method: methodFindByComm, Params: map[string]any{
			"type": strings.ToUpper(l.Match[m].Name), "values": []any{value}, "entity_type": owner,
		}})
	}
	replies, err := c.ask(ctx, calls, askOptions{})
	if err != nil {
		return nil, err
	}
	found := make(map[string][]int64, len(values))
	for i, r := range replies {
		if r.Err != nil {
			return nil, r.Err
		}
		var answer object
		if err := json.Unmarshal(r.Result.Value, &answer); err != nil {
			return nil, &Error{Method: methodFindByComm, Verdict: Unknown, Message: "the answer is not a list of ids"}
		}
		var ids []number
		if raw, ok := answer[owner]; ok {
			if err := json.Unmarshal(raw, &ids); err != nil {
				return nil, &Error{Method: methodFindByComm, Verdict: Unknown, Message: "the answer is not a list of ids"}
			}
		}
		for _, id := range ids {
			found[values[i]] = append(found[values[i]], int64(id.whole()))
		}
		slices.Sort(found[values[i]])
		found[values[i]] = slices.Compact(found[values[i]])
	}
	return found, nil
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
