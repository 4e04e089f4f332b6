package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/bxflow/bxflow/engine"
)

const (
	methodFindByComm = "crm.duplicate.findbycomm"
	// maxCommunications is how many values it looks at; it ignores the rest.
	maxCommunications = 20
	// maxCommunicationHits is how many items it names at most
	// (crm.duplicate.findbycomm).
	maxCommunicationHits = 20
)

// findByCommunication looks keys up whose m-th value is a phone number or an
// e-mail address, in the portal's duplicate index, which knows other ways to
// write them. What it names is read, and judged by the other fields of the key.
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
	s := &communicationSearch{client: c, entity: l.Entity, field: field, owner: owner, ids: map[string][]int64{}, items: map[int64]engine.Item{}}
	s.fields = append(slices.Clone(l.Select), field.Name)
	for _, f := range rest.Match {
		s.fields = append(s.fields, f.Name)
	}
	values := make([]string, 0, len(l.Keys))
	for _, key := range l.Keys {
		values = append(values, multiText(key[m]))
	}
	if err := s.run(ctx, distinct(values)); err != nil {
		return nil, fmt.Errorf("looking up %d keys in %s: %w", len(l.Keys), l.Entity.Name, err)
	}
	out := make([][]engine.Item, len(l.Keys))
	var cut []int // keys of which the index may know more than it named
	for i, key := range l.Keys {
		var found []engine.Item
		for _, id := range s.ids[multiText(key[m])] {
			if item, ok := s.items[id]; ok {
				found = append(found, item)
			}
		}
		if len(rest.Match) > 0 {
			if len(s.ids[multiText(key[m])]) >= maxCommunicationHits {
				cut = append(cut, i)
			}
			rest.Keys = [][]any{slices.Delete(slices.Clone(key), m, m+1)}
			found = assign(rest, found)[0]
		}
		out[i] = found
	}
	return out, c.findCut(ctx, l, m, rest, cut, out)
}

// findCut completes the items of keys whose number or address so many share that the
// index does not name them all, as a switchboard's: they are found by the other
// fields, and count if they have it written with the same digits or letters.
func (c *Client) findCut(ctx context.Context, l engine.Lookup, m int, rest engine.Lookup, cut []int, out [][]engine.Item) error {
	rest.Keys, rest.Select = nil, append(slices.Clone(l.Select), l.Match[m].Name)
	for _, i := range cut {
		rest.Keys = append(rest.Keys, slices.Delete(slices.Clone(l.Keys[i]), m, m+1))
	}
	if len(cut) == 0 {
		return nil
	}
	found, err := c.Find(ctx, rest)
	if err != nil {
		return err
	}
	for n, i := range cut {
		want := l.Match[m].Fold(multiText(l.Keys[i][m]))
		has := func(text string) bool { return l.Match[m].Fold(text) == want }
		more := slices.DeleteFunc(found[n], func(item engine.Item) bool {
			return !slices.ContainsFunc(multiValues(item.Fields[l.Match[m].Name]), has)
		})
		out[i] = sorted([][]engine.Item{out[i], more})
	}
	return nil
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

// communicationSearch looks values up in the duplicate index, several in a call.
//
// An answer does not say which of a call's values has which item: the items are
// read, and tell. A value that none of them has as it is written may still be
// theirs to the index, which knows other ways to write a number: it is asked for
// again, together with others of its kind, which is to say that nobody has any of
// them; and at last alone.
type communicationSearch struct {
	client *Client
	entity *engine.Entity
	field  *engine.Field
	owner  string
	fields []string // that the items are read with

	ids   map[string][]int64 // by value, once it is settled
	items map[int64]engine.Item
}

// run settles all values.
func (s *communicationSearch) run(ctx context.Context, values []string) error {
	for groups := communicationGroups(values, nil); len(groups) > 0; {
		answers, err := s.ask(ctx, groups)
		if err != nil {
			return err
		}
		var alone, again []string
		for i, group := range groups {
			ids := answers[i].ids
			switch {
			case len(group) == 1 && answers[i].err != nil:
				return answers[i].err
			case len(group) == 1:
				s.ids[group[0]] = ids
			case answers[i].err != nil || len(ids) >= maxCommunicationHits:
				alone = append(alone, group...) // one may be refused; some may be cut off
			case len(ids) > 0:
				unclear, none := s.tell(group, ids)
				if len(none) == len(group) {
					unclear, none = group, nil
				}
				alone, again = append(alone, unclear...), append(again, none...)
			}
		}
		groups = communicationGroups(again, alone)
	}
	return nil
}

// communicationGroups puts values into the calls of the next requests. Where one
// request carries them all anyway, each is alone.
func communicationGroups(values, alone []string) [][]string {
	size := maxCommunications - 1 // all of them there is one hit less than what may be cut off
	if len(values)+len(alone) <= maxBatch {
		size = 1
	}
	return append(slices.Collect(slices.Chunk(alone, 1)), slices.Collect(slices.Chunk(values, size))...)
}

// tell gives the values of a call the items that have them, and returns those
// that it can't: the unclear ones, since an item has nearly the same, and those
// that none of the items has.
func (s *communicationSearch) tell(group []string, ids []int64) (unclear, none []string) {
	for _, value := range group {
		var has []int64
		near := false
		for _, id := range ids {
			exact, nearly := s.compare(value, s.items[id])
			if exact {
				has = append(has, id)
			} else if nearly {
				near = true
			}
		}
		switch {
		case near:
			unclear = append(unclear, value)
		case has != nil:
			s.ids[value] = has
		default:
			none = append(none, value)
		}
	}
	return unclear, none
}

// compare says whether an item has a value just so, or one that may be the same
// to the portal: the same number with another country's or area's code.
func (s *communicationSearch) compare(value string, item engine.Item) (exact, nearly bool) {
	const local = 7 // digits that a number has without such codes, at least
	want := fmt.Sprint(s.field.Fold(value))
	for _, row := range multiValues(item.Fields[s.field.Name]) {
		have := fmt.Sprint(s.field.Fold(row))
		switch {
		case s.field.Name != "phone":
			exact = exact || have == want
		case !isPlainNumber(value) || !isPlainNumber(row):
			nearly = nearly || strings.HasPrefix(have, want) || strings.HasPrefix(want, have)
		case have == want:
			exact = true
		default:
			nearly = nearly || have[max(0, len(have)-local):] == want[max(0, len(want)-local):]
		}
	}
	return exact, nearly
}

// isPlainNumber says whether a phone number has no extension, which the index
// ignores.
func isPlainNumber(phone string) bool {
	return !strings.ContainsFunc(phone, func(r rune) bool {
		return !unicode.IsSpace(r) && !strings.ContainsRune("+0123456789()-./", r)
	})
}

// communicationAnswer is what the duplicate index says of a call: the ids in
// ascending order, or why it refuses.
type communicationAnswer struct {
	ids []int64
	err error
}

// ask asks the duplicate index for groups of values, and reads the items that it
// names.
func (s *communicationSearch) ask(ctx context.Context, groups [][]string) ([]communicationAnswer, error) {
	calls := make([]call, 0, len(groups))
	for _, group := range groups {
		values := make([]any, 0, len(group))
		for _, value := range group {
			values = append(values, value)
		}
		calls = append(calls, call{Method: methodFindByComm, Params: map[string]any{
			"type": strings.ToUpper(s.field.Name), "values": values, "entity_type": s.owner,
		}})
	}
	replies, err := s.client.ask(ctx, calls, askOptions{})
	if err != nil {
		return nil, err
	}
	answers := make([]communicationAnswer, len(groups))
	var fresh []int64
	for i, r := range replies {
		a := &answers[i]
		a.ids, a.err = idsIn(r, s.owner)
		for _, id := range a.ids {
			if _, known := s.items[id]; !known {
				fresh = append(fresh, id)
			}
		}
	}
	items, err := s.client.Get(ctx, s.entity, fresh, s.fields)
	maps.Copy(s.items, items)
	return answers, err
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
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, &Error{Method: methodFindByComm, Verdict: Unknown, Message: "the answer is not a list of ids"}
	}
	ids := make([]int64, 0, len(list))
	for _, id := range list {
		ids = append(ids, idOf(id))
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

// multiValues are the numbers or addresses of an item's field.
func multiValues(value any) []string {
	rows, _ := value.([]engine.MultiValue)
	texts := make([]string, 0, len(rows))
	for _, row := range rows {
		texts = append(texts, row.Value)
	}
	return texts
}
