package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/report"
)

func newPortalItemCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "item ENTITY ID",
		Short:   "Show one item, with names beside the ids in its fields",
		Example: "  bxflow portal item contact 1 --portal sandbox",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json", "csv"); err != nil {
				return err
			}
			id, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || id <= 0 {
				return usage("%q is not the id of an item", args[1])
			}
			return a.withPortal(c.Context(), func(ctx context.Context, s *session) error {
				l, err := portalItem(ctx, s, args[0], id)
				if err != nil {
					return err
				}
				return a.list(l)
			})
		},
	}
}

// portalItem lists the fields of an item that are not empty.
func portalItem(ctx context.Context, s *session, entity string, id int64) (report.List, error) {
	l := report.List{Columns: []string{"field", "title", "value", "name"}, Whole: []string{"field"}}
	catalog, e, err := s.entity(ctx, entity, true)
	if err != nil {
		return l, err
	}
	names := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		names[i] = f.Name
	}
	items, err := s.Get(ctx, e, []int64{id}, names)
	if err != nil {
		return l, err
	}
	item, ok := items[id]
	if !ok {
		return l, fmt.Errorf("%s %d: there is none, or the webhook's user may not see it", e.Name, id)
	}
	linked, err := s.linkedNames(ctx, e, item)
	if err != nil {
		return l, err
	}
	for _, f := range e.Fields {
		v := item.Fields[f.Name]
		if v == nil {
			continue
		}
		row := itemRow(catalog, e, f, v)
		if names := namesOf(linked[f.Type], v); names != "" {
			row[len(row)-1] = names
		}
		l.Rows = append(l.Rows, row)
	}
	addresses, err := s.addresses(ctx, e, id)
	if err != nil {
		return l, err
	}
	products, err := s.productRows(ctx, e, id)
	l.Rows = append(append(l.Rows, addresses...), products...)
	return l, err
}

// linkTypes are the entities that fields link to, by the fields' types.
func linkTypes() map[engine.FieldType]string {
	return map[engine.FieldType]string{
		engine.FieldContact: "contact", engine.FieldCompany: "company", engine.FieldLead: "lead", engine.FieldDeal: "deal",
	}
}

// linkedNames are what the items are called that an item links to, by the types of
// the fields and their ids.
func (s *session) linkedNames(ctx context.Context, e *engine.Entity, item engine.Item) (map[engine.FieldType]map[int64]string, error) {
	ids := map[engine.FieldType][]int64{}
	var needs engine.Needs
	for _, f := range e.Fields {
		entity, links := linkTypes()[f.Type]
		if !links || item.Fields[f.Name] == nil {
			continue
		}
		ids[f.Type] = append(ids[f.Type], linkedIDs(item.Fields[f.Name])...)
		if !slices.Contains(needs.Entities, entity) {
			needs.Entities = append(needs.Entities, entity)
		}
	}
	names := map[engine.FieldType]map[int64]string{}
	if len(needs.Entities) == 0 {
		return names, nil
	}
	catalog, err := s.Catalog(ctx, needs)
	if err != nil {
		return nil, err
	}
	for kind, of := range ids {
		to, err := catalog.Entity(linkTypes()[kind])
		if err != nil {
			continue // an entity that the user may not see
		}
		items, err := s.Get(ctx, to, of, []string{"title", "name", "lastName"})
		if err != nil {
			return nil, err
		}
		names[kind] = map[int64]string{}
		for id, linked := range items {
			var parts []string
			for _, field := range []string{"name", "lastName", "title"} {
				if part, ok := linked.Fields[field].(string); ok && (field != "title" || parts == nil) {
					parts = append(parts, part)
				}
			}
			names[kind][id] = strings.Join(parts, " ")
		}
	}
	return names, nil
}

// linkedIDs are the ids in a link's value.
func linkedIDs(v any) []int64 {
	switch v := v.(type) {
	case int64:
		return []int64{v}
	case []any:
		var ids []int64
		for _, e := range v {
			ids = append(ids, linkedIDs(e)...)
		}
		return ids
	}
	return nil
}

// namesOf are the names of linked items, as far as they are known.
func namesOf(names map[int64]string, v any) string {
	var out []string
	for _, id := range linkedIDs(v) {
		if name := names[id]; name != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// addresses lists the addresses of a contact, company or lead.
func (s *session) addresses(ctx context.Context, e *engine.Entity, id int64) ([][]any, error) {
	owner := []any{int64(engine.TypeLead), id}
	catalog, err := s.Catalog(ctx, engine.Needs{Beside: []string{engine.BesideAddresses}})
	if err != nil {
		return nil, err
	}
	addresses := catalog.EntityByType(engine.TypeAddress)
	var owners [][]any
	switch e.TypeID {
	case engine.TypeLead:
		owners = append(owners, owner)
	case engine.TypeContact, engine.TypeCompany:
		requisites := catalog.EntityByType(engine.TypeRequisite)
		found, err := s.Find(ctx, engine.Lookup{Entity: requisites, Match: requisites.IdentityFields(), Keys: [][]any{{int64(e.TypeID), id}}})
		if err != nil {
			return nil, err
		}
		for _, requisite := range found[0] {
			owners = append(owners, []any{int64(engine.TypeRequisite), requisite.ID})
		}
	}
	if len(owners) == 0 {
		return nil, nil
	}
	var rows [][]any
	found, err := s.Find(ctx, engine.Lookup{Entity: addresses, Match: addresses.IdentityFields()[:2], Keys: owners})
	if err != nil {
		return nil, err
	}
	for _, items := range found {
		for _, address := range items {
			rows = append(rows, addressRow(catalog, addresses, address))
		}
	}
	return rows, nil
}

// addressRow is an address in one line.
func addressRow(catalog *engine.Catalog, addresses *engine.Entity, address engine.Item) []any {
	var parts []string
	for _, name := range []string{"address1", "address2", "city", "region", "province", "postalCode", "country"} {
		if part, ok := address.Fields[name].(string); ok {
			parts = append(parts, part)
		}
	}
	kind := report.Name(catalog, addresses.TypeID, "type", address.Fields["type"])
	return []any{"address", "Address", strings.Join(parts, ", "), kind}
}

// productRows lists the product rows of an item, where its entity has any.
func (s *session) productRows(ctx context.Context, e *engine.Entity, id int64) ([][]any, error) {
	if !e.HasProducts() {
		return nil, nil
	}
	found, err := s.Get(ctx, engine.ProductsOf(e), []int64{id}, []string{engine.ProductRows})
	if fault, ok := errors.AsType[*portal.Error](err); ok && fault.Code == codeWithoutProducts {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows [][]any
	list, _ := found[id].Fields[engine.ProductRows].([]any)
	for _, v := range list {
		text, _ := v.(string)
		row, _ := engine.ParseProductRow(text)
		rows = append(rows, []any{"product", "Product row", row.String(), ""})
	}
	return rows, nil
}

// codeWithoutProducts is the portal's error for entities that have no product rows.
const codeWithoutProducts = "ENTITY_TYPE_NOT_SUPPORTED"

// itemRow is a field of an item that has a value.
func itemRow(catalog *engine.Catalog, e *engine.Entity, f *engine.Field, v any) []any {
	if b, ok := v.(bool); ok {
		return []any{f.Name, f.Title, answer(b), ""}
	}
	return []any{f.Name, f.Title, report.Plain(v), report.Name(catalog, e.TypeID, f.Name, v)}
}

// answer is the value of a yes/no field, where no is a value as yes is.
type answer bool

// String is the answer in words.
func (a answer) String() string {
	if a {
		return "yes"
	}
	return "no"
}
