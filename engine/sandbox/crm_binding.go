package sandbox

import (
	"cmp"
	"slices"
)

// The links of contacts with companies, deals and leads
// (crm.contact.company.*, crm.company.contact.*, crm.deal.contact.*,
// crm.lead.contact.*). Ids are numbers here, unlike elsewhere among the old
// methods.

// linkKind is a kind of link. It is kept with the items of one side, as the
// fields companyIds of a contact and contactIds of a deal show.
type linkKind struct {
	keeper, other int // entity types
}

// bindingSide is the view of a kind of link from one of its sides.
type bindingSide struct {
	kind     linkKind
	reversed bool   // the parameter id means the side that does not keep the link
	key      string // what the items at the far end are called in rows
}

// bindingMethods are the methods of the links.
func bindingMethods() []method {
	companies := linkKind{contactType, companyType}
	var list []method
	for _, side := range []struct {
		prefix string
		view   bindingSide
	}{
		{"crm.contact.company.", bindingSide{companies, false, "COMPANY_ID"}},
		{"crm.company.contact.", bindingSide{companies, true, "CONTACT_ID"}},
		{"crm.deal.contact.", bindingSide{linkKind{dealType, contactType}, false, "CONTACT_ID"}},
		{"crm.lead.contact.", bindingSide{linkKind{leadType, contactType}, false, "CONTACT_ID"}},
	} {
		list = append(list,
			method{side.prefix + "fields", "crm", false, side.view.fields},
			method{side.prefix + "add", "crm", true, side.view.add},
			method{side.prefix + "delete", "crm", true, side.view.delete},
			method{side.prefix + "items.get", "crm", false, side.view.itemsGet},
			method{side.prefix + "items.set", "crm", true, side.view.itemsSet},
			method{side.prefix + "items.delete", "crm", true, side.view.itemsDelete},
		)
	}
	return list
}

// link is the link of two items.
type link struct{ keeper, other int64 }

// rowID packs the two ids into the id of the link's record.
func (l link) rowID() int64 { return l.keeper<<31 | l.other }

// sorts names the table of the SORT values that somebody gave.
func (k linkKind) sorts() string {
	return "sort_" + abbreviation(k.keeper) + "_" + abbreviation(k.other)
}

// fields returns the keeper's fields for the main link and for all links.
func (k linkKind) fields(s *store) (primary, all *field) {
	known := &s.entities[k.keeper].known
	if k.other == companyType {
		return known.company, known.companies
	}
	return known.contact, known.contacts
}

// sort returns the SORT that a link was given, if it was given one.
func (k linkKind) sort(s *store, l link) (int64, bool) {
	rec, ok := s.existing(k.sorts()).get(l.rowID())
	if !ok {
		return 0, false
	}
	sort, ok := (*rec)["sort"].(int64)
	return sort, ok
}

// existing returns a table for reading; one that was never written is empty.
func (s *store) existing(name string) *table[row] {
	if t, ok := s.tables[name].(*table[row]); ok {
		return t
	}
	return &table[row]{}
}

// bind links two items and reports false where they are linked already or
// either is missing. fields may say SORT and IS_PRIMARY.
func (k linkKind) bind(s *store, l link, fields *array) bool {
	e := s.entities[k.keeper]
	old := e.item(l.keeper)
	primary, all := k.fields(s)
	if old == nil || s.entities[k.other].item(l.other) == nil || slices.Contains(old.ints(all), l.other) {
		return false
	}
	it := old.clone()
	first := orElse(old.int(primary), l.other)
	if memberText(fields, "IS_PRIMARY") == "Y" {
		first = l.other
	}
	it.setLinks(primary, all, first, append(slices.Clone(old.ints(all)), l.other))
	e.put(it)
	if sort := intOf(memberText(fields, "SORT")); sort > 0 {
		s.rows(k.sorts()).put(l.rowID(), &row{"sort": sort})
	} else {
		s.rows(k.sorts()).remove(l.rowID())
	}
	return true
}

// unbind parts two items and reports whether they were linked. The main link
// passes on to the first that is left.
func (k linkKind) unbind(s *store, l link) bool {
	e := s.entities[k.keeper]
	old := e.item(l.keeper)
	primary, all := k.fields(s)
	if old == nil || !slices.Contains(old.ints(all), l.other) {
		return false
	}
	ids := slices.DeleteFunc(slices.Clone(old.ints(all)), func(id int64) bool { return id == l.other })
	first := old.int(primary)
	if first == l.other && len(ids) > 0 {
		first = ids[0]
	}
	it := old.clone()
	it.setLinks(primary, all, first, ids)
	e.put(it)
	s.rows(k.sorts()).remove(l.rowID())
	return true
}

// removeItem deletes an item, and a company's links with its contacts, which
// are kept with those.
func (s *store) removeItem(e *entity, id int64) {
	if e.typeID == companyType {
		contacts := bindingSide{linkKind{contactType, companyType}, true, "CONTACT_ID"}
		for _, b := range contacts.bindings(s, id) {
			contacts.kind.unbind(s, contacts.link(id, b.far))
		}
	}
	e.remove(id)
}

// ownerType is the entity type that the parameter id means.
func (b bindingSide) ownerType() int {
	if b.reversed {
		return b.kind.other
	}
	return b.kind.keeper
}

// link puts the owner and an item at the far end in their places.
func (b bindingSide) link(owner, far int64) link {
	if b.reversed {
		return link{far, owner}
	}
	return link{owner, far}
}

// ownerID reads the id of the owner, which must exist.
func (b bindingSide) ownerID(c *call) (int64, *apiError) {
	id := c.oldInt("id")
	if id <= 0 {
		return 0, oldError("The parameter 'ownerEntityID' is invalid or not defined.")
	}
	if c.store.entities[b.ownerType()].item(id) == nil {
		return 0, oldError("Not found.")
	}
	return id, nil
}

// binding is one link as seen from its owner.
type binding struct {
	far, sort int64
	primary   bool
}

// bindings returns the links of an owner in the order of SORT. A link that was
// given none comes ten after the one before it.
func (b bindingSide) bindings(s *store, owner int64) []binding {
	keeper := s.entities[b.kind.keeper]
	primary, all := b.kind.fields(s)
	var ids []int64
	if b.reversed {
		ids = slices.Sorted(slices.Values(keeper.fieldIndex(all).ids[keysOf(owner)[0]]))
	} else {
		ids = keeper.item(owner).ints(all)
	}
	list := make([]binding, 0, len(ids))
	highest := int64(0)
	for _, id := range ids {
		l := b.link(owner, id)
		sort, given := b.kind.sort(s, l)
		if !given {
			sort = highest + 10
		}
		highest = max(highest, sort)
		list = append(list, binding{id, sort, keeper.item(l.keeper).int(primary) == l.other})
	}
	slices.SortStableFunc(list, func(a, b binding) int { return cmp.Compare(a.sort, b.sort) })
	return list
}

func (b bindingSide) itemsGet(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	for _, bound := range b.bindings(c.store, owner) {
		rows = append(rows, object{
			{b.key, bound.far}, {"SORT", bound.sort}, {"ROLE_ID", int64(0)}, {"IS_PRIMARY", yesNo(bound.primary)},
		})
	}
	return rows, nil
}

// itemsSet replaces all links of the owner. The one flagged as primary is it,
// else the first.
func (b bindingSide) itemsSet(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	raw, _ := c.old("items")
	items, ok := raw.(*array)
	if !ok {
		return nil, oldError("The parameter items must be array.")
	}
	b.unbindAll(c.store, owner)
	for _, val := range items.all() {
		if fields, ok := val.(*array); ok {
			b.kind.bind(c.store, b.link(owner, intOf(memberText(fields, b.key))), fields)
		}
	}
	return true, nil
}

func (b bindingSide) unbindAll(s *store, owner int64) {
	for _, bound := range b.bindings(s, owner) {
		b.kind.unbind(s, b.link(owner, bound.far))
	}
}

func (b bindingSide) itemsDelete(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	b.unbindAll(c.store, owner)
	return true, nil
}

// bindingFields reads the parameter fields with the id of the far end.
func (b bindingSide) bindingFields(c *call) (*array, int64, *apiError) {
	raw, _ := c.old("fields")
	fields, ok := raw.(*array)
	if !ok {
		return nil, 0, oldError("The parameter 'fields' is not valid.")
	}
	far := intOf(memberText(fields, b.key))
	if far <= 0 {
		return nil, 0, oldError("The parameter 'fields' is not valid.")
	}
	return fields, far, nil
}

// add answers false, not with a refusal, where the two are linked already.
func (b bindingSide) add(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	fields, far, err := b.bindingFields(c)
	if err != nil {
		return nil, err
	}
	return b.kind.bind(c.store, b.link(owner, far), fields), nil
}

// delete answers false where the two are not linked.
func (b bindingSide) delete(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	_, far, err := b.bindingFields(c)
	if err != nil {
		return nil, err
	}
	return b.kind.unbind(c.store, b.link(owner, far)), nil
}

func (b bindingSide) fields(*call) (any, *apiError) {
	return descriptors([]metaField{
		{name: b.key, kind: "integer", required: true},
		{name: "SORT", kind: "integer"},
		{name: "ROLE_ID", kind: "integer"},
		{name: "IS_PRIMARY", kind: "char"},
	}, fieldTitle), nil
}
