package sandbox

import (
	"slices"
	"strings"
)

// comm is one phone number, e-mail address, web site or messenger account.
type comm struct {
	id        int64
	kind      string // PHONE, EMAIL, WEB, IM or LINK
	valueType string // WORK, MOBILE, HOME, …
	value     string
}

// defaultValueType is what a row of a multifield type gets where it names no
// value type; it reports false for a type that there isn't (crm/data-types,
// crm_multifield).
func defaultValueType(kind string) (string, bool) {
	switch kind {
	case "PHONE", "EMAIL", "WEB":
		return "WORK", true
	case "IM":
		return "FACEBOOK", true
	case "LINK":
		return "USER", true
	default:
		return "", false
	}
}

func hasComm(kind string) func(*entity, *item) any {
	return func(e *entity, it *item) any {
		return yesNo(slices.ContainsFunc(it.comms(e.known.fm), func(c comm) bool { return c.kind == kind }))
	}
}

func commValues(kind string) func(*entity, *item) any {
	return func(e *entity, it *item) any {
		var list []string
		for _, c := range it.comms(e.known.fm) {
			if c.kind == kind {
				list = append(list, c.value)
			}
		}
		if list == nil {
			return nil
		}
		return list
	}
}

func firstComm(kind, valueType string) func(*entity, *item) any {
	return func(e *entity, it *item) any {
		for _, c := range it.comms(e.known.fm) {
			if c.kind == kind && c.valueType == valueType {
				return c.value
			}
		}
		return nil
	}
}

// commIndex finds items by a phone or e-mail in its normal form, the keys that
// commKey makes.
func (e *entity) commIndex() *index {
	return e.index("comm", func(it *item) []string {
		var keys []string
		for _, c := range it.comms(e.known.fm) {
			if k := commKey(c.kind, c.value); k != "" {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	})
}

// withComm returns the ids of the items that have a phone (kind PHONE) or an
// e-mail (EMAIL), in ascending order. Phones are compared by their digits,
// e-mails without regard to case (crm.duplicate.findbycomm).
func (e *entity) withComm(kind, value string) []int64 {
	ids := slices.Clone(e.commIndex().ids[commKey(kind, value)])
	slices.Sort(ids)
	return ids
}

// commKey is the normal form of a phone or an e-mail; empty where it has none.
func commKey(kind, value string) string {
	switch kind {
	case "PHONE":
		// What follows an extension mark is no part of the number.
		if i := strings.IndexAny(value, ";,#xX"); i > 0 {
			value = value[:i]
		}
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, value)
		if digits == "" {
			return ""
		}
		return "P" + digits
	case "EMAIL":
		if value = strings.ToLower(strings.TrimSpace(value)); value == "" {
			return ""
		}
		return "E" + value
	default:
		return ""
	}
}

// mergeComms applies rows of fm to what an item has, as crm.item.update does:
// the row of a known id is changed, or deleted where its value is empty; any
// other row is added, unless its triple of type, value type and value is there
// already. What isn't mentioned stays.
func (s *store) mergeComms(have []comm, rows []comm) []comm {
	out := slices.Clone(have)
	for _, r := range rows {
		if at := slices.IndexFunc(out, func(c comm) bool { return r.id > 0 && c.id == r.id }); at >= 0 {
			if r.value == "" {
				out = slices.Delete(out, at, at+1)
				continue
			}
			out[at].value = r.value
			if r.valueType != "" {
				out[at].valueType = r.valueType
			}
			continue
		}
		out = s.addComm(out, r)
	}
	return out
}

// addComm appends a row under a new id, unless it is there or is no row at all.
func (s *store) addComm(have []comm, r comm) []comm {
	usual, ok := defaultValueType(r.kind)
	if !ok || r.value == "" {
		return have
	}
	if r.valueType == "" {
		r.valueType = usual
	}
	for _, c := range have {
		if c.kind == r.kind && c.valueType == r.valueType && c.value == r.value {
			return have
		}
	}
	s.lastComm++
	r.id = s.lastComm
	return append(have, r)
}

// fmRows reads the fm parameter of crm.item.add and crm.item.update: rows of
// typeId, valueType and value. The key of a row is its id, where it is one.
func fmRows(raw any) []comm {
	list, ok := raw.(*array)
	if !ok {
		return nil
	}
	var rows []comm
	for key, val := range list.all() {
		m, ok := val.(*array)
		if !ok {
			continue
		}
		r := comm{
			kind:      strings.ToUpper(memberText(m, "typeId", "TYPE_ID")),
			valueType: strings.ToUpper(memberText(m, "valueType", "VALUE_TYPE")),
			value:     strings.TrimSpace(memberText(m, "value", "VALUE")),
		}
		r.id, _ = position(key)
		rows = append(rows, r)
	}
	return rows
}

// memberText returns the text under the first of several keys that is there.
func memberText(m *array, keys ...string) string {
	for _, k := range keys {
		if v, ok := m.get(k); ok {
			return textOf(v)
		}
	}
	return ""
}

func renderComms(list []comm) any {
	out := make([]object, len(list))
	for i, c := range list {
		out[i] = object{{"id", c.id}, {"valueType", c.valueType}, {"value", c.value}, {"typeId", c.kind}}
	}
	return out
}
