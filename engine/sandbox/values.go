package sandbox

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// yesNo is how the portal writes a boolean.
func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

// isYes is how the portal reads one: 1 and "1" are no.
func isYes(raw any) bool {
	switch v := raw.(type) {
	case bool:
		return v
	case string:
		return v == "Y" || v == "y" || v == "true"
	default:
		return false
	}
}

// truthy is PHP's own idea of true.
func truthy(raw any) bool {
	switch v := raw.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != "" && v != "0"
	case *array:
		return v.len() > 0
	default:
		return false
	}
}

// isBlank reports whether a value clears a field: "", null, false or [].
func isBlank(raw any) bool {
	switch v := raw.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case *array:
		return v.len() == 0
	default:
		return false
	}
}

// intOf is an integer column's idea of a value: the digits that a text begins
// with, else 0.
func intOf(raw any) int64 {
	switch v := raw.(type) {
	case int64:
		return v
	case float64:
		if v != v || v >= 1<<63 || v < -1<<63 {
			return 0
		}
		return int64(v)
	case bool:
		if v {
			return 1
		}
		return 0
	case string:
		if n, err := strconv.ParseInt(leadingNumber(v, false), 10, 64); err == nil {
			return n
		}
		return 0
	case *array:
		return min(int64(v.len()), 1)
	default:
		return 0
	}
}

// floatOf is PHP's (float).
func floatOf(raw any) float64 {
	switch v := raw.(type) {
	case float64:
		return v
	case string:
		f, err := strconv.ParseFloat(leadingNumber(v, true), 64)
		if err != nil || math.IsInf(f, 0) {
			return 0
		}
		return f
	default:
		return float64(intOf(raw))
	}
}

// leadingNumber reads the number that a text begins with: a whole one, or one
// with a fraction and an exponent.
func leadingNumber(s string, fraction bool) string {
	s = strings.TrimLeft(s, " \t\n\r\v\f")
	end := 0
	if end < len(s) && (s[end] == '-' || s[end] == '+') {
		end++
	}
	end = digitsEnd(s, end)
	if !fraction {
		return s[:end]
	}
	if end < len(s) && s[end] == '.' {
		end = digitsEnd(s, end+1)
	}
	if end < len(s) && (s[end] == 'e' || s[end] == 'E') {
		exp := end + 1
		if exp < len(s) && (s[exp] == '-' || s[exp] == '+') {
			exp++
		}
		if after := digitsEnd(s, exp); after > exp {
			end = after
		}
	}
	return s[:end]
}

func digitsEnd(s string, from int) int {
	for from < len(s) && isDigit(s[from]) {
		from++
	}
	return from
}

// textOf is PHP's (string), with an empty text for arrays.
func textOf(raw any) string {
	switch v := raw.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return string(appendFloat(nil, v))
	case bool:
		if v {
			return "1"
		}
		return ""
	default:
		return ""
	}
}

// isNumeric reports whether a parameter may stand where an integer is wanted.
func isNumeric(raw any) bool {
	switch v := raw.(type) {
	case int64:
		return true
	case float64:
		return v == float64(int64(v))
	case string:
		v = strings.TrimSpace(v)
		if _, err := strconv.ParseInt(v, 10, 64); err == nil {
			return true
		}
		f, err := strconv.ParseFloat(v, 64)
		return err == nil && f == float64(int64(f))
	default:
		return false
	}
}

// accept turns what a request gives for a field into what an item stores; nil
// clears the field. keep is false where the portal ignores the value without a
// word: a date that it can't read.
func (f *field) accept(s *store, raw any) (val any, keep bool, err *apiError) {
	if !f.is(multiple) {
		return f.acceptOne(s, raw)
	}
	if raw == nil {
		return nil, true, nil
	}
	list, ok := raw.(*array)
	if !ok {
		return nil, false, fault(400, "100", "Expected iterable value for multiple field, but got `"+phpType(raw)+"` instead")
	}
	var texts []string
	var ints []int64
	var mixed []any
	for _, one := range list.all() {
		v, keep, err := f.acceptOne(s, one)
		switch v := v.(type) {
		case nil:
			if err != nil {
				return nil, false, err
			}
		case string:
			texts = append(texts, v)
		case int64:
			if keep && (f.parent == 0 && f.kind != typeUser || v > 0 && !slices.Contains(ints, v)) {
				ints = append(ints, v)
			}
		default:
			mixed = append(mixed, v)
		}
	}
	switch {
	case texts != nil:
		return texts, true, nil
	case ints != nil:
		return ints, true, nil
	case mixed != nil:
		return floatTexts(mixed), true, nil
	default:
		return nil, true, nil
	}
}

// floatTexts keeps a list of fractions as texts, so that lists have two shapes only.
func floatTexts(list []any) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = textOf(v)
	}
	return texts
}

func (f *field) acceptOne(s *store, raw any) (val any, keep bool, err *apiError) {
	if isBlank(raw) && f.kind != typeBoolean {
		return nil, true, nil
	}
	if _, isArray := raw.(*array); isArray && f.kind != typeFile {
		return nil, false, fault(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "Invalid value for field \""+f.title+"\"")
	}
	switch f.kind {
	case typeInteger, typeUser, typeEmployee, typeCompany, typeContact, typeLead, typeQuote, typeParent, typeCategory, typeEnum:
		n := intOf(raw)
		if n < 0 && f.parent != 0 {
			return nil, false, fault(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "Invalid value for field \""+f.title+"\"")
		}
		if n == 0 && f.kind != typeInteger {
			return nil, true, nil // no such link
		}
		return n, true, nil
	case typeDouble:
		return floatOf(raw), true, nil
	case typeBoolean:
		return yesNo(isYes(raw)), true, nil
	case typeDate:
		t, ok := s.parseTime(textOf(raw))
		if !ok {
			return nil, false, nil
		}
		return dayOf(t), true, nil
	case typeDatetime:
		t, ok := s.parseTime(textOf(raw))
		if !ok {
			return nil, false, nil
		}
		return t.Unix(), true, nil
	case typeFile:
		val, keep = s.acceptFile(raw)
		return val, keep, nil
	default:
		return textOf(raw), true, nil
	}
}

// phpType names the type of a value as PHP's get_debug_type does.
func phpType(raw any) string {
	switch raw.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	default:
		return "array"
	}
}

// render writes a stored value as crm.item.* does.
func (f *field) render(e *entity, val any) any {
	if val == nil {
		return f.unset()
	}
	switch f.kind {
	case typeDate:
		return renderEach(val, e.store.renderDay)
	case typeDatetime:
		return renderEach(val, e.store.renderTime)
	case typeFile:
		return renderEach(val, e.store.renderFile(e, f))
	case typeMulti:
		if list, ok := val.([]comm); ok {
			return renderComms(list)
		}
	}
	return val
}

func renderEach(val any, one func(int64) any) any {
	switch v := val.(type) {
	case int64:
		return one(v)
	case []int64:
		list := make([]any, len(v))
		for i, n := range v {
			list[i] = one(n)
		}
		return list
	default:
		return val
	}
}

// unset is what an answer shows where an item holds nothing.
func (f *field) unset() any {
	switch {
	case f.is(multiple):
		return []any{}
	case f.is(zeroed):
		return int64(0)
	case f.is(blank):
		return ""
	case f.kind == typeBoolean:
		return "N"
	default:
		return nil
	}
}

// dayOf is the calendar day of a time, in days since 1970.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// today is the day in the portal's time zone.
func (s *store) today() int64 { return dayOf(time.Now().In(s.zone)) }

// renderDay prints a date: midnight of the server plus the server's offset of
// today, which is about midnight UTC. West of UTC it shows the day before
// (CRestUtil::ConvertDate).
func (s *store) renderDay(day int64) any {
	y, m, d := time.Unix(day*86400, 0).UTC().Date()
	_, offset := time.Now().In(s.zone).Zone()
	at := time.Date(y, m, d, 0, 0, 0, 0, s.zone).Add(time.Duration(offset) * time.Second)
	return at.Format("2006-01-02T15:04:05-07:00")
}

// renderTime prints a time with the server's offset.
func (s *store) renderTime(unix int64) any {
	return time.Unix(unix, 0).In(s.zone).Format("2006-01-02T15:04:05-07:00")
}
