package sandbox

import "strings"

// Pipelines (crm.category.*).

// categoryMethods are the methods of the pipelines.
func categoryMethods() []method {
	return []method{
		{"crm.category.list", "crm", false, crmCategoryList},
		{"crm.category.get", "crm", false, crmCategoryGet},
		{"crm.category.fields", "crm", false, crmCategoryFields},
		{"crm.category.add", "crm", true, crmCategoryAdd},
		{"crm.category.update", "crm", true, crmCategoryUpdate},
	}
}

// categoryOwner returns the entity whose pipelines a call is about. Leads and
// estimates have none, and smart processes have some only where they are
// switched on.
func categoryOwner(c *call) (*entity, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	if e.typeID == leadType || e.typeID == quoteType {
		return nil, fault(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type "+e.title+" is not supported")
	}
	return e, nil
}

// isProcessTypeID reports whether a smart process may have the entityTypeId:
// 128 to 191, or an even one from 1030 on.
func isProcessTypeID(id int64) bool {
	return id >= 128 && id <= 191 || id >= 1030 && id%2 == 0
}

// categoryRow is a pipeline as crm.category.list shows it. The default one of
// deals has the id 0 and no keys of an external system.
func categoryRow(c *category) object {
	row := object{
		{"id", c.ID},
		{"name", c.Name},
		{"sort", c.Sort},
		{"entityTypeId", int64(c.EntityTypeID)},
		{"isDefault", yesNo(c.Default)},
	}
	if c.EntityTypeID == dealType && c.ID == 0 {
		return row
	}
	return append(row, pair{"originId", ""}, pair{"originatorId", ""})
}

// crmCategoryList is crm.category.list, which answers with everything at once.
func crmCategoryList(c *call) (any, *apiError) {
	e, err := categoryOwner(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	for _, category := range c.store.categoriesOf(e.typeID) {
		rows = append(rows, categoryRow(category))
	}
	return object{{"categories", c.counted(rows)}}, nil
}

// crmCategoryGet is crm.category.get.
func crmCategoryGet(c *call) (any, *apiError) {
	e, err := categoryOwner(c)
	if err != nil {
		return nil, err
	}
	id, err := c.int("id")
	if err != nil {
		return nil, err
	}
	found := c.store.category(e.typeID, id)
	if found == nil {
		return nil, fault(400, "NOT_FOUND", "Element not found")
	}
	return object{{"category", categoryRow(found)}}, nil
}

// crmCategoryAdd is crm.category.add. A new pipeline has the usual stages.
func crmCategoryAdd(c *call) (any, *apiError) {
	e, err := categoryOwner(c)
	if err != nil {
		return nil, err
	}
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(memberText(fields, "name"))
	if name == "" {
		return nil, fault(400, "CRM_FIELD_ERROR_REQUIRED", `The "Name" field is required`)
	}
	made := c.store.addCategory(category{
		EntityTypeID: e.typeID, Name: name, Sort: orElse(intOf(memberText(fields, "sort")), 500),
		Default: memberText(fields, "isDefault") == "Y",
	})
	return object{{"category", categoryRow(made)}}, nil
}

// crmCategoryUpdate is crm.category.update: what fields does not mention stays.
func crmCategoryUpdate(c *call) (any, *apiError) {
	e, err := categoryOwner(c)
	if err != nil {
		return nil, err
	}
	id, err := c.int("id")
	if err != nil {
		return nil, err
	}
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	old := c.store.category(e.typeID, id)
	if old == nil {
		return nil, fault(400, "NOT_FOUND", "Element not found")
	}
	changed := *old
	if name := strings.TrimSpace(memberText(fields, "name")); name != "" {
		changed.Name = name
	}
	if raw, ok := fields.get("sort"); ok {
		changed.Sort = intOf(raw)
	}
	if memberText(fields, "isDefault") == "Y" && !old.Default {
		c.store.demoteCategories(e.typeID)
		changed.Default = true
	}
	c.store.categories.put(id, &changed)
	return object{{"category", categoryRow(&changed)}}, nil
}

// addCategory stores a pipeline under a new id and gives it its stages.
func (s *store) addCategory(c category) *category {
	if c.Default {
		s.demoteCategories(c.EntityTypeID)
	}
	c.ID = s.categories.nextID()
	s.categories.put(c.ID, &c)
	entityID, prefix := stageListID(c.EntityTypeID, c.ID), stagePrefix(c.EntityTypeID, c.ID)
	switch {
	case entityID == "":
	case c.EntityTypeID == dealType:
		s.seedStatuses(stageList(entityID, c.Name, prefix+":"), c.ID)
	case c.EntityTypeID == invoiceType:
		s.seedStatuses(invoiceStageList(entityID, prefix), c.ID)
	default:
		s.seedStatuses(processStageList(entityID, c.Name, prefix), c.ID)
	}
	return &c
}

// demoteCategories makes room for another default pipeline.
func (s *store) demoteCategories(typeID int) {
	for _, c := range s.categoriesOf(typeID) {
		if c.Default {
			other := *c
			other.Default = false
			s.categories.put(c.ID, &other)
		}
	}
}

// crmCategoryFields is crm.category.fields.
func crmCategoryFields(c *call) (any, *apiError) {
	if _, err := categoryOwner(c); err != nil {
		return nil, err
	}
	return object{{"fields", upperNamed(categoryFields())}}, nil
}

// upperNamed describes the fields of a controller method, each with its
// upper-case name.
func upperNamed(fields []metaField) object {
	answer := make(object, len(fields))
	for i, f := range fields {
		upper := snake(f.name)
		answer[i] = pair{f.name, append(f.descriptor(fieldTitle(upper)), pair{"upperName", upper})}
	}
	return answer
}
