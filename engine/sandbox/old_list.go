package sandbox

import "strings"

// list is crm.lead.list and its like. It finds the same items as crm.item.list,
// but a filter or an order by a field that there isn't is dropped without a
// word, so that a typo lists everything.
func (o oldEntity) list(c *call) (any, *apiError) {
	asked, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	v := c.store.viewOf(o.typeID)
	q := &query{e: v.e, filter: v.filter(asked.filter), order: v.order(asked.order), offset: asked.offset, count: asked.count}
	found, total := q.run()
	rows := make([]object, len(found))
	show := v.selected(asked.names)
	for i, it := range found {
		rows[i] = v.project(it, show)
	}
	if asked.count {
		c.paged(total, q.offset, int64(len(rows)))
	} else {
		c.total = new(int64) // counting was declined: total is 0 then
	}
	return rows, nil
}

// project writes the members of a row that a list is to show.
func (v oldView) project(it *item, show func(string) bool) object {
	var row object
	for _, p := range v.render(it) {
		if show(p.key) {
			row = append(row, p)
		}
	}
	return row
}

// filter translates a filter to the fields of crm.item.list. All keys must
// hold; there are no groups.
func (v oldView) filter(raw *array) *condition {
	all := &condition{}
	ops := operators()
	for key, val := range raw.all() {
		prefix, name := splitOperator(key)
		f, ok := v.filterField(name)
		if !ok {
			continue
		}
		_, isArray := val.(*array)
		test, err := v.e.parseTest(oldPrefix(prefix, f, isArray)+f.rest, val, true, ops)
		if err != nil {
			continue // a value that does not fit is no condition
		}
		all.kids = append(all.kids, test)
	}
	return all
}

// filterField finds the field of a filter key. Phones and e-mails can be
// filtered by their exact text.
func (v oldView) filterField(name string) (*field, bool) {
	if f, ok := v.field(name); ok {
		return f, true
	}
	if v.e.known.fm == nil || name != "PHONE" && name != "EMAIL" {
		return nil, false
	}
	f, ok := v.e.byUpper[name]
	return f, ok
}

// oldPrefix turns an operator of the old lists into one of crm.item.list: what
// holds the id of something else is compared as a whole even where a part is
// asked for, and "!" takes a list.
func oldPrefix(prefix string, f *field, isArray bool) string {
	whole := f.kind == typeStatus || f.kind == typeContact || f.kind == typeCompany || f.is(unseen)
	switch {
	case whole && strings.Contains(prefix, "%") && strings.Contains(prefix, "!"), prefix == "!" && isArray:
		return "!="
	case whole && strings.Contains(prefix, "%"):
		return "="
	default:
		return prefix
	}
}

// order translates an order. Without one the items come by id.
func (v oldView) order(raw *array) []sortKey {
	var keys []sortKey
	for name, direction := range raw.all() {
		if f, ok := v.field(name); ok && !f.is(unsortable) {
			keys = append(keys, sortKey{f, strings.EqualFold(textOf(direction), "desc")})
		}
	}
	return keys
}
