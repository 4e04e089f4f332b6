package sandbox

// maxImport is how many rows one crm.item.batchImport takes.
const maxImport = 20

func itemImport(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	original, err := c.original()
	if err != nil {
		return nil, err
	}
	return c.importRow(e, fields, original)
}

// importRow makes an item without running robots.
func (c *call) importRow(e *entity, fields *array, original bool) (any, *apiError) {
	d := c.store.newDraft(e, c.user)
	d.imported = true
	if err := d.assignAll(fields, original); err != nil {
		return nil, err
	}
	it, _, err := d.save()
	if err != nil {
		return nil, err
	}
	c.created(e, it)
	return object{{"item", object{{"id", it.id}}}}, nil
}

// itemBatchImport imports up to twenty rows, each on its own: a row that fails
// is an error in the answer's items, under the key that it had in data.
func itemBatchImport(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	data, err := c.array("data")
	if err != nil {
		return nil, err
	}
	original, err := c.original()
	if err != nil {
		return nil, err
	}
	if data.len() > maxImport {
		return nil, fault(400, "MAX_IMPORT_BATCH_SIZE_EXCEEDED", "You cannot import more than 20 items")
	}
	items := &array{}
	for key, row := range data.all() {
		fields, _ := row.(*array) // whatever isn't an object makes an empty item
		result, err := c.importRow(e, fields, original)
		if err != nil {
			result = err.body()
		}
		items.set(key, result)
	}
	return object{{"items", items}}, nil
}
