package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Requisites (crm.requisite.*): the legal and bank details of a contact or a
// company. Their values are texts.

const requisiteTable = "requisite"

// requisiteMethods are the methods of requisites and their presets.
func requisiteMethods() []method {
	return []method{
		{"crm.requisite.add", "crm", true, requisiteAdd},
		{"crm.requisite.update", "crm", true, requisiteUpdate},
		{"crm.requisite.delete", "crm", true, requisiteDelete},
		{"crm.requisite.get", "crm", false, requisiteGet},
		{"crm.requisite.list", "crm", false, requisiteList},
		{"crm.requisite.fields", "crm", false, requisiteFieldsAnswer},
		{"crm.requisite.preset.list", "crm", false, requisitePresetList},
	}
}

// requisiteFields are the fields of a requisite. Which of the RQ_ ones a form
// shows depends on its preset; all can be written.
func requisiteFields() []metaField {
	fields := []metaField{
		{name: "ID", kind: "integer", readOnly: true},
		{name: "ENTITY_TYPE_ID", kind: "integer", required: true, immutable: true},
		{name: "ENTITY_ID", kind: "integer", required: true, immutable: true},
		{name: "PRESET_ID", kind: "integer", required: true},
		{name: "DATE_CREATE", kind: "datetime", readOnly: true},
		{name: "DATE_MODIFY", kind: "datetime", readOnly: true},
		{name: "CREATED_BY_ID", kind: "user", readOnly: true},
		{name: "MODIFY_BY_ID", kind: "user", readOnly: true},
		{name: "NAME", kind: "string", required: true},
		{name: "CODE", kind: "string"},
		{name: "XML_ID", kind: "string"},
		{name: "ORIGINATOR_ID", kind: "string"},
		{name: "ACTIVE", kind: "char"},
		{name: "ADDRESS_ONLY", kind: "char"},
		{name: "SORT", kind: "integer"},
	}
	for _, name := range []string{
		"RQ_NAME", "RQ_FIRST_NAME", "RQ_LAST_NAME", "RQ_SECOND_NAME", "RQ_COMPANY_ID", "RQ_COMPANY_NAME",
		"RQ_COMPANY_FULL_NAME", "RQ_COMPANY_REG_DATE", "RQ_DIRECTOR", "RQ_ACCOUNTANT", "RQ_CEO_NAME", "RQ_CEO_WORK_POS",
		"RQ_CONTACT", "RQ_EMAIL", "RQ_PHONE", "RQ_FAX", "RQ_IDENT_TYPE", "RQ_IDENT_DOC", "RQ_IDENT_DOC_SER",
		"RQ_IDENT_DOC_NUM", "RQ_IDENT_DOC_DATE", "RQ_IDENT_DOC_ISSUED_BY", "RQ_INN", "RQ_KPP", "RQ_OGRN", "RQ_OGRNIP",
		"RQ_OKPO", "RQ_OKTMO", "RQ_OKVED", "RQ_EDRPOU", "RQ_DRFO", "RQ_IIN", "RQ_BIN", "RQ_VAT_ID", "RQ_VAT_PAYER",
		"RQ_TAX_ID", "RQ_CPF", "RQ_CNPJ", "RQ_STATE_REG", "RQ_MNPL_REG", "RQ_SIRET", "RQ_SIREN", "RQ_REGON", "RQ_KRS", "RQ_PESEL",
	} {
		fields = append(fields, metaField{name: name, kind: "string"})
	}
	return fields
}

// settable reports whether a request may give the field.
func settableRequisiteField(name string) bool {
	if strings.HasPrefix(name, "UF_CRM_") {
		return true
	}
	return slices.ContainsFunc(requisiteFields(), func(f metaField) bool { return f.name == name && !f.readOnly })
}

// requisiteAdd is crm.requisite.add, which answers with the bare id.
func requisiteAdd(c *call) (any, *apiError) {
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	typeID, owner := intOf(memberText(fields, "ENTITY_TYPE_ID")), intOf(memberText(fields, "ENTITY_ID"))
	preset := intOf(memberText(fields, "PRESET_ID"))
	switch {
	case typeID != contactType && typeID != companyType:
		return nil, oldError("ENTITY_TYPE_ID is not defined or invalid.")
	case owner <= 0:
		return nil, oldError("ENTITY_ID is not defined or invalid.")
	case !slices.ContainsFunc(seedPresets(), func(p seedPreset) bool { return int64(p.id) == preset }):
		return nil, oldError("PRESET_ID is not defined or invalid.")
	case memberText(fields, "NAME") == "":
		return nil, oldError("NAME is not defined or invalid.")
	case c.store.entities[int(typeID)].item(owner) == nil:
		return nil, oldError("Entity not found.")
	}
	table := c.store.rows(requisiteTable)
	id := table.nextID()
	now := nowUnix()
	rec := row{
		"ID": id, "DATE_CREATE": now, "DATE_MODIFY": nil, "CREATED_BY_ID": c.user, "MODIFY_BY_ID": nil,
		"ACTIVE": "Y", "ADDRESS_ONLY": "N", "SORT": int64(500),
	}
	setRequisiteFields(rec, fields)
	table.put(id, &rec)
	return id, nil
}

func setRequisiteFields(rec row, fields *array) {
	for name, raw := range fields.all() {
		if _, isArray := raw.(*array); !isArray && settableRequisiteField(name) {
			rec[name] = textOf(raw)
		}
	}
}

// storedRequisite returns the requisite that the parameter id names.
func storedRequisite(c *call) (int64, row, *apiError) {
	id, err := oldID(c)
	if err != nil {
		return 0, nil, err
	}
	rec, ok := c.store.existing(requisiteTable).get(id)
	if !ok {
		return 0, nil, oldError("The Requisite with ID '" + strconv.FormatInt(id, 10) + "' is not found")
	}
	return id, *rec, nil
}

func requisiteUpdate(c *call) (any, *apiError) {
	id, old, err := storedRequisite(c)
	if err != nil {
		return nil, err
	}
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	rec := maps.Clone(old)
	setRequisiteFields(rec, fields)
	// The owner of a requisite is fixed once it is made.
	rec["ENTITY_TYPE_ID"], rec["ENTITY_ID"] = old["ENTITY_TYPE_ID"], old["ENTITY_ID"]
	rec["DATE_MODIFY"], rec["MODIFY_BY_ID"] = nowUnix(), c.user
	c.store.rows(requisiteTable).put(id, &rec)
	return true, nil
}

// requisiteDelete is crm.requisite.delete; the addresses go with it.
func requisiteDelete(c *call) (any, *apiError) {
	id, _, err := storedRequisite(c)
	if err != nil {
		return nil, err
	}
	c.store.dropAddresses(id)
	return c.store.rows(requisiteTable).remove(id), nil
}

func requisiteGet(c *call) (any, *apiError) {
	_, rec, err := storedRequisite(c)
	if err != nil {
		return nil, err
	}
	return c.store.requisiteRow(rec), nil
}

// requisiteRow is a requisite as crm.requisite.list shows it.
func (s *store) requisiteRow(rec row) object {
	out := object{}
	for _, f := range requisiteFields() {
		out = append(out, pair{f.name, s.requisiteText(f, rec[f.name])})
	}
	for _, name := range slices.Sorted(maps.Keys(rec)) {
		if strings.HasPrefix(name, "UF_CRM_") {
			out = append(out, pair{name, rec[name]})
		}
	}
	return out
}

func (s *store) requisiteText(f metaField, val any) any {
	switch {
	case val == nil && f.kind == "datetime":
		return ""
	case val == nil:
		return nil
	case f.kind == "datetime":
		return s.renderTime(intOf(val))
	default:
		return textOf(val)
	}
}

// requisiteList is crm.requisite.list.
func requisiteList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	fields := map[string]metaField{}
	for _, f := range requisiteFields() {
		fields[f.name] = f
	}
	known := func(name string) bool { return fields[name].name != "" || strings.HasPrefix(name, "UF_CRM_") }
	conditions := rowConditions(q.filter, known)
	rows := []object{}
	for _, rec := range c.store.existing(requisiteTable).all() {
		get := func(name string) (any, bool) { return c.store.requisiteText(fields[name], (*rec)[name]), true }
		if meetAll(conditions, get) {
			rows = append(rows, c.store.requisiteRow(*rec))
		}
	}
	q.filter = nil
	return q.answer(c, rows, known), nil
}

func requisiteFieldsAnswer(*call) (any, *apiError) {
	return descriptors(requisiteFields(), fieldTitle), nil
}

// requisitePresetList is crm.requisite.preset.list.
func requisitePresetList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	for _, p := range seedPresets() {
		rows = append(rows, object{
			{"ID", strconv.Itoa(p.id)},
			{"ENTITY_TYPE_ID", strconv.Itoa(p.entityTypeID)},
			{"COUNTRY_ID", strconv.Itoa(p.country)},
			{"NAME", p.name},
			{"XML_ID", p.xmlID},
			{"DATE_CREATE", ""},
			{"DATE_MODIFY", ""},
			{"CREATED_BY_ID", "1"},
			{"MODIFY_BY_ID", nil},
			{"ACTIVE", "Y"},
			{"SORT", strconv.Itoa(p.sort)},
		})
	}
	known := func(name string) bool { _, ok := rows[0].get(name); return ok }
	return q.answer(c, rows, known), nil
}
