package sandbox

import (
	"slices"
	"strconv"
	"sync"
)

// The entity types that every portal has. A smart process has an id of its own,
// 128 to 191 or an even one from 1030 on.
const (
	leadType    = 1
	dealType    = 2
	contactType = 3
	companyType = 4
	quoteType   = 7
	invoiceType = 31
)

// entity is a type of CRM items with its fields and items.
type entity struct {
	store    *store
	typeID   int
	name     string // in the dump: contact, dynamic_128, …
	title    string // what a nameless item is called by
	ufEntity string // the entityId of its custom fields
	process  *processType

	fields  []*field // by slot
	byRest  map[string]*field
	byUpper map[string]*field
	known   knownFields

	items  []*item // by id, ascending
	last   int64   // the highest id ever given out
	newest int64   // the latest creation time, Unix seconds

	history     []stageEvent
	lastHistory int64

	indexMu sync.Mutex
	indexes map[string]*index
}

// knownFields are the fields that the portal itself reads and writes; nil
// where the entity has none such.
type knownFields struct {
	title, category, stage, previousStage  *field
	created, createdBy, updated, updatedBy *field
	moved, movedBy, active, activeBy       *field
	assigned, begin, close, opened, source *field
	contact, contacts, company, companies  *field
	fm, name, lastName, xml, currency      *field
}

// item is one record of an entity. It is never changed once it is stored: an
// update stores another one under the same id.
type item struct {
	id    int64
	cells []cell // ascending by slot; a field without a cell is unset
}

// cell is the value of one field of an item: int64 (whole numbers, days since
// 1970 for dates, Unix seconds for times), float64, string (also Y and N),
// []int64, []string or []comm.
type cell struct {
	slot int
	val  any
}

// stageEvent is one line of an item's stage history.
type stageEvent struct {
	id, owner, at, category int64
	kind                    int // 1 created, 2 moved, 3 finished
	stage, semantics        string
}

func newEntity(s *store, typeID int, process *processType) *entity {
	e := &entity{
		store: s, typeID: typeID, process: process,
		byRest: map[string]*field{}, byUpper: map[string]*field{}, indexes: map[string]*index{},
	}
	switch typeID {
	case leadType:
		e.name, e.title, e.ufEntity = "lead", "Lead", "CRM_LEAD"
	case dealType:
		e.name, e.title, e.ufEntity = "deal", "Deal", "CRM_DEAL"
	case contactType:
		e.name, e.title, e.ufEntity = "contact", "Contact", "CRM_CONTACT"
	case companyType:
		e.name, e.title, e.ufEntity = "company", "Company", "CRM_COMPANY"
	case quoteType:
		e.name, e.title, e.ufEntity = "quote", "Estimate", "CRM_QUOTE"
	case invoiceType:
		e.name, e.title, e.ufEntity = "smart_invoice", "Invoice", "CRM_SMART_INVOICE"
	default:
		e.name = "dynamic_" + strconv.Itoa(typeID)
		e.title, e.ufEntity = process.Title, "CRM_"+strconv.FormatInt(process.ID, 10)
	}
	for _, f := range systemFields(typeID, process) {
		e.addField(f)
	}
	e.learnFields()
	return e
}

func (e *entity) learnFields() {
	u := e.byUpper
	e.known = knownFields{
		title: u["TITLE"], category: u["CATEGORY_ID"], stage: u["STAGE_ID"], previousStage: u["PREVIOUS_STAGE_ID"],
		created: u["CREATED_TIME"], createdBy: u["CREATED_BY"], updated: u["UPDATED_TIME"], updatedBy: u["UPDATED_BY"],
		moved: u["MOVED_TIME"], movedBy: u["MOVED_BY"], active: u["LAST_ACTIVITY_TIME"], activeBy: u["LAST_ACTIVITY_BY"],
		assigned: u["ASSIGNED_BY_ID"], begin: u["BEGINDATE"], close: u["CLOSEDATE"], opened: u["OPENED"], source: u["SOURCE_ID"],
		contact: u["CONTACT_ID"], contacts: u["CONTACT_IDS"], company: u["COMPANY_ID"], companies: u["COMPANY_IDS"],
		fm: u["FM"], name: u["NAME"], lastName: u["LAST_NAME"], xml: u["XML_ID"], currency: u["CURRENCY_ID"],
	}
}

// addField gives a field its slot; a field that is there already is replaced
// in place, so that the cells of items stay valid.
func (e *entity) addField(f *field) {
	if old, ok := e.byUpper[f.upper]; ok {
		f.slot, f.rest = old.slot, old.rest
		e.fields[f.slot] = f
	} else {
		if f.rest == "" {
			f.rest = restName(f.upper)
		}
		f.slot = len(e.fields)
		e.fields = append(e.fields, f)
		if _, taken := e.byRest[f.rest]; taken {
			f.rest = f.upper
		}
	}
	e.byUpper[f.upper] = f
	e.byRest[f.rest] = f
}

// resolve finds the field of a name in a request: camelCase, or upper case for
// system fields, and for custom ones where useOriginalUfNames is Y.
func (e *entity) resolve(name string, original bool) *field {
	if f, ok := e.byRest[name]; ok {
		return f
	}
	if f, ok := e.byUpper[name]; ok && (!f.custom() || original) {
		return f
	}
	return nil
}

// get returns a stored value, or nil where the field is unset.
func (it *item) get(f *field) any {
	if f == nil {
		return nil
	}
	if i, ok := it.search(f.slot); ok {
		return it.cells[i].val
	}
	return nil
}

func (it *item) search(slot int) (int, bool) {
	lo, hi := 0, len(it.cells)
	for lo < hi {
		mid := (lo + hi) / 2
		if it.cells[mid].slot < slot {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(it.cells) && it.cells[lo].slot == slot
}

// set changes an item that isn't stored yet; nil unsets the field.
func (it *item) set(f *field, val any) {
	if f == nil {
		return
	}
	i, found := it.search(f.slot)
	switch {
	case val == nil && found:
		it.cells = slices.Delete(it.cells, i, i+1)
	case val == nil:
	case found:
		it.cells[i].val = val
	default:
		it.cells = slices.Insert(it.cells, i, cell{f.slot, val})
	}
}

func (it *item) int(f *field) int64 {
	n, _ := it.get(f).(int64) // unset is 0
	return n
}

func (it *item) text(f *field) string {
	s, _ := it.get(f).(string) // unset is empty
	return s
}

func (it *item) ints(f *field) []int64 {
	list, _ := it.get(f).([]int64) // unset is empty
	return list
}

func (it *item) comms(f *field) []comm {
	list, _ := it.get(f).([]comm) // unset is empty
	return list
}

// clone returns a copy that may be changed with [item.set].
func (it *item) clone() *item {
	return &item{id: it.id, cells: append(make([]cell, 0, len(it.cells)+4), it.cells...)}
}

// at returns where an id stands among the items, or would stand.
func (e *entity) at(id int64) (int, bool) {
	// Ids have few gaps, so an item mostly stands at its id or a little before it.
	if i := id - 1; i >= 0 && i < int64(len(e.items)) && e.items[i].id == id {
		return int(i), true
	}
	return slices.BinarySearchFunc(e.items, id, func(it *item, id int64) int {
		switch {
		case it.id < id:
			return -1
		case it.id > id:
			return 1
		default:
			return 0
		}
	})
}

// item returns the item of an id, or nil.
func (e *entity) item(id int64) *item {
	if i, ok := e.at(id); ok {
		return e.items[i]
	}
	return nil
}

// nextID gives out an id that no item has had.
func (e *entity) nextID() int64 {
	e.last++
	return e.last
}

// put stores an item, replacing the one of its id.
func (e *entity) put(it *item) {
	// Room to grow into is room that a million items would waste.
	cells := make([]cell, len(it.cells))
	copy(cells, it.cells)
	it.cells = cells
	old := e.keep(it)
	e.record(old, it)
	e.store.log.item(e, it)
	if old == nil {
		e.store.note(EffectCreate, e, it)
		return
	}
	e.store.note(EffectUpdate, e, it)
}

// keep is [entity.put] without the data file and the stage history.
func (e *entity) keep(it *item) (old *item) {
	i, found := e.at(it.id)
	if found {
		old = e.items[i]
		e.items[i] = it
	} else {
		e.items = slices.Insert(e.items, i, it)
	}
	for _, ix := range e.indexes {
		ix.replace(old, it)
	}
	e.last = max(e.last, it.id)
	e.newest = max(e.newest, it.int(e.known.created))
	for _, c := range it.comms(e.known.fm) {
		e.store.lastComm = max(e.store.lastComm, c.id)
	}
	return old
}

// remove deletes an item, if it is there.
func (e *entity) remove(id int64) {
	old := e.item(id)
	if old == nil {
		return
	}
	e.drop(id)
	e.store.log.removed(e, id)
	e.store.note(EffectDelete, e, old)
}

func (e *entity) drop(id int64) {
	i, found := e.at(id)
	if !found {
		return
	}
	for _, ix := range e.indexes {
		ix.replace(e.items[i], nil)
	}
	e.items = slices.Delete(e.items, i, i+1)
}

// record adds to the stage history what an update of an item did to its stage.
func (e *entity) record(old, it *item) {
	stage := it.text(e.known.stage)
	if stage == "" || old != nil && old.text(e.known.stage) == stage {
		return
	}
	semantics := e.semantics(it)
	kind := 2
	switch {
	case old == nil:
		kind = 1
	case semantics != "P":
		kind = 3
	}
	e.lastHistory++
	e.history = append(e.history, stageEvent{
		id: e.lastHistory, owner: it.id, at: it.int(e.known.moved), category: it.int(e.known.category),
		kind: kind, stage: stage, semantics: semantics,
	})
}

// semantics tells whether an item's stage is in progress (P), won (S) or lost (F).
func (e *entity) semantics(it *item) string {
	st := e.store.status(stageListID(e.typeID, it.int(e.known.category)), it.text(e.known.stage))
	if st == nil || st.Semantics == "" {
		return "P"
	}
	return st.Semantics
}
