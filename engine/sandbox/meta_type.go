package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Smart processes (crm.type.*). The id of a type names its custom fields, its
// entityTypeId addresses its items, stages and categories.

// typeMethods are the methods of the smart processes.
func typeMethods() []method {
	return []method{
		{"crm.type.list", "crm", false, crmTypeList},
		{"crm.type.get", "crm", false, crmTypeGet},
		{"crm.type.getByEntityTypeId", "crm", false, crmTypeGetByEntityTypeID},
		{"crm.type.fields", "crm", false, crmTypeFields},
		{"crm.type.add", "crm", true, crmTypeAdd},
		{"crm.enum.ownertype", "crm", false, crmEnumOwnerType},
		{"crm.enum.addresstype", "crm", false, crmEnumAddressType},
	}
}

// typeRow is a type as crm.type.list shows it.
func (s *store) typeRow(t *processType) object {
	row := object{
		{"id", t.ID},
		{"title", t.Title},
		{"code", t.Code},
		{"createdBy", t.CreatedBy},
		{"entityTypeId", int64(t.EntityTypeID)},
		{"customSectionId", nil},
	}
	for _, flag := range typeFlags() {
		row = append(row, pair{flag, yesNo(t.Features[flag])})
	}
	return append(row,
		pair{"isPaymentsEnabled", "N"},
		pair{"isCountersEnabled", "N"},
		pair{"createdTime", s.renderTime(t.Created)},
		pair{"updatedTime", s.renderTime(t.Updated)},
		pair{"updatedBy", t.UpdatedBy},
	)
}

// typeAnswer is a type as the methods that return one show it.
func (s *store) typeAnswer(t *processType) object {
	linked := object{}
	for _, name := range []string{"CALENDAR_EVENT|UF_CRM_CAL_EVENT", "TASKS_TASK|UF_CRM_TASK", "TASKS_TASK_TEMPLATE|UF_CRM_TASK"} {
		linked = append(linked, pair{name, yesNo(t.Features[name])})
	}
	relations := object{{"parent", relationRows(t.Parents)}, {"child", relationRows(t.Children)}}
	return object{{"type", append(s.typeRow(t),
		pair{"relations", relations}, pair{"linkedUserFields", linked}, pair{"customSections", []any{}},
	)}}
}

func relationRows(typeIDs []int) []object {
	rows := []object{}
	for _, id := range typeIDs {
		rows = append(rows, object{
			{"entityTypeId", int64(id)}, {"isChildrenListEnabled", "Y"}, {"isPredefined", "N"},
		})
	}
	return rows
}

// crmTypeList is crm.type.list.
func crmTypeList(c *call) (any, *apiError) {
	filter, err := c.optArray("filter")
	if err != nil {
		return nil, err
	}
	order, err := c.optArray("order")
	if err != nil {
		return nil, err
	}
	offset, count, err := c.start()
	if err != nil {
		return nil, err
	}
	known := knownMeta(typeFields())
	if name, ok := unknownField(filter, known); ok {
		return nil, fault(400, "0", "Unknown field definition `"+name+"` ("+name+") for Type Entity.")
	}
	rows := []object{}
	for _, t := range c.store.types.all() {
		rows = append(rows, c.store.typeRow(t))
	}
	rows = filterRows(rows, rowConditions(filter, known))
	orderRows(rows, order)
	return object{{"types", cutPage(c, rows, offset, count)}}, nil
}

// unknownField finds a field in a filter that the rows do not have.
func unknownField(filter *array, known func(string) bool) (string, bool) {
	for key := range filter.all() {
		if _, field := splitOperator(key); !known(field) {
			return snake(field), true
		}
	}
	return "", false
}

// cutPage cuts a page out of the rows of a controller method, which counts
// nothing where start is -1.
func cutPage(c *call, rows []object, offset int64, count bool) []object {
	total := int64(len(rows))
	shown := rows[min(offset, total):min(offset+pageSize, total)]
	if count {
		c.paged(total, offset, int64(len(shown)))
	}
	return shown
}

// crmTypeGet is crm.type.get, which takes the id of the type.
func crmTypeGet(c *call) (any, *apiError) {
	id, err := c.int("id")
	if err != nil {
		return nil, err
	}
	t, ok := c.store.types.get(id)
	if !ok {
		return nil, fault(400, "0", "Smart process not found")
	}
	return c.store.typeAnswer(t), nil
}

// crmTypeGetByEntityTypeID is crm.type.getByEntityTypeId.
func crmTypeGetByEntityTypeID(c *call) (any, *apiError) {
	id, err := c.int("entityTypeId")
	if err != nil {
		return nil, err
	}
	for _, t := range c.store.types.all() {
		if int64(t.EntityTypeID) == id {
			return c.store.typeAnswer(t), nil
		}
	}
	return nil, fault(400, "0", "Smart process not found")
}

// crmTypeFields is crm.type.fields.
func crmTypeFields(*call) (any, *apiError) {
	return object{{"fields", upperNamed(typeFields())}}, nil
}

// crmTypeAdd is crm.type.add. A new process has one category with the usual
// stages.
func crmTypeAdd(c *call) (any, *apiError) {
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	raw, _ := fields.get("title")
	title := strings.TrimSpace(textOf(raw))
	if title == "" {
		return nil, fault(400, "CRM_FIELD_ERROR_REQUIRED", `The "Title" field is required`)
	}
	typeID, err := c.store.newTypeID(fields)
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	t := &processType{
		ID: c.store.types.nextID(), EntityTypeID: typeID, Title: title, Code: memberText(fields, "code"),
		CreatedBy: c.user, UpdatedBy: c.user, Created: now, Updated: now,
		Features: typeFeatures(fields),
	}
	t.Parents, t.Children = typeRelations(fields)
	c.store.types.put(t.ID, t)
	c.store.addCategory(category{EntityTypeID: typeID, Name: "General", Sort: 500, Default: true})
	return c.store.typeAnswer(t), nil
}

// newTypeID returns the entityTypeId that a new process asks for, or the first
// free one.
func (s *store) newTypeID(fields *array) (int, *apiError) {
	raw, given := fields.get("entityTypeId")
	if !given || isBlank(raw) {
		id := 1030
		for s.entities[id] != nil {
			id += 2
		}
		return id, nil
	}
	id := intOf(raw)
	if !isProcessTypeID(id) || id > 2_000_000 {
		return 0, fault(400, "INVALID_ARG_VALUE", "entityTypeId is out of allowed range")
	}
	if s.entities[int(id)] != nil {
		return 0, fault(400, "INVALID_ARG_VALUE", "entityTypeId is already used")
	}
	return int(id), nil
}

// typeFeatures reads the switches of a new process. Categories, stages and the
// recycle bin are on unless they are switched off.
func typeFeatures(fields *array) map[string]bool {
	features := map[string]bool{"isCategoriesEnabled": true, "isStagesEnabled": true, "isRecyclebinEnabled": true}
	for _, flag := range typeFlags() {
		if raw, ok := fields.get(flag); ok {
			features[flag] = isYes(raw)
		}
	}
	raw, _ := fields.get("linkedUserFields")
	if linked, ok := raw.(*array); ok {
		for name, val := range linked.all() {
			features[name] = isYes(val)
		}
	}
	return features
}

// typeRelations reads which types a new process is bound to.
func typeRelations(fields *array) (parents, children []int) {
	raw, _ := fields.get("relations")
	relations, ok := raw.(*array)
	if !ok {
		return nil, nil
	}
	return relatedTypes(relations, "parent"), relatedTypes(relations, "child")
}

func relatedTypes(relations *array, side string) []int {
	raw, _ := relations.get(side)
	list, ok := raw.(*array)
	if !ok {
		return nil
	}
	var ids []int
	for _, val := range list.all() {
		one, ok := val.(*array)
		if !ok {
			continue
		}
		raw, _ := one.get("entityTypeId")
		if id := int(intOf(raw)); id > 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// crmEnumOwnerType is crm.enum.ownertype, to which the smart processes belong
// as well.
func crmEnumOwnerType(c *call) (any, *apiError) {
	types := ownerTypes()
	for _, t := range c.store.types.all() {
		types = append(types, ownerType{
			int64(t.EntityTypeID), t.Title, "DYNAMIC_" + strconv.Itoa(t.EntityTypeID), abbreviation(t.EntityTypeID),
		})
	}
	rows := make([]object, len(types))
	for i, t := range types {
		rows[i] = object{{"ID", t.id}, {"NAME", t.name}, {"SYMBOL_CODE", t.code}, {"SYMBOL_CODE_SHORT", t.short}}
	}
	return rows, nil
}

// crmEnumAddressType is crm.enum.addresstype.
func crmEnumAddressType(*call) (any, *apiError) { return addressTypes(), nil }
