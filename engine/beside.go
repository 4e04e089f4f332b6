package engine

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// What stands beside the items of the CRM: comments in their timelines, the
// requisites of contacts and companies, addresses. The portal has methods of
// their own for them (crm.timeline.comment.*, crm.requisite.*, crm.address.*).
// Jobs reach them by steps of their own, never by name; the engine plans,
// journals and undoes them like items.

// Type ids of what stands beside items. Requisites have theirs among the owner
// types of the CRM; comments and addresses have none there.
const (
	TypeComment   = -1
	TypeAddress   = -2
	TypeRequisite = 8
)

// Names of what stands beside items, for [Needs].
const (
	BesideComments  = "comments"
	BesideAddresses = "addresses" // and the requisites that hold them
)

// Beside says whether the entity stands beside items.
func (e *Entity) Beside() bool { return len(e.Identity) > 0 }

// IdentityFields are the fields that tell one thing beside an item from another.
func (e *Entity) IdentityFields() []*Field {
	fields := make([]*Field, 0, len(e.Identity))
	for _, name := range e.Identity {
		fields = append(fields, e.FieldByName(name))
	}
	return fields
}

// Comments are the comments in the timelines of items.
func Comments() *Entity {
	return &Entity{
		TypeID: TypeComment, Name: "comment", Identity: []string{"ownerType", "ownerId", "text"},
		Fields: []*Field{
			{Name: "ownerId", Upper: "ENTITY_ID", Title: "Item", Type: FieldCRMEntity, Immutable: true},
			{Name: "ownerType", Upper: "ENTITY_TYPE", Title: "Entity", Type: FieldString, Immutable: true},
			{Name: "text", Upper: "COMMENT", Title: "Text", Type: FieldText},
		},
	}
}

// OwnerType is the word by which comments name an entity: deal, dynamic_128.
func (e *Entity) OwnerType() string {
	for _, name := range []string{"lead", "deal", "contact", "company", "quote"} {
		if id, _ := StandardEntity(name); id == e.TypeID {
			return name
		}
	}
	if e.TypeID == TypeInvoice {
		return "smart_invoice"
	}
	return "dynamic_" + strconv.Itoa(e.TypeID)
}

// TypeCode is the abbreviation by which product rows and bindings of tasks name an
// entity: D, T80 (crm.enum.ownertype, SYMBOL_CODE_SHORT).
func TypeCode(typeID int) string {
	switch typeID {
	case TypeLead:
		return "L"
	case TypeDeal:
		return "D"
	case TypeContact:
		return "C"
	case TypeCompany:
		return "CO"
	case TypeQuote:
		return "Q"
	case TypeInvoice:
		return "SI"
	default:
		return "T" + strconv.FormatInt(int64(typeID), 16)
	}
}

// ownerType is the type id of what a thing belongs to that stands beside it:
// comments have a word there, the others a number.
func ownerType(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case string:
		if v == "smart_invoice" {
			return TypeInvoice
		}
		if number, ok := strings.CutPrefix(v, "dynamic_"); ok {
			id, _ := strconv.Atoi(number) // 0 is no entity
			return id
		}
		id, _ := StandardEntity(v)
		return id
	}
	return 0
}

// Requisites are what holds the addresses and legal details of contacts and
// companies. Presets are the forms for them, which differ from country to country.
func Requisites(presets []Option) *Entity {
	return &Entity{
		TypeID: TypeRequisite, Name: "requisite", Identity: []string{"ownerType", "ownerId"},
		Fields: []*Field{
			{Name: "addressOnly", Upper: "ADDRESS_ONLY", Title: "Address only", Type: FieldBoolean},
			{Name: "name", Upper: "NAME", Title: "Name", Type: FieldString, Required: true},
			{Name: "ownerId", Upper: "ENTITY_ID", Title: "Item", Type: FieldCRMEntity, Immutable: true},
			{Name: "ownerType", Upper: "ENTITY_TYPE_ID", Title: "Entity", Type: FieldEnum, Immutable: true, Options: owners(TypeContact, TypeCompany)},
			{Name: "presetId", Upper: "PRESET_ID", Title: "Preset", Type: FieldEnum, Options: presets, Required: true},
			{Name: "xmlId", Upper: "XML_ID", Title: "External code", Type: FieldString},
		},
	}
}

// owners are entities as values of a field.
func owners(typeIDs ...int) []Option {
	names := map[int]string{TypeContact: "contact", TypeCompany: "company", TypeLead: "lead", TypeRequisite: "requisite"}
	options := make([]Option, 0, len(typeIDs))
	for _, id := range typeIDs {
		options = append(options, Option{ID: strconv.Itoa(id), Name: names[id]})
	}
	return options
}

// Addresses are known by what they are an address of, and of which kind. Their
// ids are bxflow's own ([AddressID]). The fields are those of crm.address.fields.
func Addresses() *Entity {
	e := &Entity{
		TypeID: TypeAddress, Name: "address", Identity: []string{"ownerType", "ownerId", "type"},
		Fields: []*Field{
			{Name: "ownerId", Upper: "ENTITY_ID", Title: "Owner", Type: FieldCRMEntity, Immutable: true},
			{Name: "ownerType", Upper: "ENTITY_TYPE_ID", Title: "Kind of owner", Type: FieldEnum, Immutable: true, Options: owners(TypeRequisite, TypeLead)},
			{Name: "type", Upper: "TYPE_ID", Title: "Kind", Type: FieldEnum, Immutable: true, Options: []Option{
				{"1", "physical"}, {"4", "registered"}, {"6", "legal"}, {"8", "mailing"}, {"9", "beneficiary"}, {"11", "shipping"}, // crm.enum.addresstype
			}},
		},
	}
	for _, f := range []struct{ name, upper, title string }{
		{"address1", "ADDRESS_1", "Street"},
		{"address2", "ADDRESS_2", "Apartment"},
		{"city", "CITY", "City"},
		{"country", "COUNTRY", "Country"},
		{"countryCode", "COUNTRY_CODE", "Country code"},
		{"postalCode", "POSTAL_CODE", "Postal code"},
		{"province", "PROVINCE", "State"},
		{"region", "REGION", "Region"},
	} {
		e.Fields = append(e.Fields, &Field{Name: f.name, Upper: f.upper, Title: f.title, Type: FieldString})
	}
	return e
}

// AddressID is the id by which bxflow knows an address.
func AddressID(ownerType, owner, kind int64) int64 { return owner<<16 | ownerType<<8 | kind }

// AddressOf is what an [AddressID] stands for.
func AddressOf(id int64) (ownerType, owner, kind int64) { return id >> 8 & 0xff, id >> 16, id & 0xff }

// identity is what tells one thing beside an item from others: a digest of the
// values of its identity. Where it belongs to a planned item it is as new as that.
func (e *Entity) identity(fields map[string]FieldChange) string {
	values := make([]any, 0, 1+len(e.Identity))
	values = append(values, e.TypeID)
	for _, name := range e.Identity {
		values = append(values, strings.TrimSpace(fmt.Sprint(fields[name].After)))
	}
	hash := HashOf(values...)
	return hex.EncodeToString(hash[:])
}
