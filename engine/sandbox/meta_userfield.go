package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Custom fields (userfieldconfig.*, crm.*.userfield.*, crm.userfield.*).

// userFieldMethods are the methods of custom fields.
func userFieldMethods() []method {
	list := []method{
		{"userfieldconfig.list", "userfieldconfig", false, userFieldConfigList},
		{"userfieldconfig.get", "userfieldconfig", false, userFieldConfigGet},
		{"userfieldconfig.add", "userfieldconfig", true, userFieldConfigAdd},
		{"userfieldconfig.getTypes", "userfieldconfig", false, userFieldConfigGetTypes},
		{"crm.userfield.types", "crm", false, crmUserFieldTypes},
		{"crm.userfield.enumeration.fields", "crm", false, crmUserFieldEnumerationFields},
	}
	for _, name := range []string{"lead", "deal", "contact", "company"} {
		o := oldUserFields("CRM_" + strings.ToUpper(name))
		list = append(list,
			method{"crm." + name + ".userfield.list", "crm", false, o.list},
			method{"crm." + name + ".userfield.get", "crm", false, o.get},
		)
	}
	return list
}

// crmModule checks moduleId: the portal has custom fields of the CRM only, and
// they need its scope as well.
func crmModule(c *call) *apiError {
	name, err := c.text("moduleId")
	if err != nil {
		return err
	}
	switch {
	case name != "crm":
		return oldError("Module is not supported.")
	case c.portal.scopes != nil && !c.portal.scopes["crm"]:
		return oldError("The current method required more scopes. (crm)")
	}
	return nil
}

// userFieldRow is a custom field as userfieldconfig.list shows it, without the
// labels.
func userFieldRow(f *userField) object {
	return object{
		{"id", strconv.FormatInt(f.ID, 10)},
		{"entityId", f.EntityID},
		{"fieldName", f.Name},
		{"userTypeId", f.Type},
		{"xmlId", textOrNull(f.XMLID)},
		{"sort", strconv.FormatInt(f.Sort, 10)},
		{"multiple", yesNo(f.Multiple)},
		{"mandatory", yesNo(f.Mandatory)},
		{"showFilter", "N"},
		{"showInList", "Y"},
		{"editInList", "Y"},
		{"isSearchable", "N"},
		{"settings", userFieldSettings(f)},
	}
}

// userFieldSettings are the settings of a field's type.
func userFieldSettings(f *userField) object {
	if f.Type == typeEnum {
		return object{{"DISPLAY", "LIST"}, {"LIST_HEIGHT", int64(1)}, {"CAPTION_NO_VALUE", ""}, {"SHOW_NO_VALUE", "Y"}}
	}
	settings := object{}
	for _, name := range slices.Sorted(maps.Keys(f.Settings)) {
		settings = append(settings, pair{name, f.Settings[name]})
	}
	return settings
}

// enumRows are the choices of a list field.
func enumRows(f *userField) []object {
	rows := []object{}
	for _, o := range f.Options {
		rows = append(rows, object{
			{"id", strconv.FormatInt(o.ID, 10)},
			{"userFieldId", strconv.FormatInt(f.ID, 10)},
			{"value", o.Value},
			{"def", yesNo(o.Default)},
			{"sort", strconv.FormatInt(o.Sort, 10)},
			{"xmlId", o.XMLID},
		})
	}
	return rows
}

// labels are the texts of a custom field in one language. Only the label of the
// form was ever set.
func labels(f *userField, language string) object {
	none := object{{language, nil}}
	return object{
		{"languageId", object{{language, language}}},
		{"editFormLabel", object{{language, f.Label}}},
		{"listColumnLabel", none},
		{"listFilterLabel", none},
		{"errorMessage", none},
		{"helpMessage", none},
	}
}

// userFieldAnswer is a custom field with everything that belongs to it.
func userFieldAnswer(f *userField) object {
	row := append(userFieldRow(f), labels(f, "en")...)
	if f.Type == typeEnum {
		row = append(row, pair{"enum", enumRows(f)})
	}
	return object{{"field", row}}
}

// userFieldConfigList is userfieldconfig.list. Labels come only where select
// names a language, choices never: userfieldconfig.get has them.
func userFieldConfigList(c *call) (any, *apiError) {
	if err := crmModule(c); err != nil {
		return nil, err
	}
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	for _, f := range c.store.userFields.all() {
		row := userFieldRow(f)
		if raw, ok := c.oldArray("select").get("language"); ok {
			row = append(row, labels(f, textOf(raw))...)
		}
		rows = append(rows, row)
	}
	if lone := slices.Index(q.names, "*"); lone >= 0 {
		q.names = nil
	}
	known := func(name string) bool {
		_, ok := userFieldRow(&userField{}).get(name)
		return ok
	}
	return object{{"fields", q.answer(c, rows, known)}}, nil
}

// userFieldConfigGet is userfieldconfig.get.
func userFieldConfigGet(c *call) (any, *apiError) {
	if err := crmModule(c); err != nil {
		return nil, err
	}
	id, err := c.int("id")
	if err != nil {
		return nil, err
	}
	f, ok := c.store.userFields.get(id)
	if !ok {
		return nil, oldError("The field is not found.")
	}
	return userFieldAnswer(f), nil
}

// userFieldConfigAdd is userfieldconfig.add.
func userFieldConfigAdd(c *call) (any, *apiError) {
	if err := crmModule(c); err != nil {
		return nil, err
	}
	fields, err := c.array("field")
	if err != nil {
		return nil, err
	}
	f := &userField{
		EntityID: memberText(fields, "entityId"), Name: strings.ToUpper(memberText(fields, "fieldName")),
		Type: memberText(fields, "userTypeId"), XMLID: memberText(fields, "xmlId"),
		Multiple: memberText(fields, "multiple") == "Y", Mandatory: memberText(fields, "mandatory") == "Y",
		Sort: intOf(memberText(fields, "sort")), Label: fieldLabel(fields),
	}
	f.Sort = orElse(f.Sort, 100)
	if f.Label == "" {
		f.Label = f.Name
	}
	if err := c.store.checkUserField(f); err != nil {
		return nil, err
	}
	f.ID = c.store.userFields.nextID()
	f.Options = c.store.fieldOptions(fields)
	c.store.userFields.put(f.ID, f)
	return userFieldAnswer(f), nil
}

// fieldLabel returns the label of a new field in English, else in its first
// language; a bare text is the label in all of them.
func fieldLabel(fields *array) string {
	raw, _ := fields.get("editFormLabel")
	byLanguage, ok := raw.(*array)
	if !ok {
		return textOf(raw)
	}
	if label, ok := byLanguage.get("en"); ok {
		return textOf(label)
	}
	for _, label := range byLanguage.all() {
		return textOf(label)
	}
	return ""
}

// checkUserField refuses a field that a portal would not make.
func (s *store) checkUserField(f *userField) *apiError {
	switch {
	case f.Name == "":
		return oldError("The 'FIELD_NAME' field is not found.")
	case !s.hasCustomFields(f.EntityID):
		return oldError("The 'ENTITY_ID' field is not found.")
	case !strings.HasPrefix(f.Name, "UF_CRM_"):
		return oldError("The field name must begin with UF_CRM_.")
	case len(f.Name) > 50 || strings.Trim(f.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "":
		return oldError("The field name may hold latin letters, digits and underscores only.")
	case !knownUserFieldType(f.Type):
		return oldError("Invalid user type specified.")
	}
	for _, other := range s.userFields.all() {
		if other.EntityID == f.EntityID && other.Name == f.Name {
			return oldError("The field " + f.Name + " for the object " + f.EntityID + " already exists.")
		}
	}
	return nil
}

// hasCustomFields reports whether an entityId names an entity.
func (s *store) hasCustomFields(entityID string) bool {
	for _, e := range s.entities {
		if e.ufEntity == entityID {
			return true
		}
	}
	return false
}

// fieldOptions reads the choices of a new list field and gives them ids that no
// choice of another field has.
func (s *store) fieldOptions(fields *array) []fieldOption {
	raw, _ := fields.get("enum")
	list, ok := raw.(*array)
	if !ok {
		return nil
	}
	var last int64
	for _, f := range s.userFields.all() {
		for _, o := range f.Options {
			last = max(last, o.ID)
		}
	}
	var options []fieldOption
	for _, val := range list.all() {
		one, ok := val.(*array)
		if !ok || memberText(one, "value") == "" {
			continue
		}
		last++
		options = append(options, fieldOption{
			ID: last, Value: memberText(one, "value"), Default: memberText(one, "def") == "Y",
			Sort: orElse(intOf(memberText(one, "sort")), 500), XMLID: memberText(one, "xmlId"),
		})
	}
	return options
}

// userFieldConfigGetTypes is userfieldconfig.getTypes.
func userFieldConfigGetTypes(c *call) (any, *apiError) {
	if err := crmModule(c); err != nil {
		return nil, err
	}
	types := object{}
	for _, kind := range userFieldTypes() {
		types = append(types, pair{kind.id, object{{"userTypeId", kind.id}, {"description", kind.long}}})
	}
	return object{{"types", types}}, nil
}

// crmUserFieldTypes is crm.userfield.types.
func crmUserFieldTypes(*call) (any, *apiError) {
	rows := []object{}
	for _, kind := range userFieldTypes() {
		rows = append(rows, object{{"ID", kind.id}, {"title", kind.short}})
	}
	return rows, nil
}

// crmUserFieldEnumerationFields is crm.userfield.enumeration.fields.
func crmUserFieldEnumerationFields(*call) (any, *apiError) { return enumerationFields(), nil }

// oldUserFields are the custom fields of one entity, by its entityId, under
// upper-case names.
type oldUserFields string

// row writes a custom field; labels come only where the filter has LANG.
func (o oldUserFields) row(f *userField, language string) object {
	row := make(object, 0, 20)
	for _, p := range userFieldRow(f) {
		row = append(row, pair{oldUserFieldName(p.key), p.val})
	}
	if language != "" {
		for _, name := range []string{"EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL"} {
			row = append(row, pair{name, f.Label})
		}
		row = append(row, pair{"ERROR_MESSAGE", nil}, pair{"HELP_MESSAGE", nil})
	}
	if f.Type == typeEnum {
		var list []object
		for _, option := range f.Options {
			list = append(list, object{
				{"ID", strconv.FormatInt(option.ID, 10)},
				{"SORT", strconv.FormatInt(option.Sort, 10)},
				{"VALUE", option.Value},
				{"DEF", yesNo(option.Default)},
				{"XML_ID", option.XMLID},
			})
		}
		row = append(row, pair{"LIST", list})
	}
	return row
}

// oldUserFieldName is the upper-case name of a member of a custom field.
func oldUserFieldName(name string) string {
	if name == "xmlId" {
		return "XML_ID"
	}
	return snake(name)
}

func (o oldUserFields) list(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	language, _ := q.filter.get("LANG")
	rows := []object{}
	for _, f := range c.store.userFields.all() {
		if f.EntityID == string(o) {
			rows = append(rows, o.row(f, textOf(language)))
		}
	}
	known := func(name string) bool {
		return name != "SETTINGS" && slices.ContainsFunc(userFieldRow(&userField{}), func(p pair) bool { return oldUserFieldName(p.key) == name })
	}
	rows = filterRows(rows, rowConditions(q.filter, known))
	orderRows(rows, q.order)
	return c.counted(rows), nil
}

func (o oldUserFields) get(c *call) (any, *apiError) {
	id, err := oldID(c)
	if err != nil {
		return nil, err
	}
	f, ok := c.store.userFields.get(id)
	if !ok || f.EntityID != string(o) {
		return nil, fault(400, "ERROR_NOT_FOUND", "The entity with ID '"+strconv.FormatInt(id, 10)+"' is not found.")
	}
	return o.row(f, "en"), nil
}
