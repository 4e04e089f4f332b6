package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// What stands beside items (comments, requisites, addresses) has methods of its
// own, older than crm.item.*: their fields have upper-case names and text values,
// lists are paged by an offset, and additions answer with the bare id, or with
// true where there is none.

// besideMethods are the methods of one kind.
type besideMethods struct{ add, update, remove, list string }

func methodsBeside(e *engine.Entity) besideMethods {
	prefix := map[int]string{
		engine.TypeComment: "crm.timeline.comment.", engine.TypeRequisite: "crm.requisite.", engine.TypeAddress: "crm.address.",
	}[e.TypeID]
	return besideMethods{add: prefix + "add", update: prefix + "update", remove: prefix + "delete", list: prefix + "list"}
}

// besideCall writes a command on what stands beside an item.
func besideCall(command engine.Command) (call, error) {
	e := command.Entity
	if e.TypeID == engine.TypeCall {
		return rawCall(command)
	}
	if e.ProductsOwner() != 0 {
		return productsCall(command)
	}
	methods := methodsBeside(e)
	fields, err := besideFields(command)
	if err != nil {
		return call{}, err
	}
	params := map[string]any{"fields": fields}
	if e.TypeID != engine.TypeAddress && command.ID > 0 {
		params["id"] = command.ID
	}
	if e.TypeID == engine.TypeAddress && command.ID > 0 { // known by what it is of
		owner, id, kind := engine.AddressOf(command.ID)
		fields["ENTITY_TYPE_ID"], fields["ENTITY_ID"], fields["TYPE_ID"] = owner, id, kind
	}
	switch command.Kind {
	case engine.CommandAdd:
		return call{Method: methods.add, Params: params}, nil
	case engine.CommandUpdate:
		return call{Method: methods.update, Params: params}, nil
	case engine.CommandDelete:
		if e.TypeID != engine.TypeAddress {
			delete(params, "fields")
		}
		return call{Method: methods.remove, Params: params}, nil
	case engine.CommandImport, engine.CommandMerge:
	}
	return call{}, fmt.Errorf("there is no command %q for %s", command.Kind, e.Name)
}

func besideFields(command engine.Command) (map[string]any, error) {
	fields := map[string]any{}
	for name, value := range command.Fields {
		f := command.Entity.FieldByName(name)
		if f == nil {
			return nil, fmt.Errorf("%s %s: there is no field %q to be set", command.Kind, command.Entity.Name, name)
		}
		wire, err := Encode(f, value)
		if err != nil {
			return nil, err
		}
		if wire == nil {
			wire = ""
		}
		fields[f.Upper] = wire
	}
	return fields, nil
}

// settleBeside is the outcome of a command that was done: it knows the id, or
// what the id is made of.
func settleBeside(command engine.Command, answer json.RawMessage) (id int64, ok bool) {
	e := command.Entity
	switch {
	case command.Kind != engine.CommandAdd:
		return command.ID, true
	case e.TypeID == engine.TypeAddress:
		ownerType, _ := command.Fields["ownerType"].(int64)
		owner, _ := command.Fields["ownerId"].(int64)
		kind, _ := command.Fields["type"].(int64)
		return engine.AddressID(ownerType, owner, kind), owner > 0
	}
	id = idOf(answer)
	return id, id > 0
}

// goneBeside says whether a deletion failed because there is nothing to delete.
// The old methods have no code for that, only words.
func goneBeside(command engine.Command, fault *Error) bool {
	if command.Kind != engine.CommandDelete || !command.Entity.Beside() || fault.Verdict != Failed {
		return false
	}
	return fault.Code == codeNotFound || strings.Contains(fault.Message, "not found")
}

// findBeside is a look-up among what stands beside items.
func (c *Client) findBeside(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	if l.Entity.TypeID == engine.TypeCall { // of which the portal knows nothing: they are taken for what the journal says
		found := make([][]engine.Item, len(l.IDs))
		for i, id := range l.IDs {
			found[i] = []engine.Item{{ID: id, Fields: map[string]any{}}}
		}
		return found, nil
	}
	if l.Entity.ProductsOwner() != 0 {
		return c.findProducts(ctx, l)
	}
	if len(l.IDs) > 0 && l.Entity.TypeID == engine.TypeComment {
		return c.commentsByID(ctx, l)
	}
	if len(l.IDs) > 0 {
		return c.besideByID(ctx, l)
	}
	filters, err := besideFilters(l)
	if err != nil {
		return nil, err
	}
	items, err := c.listBeside(ctx, l.Entity, filters)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", described([]engine.Lookup{l}), err)
	}
	return assign(l, items), nil
}

// besideFilters cover the keys of a look-up: values of one field share a list,
// fifty in each, where the others are the same. Comments are listed by their item
// only, and their texts compared here.
func besideFilters(l engine.Lookup) ([]map[string]any, error) {
	groups := map[string]map[string]any{} // by the values that keys share
	values := map[string][]any{}
	several := l.Match[len(l.Match)-1] // the field of which a list may be asked for
	if owner := slices.IndexFunc(l.Match, func(f *engine.Field) bool { return f.Name == "ownerId" }); owner >= 0 {
		several = l.Match[owner]
	}
	alone := l.Entity.TypeID == engine.TypeComment
	for _, key := range l.Keys {
		group, shared := map[string]any{}, ""
		var value any
		for i, f := range l.Match {
			wire, err := Encode(f, key[i])
			switch {
			case err != nil:
				return nil, err
			case f == several && !alone:
				value = wire
			case alone && f.Name == "text":
			default:
				group[f.Upper] = wire
				shared += fmt.Sprint(wire) + "\x00"
			}
		}
		groups[shared] = group
		if value != nil && !slices.Contains(values[shared], value) {
			values[shared] = append(values[shared], value)
		}
	}
	var filters []map[string]any
	for _, shared := range slices.Sorted(maps.Keys(groups)) {
		if alone {
			filters = append(filters, groups[shared])
			continue
		}
		for part := range slices.Chunk(values[shared], pageSize) {
			filter := maps.Clone(groups[shared])
			filter["@"+several.Upper] = part
			filters = append(filters, filter)
		}
	}
	return filters, nil
}

// listBeside reads all rows that meet one of the filters, by ascending id.
func (c *Client) listBeside(ctx context.Context, e *engine.Entity, filters []map[string]any) ([]engine.Item, error) {
	order := "ID"
	if e.TypeID == engine.TypeAddress {
		order = "ENTITY_ID"
	}
	byID := map[int64]engine.Item{}
	for offset := 0; len(filters) > 0; offset += pageSize {
		calls := make([]call, 0, len(filters))
		for _, filter := range filters {
			calls = append(calls, call{Method: methodsBeside(e).list, Params: map[string]any{
				"filter": filter, "order": map[string]any{order: "ASC"}, "start": offset,
			}})
		}
		replies, err := c.ask(ctx, calls, askOptions{})
		if err != nil {
			return nil, err
		}
		var more []map[string]any
		for i, r := range replies {
			rows, err := besideRows(e, r)
			if err != nil {
				return nil, err
			}
			known := len(byID)
			for _, item := range rows {
				byID[item.ID] = item
			}
			switch {
			case len(rows) < pageSize:
			case len(byID) == known:
				return nil, repeated(methodsBeside(e).list)
			default:
				more = append(more, filters[i])
			}
		}
		filters = more
	}
	items := make([]engine.Item, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		items = append(items, byID[id])
	}
	return items, nil
}

// repeated is the fault of a list that answers a page with what it had before: it
// would have no end.
func repeated(method string) *Error {
	return &Error{Method: method, Verdict: Unknown, Message: "the portal answers each page with the same rows"}
}

// besideRows reads the rows of a list. An owner that is not there has none.
func besideRows(e *engine.Entity, r reply) ([]engine.Item, error) {
	if r.Err != nil {
		if isRefusal(r.Err, "OWNER_NOT_FOUND", codeNotFound) {
			return nil, nil
		}
		return nil, r.Err
	}
	var rows []json.RawMessage
	if json.Unmarshal(r.Result.Value, &rows) != nil {
		return nil, &Error{Method: methodsBeside(e).list, Verdict: Unknown, Message: "the answer is not a list"}
	}
	items := make([]engine.Item, 0, len(rows))
	for _, raw := range rows {
		item, ok := besideItem(e, raw)
		if !ok {
			return nil, &Error{Method: methodsBeside(e).list, Verdict: Unknown, Message: "a row of the answer has no id"}
		}
		items = append(items, item)
	}
	return items, nil
}

// besideItem reads one row.
func besideItem(e *engine.Entity, raw json.RawMessage) (item engine.Item, ok bool) {
	item.Fields = map[string]any{}
	for key, value := range members(raw) {
		if string(key) == "ID" {
			item.ID = idOf(value)
		}
		for _, f := range e.Fields {
			if v := Decode(f, value); f.Upper == string(key) && v != nil {
				item.Fields[f.Name] = v
			}
		}
	}
	if e.TypeID == engine.TypeAddress {
		ownerType, _ := item.Fields["ownerType"].(int64)
		owner, _ := item.Fields["ownerId"].(int64)
		kind, _ := item.Fields["type"].(int64)
		item.ID = engine.AddressID(ownerType, owner, kind)
	}
	return item, item.ID > 0
}

// commentsByID reads comments one call each: they are listed by their items only.
func (c *Client) commentsByID(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	calls := make([]call, 0, len(l.IDs))
	for _, id := range l.IDs {
		calls = append(calls, call{Method: "crm.timeline.comment.get", Params: map[string]any{"id": id}})
	}
	replies, err := c.ask(ctx, calls, askOptions{})
	if err != nil {
		return nil, err
	}
	found := make([][]engine.Item, len(l.IDs))
	for i, r := range replies {
		if r.Err != nil {
			if r.Err.Code == codeNotFound || strings.Contains(strings.ToLower(r.Err.Message), "not found") {
				continue
			}
			return nil, r.Err
		}
		item, ok := besideItem(l.Entity, r.Result.Value)
		if !ok {
			return nil, errors.New("crm.timeline.comment.get: the answer is no comment")
		}
		found[i] = []engine.Item{item}
	}
	return found, nil
}

// besideByID reads requisites and addresses by their ids.
func (c *Client) besideByID(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	var filters []map[string]any
	for part := range slices.Chunk(l.IDs, pageSize) {
		if l.Entity.TypeID != engine.TypeAddress {
			values := make([]any, 0, len(part))
			for _, id := range part {
				values = append(values, id)
			}
			filters = append(filters, map[string]any{"@ID": values})
			continue
		}
		owners := map[[2]int64][]any{}
		for _, id := range part {
			ownerType, owner, kind := engine.AddressOf(id)
			owners[[2]int64{ownerType, kind}] = append(owners[[2]int64{ownerType, kind}], owner)
		}
		for of, ids := range owners {
			filters = append(filters, map[string]any{"ENTITY_TYPE_ID": of[0], "TYPE_ID": of[1], "@ENTITY_ID": ids})
		}
	}
	items, err := c.listBeside(ctx, l.Entity, filters)
	if err != nil {
		return nil, err
	}
	return assignIDs(l.IDs, [][]engine.Item{items}), nil
}

// presets are the forms for requisites, for [engine.Requisites].
func (l *loading) presets() []engine.Option {
	var rows []struct {
		ID   text `json:"ID"`
		Name text `json:"NAME"`
	}
	if r := l.replies["presets"]; r.Err != nil || json.Unmarshal(r.Result.Value, &rows) != nil {
		return nil
	}
	options := make([]engine.Option, 0, len(rows))
	for _, row := range rows {
		if _, err := strconv.Atoi(string(row.ID)); err == nil {
			options = append(options, engine.Option{ID: string(row.ID), Name: string(row.Name)})
		}
	}
	return options
}
