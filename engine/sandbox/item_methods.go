package sandbox

import "strconv"

// itemMethods are the universal methods (crm/universal).
func itemMethods() []method {
	return []method{
		{"crm.item.add", "crm", true, itemAdd},
		{"crm.item.update", "crm", true, itemUpdate},
		{"crm.item.get", "crm", false, itemGet},
		{"crm.item.list", "crm", false, itemList},
		{"crm.item.delete", "crm", true, itemDelete},
		{"crm.item.fields", "crm", false, itemFields},
		{"crm.item.import", "crm", true, itemImport},
		{"crm.item.batchImport", "crm", true, itemBatchImport},
	}
}

// entity returns the type that entityTypeId names.
func (c *call) entity() (*entity, *apiError) {
	id, err := c.int("entityTypeId")
	if err != nil {
		return nil, err
	}
	return c.store.entityOf(id)
}

func (s *store) entityOf(id int64) (*entity, *apiError) {
	if e, ok := s.entities[int(id)]; ok {
		return e, nil
	}
	if id >= 128 && id <= 191 || id >= 1030 {
		return nil, fault(400, "NOT_FOUND", "Smart process not found")
	}
	return nil, fault(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type "+strconv.FormatInt(id, 10)+" is not supported")
}

// item returns the item that entityTypeId and id name.
func (c *call) item() (*entity, *item, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, nil, err
	}
	id, err := c.int("id")
	if err != nil {
		return nil, nil, err
	}
	it := e.item(id)
	if it == nil {
		return nil, nil, fault(400, "NOT_FOUND", "Item not found")
	}
	return e, it, nil
}

func itemAdd(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	d := c.store.newDraft(e, c.user)
	original, err := c.assignTo(d)
	if err != nil {
		return nil, err
	}
	it, _, err := d.save()
	if err != nil {
		return nil, err
	}
	c.created(e, it)
	return object{{"item", e.render(it, original)}}, nil
}

// assignTo gives a draft what the parameter fields holds.
func (c *call) assignTo(d *draft) (original bool, err *apiError) {
	fields, err := c.array("fields")
	if err != nil {
		return false, err
	}
	if original, err = c.original(); err != nil {
		return false, err
	}
	return original, d.assignAll(fields, original)
}

func itemUpdate(c *call) (any, *apiError) {
	e, old, err := c.item()
	if err != nil {
		return nil, err
	}
	d := c.store.draft(e, old, c.user)
	original, err := c.assignTo(d)
	if err != nil {
		return nil, err
	}
	it, _, err := d.save()
	if err != nil {
		return nil, err
	}
	return object{{"item", e.render(it, original)}}, nil
}

func itemGet(c *call) (any, *apiError) {
	e, it, err := c.item()
	if err != nil {
		return nil, err
	}
	original, err := c.original()
	if err != nil {
		return nil, err
	}
	return object{{"item", e.render(it, original)}}, nil
}

func itemDelete(c *call) (any, *apiError) {
	e, it, err := c.item()
	if err != nil {
		return nil, err
	}
	c.store.removeItem(e, it.id)
	return object{}, nil
}

// render writes an item with all its fields.
func (e *entity) render(it *item, original bool) object {
	out := make(object, 0, len(e.fields)+1)
	for _, f := range e.fields {
		if !f.is(unseen) {
			out = append(out, pair{f.name(original), f.render(e, e.value(it, f))})
		}
	}
	return append(out, pair{"entityTypeId", e.typeID})
}

func itemFields(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	original, err := c.original()
	if err != nil {
		return nil, err
	}
	out := object{}
	for _, f := range e.fields {
		if !f.is(hidden) {
			out = append(out, pair{f.name(original), e.describe(f)})
		}
	}
	return object{{"fields", out}}, nil
}

// describe is one entry of crm.item.fields.
func (e *entity) describe(f *field) object {
	out := object{
		{"type", f.kind},
		{"isRequired", f.is(required) || f.custom() && f.uf.Mandatory},
		{"isReadOnly", f.is(readOnly)},
		{"isImmutable", f.is(immutable)},
		{"isMultiple", f.is(multiple)},
		{"isDynamic", f.custom()},
	}
	if f.is(deprecated) {
		out = append(out, pair{"isDeprecated", true})
	}
	switch {
	case f.kind == typeStatus && f.statusType == "":
		out = append(out, pair{"statusType", e.defaultStageList()})
	case f.statusType != "":
		out = append(out, pair{"statusType", f.statusType})
	}
	out = append(out, pair{"title", f.title})
	if f.kind == typeEnum {
		items := make([]object, len(f.uf.Options))
		for i, o := range f.uf.Options {
			items[i] = object{{"ID", strconv.FormatInt(o.ID, 10)}, {"VALUE", o.Value}}
		}
		out = append(out, pair{"items", items})
	}
	if f.parent != 0 {
		out = append(out, pair{"settings", object{{"parentEntityTypeId", f.parent}}})
	}
	if f.custom() {
		out = append(out, pair{"listLabel", f.title}, pair{"formLabel", f.title}, pair{"filterLabel", f.title})
		if len(f.uf.Settings) > 0 {
			settings := make(map[string]any, len(f.uf.Settings))
			for k, v := range f.uf.Settings {
				settings[k] = v
			}
			out = append(out, pair{"settings", settings})
		}
	}
	return append(out, pair{"upperName", f.upper})
}

// defaultStageList is the status list of stages that crm.item.fields names: that
// of the default pipeline.
func (e *entity) defaultStageList() string {
	var id int64
	if c := e.store.defaultCategory(e.typeID); c != nil {
		id = c.ID
	}
	return stageListID(e.typeID, id)
}
