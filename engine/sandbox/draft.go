package sandbox

import (
	"slices"
	"strconv"
)

// baseCurrency is what amounts without a currency are in.
const baseCurrency = "USD"

// draft is a new item, or a change of one, before it is stored.
//
//	d := c.store.draft(e, e.item(id), c.user) // or newDraft for a new item
//	err := d.assign(field, raw)               // per field; silent where the portal is
//	it, changed, err := d.save()
type draft struct {
	e        *entity
	old      *item // nil for a new item
	it       *item
	user     int64
	imported bool // crm.item.import: system fields may be set, robots don't run

	category, contact, company    any // as given; see given
	contacts, companies           []int64
	stage                         string
	given                         map[*field]bool
	comms                         []comm
	created, updated, movedAt     int64 // imported only, Unix seconds
	createdBy, updatedBy, movedBy int64
}

func (s *store) newDraft(e *entity, user int64) *draft {
	return &draft{e: e, it: &item{cells: make([]cell, 0, 32)}, user: user, given: map[*field]bool{}}
}

func (s *store) draft(e *entity, old *item, user int64) *draft {
	return &draft{e: e, old: old, it: old.clone(), user: user, given: map[*field]bool{}}
}

// assignAll assigns the fields of a request; names that no field has are
// ignored, as the portal does.
func (d *draft) assignAll(fields *array, original bool) *apiError {
	for name, raw := range fields.all() {
		if d.imported && d.importComms(name, raw) {
			continue
		}
		if f := d.e.resolve(name, original); f != nil {
			if err := d.assign(f, raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// assign gives a field a value from a request. Read-only fields and values that
// can't be read are left out without a word; errors are those of
// [field.accept].
func (d *draft) assign(f *field, raw any) *apiError {
	k := &d.e.known
	switch {
	case f.is(readOnly):
		if d.imported {
			return d.importSystem(f, raw)
		}
		return nil
	case f.is(immutable) && d.old != nil:
		return nil
	case f == k.fm:
		if !d.imported {
			d.comms = append(d.comms, fmRows(raw)...)
		}
		return nil
	case f == k.assigned && (isBlank(raw) || intOf(raw) == 0):
		if d.old == nil {
			return nil // the default is the caller
		}
		return lacking(f)
	case f == k.stage:
		d.stage = textOf(raw)
		d.given[f] = true
		return nil
	}
	accept := f.accept
	if f.kind == typeFile {
		accept = func(_ *store, raw any) (any, bool, *apiError) { return d.acceptFiles(f, raw) }
	}
	val, keep, err := accept(d.e.store, raw)
	if err != nil || !keep {
		return err
	}
	d.given[f] = true
	switch f {
	case k.category:
		d.category = intOf(raw)
	case k.contact:
		d.contact = val
	case k.company:
		if k.companies == nil {
			d.it.set(f, val)
			return nil
		}
		d.company = val
	case k.contacts:
		d.contacts, _ = val.([]int64) // nil clears
	case k.companies:
		d.companies, _ = val.([]int64) // nil clears
	default:
		d.it.set(f, val)
	}
	return nil
}

// importComms reads the multifields of an import, which come as PHONE, EMAIL,
// WEB and IM rows of VALUE and VALUE_TYPE (crm.item.import).
func (d *draft) importComms(name string, raw any) bool {
	if d.e.known.fm == nil {
		return false
	}
	if _, ok := defaultValueType(name); !ok {
		return false
	}
	list, ok := raw.(*array)
	if !ok {
		return true
	}
	for _, val := range list.all() {
		if m, ok := val.(*array); ok {
			d.comms = append(d.comms, comm{
				kind: name, valueType: memberText(m, "VALUE_TYPE"), value: memberText(m, "VALUE"),
			})
		}
	}
	return true
}

// importSystem takes the system fields that an import may set.
func (d *draft) importSystem(f *field, raw any) *apiError {
	k := &d.e.known
	var into *int64
	switch f {
	case k.created:
		into = &d.created
	case k.updated:
		into = &d.updated
	case k.moved:
		into = &d.movedAt
	case k.createdBy:
		into = &d.createdBy
	case k.updatedBy:
		into = &d.updatedBy
	case k.movedBy:
		into = &d.movedBy
	default:
		return nil
	}
	if u, ok := d.e.store.users.get(d.user); !ok || !u.Admin {
		return invalid(f)
	}
	val, keep, err := f.accept(d.e.store, raw)
	if n, ok := val.(int64); ok && keep {
		*into = n
	}
	return err
}

// save stores the item. changed is false where nothing differs from what was
// there: the portal then skips the save, so that nothing is stamped and no
// robot runs.
func (d *draft) save() (it *item, changed bool, err *apiError) {
	return d.saveAt(nowUnix())
}

// saveAt is save at a time of one's choice.
func (d *draft) saveAt(now int64) (it *item, changed bool, err *apiError) {
	if err := d.settleCategory(); err != nil {
		return nil, false, err
	}
	d.settleStage()
	d.settleLinks()
	d.settleComms()
	if err := d.settleNames(); err != nil {
		return nil, false, err
	}
	if d.old != nil && d.it.equal(d.old) && !d.rebinds() {
		return d.old, false, nil
	}
	if err := d.stamp(now); err != nil {
		return nil, false, err
	}
	if d.old == nil {
		d.complete()
	}
	d.e.put(d.it)
	d.rebind()
	if !d.imported {
		d.e.store.robots++
	}
	return d.it, true, nil
}

func lacking(f *field) *apiError {
	return fault(400, "CRM_FIELD_ERROR_REQUIRED", "The \""+f.title+"\" field is required")
}

func invalid(f *field) *apiError {
	return fault(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "Invalid value for field \""+f.title+"\"")
}

// settleNames checks what an item can't be without: a company's title, and one
// of a contact's names, for which a new contact gets a placeholder.
func (d *draft) settleNames() *apiError {
	k := &d.e.known
	switch {
	case d.e.typeID == companyType && d.old != nil && d.it.text(k.title) == "":
		return lacking(k.title)
	case d.e.typeID == contactType && d.it.text(k.name) == "" && d.it.text(k.lastName) == "":
		if d.old != nil && d.old.text(k.name)+d.old.text(k.lastName) != "" {
			return lacking(k.name)
		}
		if d.old == nil {
			d.it.set(k.lastName, "Untitled")
		}
	}
	return nil
}

// settleComms merges the given phones and e-mails into those that are there.
func (d *draft) settleComms() {
	if len(d.comms) == 0 {
		return
	}
	s, fm := d.e.store, d.e.known.fm
	if d.old == nil {
		for i := range d.comms {
			d.comms[i].id = 0
		}
	}
	list := s.mergeComms(d.it.comms(fm), d.comms)
	if len(list) == 0 {
		d.it.set(fm, nil)
		return
	}
	d.it.set(fm, list)
}

// stamp sets who made and changed the item, and when.
func (d *draft) stamp(now int64) *apiError {
	k := &d.e.known
	if d.old != nil {
		d.it.set(k.updated, now)
		d.it.set(k.updatedBy, d.user)
		if d.it.text(k.stage) != d.old.text(k.stage) {
			d.it.set(k.moved, now)
			d.it.set(k.movedBy, d.user)
		}
		return nil
	}
	if err := d.checkTimes(now); err != nil {
		return err
	}
	made := orElse(d.created, now)
	d.setBoxed(made, k.created, k.active)
	changed := orElse(d.updated, made)
	d.setBoxed(changed, k.updated)
	d.setBoxed(orElse(d.movedAt, made), k.moved)
	d.setBoxed(orElse(d.createdBy, d.user), k.createdBy, k.activeBy)
	d.setBoxed(orElse(d.updatedBy, d.user), k.updatedBy)
	d.setBoxed(orElse(d.movedBy, d.user), k.movedBy)
	return nil
}

// setBoxed sets several fields to one value, which is then in memory once.
func (d *draft) setBoxed(val any, fields ...*field) {
	for _, f := range fields {
		d.it.set(f, val)
	}
}

func orElse(n, otherwise int64) int64 {
	if n != 0 {
		return n
	}
	return otherwise
}

// checkTimes applies the order of times that an import must keep: none in the
// future, none before the newest item there is, changes not before the making
// (crm.item.import).
func (d *draft) checkTimes(now int64) *apiError {
	k := &d.e.known
	if d.created != 0 && (d.created > now || d.created < d.e.newest) {
		return invalid(k.created)
	}
	made := orElse(d.created, now)
	if d.updated != 0 && (d.updated < made || d.updated > now) {
		return invalid(k.updated)
	}
	if d.movedAt != 0 && (d.movedAt < made || d.movedAt > orElse(d.updated, now)) {
		return invalid(k.moved)
	}
	return nil
}

// complete gives a new item its id and what the portal fills in by itself.
func (d *draft) complete() {
	s, k := d.e.store, &d.e.known
	d.it.id = d.e.nextID()
	if k.title != nil && d.it.text(k.title) == "" {
		d.it.set(k.title, d.e.title+" #"+strconv.FormatInt(d.it.id, 10))
	}
	fill := func(f *field, val any) {
		if f != nil && d.it.get(f) == nil && !d.given[f] {
			d.it.set(f, val)
		}
	}
	fill(k.assigned, d.user)
	fill(k.opened, "Y")
	fill(k.currency, baseCurrency)
	fill(k.begin, s.today())
	fill(k.close, s.today()+7)
	if list := s.lists["SOURCE"]; len(list) > 0 {
		fill(k.source, list[0].StatusID)
	}
}

// equal reports whether two items hold the same values.
func (it *item) equal(other *item) bool {
	return slices.EqualFunc(it.cells, other.cells, func(a, b cell) bool {
		return a.slot == b.slot && sameValue(a.val, b.val)
	})
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case []int64:
		b, ok := b.([]int64)
		return ok && slices.Equal(a, b)
	case []string:
		b, ok := b.([]string)
		return ok && slices.Equal(a, b)
	case []comm:
		b, ok := b.([]comm)
		return ok && slices.Equal(a, b)
	default:
		switch b.(type) {
		case []int64, []string, []comm:
			return false
		}
		return a == b
	}
}
