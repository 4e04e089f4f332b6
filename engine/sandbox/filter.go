package sandbox

import (
	"cmp"
	"slices"
	"strings"
)

// condition is a node of a filter: a group of conditions, or a test of a field.
type condition struct {
	or   bool // of a group: any is enough
	kids []*condition

	field  *field // nil for a group
	op     string // =, >, >=, <, <=, contains or like
	negate bool
	vals   []any // as stored, texts folded
}

// operator is a prefix of a filter key.
type operator struct {
	prefix, op string
	negate     bool
	list       bool // takes an array
}

// operators returns the prefixes, longer ones before those that they begin with
// (crm.item.list, filter).
func operators() []operator {
	return []operator{
		{"!><", "", true, false},
		{"><", "", false, false},
		{"!=%", "like", true, false},
		{"!%=", "like", true, false},
		{"=%", "like", false, false},
		{"%=", "like", false, false},
		{"!%", "contains", true, false},
		{"%", "contains", false, false},
		{"!=", "=", true, true},
		{"!@", "=", true, true},
		{"@", "=", false, true},
		{">=", ">=", false, false},
		{"<=", "<=", false, false},
		{">", ">", false, false},
		{"<", "<", false, false},
		{"!", "=", true, false},
		{"=", "=", false, true},
		{"", "=", false, true},
	}
}

// maxFilterDepth bounds how deep groups may nest.
const maxFilterDepth = 64

// parseFilter reads the filter of crm.item.list. Numeric keys hold groups.
func (e *entity) parseFilter(raw *array, original bool) (*condition, *apiError) {
	return e.parseGroup(raw, original, operators(), 0)
}

func (e *entity) parseGroup(raw *array, original bool, ops []operator, depth int) (*condition, *apiError) {
	if depth > maxFilterDepth {
		return nil, fault(400, "INVALID_ARG_VALUE", "Invalid filter: too many nested groups")
	}
	group := &condition{}
	for key, val := range raw.all() {
		if strings.EqualFold(key, "logic") {
			group.or = strings.EqualFold(textOf(val), "OR")
			continue
		}
		sub, isArray := val.(*array)
		var kid *condition
		var err *apiError
		if _, numeric := position(key); numeric && isArray {
			kid, err = e.parseGroup(sub, original, ops, depth+1)
		} else {
			kid, err = e.parseTest(key, val, original, ops)
		}
		if err != nil {
			return nil, err
		}
		group.kids = append(group.kids, kid)
	}
	return group, nil
}

func (e *entity) parseTest(key string, val any, original bool, ops []operator) (*condition, *apiError) {
	i := slices.IndexFunc(ops, func(o operator) bool { return strings.HasPrefix(key, o.prefix) })
	op, name := ops[i], key[len(ops[i].prefix):]
	f := e.resolve(name, original)
	if f == nil || f.kind == typeMulti || f.is(unsortable) && f.is(hidden) {
		return nil, fault(400, "INVALID_ARG_VALUE", "Invalid filter: field '"+op.prefix+snake(name)+"' is not allowed in filter")
	}
	list, isArray := val.(*array)
	if isArray && !op.list || op.op == "" || nested(list) {
		return nil, fault(400, "INVALID_ARG_VALUE", "Invalid filter: field '"+op.prefix+f.upper+"' has invalid value")
	}
	c := &condition{field: f, op: op.op, negate: op.negate}
	if f == e.known.contacts {
		c.negate = false // a negated contactIds is read as "any of" too (observed)
	}
	if !isArray {
		list = listOf(val)
	}
	for _, one := range list.all() {
		c.vals = append(c.vals, f.operand(e.store, one, op.op))
	}
	return c, nil
}

func nested(list *array) bool {
	for _, v := range list.all() {
		if _, ok := v.(*array); ok {
			return true
		}
	}
	return false
}

// operand turns a value of a filter into the shape that items store; nil stands
// for "unset".
func (f *field) operand(s *store, raw any, op string) any {
	if isBlank(raw) {
		return nil
	}
	switch f.kind {
	case typeInteger, typeUser, typeEmployee, typeCompany, typeContact, typeLead, typeQuote, typeParent, typeCategory, typeEnum:
		return floatOf(raw)
	case typeDouble:
		return floatOf(raw)
	case typeBoolean:
		if f.custom() {
			// Custom yes/no fields are kept as 1 and 0 (crm.item.list, filter).
			return foldKey(yesNo(intOf(raw) == 1))
		}
		return foldKey(textOf(raw))
	case typeDate:
		t, ok := s.parseTime(textOf(raw))
		if !ok {
			return float64(0)
		}
		return float64(dayOf(t))
	case typeDatetime:
		t, ok := s.parseTime(textOf(raw))
		if !ok {
			return float64(0)
		}
		return float64(t.Unix())
	default:
		if op == "like" || op == "contains" {
			return strings.ToLower(textOf(raw))
		}
		return foldKey(textOf(raw))
	}
}

// matches reports whether an item passes.
func (c *condition) matches(e *entity, it *item) bool {
	if c.field == nil {
		if len(c.kids) == 0 {
			return true
		}
		for _, kid := range c.kids {
			if kid.matches(e, it) == c.or {
				return c.or
			}
		}
		return !c.or
	}
	return c.test(e.value(it, c.field)) != c.negate
}

// test compares a stored value, of which a list passes if any element does.
func (c *condition) test(stored any) bool {
	switch v := stored.(type) {
	case []int64:
		for _, n := range v {
			if c.testOne(float64(n)) {
				return true
			}
		}
		return len(v) == 0 && c.testOne(nil)
	case []string:
		for _, s := range v {
			if c.testOne(s) {
				return true
			}
		}
		return len(v) == 0 && c.testOne(nil)
	case int64:
		return c.testOne(float64(v))
	default:
		return c.testOne(stored)
	}
}

func (c *condition) testOne(stored any) bool {
	if stored == nil && c.field.kind == typeBoolean {
		stored = "N"
	}
	if stored == nil && c.field.is(zeroed) {
		stored = float64(0)
	}
	for _, want := range c.vals {
		if c.holds(stored, want) {
			return true
		}
	}
	return false
}

func (c *condition) holds(stored, want any) bool {
	if want == nil {
		return c.op == "=" && (stored == nil || stored == "" || stored == float64(0)) || c.op == "contains" || c.op == "like" && stored == nil
	}
	switch stored := stored.(type) {
	case nil:
		return c.op == "=" && want == float64(0)
	case float64:
		n, ok := want.(float64)
		if !ok || c.op == "like" || c.op == "contains" {
			return likeText(c.op, textOf(stored), textOf(want))
		}
		return ordered(c.op, cmp.Compare(stored, n))
	case string:
		text, ok := want.(string)
		if !ok {
			text = textOf(want)
		}
		if c.op == "like" || c.op == "contains" {
			return likeText(c.op, strings.ToLower(stored), text)
		}
		return ordered(c.op, strings.Compare(foldKey(stored), text))
	default:
		return false
	}
}

func ordered(op string, sign int) bool {
	switch op {
	case ">":
		return sign > 0
	case ">=":
		return sign >= 0
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	default:
		return sign == 0
	}
}

func likeText(op, text, pattern string) bool {
	if op == "contains" {
		return strings.Contains(text, pattern)
	}
	return like(text, pattern)
}

// like is SQL's LIKE: % for any text, _ for any one character.
func like(text, pattern string) bool {
	t, p := []rune(text), []rune(pattern)
	ti, pi, mark, from := 0, 0, -1, 0
	for ti < len(t) {
		switch {
		case pi < len(p) && p[pi] == '%':
			mark, from = pi, ti
			pi++
		case pi < len(p) && (p[pi] == '_' || p[pi] == t[ti]):
			ti++
			pi++
		case mark >= 0:
			from++
			ti, pi = from, mark+1
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '%' {
		pi++
	}
	return pi == len(p)
}
