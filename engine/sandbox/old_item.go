package sandbox

import (
	"slices"
	"strconv"
)

// oldView is a lead, deal, contact or company as the old methods see it.
type oldView struct {
	e      *entity
	fields []oldField
}

// viewOf returns the old view of an entity type.
func (s *store) viewOf(typeID int) oldView {
	return oldView{s.entities[typeID], oldFields(typeID)}
}

// field finds a field by the name that the old methods give it. Links to parent
// items and custom fields have one name everywhere.
func (v oldView) field(name string) (*field, bool) {
	for _, f := range v.fields {
		if f.name == name {
			known, ok := v.e.byUpper[f.itemName()]
			return known, ok && f.kind != "crm_multifield"
		}
	}
	known, ok := v.e.byUpper[name]
	return known, ok && (known.custom() || known.kind == typeParent)
}

// render writes an item with all that the old get methods show: every scalar as
// text, multifields only where there are any.
func (v oldView) render(it *item) object {
	row := make(object, 0, len(v.fields)+len(v.e.fields))
	for _, f := range v.fields {
		if f.kind == "crm_multifield" || f.multiple {
			continue
		}
		row = append(row, pair{f.name, v.renderSystem(f, it)})
	}
	for _, f := range v.e.fields {
		if f.kind == typeParent || f.custom() {
			row = append(row, pair{f.upper, v.renderExtra(f, it)})
		}
	}
	for _, kind := range multiFieldTypes() {
		if rows := v.commRows(it, kind); len(rows) > 0 {
			row = append(row, pair{kind, rows})
		}
	}
	return row
}

// renderSystem writes a system field. The columns of the database know "" and
// "0" where crm.item.* says null.
func (v oldView) renderSystem(old oldField, it *item) any {
	f, ok := v.e.byUpper[old.itemName()]
	if !ok {
		return nil
	}
	val := v.e.value(it, f)
	switch {
	case val != nil:
		return v.text(f, val)
	case f.kind == typeBoolean:
		return "N"
	case f.kind == typeDate, f.is(blank), old.name == "COMMENTS", old.name == "SOURCE_DESCRIPTION":
		return ""
	case f.is(zeroed) && v.e.typeID != contactType:
		return v.text(f, zeroOf(f))
	default:
		return nil
	}
}

func zeroOf(f *field) any {
	if f.kind == typeDouble {
		return 0.0
	}
	return int64(0)
}

// renderExtra writes a custom field or a link to a parent item. Custom yes/no
// fields are 1 and 0 here, and an empty list is false.
func (v oldView) renderExtra(f *field, it *item) any {
	val := v.e.value(it, f)
	switch {
	case f.kind == typeParent && val == nil:
		return nil
	case f.is(multiple) && val == nil:
		return false
	case f.kind == typeBoolean:
		if val == "Y" {
			return "1"
		}
		return "0"
	case val == nil:
		return ""
	case f.is(multiple):
		return f.render(v.e, val)
	default:
		return v.text(f, val)
	}
}

// text writes one stored value as text. Amounts have two decimals, as their
// columns do.
func (v oldView) text(f *field, val any) any {
	switch f.kind {
	case typeDate, typeDatetime:
		return f.render(v.e, val)
	case typeFile:
		return renderEach(val, func(id int64) any {
			path := "/bitrix/components/bitrix/crm.contact.show/show_file.php?fileId=" + strconv.FormatInt(id, 10)
			return object{{"id", id}, {"showUrl", path}, {"downloadUrl", path}}
		})
	}
	switch val := val.(type) {
	case float64:
		if f.custom() {
			return textOf(val)
		}
		return strconv.FormatFloat(val, 'f', 2, 64)
	case []int64, []string:
		return f.render(v.e, val)
	default:
		return textOf(val)
	}
}

// commRows writes an item's multifields of a kind. Their ids are texts here.
func (v oldView) commRows(it *item, kind string) []object {
	var rows []object
	for _, c := range it.comms(v.e.known.fm) {
		if c.kind == kind {
			rows = append(rows, object{
				{"ID", strconv.FormatInt(c.id, 10)}, {"VALUE_TYPE", c.valueType}, {"VALUE", c.value}, {"TYPE_ID", kind},
			})
		}
	}
	return rows
}

// selected tells which members of a row a list shows: "*" is everything but
// custom fields and multifields, "UF_*" the custom ones, and multifields must be
// named. Without a select both stand. The id is always there.
func (v oldView) selected(names []string) func(name string) bool {
	if len(names) == 0 {
		names = []string{"*", "UF_*"}
	}
	all, custom := slices.Contains(names, "*"), slices.Contains(names, "UF_*")
	return func(name string) bool {
		switch {
		case name == "ID", slices.Contains(names, name):
			return true
		case slices.Contains(multiFieldTypes(), name):
			return false
		}
		if f, ok := v.e.byUpper[name]; ok && f.custom() {
			return custom
		}
		return all
	}
}

// describe is the answer of the *.fields methods.
func (v oldView) describe() object {
	answer := make(object, 0, len(v.fields))
	for _, f := range v.fields {
		entry := object{
			{"type", f.kind},
			{"isRequired", f.name == "TITLE" && v.e.typeID == companyType},
			{"isReadOnly", f.readOnly},
			{"isImmutable", false},
			{"isMultiple", f.multiple},
			{"isDynamic", false},
			{"title", fieldTitle(f.name)},
		}
		if f.status != "" {
			entry = append(entry, pair{"statusType", f.status})
		}
		if f.name == "COMPANY_ID" && v.e.typeID == contactType || f.name == "CONTACT_ID" && v.e.typeID != companyType {
			entry = append(entry, pair{"isDeprecated", true})
		}
		if f.kind == "crm_lead" {
			entry = append(entry, pair{"settings", object{{"parentEntityTypeId", int64(leadType)}}})
		}
		answer = append(answer, pair{f.name, entry})
	}
	for _, f := range v.e.fields {
		if f.kind == typeParent || f.custom() {
			entry := slices.DeleteFunc(v.e.describe(f), func(p pair) bool { return p.key == "upperName" })
			answer = append(answer, pair{f.upper, entry})
		}
	}
	return answer
}
