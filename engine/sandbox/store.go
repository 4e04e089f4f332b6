package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// store is the contents of a portal. The dispatcher holds mu around every
// method: for writing where the method says that it writes, else for reading.
type store struct {
	mu   sync.RWMutex
	log  *journal // nil: in memory only
	zone *time.Location

	id       string // tells these contents from all others
	entities map[int]*entity
	tablesMu sync.Mutex // against readers that use a table for the first time
	tables   map[string]loader
	lists    map[string][]*status // by ENTITY_ID, in the order of SORT
	products map[string][]int64   // ids of product rows by owner, some of them gone
	lastComm int64                // the highest id of a phone, e-mail, … row
	lastFile int64
	fresh    map[int64]bool        // files of the request in hand
	webhook  string                // the path of its methods
	robots   int                   // how many would have fired
	lagging  map[itemKey]time.Time // items that lists don't show yet

	recording bool // effects are kept in history
	history   []Effect
	cause     cause

	statuses   *table[status]
	categories *table[category]
	types      *table[processType]
	userFields *table[userField]
	users      *table[user]
	files      *table[storedFile]
}

type itemKey struct {
	typeID int
	id     int64
}

// loader is a table as a data file sees it.
type loader interface {
	load(id int64, raw []byte) error
	save(log *journal)
	size() int
}

// status is one entry of a status list, which stages are too.
type status struct {
	ID         int64  `json:"id"`
	EntityID   string `json:"entity_id"` // the list: SOURCE, DEAL_STAGE_1, DYNAMIC_128_STAGE_42, …
	StatusID   string `json:"status_id"`
	Name       string `json:"name"`
	Sort       int64  `json:"sort"`
	System     bool   `json:"system,omitempty"`
	CategoryID int64  `json:"category_id,omitempty"`
	Color      string `json:"color,omitempty"`
	Semantics  string `json:"semantics,omitempty"` // S won, F lost, else in progress
}

// category is a pipeline of deals, invoices or a smart process.
type category struct {
	ID           int64  `json:"id"`
	EntityTypeID int    `json:"entity_type_id"`
	Name         string `json:"name"`
	Sort         int64  `json:"sort"`
	Default      bool   `json:"default,omitempty"`
}

// processType is a smart process. Its ID names its custom fields, its
// EntityTypeID its items and stages.
type processType struct {
	ID           int64           `json:"id"`
	EntityTypeID int             `json:"entity_type_id"`
	Title        string          `json:"title"`
	Code         string          `json:"code,omitempty"`
	CreatedBy    int64           `json:"created_by"`
	UpdatedBy    int64           `json:"updated_by"`
	Created      int64           `json:"created"`  // Unix seconds
	Updated      int64           `json:"updated"`  // Unix seconds
	Features     map[string]bool `json:"features"` // isClientEnabled, isStagesEnabled, … of crm.type.list
	Parents      []int           `json:"parents,omitempty"`
	Children     []int           `json:"children,omitempty"`
}

// userField is a custom field.
type userField struct {
	ID        int64             `json:"id"`
	EntityID  string            `json:"entity_id"` // CRM_CONTACT, CRM_41, …
	Name      string            `json:"name"`      // UF_CRM_…
	Type      string            `json:"type"`      // string, integer, double, boolean, enumeration, date, …
	Label     string            `json:"label"`
	Sort      int64             `json:"sort"`
	Multiple  bool              `json:"multiple,omitempty"`
	Mandatory bool              `json:"mandatory,omitempty"`
	XMLID     string            `json:"xml_id,omitempty"`
	Options   []fieldOption     `json:"options,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"`
}

// fieldOption is one choice of an enumeration field.
type fieldOption struct {
	ID      int64  `json:"id"`
	Value   string `json:"value"`
	Sort    int64  `json:"sort"`
	Default bool   `json:"default,omitempty"`
	XMLID   string `json:"xml_id,omitempty"`
}

// user is a person of the portal.
type user struct {
	ID          int64   `json:"id"`
	Active      bool    `json:"active"`
	Admin       bool    `json:"admin,omitempty"`
	Name        string  `json:"name"`
	LastName    string  `json:"last_name"`
	Email       string  `json:"email"`
	Position    string  `json:"position,omitempty"`
	Gender      string  `json:"gender,omitempty"`
	Phone       string  `json:"phone,omitempty"`
	City        string  `json:"city,omitempty"`
	Kind        string  `json:"kind"` // employee or extranet
	Departments []int64 `json:"departments,omitempty"`
}

func newStore(log *journal, zone *time.Location) *store {
	s := &store{log: log, zone: zone}
	s.clear()
	return s
}

// clear forgets all contents.
func (s *store) clear() {
	s.id, s.lastComm, s.lastFile, s.robots, s.history = "", 0, 0, 0, nil
	s.entities = map[int]*entity{}
	s.tables = map[string]loader{}
	s.lists = map[string][]*status{}
	s.lagging = map[itemKey]time.Time{}
	for _, id := range []int{leadType, dealType, contactType, companyType, quoteType, invoiceType} {
		s.entities[id] = newEntity(s, id, nil)
	}
	s.statuses = newTable(s, "status", s.listStatus)
	s.categories = newTable[category](s, "category", nil)
	s.types = newTable(s, "type", s.installType)
	s.userFields = newTable(s, "field", s.installField)
	s.users = newTable[user](s, "user", nil)
	s.files, s.fresh = newTable(s, "file", s.listFile), map[int64]bool{}
	s.products = map[string][]int64{}
	newTable(s, productRowTable, s.noteProductRow)
}

// tableNames returns the names of the tables, types first: fields and statuses
// refer to them.
func (s *store) tableNames() []string {
	names := []string{s.types.name}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		if name != s.types.name {
			names = append(names, name)
		}
	}
	return names
}

// sortedEntities returns the entities by their entityTypeId.
func (s *store) sortedEntities() []*entity {
	var list []*entity
	for _, id := range slices.Sorted(maps.Keys(s.entities)) {
		list = append(list, s.entities[id])
	}
	return list
}

// rows returns the table of a name, made empty at its first use: for methods
// whose records need no type of their own. Methods that only read may call it.
func (s *store) rows(name string) *table[row] {
	s.tablesMu.Lock()
	defer s.tablesMu.Unlock()

	if t, ok := s.tables[name].(*table[row]); ok {
		return t
	}
	return newTable[row](s, name, nil)
}

// listStatus keeps the status lists in step with their table.
func (s *store) listStatus(id int64, rec *status) {
	list := s.lists[rec.EntityID]
	kept := make([]*status, 0, len(list)+1)
	for _, old := range list {
		if old.ID != id {
			kept = append(kept, old)
		}
	}
	at := len(kept)
	for at > 0 && kept[at-1].Sort > rec.Sort {
		at--
	}
	kept = append(kept[:at], append([]*status{rec}, kept[at:]...)...)
	s.lists[rec.EntityID] = kept
}

// status returns the entry of a list, or nil.
func (s *store) status(entityID, statusID string) *status {
	for _, st := range s.lists[entityID] {
		if st.StatusID == statusID {
			return st
		}
	}
	return nil
}

// installType makes a smart process addressable by its entityTypeId.
func (s *store) installType(_ int64, t *processType) {
	if e, ok := s.entities[t.EntityTypeID]; ok {
		e.title = t.Title
		return
	}
	e := newEntity(s, t.EntityTypeID, t)
	s.entities[t.EntityTypeID] = e
	for _, parent := range t.Parents {
		e.addField(parentField(parent))
	}
	for _, child := range t.Children {
		if c, ok := s.entities[child]; ok {
			c.addField(parentField(t.EntityTypeID))
		}
	}
}

// installField makes a custom field part of its entity.
func (s *store) installField(_ int64, uf *userField) {
	for _, e := range s.entities {
		if e.ufEntity == uf.EntityID {
			e.addField(customField(uf))
			return
		}
	}
}

// categoriesOf returns the pipelines of an entity, those with the lowest SORT
// first.
func (s *store) categoriesOf(typeID int) []*category {
	var list []*category
	for _, c := range s.categories.all() {
		if c.EntityTypeID != typeID {
			continue
		}
		at := len(list)
		for at > 0 && list[at-1].Sort > c.Sort {
			at--
		}
		list = append(list[:at], append([]*category{c}, list[at:]...)...)
	}
	return list
}

// category returns a pipeline of an entity, or nil.
func (s *store) category(typeID int, id int64) *category {
	if c, ok := s.categories.get(id); ok && c.EntityTypeID == typeID {
		return c
	}
	return nil
}

// defaultCategory returns the pipeline of items that name none, or nil.
func (s *store) defaultCategory(typeID int) *category {
	list := s.categoriesOf(typeID)
	for _, c := range list {
		if c.Default {
			return c
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return nil
}

// stageListID names the status list that holds the stages of an entity's
// pipeline, or is empty where the entity has no stages.
func stageListID(typeID int, categoryID int64) string {
	switch typeID {
	case leadType:
		return "STATUS"
	case dealType:
		if categoryID == 0 {
			return "DEAL_STAGE"
		}
		return "DEAL_STAGE_" + strconv.FormatInt(categoryID, 10)
	case contactType, companyType:
		return ""
	case quoteType:
		return "QUOTE_STATUS"
	case invoiceType:
		return "SMART_INVOICE_STAGE_" + strconv.FormatInt(categoryID, 10)
	default:
		return "DYNAMIC_" + strconv.Itoa(typeID) + "_STAGE_" + strconv.FormatInt(categoryID, 10)
	}
}

// nowUnix is the time as data holds it: Unix seconds.
func nowUnix() int64 { return time.Now().Unix() }

// abbreviation is how bindings name a type: L, D, C, CO, Q, SI, T80.
func abbreviation(typeID int) string {
	switch typeID {
	case leadType:
		return "L"
	case dealType:
		return "D"
	case contactType:
		return "C"
	case companyType:
		return "CO"
	case quoteType:
		return "Q"
	case invoiceType:
		return "SI"
	default:
		return "T" + strings.ToLower(strconv.FormatInt(int64(typeID), 16))
	}
}
