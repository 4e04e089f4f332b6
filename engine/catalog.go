package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine/expression"
)

// Entity type ids of the CRM objects that every portal has, as crm.item.*
// takes them. Smart processes have ids from 128 on.
const (
	TypeLead    = 1
	TypeDeal    = 2
	TypeContact = 3
	TypeCompany = 4
	TypeQuote   = 7
	TypeInvoice = 31
)

// Catalog is what a plan must know of a portal to turn names into ids: the
// entities that the job names, their fields, categories and stages, and the
// people. It is a snapshot; nothing in it is ever written.
type Catalog struct {
	Portal   PortalInfo
	Entities []*Entity
	Users    []User
	// Linkers are all further entities of the portal, where they were asked for:
	// their items may link to those of the others.
	Linkers []*Entity
	// Beside is what stands beside items, as far as it was asked for.
	Beside []*Entity
}

// PortalInfo says which portal was asked and as whom.
type PortalInfo struct {
	// Address is the portal as it may be shown: the secret is masked,
	// https://host/rest/1/***/.
	Address string `json:"address"`
	// ID tells one portal from another: host and webhook user, or the
	// sandbox's own contents id. It never holds the secret.
	ID     string `json:"id"`
	UserID int64  `json:"user_id"`
	User   string `json:"user"`
	Admin  bool   `json:"admin"`
}

// User is one employee of the portal.
type User struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"` // first and last name
	Email  string `json:"email"`
	Active bool   `json:"active"`
}

// Entity is one kind of CRM object: contacts, deals, or a smart process.
type Entity struct {
	// TypeID is the entityTypeId of crm.item.*.
	TypeID int `json:"entity_type_id"`
	// SPATypeID is crm.type.list's id of a smart process, which numbers its
	// custom fields (UF_CRM_41_…); 0 for the others.
	SPATypeID int `json:"spa_type_id,omitempty"`
	// Name is the word for it in jobs and plans: contact, deal, or the title
	// of a smart process.
	Name       string     `json:"name"`
	Fields     []*Field   `json:"fields"`
	Categories []Category `json:"categories,omitempty"`
	// Categorized says that items carry a categoryId. Leads and quotes have
	// stages, in one Category without an id, but no categories.
	Categorized bool `json:"categorized,omitempty"`
	// Identity are the fields that tell one thing beside an item from another;
	// nil for items of the CRM.
	Identity []string `json:"identity,omitempty"`
	// Items is how many items the portal said to hold when the catalog was
	// loaded, -1 if it did not. Few says that they were less than a page, and so
	// that the number is exact. Only the Reader, which knows how long ago that was
	// and what was written since, may spare look-ups for it.
	Few   bool `json:"-"`
	Items int  `json:"-"`
}

// Category is a pipeline with its stages.
type Category struct {
	ID      int     `json:"id"`
	Name    string  `json:"name"`
	Default bool    `json:"default,omitempty"`
	Stages  []Stage `json:"stages"`
}

// Stage is one stage of a category.
type Stage struct {
	ID   string `json:"id"` // as the portal stores it: DT128_42:NEW
	Name string `json:"name"`
	// Semantics is S for won, F for lost, empty while in progress.
	Semantics string `json:"semantics,omitempty"`
}

// FieldType is the portal's type of a field, as crm.item.fields names it.
type FieldType string

// The field types that bxflow treats apart; all others are text.
const (
	FieldString    FieldType = "string"
	FieldText      FieldType = "text"
	FieldInteger   FieldType = "integer"
	FieldDouble    FieldType = "double"
	FieldBoolean   FieldType = "boolean"
	FieldDate      FieldType = "date"
	FieldDateTime  FieldType = "datetime"
	FieldEnum      FieldType = "enumeration"
	FieldStatus    FieldType = "crm_status"
	FieldMoney     FieldType = "money"
	FieldUser      FieldType = "user"
	FieldEmployee  FieldType = "employee"
	FieldCategory  FieldType = "crm_category"
	FieldContact   FieldType = "crm_contact"
	FieldCompany   FieldType = "crm_company"
	FieldLead      FieldType = "crm_lead"
	FieldDeal      FieldType = "crm_deal"
	FieldCRM       FieldType = "crm"
	FieldCRMEntity FieldType = "crm_entity"
	FieldURL       FieldType = "url"
	FieldAddress   FieldType = "address"
	FieldFile      FieldType = "file"
	// FieldMulti is bxflow's own type of the fields phone, email, web and im:
	// views of crm.item's `fm`.
	FieldMulti FieldType = "crm_multifield"
)

// Field is one field of an entity.
type Field struct {
	Name      string    `json:"name"`            // REST name: ufCrm41_1737980095947
	Upper     string    `json:"upper,omitempty"` // original name: UF_CRM_41_1737980095947
	Title     string    `json:"title,omitempty"` // in the portal's language: Notes
	Type      FieldType `json:"type"`
	Multiple  bool      `json:"multiple,omitempty"`
	ReadOnly  bool      `json:"read_only,omitempty"`
	Immutable bool      `json:"immutable,omitempty"` // settable when the item is made, not after
	Required  bool      `json:"required,omitempty"`
	Custom    bool      `json:"custom,omitempty"`
	// Options are the values of a list (numeric ids) or of a status list.
	// Empty where the type has none or they were not loaded.
	Options []Option `json:"options,omitempty"`
	// StatusType is the ENTITY_ID of crm.status.list for a crm_status field.
	StatusType string `json:"status_type,omitempty"`
}

// Option is one value of a list field.
type Option struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Needs says what of a portal a job names, so that its catalog is loaded in one
// batch request, two at the most.
type Needs struct {
	Entities []string // as the job writes them: contact, Onboarding, 128
	Users    bool     // some value may name a person
	Linkers  bool     // which items link to others must be known
	Beside   []string // what stands beside items: comments, addresses
}

// Entity returns the entity that name means: a word (contact), a smart
// process's title in any case, or an entityTypeId. The error names the nearest
// ones, or says that several fit.
func (c *Catalog) Entity(name string) (*Entity, error) {
	want := CanonicalEntityName(name)
	var found []*Entity
	for _, e := range c.Entities {
		if strconv.Itoa(e.TypeID) == want || strings.EqualFold(e.Name, want) {
			found = append(found, e)
		}
	}
	return one("entity", name, found, c.Entities, func(e *Entity) (string, string) { return e.Name, strconv.Itoa(e.TypeID) })
}

// CanonicalEntityName folds the words that jobs may use for a standard entity
// (Contacts, CONTACT, "smart invoice") into the one of the catalog; other names
// come back as they are, trimmed.
func CanonicalEntityName(name string) string {
	name = strings.TrimSpace(name)
	switch strings.ToLower(name) {
	case "lead", "leads":
		return "lead"
	case "deal", "deals":
		return "deal"
	case "contact", "contacts":
		return "contact"
	case "company", "companies":
		return "company"
	case "quote", "quotes", "estimate", "estimates":
		return "quote"
	case "invoice", "invoices", "smart invoice", "smart_invoice":
		return "invoice"
	}
	return name
}

// StandardEntity returns the entityTypeId of a standard entity's word.
func StandardEntity(name string) (typeID int, ok bool) {
	switch CanonicalEntityName(name) {
	case "lead":
		return TypeLead, true
	case "deal":
		return TypeDeal, true
	case "contact":
		return TypeContact, true
	case "company":
		return TypeCompany, true
	case "quote":
		return TypeQuote, true
	case "invoice":
		return TypeInvoice, true
	}
	return 0, false
}

// StandardEntities are the entityTypeIds that every portal has.
func StandardEntities() []int {
	return []int{TypeLead, TypeDeal, TypeContact, TypeCompany, TypeQuote, TypeInvoice}
}

// EntityByType returns the entity with that entityTypeId, or nil.
func (c *Catalog) EntityByType(typeID int) *Entity {
	for _, e := range c.Entities {
		if e.TypeID == typeID {
			return e
		}
	}
	for _, e := range c.Beside {
		if e.TypeID == typeID {
			return e
		}
	}
	return nil
}

// User returns the person whom name means: an id, an e-mail address or a full
// name, in any case. Dismissed people are found by id only.
func (c *Catalog) User(name string) (User, error) {
	want := strings.Join(strings.Fields(name), " ")
	var found []User
	for _, u := range c.Users {
		byName := u.Active && (strings.EqualFold(u.Name, want) || (u.Email != "" && strings.EqualFold(u.Email, want)))
		if byName || strconv.FormatInt(u.ID, 10) == want {
			found = append(found, u)
		}
	}
	return one("person", name, found, c.Users, func(u User) (string, string) { return u.Name, u.Email })
}

// Fingerprint is a digest of all that the catalog says, equal for equal
// portals: a saved plan is refused when it changed.
func (c *Catalog) Fingerprint() string {
	text, err := json.Marshal(struct {
		Entities []*Entity
		Users    []User
	}{c.Entities, c.Users})
	if err != nil {
		panic(err) // the types hold nothing that JSON can't express
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Field returns the field that name means: a REST name, an original name
// (UF_…), or a title, in any case. Exact REST names win over titles.
func (e *Entity) Field(name string) (*Field, error) {
	want := strings.TrimSpace(name)
	if f := e.FieldByName(want); f != nil {
		return f, nil
	}
	var found []*Field
	for _, f := range e.Fields {
		if strings.EqualFold(f.Name, want) || strings.EqualFold(f.Upper, want) {
			return f, nil
		}
		if strings.EqualFold(f.Title, want) {
			found = append(found, f)
		}
	}
	return one("field of "+e.Name, name, found, e.Fields, func(f *Field) (string, string) { return f.Title, f.Name })
}

// FieldByName returns the field with exactly that REST name, or nil.
func (e *Entity) FieldByName(name string) *Field {
	for _, f := range e.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Category returns the category that name means, by name or id. An empty name
// is the default category.
func (e *Entity) Category(name string) (*Category, error) {
	var found []*Category
	all := make([]*Category, 0, len(e.Categories))
	for i := range e.Categories {
		c := &e.Categories[i]
		all = append(all, c)
		if name == "" && c.Default || name != "" && (strings.EqualFold(c.Name, strings.TrimSpace(name)) || strconv.Itoa(c.ID) == strings.TrimSpace(name)) {
			found = append(found, c)
		}
	}
	if name == "" && len(found) == 0 && len(all) > 0 {
		return all[0], nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no categories or stages", e.Name)
	}
	return one("category of "+e.Name, name, found, all, func(c *Category) (string, string) { return c.Name, strconv.Itoa(c.ID) })
}

// CategoryByID returns the category with that id, or nil. Entities that are not
// categorized have one, found by any id.
func (e *Entity) CategoryByID(id int) *Category {
	for i := range e.Categories {
		if e.Categories[i].ID == id || !e.Categorized {
			return &e.Categories[i]
		}
	}
	return nil
}

// Stage returns the stage that name means: a name in any case, a stage id, or
// its part after the colon (NEW).
func (c *Category) Stage(name string) (*Stage, error) {
	want := strings.TrimSpace(name)
	var found, all []*Stage
	for i := range c.Stages {
		s := &c.Stages[i]
		all = append(all, s)
		_, short, _ := strings.Cut(s.ID, ":")
		if strings.EqualFold(s.ID, want) || (short != "" && strings.EqualFold(short, want)) || strings.EqualFold(s.Name, want) {
			found = append(found, s)
		}
	}
	kind := "stage"
	if c.Name != "" {
		kind = fmt.Sprintf("stage of category %q", c.Name)
	}
	return one(kind, name, found, all, func(s *Stage) (string, string) { return s.Name, s.ID })
}

// Option returns the option that name means, by label in any case or by id. A
// label may be a number, and another option's id.
func (f *Field) Option(name string) (*Option, error) {
	want := strings.TrimSpace(name)
	var found, all []*Option
	for i := range f.Options {
		o := &f.Options[i]
		all = append(all, o)
		if o.ID == want || strings.EqualFold(o.Name, want) {
			found = append(found, o)
		}
	}
	return one(fmt.Sprintf("value of list %q", cmp.Or(f.Title, f.Name)), name, found, all, func(o *Option) (string, string) { return o.Name, o.ID })
}

// NameError says that a name fits nothing of a portal, or more than one thing.
type NameError struct {
	What    string   // "field of contact"
	Name    string   // as written
	Several bool     // it fits more than one
	Near    []string // what it fits, or the nearest to it
}

// Error names the candidates after the fault.
func (e *NameError) Error() string {
	if e.Several {
		return fmt.Sprintf("%s fits more than one %s: %s; use the id", quoted(e.Name), e.What, strings.Join(e.Near, ", "))
	}
	msg := fmt.Sprintf("there is no %s %s", e.What, quoted(e.Name))
	if len(e.Near) > 0 {
		msg += "; nearest: " + strings.Join(e.Near, ", ")
	}
	return msg
}

// quoted is a text as messages quote it. A whole page in a cell is not worth
// more than its beginning.
func quoted(s string) string {
	const most = 80
	shown := 0
	for i := range s {
		if shown == most {
			return strconv.Quote(s[:i] + "…")
		}
		shown++
	}
	return strconv.Quote(s)
}

// one picks the only hit, or explains why there is not exactly one.
func one[T any](what, name string, found, all []T, label func(T) (string, string)) (T, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	var zero T
	describe := func(list []T) []string {
		out := make([]string, 0, len(list))
		for _, v := range list {
			title, id := label(v)
			out = append(out, describeName(title, id))
		}
		return out
	}
	if len(found) > 1 {
		return zero, &NameError{What: what, Name: name, Several: true, Near: describe(found)}
	}
	near := slices.Clone(all)
	distance := func(v T) int {
		title, id := label(v)
		return min(expression.Distance(title, name), expression.Distance(id, name))
	}
	slices.SortStableFunc(near, func(a, b T) int { return distance(a) - distance(b) })
	return zero, &NameError{What: what, Name: name, Near: describe(near[:min(len(near), 3)])}
}

func describeName(title, id string) string {
	if title == "" || title == id {
		return id
	}
	if id == "" {
		return strconv.Quote(title)
	}
	return fmt.Sprintf("%q (%s)", title, id)
}
