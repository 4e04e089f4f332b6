package sandbox

import (
	"cmp"
	"slices"
)

// The links between contacts and companies (crm.contact.company.*,
// crm.company.contact.*), seen from either side. They are kept with the
// contacts; only a SORT that somebody gave has a table of its own. Ids are
// numbers here, unlike elsewhere among the old methods.

// bindingSorts names the table of the given SORT values.
const bindingSorts = "contact_company"

// bindingSide is the view from one side of the links.
type bindingSide struct {
	owner int    // the entity type that id means
	key   string // what the other side is called in rows
}

// bindingMethods are the methods of the links.
func bindingMethods() []method {
	var list []method
	for _, side := range []struct {
		prefix string
		view   bindingSide
	}{
		{"crm.contact.company.", bindingSide{contactType, "COMPANY_ID"}},
		{"crm.company.contact.", bindingSide{companyType, "CONTACT_ID"}},
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

// binding is one link as seen from an owner.
type binding struct {
	id, sort int64 // of the other side
	primary  bool
}

// ownerID reads the id of the owner, which must exist.
func (b bindingSide) ownerID(c *call) (int64, *apiError) {
	id := c.oldInt("id")
	if id <= 0 {
		return 0, oldError("The parameter 'ownerEntityID' is invalid or not defined.")
	}
	if c.store.entities[b.owner].item(id) == nil {
		return 0, oldError("Not found.")
	}
	return id, nil
}

// pair orders the two ids as contact and company.
func (b bindingSide) pair(owner, other int64) (contactID, companyID int64) {
	if b.owner == contactType {
		return owner, other
	}
	return other, owner
}

// bindings returns the links of an owner in the order of SORT. A link that was
// given none comes ten after the one before it.
func (b bindingSide) bindings(s *store, owner int64) []binding {
	contacts := s.entities[contactType]
	var ids []int64
	if b.owner == contactType {
		ids = contacts.item(owner).ints(contacts.known.companies)
	} else {
		e := s.entities[companyType]
		ids, _ = contactsOfCompany(e, e.item(owner)).([]int64)
	}
	list := make([]binding, 0, len(ids))
	highest := int64(0)
	for _, id := range ids {
		contactID, companyID := b.pair(owner, id)
		sort := highest + 10
		if given, ok := s.bindingSort(contactID, companyID); ok {
			sort = given
		}
		highest = max(highest, sort)
		it := contacts.item(contactID)
		list = append(list, binding{id, sort, it != nil && it.int(contacts.known.company) == companyID})
	}
	slices.SortStableFunc(list, func(a, b binding) int { return cmp.Compare(a.sort, b.sort) })
	return list
}

// bindingKey is the id of a pair's row in the table of sorts.
func bindingKey(contactID, companyID int64) int64 { return contactID<<31 | companyID }

func (s *store) bindingSort(contactID, companyID int64) (int64, bool) {
	rec, ok := s.existing(bindingSorts).get(bindingKey(contactID, companyID))
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

// bind links the two and reports false where they are linked already or either
// is missing. fields may say SORT and IS_PRIMARY.
func (b bindingSide) bind(s *store, owner, other int64, fields *array) bool {
	contactID, companyID := b.pair(owner, other)
	contacts := s.entities[contactType]
	if s.entities[companyType].item(companyID) == nil || !contacts.linkCompany(contactID, companyID) {
		return false
	}
	if sort := intOf(memberText(fields, "SORT")); sort > 0 {
		s.rows(bindingSorts).put(bindingKey(contactID, companyID), &row{"sort": sort})
	} else {
		s.rows(bindingSorts).remove(bindingKey(contactID, companyID))
	}
	if memberText(fields, "IS_PRIMARY") == "Y" {
		s.makePrimary(contactID, companyID)
	}
	return true
}

// unbind parts the two and reports whether they were linked.
func (b bindingSide) unbind(s *store, owner, other int64) bool {
	contactID, companyID := b.pair(owner, other)
	if !s.entities[contactType].unlinkCompany(contactID, companyID) {
		return false
	}
	s.rows(bindingSorts).remove(bindingKey(contactID, companyID))
	return true
}

// makePrimary makes a linked company the contact's main one.
func (s *store) makePrimary(contactID, companyID int64) {
	e := s.entities[contactType]
	old := e.item(contactID)
	if old.int(e.known.company) == companyID {
		return
	}
	it := old.clone()
	it.set(e.known.company, companyID)
	e.put(it)
}

func (b bindingSide) itemsGet(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	for _, link := range b.bindings(c.store, owner) {
		rows = append(rows, object{
			{b.key, link.id}, {"SORT", link.sort}, {"ROLE_ID", int64(0)}, {"IS_PRIMARY", yesNo(link.primary)},
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
	for _, link := range b.bindings(c.store, owner) {
		b.unbind(c.store, owner, link.id)
	}
	for _, val := range items.all() {
		if fields, ok := val.(*array); ok {
			b.bind(c.store, owner, intOf(memberText(fields, b.key)), fields)
		}
	}
	return true, nil
}

func (b bindingSide) itemsDelete(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	for _, link := range b.bindings(c.store, owner) {
		b.unbind(c.store, owner, link.id)
	}
	return true, nil
}

// bindingFields reads the parameter fields with the id of the other side.
func (b bindingSide) bindingFields(c *call) (*array, int64, *apiError) {
	raw, _ := c.old("fields")
	fields, ok := raw.(*array)
	if !ok {
		return nil, 0, oldError("The parameter 'fields' is not valid.")
	}
	other := intOf(memberText(fields, b.key))
	if other <= 0 {
		return nil, 0, oldError("The parameter 'fields' is not valid.")
	}
	return fields, other, nil
}

// add answers false, not with a refusal, where the two are linked already.
func (b bindingSide) add(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	fields, other, err := b.bindingFields(c)
	if err != nil {
		return nil, err
	}
	return b.bind(c.store, owner, other, fields), nil
}

// delete answers false where the two are not linked.
func (b bindingSide) delete(c *call) (any, *apiError) {
	owner, err := b.ownerID(c)
	if err != nil {
		return nil, err
	}
	_, other, err := b.bindingFields(c)
	if err != nil {
		return nil, err
	}
	return b.unbind(c.store, owner, other), nil
}

func (b bindingSide) fields(*call) (any, *apiError) {
	return descriptors([]metaField{
		{name: b.key, kind: "integer", required: true},
		{name: "SORT", kind: "integer"},
		{name: "ROLE_ID", kind: "integer"},
		{name: "IS_PRIMARY", kind: "char"},
	}, fieldTitle), nil
}
