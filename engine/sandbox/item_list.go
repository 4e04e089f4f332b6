package sandbox

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// query is a crm.item.list, read.
type query struct {
	e      *entity
	filter *condition
	order  []sortKey
	offset int64
	count  bool
}

type sortKey struct {
	field *field
	desc  bool
}

func itemList(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	original, err := c.original()
	if err != nil {
		return nil, err
	}
	fields, all, err := c.projection(e, original)
	if err != nil {
		return nil, err
	}
	q, err := c.query(e, original)
	if err != nil {
		return nil, err
	}
	found, total := q.run()
	items := make([]object, len(found))
	for i, it := range found {
		items[i] = project(e, it, fields, all, original)
	}
	if q.count {
		c.paged(total, q.offset, int64(len(found)))
	}
	return object{{"items", items}}, nil
}

func project(e *entity, it *item, fields []*field, all, original bool) object {
	out := make(object, 0, len(fields)+1)
	for _, f := range fields {
		out = append(out, pair{f.name(original), f.render(e, e.value(it, f))})
	}
	if all {
		out = append(out, pair{"entityTypeId", e.typeID})
	}
	return out
}

// projection reads select: the fields that rows show, in the entity's order.
// Unknown names are dropped without a word; fm comes only with "*".
func (c *call) projection(e *entity, original bool) (fields []*field, all bool, err *apiError) {
	list, err := c.optArray("select")
	if err != nil {
		return nil, false, err
	}
	wanted := make([]bool, len(e.fields))
	all = list == nil
	for _, one := range list.all() {
		switch name := textOf(one); name {
		case "*":
			all = true
		case "UF_*":
			for _, f := range e.fields {
				wanted[f.slot] = wanted[f.slot] || original && f.custom()
			}
		default:
			if f := e.resolve(name, original); f != nil && f.kind != typeMulti {
				wanted[f.slot] = true
			}
		}
	}
	for _, f := range e.fields {
		if (all || wanted[f.slot]) && !f.is(unseen) {
			fields = append(fields, f)
		}
	}
	return fields, all, nil
}

func (c *call) query(e *entity, original bool) (*query, *apiError) {
	q := &query{e: e}
	filter, err := c.optArray("filter")
	if err != nil {
		return nil, err
	}
	if q.filter, err = e.parseFilter(filter, original); err != nil {
		return nil, err
	}
	order, err := c.optArray("order")
	if err != nil {
		return nil, err
	}
	if q.order, err = e.parseOrder(order, original); err != nil {
		return nil, err
	}
	q.offset, q.count, err = c.start()
	return q, err
}

func (e *entity) parseOrder(raw *array, original bool) ([]sortKey, *apiError) {
	var keys []sortKey
	for name, dir := range raw.all() {
		f := e.resolve(name, original)
		if f == nil || f.is(unsortable|unseen) {
			return nil, fault(400, "INVALID_ARG_VALUE", "Invalid order: field '"+snake(name)+"' is not allowed in order")
		}
		d := strings.ToUpper(textOf(dir))
		if d != "ASC" && d != "DESC" {
			return nil, fault(400, "INVALID_ARG_VALUE",
				"Invalid order: allowed sort directions are ASC, DESC. But got '"+d+"' for field '"+f.upper+"'")
		}
		keys = append(keys, sortKey{f, d == "DESC"})
	}
	return keys, nil
}

// run returns one page, and how many rows there are in all where that is counted.
func (q *query) run() (page []*item, total int64) {
	candidates, exact := q.candidates()
	byID := len(q.order) == 0 || q.order[0].field.upper == "ID"
	if !byID {
		return q.sorted(candidates)
	}
	at := func(i int) *item { return candidates[i] }
	if len(q.order) > 0 && q.order[0].desc {
		at = func(i int) *item { return candidates[len(candidates)-1-i] }
	}
	if exact && len(q.e.store.lagging) == 0 {
		from := min(q.offset, int64(len(candidates)))
		for i := from; i < int64(len(candidates)) && len(page) < pageSize; i++ {
			page = append(page, at(int(i)))
		}
		return page, int64(len(candidates))
	}
	for i := range candidates {
		it := at(i)
		if !q.matches(it) {
			continue
		}
		if total++; total > q.offset && len(page) < pageSize {
			page = append(page, it)
		}
		if !q.count && len(page) == pageSize {
			break
		}
	}
	return page, total
}

// matches reports whether a row passes the filter and shows in lists yet.
func (q *query) matches(it *item) bool {
	if len(q.e.store.lagging) > 0 {
		if at, ok := q.e.store.lagging[itemKey{q.e.typeID, it.id}]; ok && time.Now().Before(at) {
			return false
		}
	}
	return q.filter.matches(q.e, it)
}

func (q *query) sorted(candidates []*item) (page []*item, total int64) {
	var found []*item
	for _, it := range candidates {
		if q.matches(it) {
			found = append(found, it)
		}
	}
	slices.SortStableFunc(found, func(a, b *item) int {
		for _, k := range q.order {
			sign := compareStored(q.e.value(a, k.field), q.e.value(b, k.field))
			if k.desc {
				sign = -sign
			}
			if sign != 0 {
				return sign
			}
		}
		return 0
	})
	from := min(q.offset, int64(len(found)))
	to := min(from+pageSize, int64(len(found)))
	return found[from:to], int64(len(found))
}

// compareStored orders two stored values; an unset one comes first.
func compareStored(a, b any) int {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(foldKey(a), foldKey(b))
		}
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
	}
	return 1
}

// candidates narrows the items down by what the filter says of ids and of
// indexed fields. exact means that all of them pass the filter.
func (q *query) candidates() (list []*item, exact bool) {
	low, high := int64(1), int64(math.MaxInt64)
	tests := q.filter.kids
	if q.filter.or && len(tests) > 1 {
		return q.e.items, false
	}
	exact = true
	var ids []int64
	narrowed := false
	for _, t := range tests {
		switch {
		case t.bounds(&low, &high):
		case !narrowed && q.lookUp(t, &ids):
			narrowed, exact = true, false
		default:
			exact = false
		}
	}
	if narrowed {
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			if it := q.e.item(id); it != nil && id >= low && id <= high {
				list = append(list, it)
			}
		}
		return list, false
	}
	from, _ := q.e.at(low)
	to := len(q.e.items)
	if high < math.MaxInt64 {
		to, _ = q.e.at(high + 1)
	}
	return q.e.items[from:max(from, to)], exact
}

// bounds takes a comparison of the id into a range of ids.
func (c *condition) bounds(low, high *int64) bool {
	if c.field == nil || c.field.upper != "ID" || c.negate || len(c.vals) != 1 {
		return false
	}
	f, ok := c.vals[0].(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return false
	}
	n := int64(f)
	switch c.op {
	case ">":
		*low = max(*low, n+1)
	case ">=":
		*low = max(*low, n)
	case "<":
		*high = min(*high, n-1)
	case "<=":
		*high = min(*high, n)
	default:
		return false
	}
	return true
}

// lookUp finds the ids for which an equality holds, where an index can tell.
func (q *query) lookUp(c *condition, ids *[]int64) bool {
	if c.field == nil || c.op != "=" || c.negate || slices.Contains(c.vals, nil) {
		return false
	}
	if c.field.upper == "ID" {
		for _, v := range c.vals {
			if n, ok := v.(float64); ok {
				*ids = append(*ids, int64(n))
			}
		}
		return true
	}
	if !c.field.indexed() || slices.Contains(c.vals, any(float64(0))) {
		return false
	}
	ix := q.e.fieldIndex(c.field)
	for _, v := range c.vals {
		for _, key := range keysOf(v) {
			*ids = append(*ids, ix.ids[key]...)
		}
	}
	return true
}

// indexed reports whether equality is looked up in an index: keys of other
// systems, links, and custom fields that seldom repeat.
func (f *field) indexed() bool {
	if f.derive != nil {
		return false
	}
	switch f.upper {
	case "XML_ID", "ORIGIN_ID", "TITLE", "NAME", "LAST_NAME", "CONTACT_ID", "CONTACT_IDS", "COMPANY_ID", "COMPANY_IDS":
		return true
	}
	switch f.kind {
	case typeParent:
		return true
	case typeString, typeInteger, typeURL:
		return f.custom()
	default:
		return false
	}
}
