package sandbox

import (
	"strconv"
	"strings"
)

// The types of fields, as crm.item.fields spells them.
const (
	typeInteger  = "integer"
	typeDouble   = "double"
	typeString   = "string"
	typeText     = "text"
	typeBoolean  = "boolean"
	typeDate     = "date"
	typeDatetime = "datetime"
	typeUser     = "user"
	typeStatus   = "crm_status"
	typeCategory = "crm_category"
	typeCurrency = "crm_currency"
	typeCompany  = "crm_company"
	typeContact  = "crm_contact"
	typeLead     = "crm_lead"
	typeQuote    = "crm_quote"
	typeParent   = "crm_entity"
	typeMulti    = "crm_multifield"
	typeBinding  = "crm"
	typeEnum     = "enumeration"
	typeMoney    = "money"
	typeURL      = "url"
	typeAddress  = "address"
	typeEmployee = "employee"
	typeFile     = "file"
)

// fieldFlag says how a field behaves.
type fieldFlag int

const (
	readOnly   fieldFlag = 1 << iota // what a request gives is dropped without a word
	required                         // isRequired
	immutable                        // settable on add only
	multiple                         // a list of values
	deprecated                       // isDeprecated
	hidden                           // in items, but not in crm.item.fields
	unseen                           // can be filtered by, but is in no item
	zeroed                           // 0 where unset, instead of null
	blank                            // "" where unset, instead of null
	unsortable                       // no order by it
)

// field is one field of an entity.
type field struct {
	slot       int
	upper      string // UPPER_SNAKE, as the old methods and the database say
	rest       string // camelCase, as crm.item.* says
	kind       string // one of the types above
	title      string
	flags      fieldFlag
	statusType string // of a crm_status field: its list; for stages it depends on the category
	parent     int    // of a link: the entityTypeId it points to
	uf         *userField

	// derive computes the value of a field that isn't stored.
	derive func(e *entity, it *item) any
}

func (f *field) is(flag fieldFlag) bool { return f.flags&flag != 0 }

// custom reports whether users made the field.
func (f *field) custom() bool { return f.uf != nil }

// name is what the field is called in a request and its answer.
func (f *field) name(original bool) string {
	if original && f.custom() {
		return f.upper
	}
	return f.rest
}

// value returns what an item holds in a field, stored or derived; nil where it
// is unset.
func (e *entity) value(it *item, f *field) any {
	if f.derive != nil {
		return f.derive(e, it)
	}
	return it.get(f)
}

// customField is the field of an item that a custom field's definition makes.
func customField(uf *userField) *field {
	f := &field{upper: uf.Name, rest: restName(uf.Name), kind: uf.Type, title: uf.Label, uf: uf}
	if uf.Multiple {
		f.flags |= multiple | unsortable
	}
	return f
}

// parentField links an item to one of another type.
func parentField(typeID int) *field {
	upper := "PARENT_ID_" + strconv.Itoa(typeID)
	return &field{upper: upper, rest: camel(upper), kind: typeParent, title: "Parent item", parent: typeID}
}

// restName is the camelCase name of a field in crm.item.* (Field names in
// crm/universal/object-fields).
func restName(upper string) string {
	if !strings.HasPrefix(upper, "UF_") {
		return camel(upper)
	}
	rest, isCRM := strings.CutPrefix(upper, "UF_CRM_")
	switch {
	case only(upper, isLetter):
		return camel(upper)
	case !isCRM:
		return "uf" + strings.TrimPrefix(upper, "UF")
	}
	number, tail, found := strings.Cut(rest, "_")
	switch {
	case !found || len(number) > 4 || number == "" || !only(number, isDigit):
	case only(tail, isDigit):
		return "ufCrm" + number + "_" + tail
	case only(tail, isLetter):
		return "ufCrm" + number + strings.ToUpper(camel("_" + tail)[:1]) + camel("_" + tail)[1:]
	}
	return "ufCrm_" + rest
}

// camel turns UPPER_SNAKE into camelCase.
func camel(upper string) string {
	var b strings.Builder
	b.Grow(len(upper))
	up := false
	for _, c := range []byte(strings.ToLower(upper)) {
		switch {
		case c == '_':
			up = b.Len() > 0
		case up && 'a' <= c && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
			up = false
		default:
			b.WriteByte(c)
			up = false
		}
	}
	return b.String()
}

// snake turns camelCase into UPPER_SNAKE, for names that no field has: that is
// how the portal repeats them in its messages.
func snake(name string) string {
	if strings.ToUpper(name) == name {
		return name
	}
	b := make([]byte, 0, len(name)+4)
	for i := range len(name) {
		c := name[i]
		if i > 0 && name[i-1] != '_' {
			prev := name[i-1]
			if 'A' <= c && c <= 'Z' || isDigit(c) != isDigit(prev) && c != '_' {
				b = append(b, '_')
			}
		}
		b = append(b, c)
	}
	return strings.ToUpper(string(b))
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if s[i] != '_' && !ok(s[i]) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
