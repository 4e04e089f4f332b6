package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// TypeCall is the type id of raw calls. A call is planned, journaled and counted
// like something that is made beside items: it is "made" once for its external
// key, and "deleted" by the call that undoes it. The portal can't be asked whether
// it was made, only the journal.
const TypeCall = -3

// BesideCalls is the name of raw calls, for [Needs].
const BesideCalls = "calls"

// Names of the fields of a call's change. Parameters follow after a dot:
// params.fields[TITLE].
const (
	CallMethod     = "method"
	CallIdempotent = "idempotent" // may be made again when its answer is lost
	CallUndo       = "undo"       // the method that takes it back
	callID         = "id"
	callResult     = "result" // what the portal answered, as JSON
	callParams     = "params."
	callUndoParams = "undo."
)

// Calls are raw calls of REST methods.
func Calls() *Entity {
	return &Entity{TypeID: TypeCall, Name: "call", Identity: []string{callID}, Fields: []*Field{
		{Name: callID, Title: "Id", Type: FieldInteger},
		{Name: CallMethod, Title: "Method", Type: FieldString},
		{Name: CallIdempotent, Title: "Idempotent", Type: FieldBoolean},
		{Name: CallUndo, Title: "Undone by", Type: FieldString},
		{Name: callResult, Title: "Answer", Type: FieldText},
	}}
}

// Call plans a raw call for a record, unless the journal says that it was made for
// the same key.
func (p *Planning) Call(ctx context.Context, r *Record, key string, fields map[string]FieldChange) error {
	calls := p.Catalog.EntityByType(TypeCall)
	hash := HashOf("called", key)
	noted, err := p.Noted(ctx, []Hash{hash})
	if err != nil {
		return err
	}
	_, made := noted[hash]
	if !made && p.options.History != nil {
		lost := p.options.Retry == nil && !mayRepeat(fields) // who retries has looked, and found that it was not made
		if made, err = p.options.History.Called(ctx, p.header.Portal.ID, key, lost); err != nil {
			return err
		}
	}
	if made {
		c := p.change(r, KindNone)
		c.Entity, c.TypeID, c.Reason = calls.Name, calls.TypeID, "it was called for this record before"
		return nil
	}
	p.Note(hash, nil)
	fields[callID] = FieldChange{After: callNumber(key)}
	c := p.change(r, KindCreate)
	c.Entity, c.TypeID, c.Ref = calls.Name, calls.TypeID, p.spec.ID+"@"+r.Source
	c.Fields, c.ExternalKey, c.Needs = fields, key, refsIn(fields)
	return nil
}

// mayRepeat says whether a call may be made again when its answer is lost.
func mayRepeat(fields map[string]FieldChange) bool { return fields[CallIdempotent].After == true }

// uncalled leaves out the calls that another run has made since the plan was, or may
// have made: they are unchanged.
func (r *runner) uncalled(ctx context.Context, page []*Change) ([]*Change, error) {
	if !r.queue.old {
		return page, nil
	}
	var left, made []*Change
	for _, c := range page {
		called := false
		if c.TypeID == TypeCall && c.Kind == KindCreate {
			var err error
			lost := r.o.Header.Retries == "" && !mayRepeat(c.Fields)
			if called, err = r.o.Log.Called(ctx, c.ExternalKey, lost); err != nil {
				return nil, err
			}
		}
		if called {
			c.State = StateUnchanged
			made = append(made, c)
		} else {
			left = append(left, c)
		}
	}
	return left, r.settle(ctx, made)
}

// callNumber is the number by which a call is known: 48 bits of its key.
func callNumber(key string) int64 {
	hash := HashOf("call", key)
	n := int64(0)
	for _, b := range hash[:6] {
		n = n<<8 | int64(b)
	}
	return n | 1
}

// lostCall settles a call whose answer was lost: one that may be made again is,
// once it can't be running any more; of another nobody knows.
func (r *runner) lostCall(c *Change, expired bool) {
	switch {
	case !mayRepeat(c.Fields):
		c.State = StateQuarantined
		c.Error = "its answer was lost, and it may have been done or not; look at the portal, and retry the run if it was not"
	case expired:
		c.State, c.Error = StatePlanned, ""
	}
}

// answered keeps what the portal answered to a call, for the one that undoes it.
func (c *Change) answered(item *Item) {
	if item == nil || c.Fields[CallUndo].After == nil {
		return
	}
	answer, _ := item.Fields[callResult].(string)
	if len(answer) > keptAnswer {
		answer = c.undoParts(answer)
	}
	c.Fields[callResult] = FieldChange{After: answer}
}

// keptAnswer is how long an answer is kept whole, in bytes.
const keptAnswer = 4096

// undoParts are the parts of a call's answer that the call which undoes it needs.
func (c *Change) undoParts(answer string) string {
	parts := map[string]any{}
	for name, f := range c.Fields {
		text, _ := f.After.(string)
		path := strings.FieldsFunc(strings.TrimPrefix(text, resultMark), isBracket)
		if !strings.HasPrefix(name, callUndoParams) || !strings.HasPrefix(text, resultMark) || len(path) == 0 {
			continue
		}
		v, err := fillResult(text, answer)
		if err != nil {
			continue // undo says so
		}
		below := parts
		for _, key := range path[:len(path)-1] {
			next, ok := below[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				below[key] = next
			}
			below = next
		}
		below[path[len(path)-1]] = v
	}
	kept, err := json.Marshal(parts)
	if err != nil || len(kept) > keptAnswer {
		return ""
	}
	return string(kept)
}

// resultMark begins the name of a part of an answer: $result[task][id].
const resultMark = "$result"

func isBracket(r rune) bool { return r == '[' || r == ']' }

// uncall plans the call that takes a call back, unless that was done before.
func (u *undoing) uncall(ctx context.Context, c *Change) (*Change, error) {
	method, _ := c.Fields[CallUndo].After.(string)
	if method == "" {
		u.lasts.calls++
		none := u.inverse(c, KindNone)
		none.Reason = "the job names no method that undoes it"
		return none, nil
	}
	if called, err := u.o.Log.Called(ctx, c.ExternalKey, false); err != nil || !called {
		none := u.inverse(c, KindNone)
		none.Reason = "it was taken back already"
		return none, err
	}
	undo := u.inverse(c, KindDelete)
	undo.ExternalKey, undo.Fields = c.ExternalKey, map[string]FieldChange{CallMethod: {Before: method}}
	answer, _ := c.Fields[callResult].After.(string)
	for name, f := range c.Fields {
		param, ok := strings.CutPrefix(name, callUndoParams)
		if !ok {
			continue
		}
		v, err := fillResult(f.After, answer)
		if err != nil {
			undo.Kind, undo.Reason = KindConflict, fmt.Sprintf("%s of %s: %v", param, method, err)
		}
		undo.Fields[callParams+param] = FieldChange{Before: v}
	}
	return undo, nil
}

// fillResult puts parts of a call's answer in the place of $result and
// $result[task][id], as batches of the portal write them.
func fillResult(v any, answer string) (any, error) {
	if list, ok := v.([]any); ok {
		out := make([]any, len(list))
		for i, e := range list {
			var err error
			if out[i], err = fillResult(e, answer); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	text, ok := v.(string)
	path, found := strings.CutPrefix(text, resultMark)
	if !ok || !found {
		return v, nil
	}
	var result any
	decoder := json.NewDecoder(strings.NewReader(cmp.Or(answer, "null")))
	decoder.UseNumber()
	if err := decoder.Decode(&result); err != nil {
		return nil, fmt.Errorf("the call's answer can't be read: %w", err)
	}
	for _, key := range strings.FieldsFunc(path, isBracket) {
		object, _ := result.(map[string]any)
		if result = object[key]; result == nil {
			return nil, fmt.Errorf("the call's answer has no %s", text)
		}
	}
	switch result := result.(type) {
	case json.Number:
		return result.String(), nil
	case string, bool:
		return result, nil
	}
	return nil, fmt.Errorf("%s is no single value in the call's answer", text)
}
