package sandbox

// Answers that are the same on every portal.

// ownerType is a kind of CRM object as crm.enum.ownertype lists it.
type ownerType struct {
	id                int64
	name, code, short string
}

// ownerTypes returns the kinds that are not smart processes.
func ownerTypes() []ownerType {
	return []ownerType{
		{1, "Lead", "LEAD", "L"},
		{2, "Deal", "DEAL", "D"},
		{3, "Contact", "CONTACT", "C"},
		{4, "Company", "COMPANY", "CO"},
		{5, "Invoice (old version)", "INVOICE", "I"},
		{31, "Invoice", "SMART_INVOICE", "SI"},
		{7, "Quote", "QUOTE", "Q"},
		{8, "Billing details", "REQUISITE", "RQ"},
		{36, "Document", "SMART_DOCUMENT", "DO"},
		{39, "Company document", "SMART_B2E_DOC", "SBD"},
	}
}

// addressTypes are the rows of crm.enum.addresstype.
func addressTypes() []object {
	row := func(id int64, name string) object {
		return object{{"ID", id}, {"NAME", name}, {"SYMBOL_CODE", nil}, {"SYMBOL_CODE_SHORT", nil}}
	}
	return []object{
		row(11, "Shipping address"),
		row(1, "Physical address"),
		row(6, "Legal address"),
		row(4, "Registered address"),
		row(8, "Mailing address"),
		row(9, "Beneficiary address"),
	}
}

// userFieldType is a type of custom field under its two names, which
// crm.userfield.types and userfieldconfig.getTypes word differently.
type userFieldType struct {
	id, short, long string
}

func userFieldTypes() []userFieldType {
	return []userFieldType{
		{"string", "Text", "Text"},
		{"integer", "Whole number", "Whole number"},
		{"double", "Number", "Number"},
		{"boolean", "Yes/No", "Yes/No"},
		{"enumeration", "List", "List"},
		{"datetime", "Date/Time", "Date with time"},
		{"date", "Date", "Date"},
		{"money", "Money", "Money"},
		{"url", "Link", "Link"},
		{"address", "Address", "Address"},
		{"file", "File", "File"},
		{"employee", "Binding to a user", "Linked to an employee"},
		{"crm_status", "Binding to a CRM list", "Linked to CRM lists"},
		{"iblock_section", "Binding to an information block section", "Linked to information block sections"},
		{"iblock_element", "Binding to an information block element", "Linked to information block elements"},
		{"crm", "Binding to CRM items", "Linked to CRM items"},
	}
}

// knownUserFieldType reports whether a custom field may be of the type.
func knownUserFieldType(id string) bool {
	for _, kind := range userFieldTypes() {
		if kind.id == id {
			return true
		}
	}
	return false
}

// enumerationFields is the answer of crm.userfield.enumeration.fields.
func enumerationFields() object {
	return object{
		{"ID", object{{"type", "int"}, {"title", "ID"}, {"isReadOnly", true}}},
		{"SORT", object{{"type", "int"}, {"title", "Sorting"}}},
		{"VALUE", object{{"type", "string"}, {"title", "Value"}}},
		{"DEF", object{{"type", "string"}, {"title", "By default"}}},
		{"DEL", object{{"type", "string"}, {"title", "To be deleted"}}},
	}
}

// metaField describes a field of a metadata row.
type metaField struct {
	name, kind                    string
	required, readOnly, immutable bool
}

// descriptor is the entry of the field in an answer of *.fields.
func (f metaField) descriptor(title string) object {
	return object{
		{"type", f.kind},
		{"isRequired", f.required},
		{"isReadOnly", f.readOnly},
		{"isImmutable", f.immutable},
		{"isMultiple", false},
		{"isDynamic", false},
		{"title", title},
	}
}

// statusFields are the fields of crm.status.*.
func statusFields() []metaField {
	return []metaField{
		{name: "ID", kind: "integer", readOnly: true},
		{name: "ENTITY_ID", kind: "string", required: true, immutable: true},
		{name: "STATUS_ID", kind: "string", required: true, immutable: true},
		{name: "SORT", kind: "integer"},
		{name: "NAME", kind: "string", required: true},
		{name: "NAME_INIT", kind: "string", readOnly: true},
		{name: "SYSTEM", kind: "char", readOnly: true},
		{name: "CATEGORY_ID", kind: "integer", immutable: true},
		{name: "COLOR", kind: "string"},
		{name: "SEMANTICS", kind: "char", immutable: true},
		{name: "EXTRA", kind: "crm_status_extra"},
	}
}

// typeFields are the fields of crm.type.*.
func typeFields() []metaField {
	fields := []metaField{
		{name: "id", kind: "integer", readOnly: true},
		{name: "title", kind: "string", required: true},
		{name: "code", kind: "string"},
		{name: "createdBy", kind: "user", readOnly: true},
		{name: "entityTypeId", kind: "integer", required: true, immutable: true},
		{name: "customSectionId", kind: "integer", immutable: true},
	}
	for _, name := range typeFlags() {
		fields = append(fields, metaField{name: name, kind: "boolean"})
	}
	return append(fields,
		metaField{name: "createdTime", kind: "datetime"},
		metaField{name: "updatedTime", kind: "datetime"},
		metaField{name: "updatedBy", kind: "user", readOnly: true},
	)
}

// typeFlags are the switches of a smart process that crm.type.add takes.
func typeFlags() []string {
	return []string{
		"isCategoriesEnabled", "isStagesEnabled", "isBeginCloseDatesEnabled", "isClientEnabled",
		"isUseInUserfieldEnabled", "isLinkWithProductsEnabled", "isMycompanyEnabled", "isDocumentsEnabled",
		"isSourceEnabled", "isObserversEnabled", "isRecyclebinEnabled", "isAutomationEnabled",
		"isBizProcEnabled", "isSetOpenPermissions",
	}
}

// categoryFields are the fields of crm.category.*.
func categoryFields() []metaField {
	return []metaField{
		{name: "id", kind: "integer", readOnly: true},
		{name: "name", kind: "string", required: true},
		{name: "sort", kind: "integer"},
		{name: "entityTypeId", kind: "integer", required: true, immutable: true},
		{name: "isDefault", kind: "boolean"},
		{name: "originId", kind: "string"},
		{name: "originatorId", kind: "string"},
	}
}
