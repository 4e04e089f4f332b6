package sandbox

import (
	"slices"
	"strings"
)

// settleLinks applies the two ways to link an item to contacts, and a contact to
// companies. A single id that is linked already changes nothing; another one
// drops all others (contactId is marked isDeprecated for that). A list replaces
// the links and is applied last; the primary one stays primary if it survives.
func (d *draft) settleLinks() {
	k := &d.e.known
	if k.contacts != nil && k.contact != nil {
		d.link(k.contact, k.contacts, d.contact, d.contacts)
	}
	if k.companies != nil {
		d.link(k.company, k.companies, d.company, d.companies)
	}
}

func (d *draft) link(primary, all *field, one any, list []int64) {
	ids := d.it.ints(all)
	first := d.it.int(primary)
	if d.given[primary] {
		id, _ := one.(int64) // nil unlinks
		switch {
		case id == 0:
			ids, first = nil, 0
		case !slices.Contains(ids, id):
			ids, first = []int64{id}, id
		}
	}
	if d.given[all] {
		ids = list
		if !slices.Contains(ids, first) {
			first = 0
		}
	}
	if first == 0 && len(ids) > 0 {
		first = ids[0]
	}
	d.it.setLinks(primary, all, first, ids)
}

// setLinks stores linked ids and which of them is the primary one.
func (it *item) setLinks(primary, all *field, first int64, ids []int64) {
	if len(ids) == 0 {
		it.set(primary, nil)
		it.set(all, nil)
		return
	}
	it.set(primary, first)
	it.set(all, ids)
}

// contactsOfCompany derives a company's contactIds from the contacts' side,
// where the link is kept.
func contactsOfCompany(e *entity, it *item) any {
	contacts := e.store.entities[contactType]
	ids := slices.Clone(contacts.fieldIndex(contacts.known.companies).ids[keysOf(it.id)[0]])
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return ids
}

// rebinds reports whether a company's contacts are to change.
func (d *draft) rebinds() bool {
	if d.e.typeID != companyType || !d.given[d.e.known.contacts] {
		return false
	}
	now, _ := contactsOfCompany(d.e, d.it).([]int64) // nil is none
	want := slices.Clone(d.contacts)
	slices.Sort(want)
	return !slices.Equal(now, want)
}

// rebind links exactly the given contacts to the company.
func (d *draft) rebind() {
	if !d.rebinds() {
		return
	}
	contacts := d.e.store.entities[contactType]
	now, _ := contactsOfCompany(d.e, d.it).([]int64) // nil is none
	for _, id := range now {
		if !slices.Contains(d.contacts, id) {
			contacts.unlinkCompany(id, d.it.id)
		}
	}
	for _, id := range d.contacts {
		contacts.linkCompany(id, d.it.id)
	}
}

// linkCompany adds a company to a contact; it reports false where the contact
// is missing or has it already.
func (e *entity) linkCompany(contactID, companyID int64) bool {
	old := e.item(contactID)
	if old == nil || slices.Contains(old.ints(e.known.companies), companyID) {
		return false
	}
	ids := append(slices.Clone(old.ints(e.known.companies)), companyID)
	it := old.clone()
	it.setLinks(e.known.company, e.known.companies, orElse(old.int(e.known.company), companyID), ids)
	e.put(it)
	return true
}

// unlinkCompany removes a company from a contact; it reports false where there
// is nothing to remove.
func (e *entity) unlinkCompany(contactID, companyID int64) bool {
	old := e.item(contactID)
	if old == nil || !slices.Contains(old.ints(e.known.companies), companyID) {
		return false
	}
	ids := slices.DeleteFunc(slices.Clone(old.ints(e.known.companies)), func(id int64) bool { return id == companyID })
	first := old.int(e.known.company)
	if first == companyID && len(ids) > 0 {
		first = ids[0]
	}
	it := old.clone()
	it.setLinks(e.known.company, e.known.companies, first, ids)
	e.put(it)
	return true
}

// fullName joins a contact's names.
func fullName(e *entity, it *item) any {
	name := strings.TrimSpace(it.text(e.known.name) + " " + it.text(e.known.lastName))
	if name == "" {
		return nil
	}
	return name
}
