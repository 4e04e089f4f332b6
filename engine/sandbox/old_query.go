package sandbox

// oldQuery is what the list methods of the old kind are asked. Their parameter
// names come in any case, and arFilter, arOrder and arSelect do as well.
type oldQuery struct {
	filter, order *array
	names         []string // of select
	offset        int64
	count         bool // false for start=-1: no counting, the first page only
}

// oldQueryOf reads the parameters of an old list method.
func oldQueryOf(c *call) (oldQuery, *apiError) {
	var q oldQuery
	var names *array
	for _, part := range []struct {
		into        **array
		name, alias string
	}{
		{&q.filter, "filter", "arFilter"},
		{&q.order, "order", "arOrder"},
		{&names, "select", "arSelect"},
	} {
		raw, ok := c.old(part.name, part.alias)
		if !ok || isBlank(raw) {
			continue
		}
		list, isArray := raw.(*array)
		if !isArray {
			return oldQuery{}, oldError("Parameter '" + part.name + "' must be array.")
		}
		*part.into = list
	}
	for _, name := range names.all() {
		q.names = append(q.names, textOf(name))
	}
	start := c.oldInt("start")
	q.count = start >= 0
	q.offset = max(start, 0) / pageSize * pageSize
	return q, nil
}

// oldError is the refusal of an old CRM method: status 400, an empty code, and
// the fault in the text alone.
func oldError(text string) *apiError { return fault(400, "", text) }

// oldID reads the id that an old method works on.
func oldID(c *call) (int64, *apiError) {
	id := c.oldInt("id")
	if id <= 0 {
		return 0, oldError("ID is not defined or invalid.")
	}
	return id, nil
}

// givenFields reads the parameter fields, which must be there.
func givenFields(c *call) (*array, *apiError) {
	raw, _ := c.old("fields")
	fields, ok := raw.(*array)
	if !ok {
		return nil, oldError("Parameter 'fields' must be array.")
	}
	return fields, nil
}

// page cuts a page out of all rows and notes the size of the whole list.
func (q oldQuery) page(c *call, rows []object) []object {
	total := int64(len(rows))
	if !q.count {
		c.total = new(int64) // counting was declined: total is 0 then
		return rows[:min(total, pageSize)]
	}
	shown := rows[min(q.offset, total):min(q.offset+pageSize, total)]
	c.paged(total, q.offset, int64(len(shown)))
	return shown
}

// answer filters, sorts, cuts and projects the rows of a short table.
func (q oldQuery) answer(c *call, rows []object, known func(string) bool) []object {
	rows = filterRows(rows, rowConditions(q.filter, known))
	orderRows(rows, q.order)
	shown := q.page(c, rows)
	for i, row := range shown {
		shown[i] = selectFields(row, q.names)
	}
	return shown
}

// counted notes the size of a list that comes in one piece.
func (c *call) counted(rows []object) []object {
	total := int64(len(rows))
	c.total = &total
	return rows
}
