package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// Layouts of dates and times as bxflow takes and shows them.
const (
	dayLayout    = time.DateOnly
	momentLayout = time.RFC3339
)

// IsLink says whether the field's value is the id of another item, which may
// still be planned.
func (f *Field) IsLink() bool {
	switch f.Type {
	case FieldContact, FieldCompany, FieldLead, FieldDeal, FieldCRMEntity:
		return true
	default:
		return false
	}
}

// IsSet says whether the field is a set of links or files, which grows by what is
// given unless it is to be replaced: contactIds, observers.
func (f *Field) IsSet() bool {
	return f.Multiple && (f.IsLink() || f.Type == FieldFile || f.Type == FieldUser && !f.Custom)
}

// Canonical turns a value of a job (text of a cell or literal, or what an
// expression gave, its files opened by [Planning.Files]) into the form in which values are compared, planned and
// sent: nil for empty, text, int64, float64, bool, a day as 2006-01-02, a
// moment as RFC 3339, an option's id, []any for multiple fields and
// []MultiValue for multifields. References to planned items pass through.
//
// The portal drops what it can't read without a word (dates), or stores it
// (list ids), so whatever has no canonical form is an error here.
func (f *Field) Canonical(v any, c *Catalog) (any, error) {
	if f.Type == FieldMulti {
		return f.canonicalMulti(v)
	}
	list, isList := v.([]any)
	if !f.Multiple {
		if isList {
			if len(list) == 1 {
				return f.canonicalOne(list[0], c)
			}
			return nil, fmt.Errorf("%s holds one value, got a list of %d", f.label(), len(list))
		}
		return f.canonicalOne(v, c)
	}
	if !isList {
		list = []any{v}
	}
	var out []any
	for _, e := range list {
		one, err := f.canonicalOne(e, c)
		if err != nil {
			return nil, err
		}
		if one != nil && (!f.IsSet() || !slices.ContainsFunc(out, func(e any) bool { return f.equalOne(e, one) })) {
			out = append(out, one)
		}
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

func (f *Field) label() string {
	if f.Title != "" && f.Title != f.Name {
		return fmt.Sprintf("%s (%q)", f.Name, f.Title)
	}
	return f.Name
}

func (f *Field) canonicalOne(v any, c *Catalog) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case expression.Ref:
		if f.IsLink() || f.isText() || f.Type == FieldInteger {
			return v, nil
		}
		return nil, fmt.Errorf("%s can't hold the id of an item that does not exist yet", f.label())
	case expression.Text:
		if f.isText() {
			return v, nil
		}
		return nil, fmt.Errorf("%s can't hold text with the id of an item that does not exist yet", f.label())
	case string:
		if strings.TrimSpace(v) == "" {
			return nil, nil
		}
	case expression.File:
		return nil, fmt.Errorf("%s holds no files", f.label())
	}
	switch f.Type {
	case FieldInteger:
		return canonicalInt(f, v)
	case FieldDouble:
		return canonicalFloat(f, v)
	case FieldBoolean:
		return canonicalBool(f, v)
	case FieldDate:
		return canonicalDay(f, v)
	case FieldDateTime:
		return canonicalMoment(f, v)
	case FieldEnum:
		return f.canonicalOption(v)
	case FieldStatus:
		return f.canonicalStatus(v)
	case FieldUser, FieldEmployee:
		return canonicalUser(f, v, c)
	case FieldCategory, FieldContact, FieldCompany, FieldLead, FieldDeal, FieldCRMEntity:
		return canonicalID(f, v)
	case FieldMoney:
		return canonicalMoney(f, v)
	case FieldFile:
		return f.canonicalFile(v)
	default:
		return text(v), nil
	}
}

func (f *Field) canonicalFile(v any) (any, error) {
	if file, ok := v.(File); ok {
		return file, nil
	}
	return nil, fmt.Errorf("%s is a file; name it by ${{ file(\"photos/ana.png\") }}, or file(row.x) of a column with its path", f.label())
}

// isText says whether the portal stores the field as text.
func (f *Field) isText() bool {
	switch f.Type {
	case FieldString, FieldText, FieldURL, FieldAddress, FieldCRM:
		return true
	default:
		return false
	}
}

// text is a scalar as the portal would show it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "Y"
		}
		return "N"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return moment(v)
	default:
		return fmt.Sprint(v)
	}
}

// moment prints midnight as a day, since dates without a time are what jobs
// mostly compute.
func moment(t time.Time) string {
	if t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 && t.Nanosecond() == 0 {
		return t.Format(dayLayout)
	}
	return t.Format(momentLayout)
}

// inCalendar says whether a time has a year that the layouts can write.
func inCalendar(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

func wrong(f *Field, v any, want string) error {
	return fmt.Errorf("%s: %s is not %s", f.label(), quoted(text(v)), want)
}

func canonicalInt(f *Field, v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
	case json.Number:
		return canonicalInt(f, v.String())
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
			return n, nil
		}
	}
	return nil, wrong(f, v, "a whole number; int(…) reads local forms")
}

func canonicalFloat(f *Field, v any) (any, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	case json.Number:
		return canonicalFloat(f, v.String())
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
	}
	return nil, wrong(f, v, "a number with a decimal point; number(…) reads local forms")
}

func canonicalBool(f *Field, v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case int:
		return canonicalBool(f, strconv.Itoa(v))
	case int64:
		return canonicalBool(f, strconv.FormatInt(v, 10))
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "y", "yes", "true", "1":
			return true, nil
		case "n", "no", "false", "0":
			return false, nil
		}
	}
	return nil, wrong(f, v, "yes or no (Y, N, true, false)")
}

func canonicalDay(f *Field, v any) (any, error) {
	switch v := v.(type) {
	case time.Time:
		if inCalendar(v) {
			return v.Format(dayLayout), nil
		}
	case string:
		v = strings.TrimSpace(v)
		for _, layout := range []string{dayLayout, momentLayout} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.Format(dayLayout), nil
			}
		}
	}
	return nil, wrong(f, v, `a date like 2026-11-23; date(row.x, "02/01/2006") reads other forms`)
}

func canonicalMoment(f *Field, v any) (any, error) {
	switch v := v.(type) {
	case time.Time:
		if inCalendar(v) {
			return v.Format(momentLayout), nil
		}
	case string:
		v = strings.TrimSpace(v)
		for _, layout := range []string{momentLayout, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", dayLayout} {
			// Without a zone, a time is the machine's, as now and daysAgo() are.
			if t, err := time.ParseInLocation(layout, v, time.Local); err == nil {
				return t.Format(momentLayout), nil
			}
		}
	}
	return nil, wrong(f, v, `a time like 2026-11-23T10:00:00Z; date(row.x, "02/01/2006 15:04") reads other forms`)
}

func (f *Field) canonicalOption(v any) (any, error) {
	name := text(v)
	id := strings.TrimSpace(name)
	if len(f.Options) > 0 {
		o, err := f.Option(name)
		if err != nil {
			return nil, err
		}
		id = o.ID
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, wrong(f, v, "the id of a list value")
	}
	return n, nil
}

func (f *Field) canonicalStatus(v any) (any, error) {
	if len(f.Options) == 0 {
		return strings.TrimSpace(text(v)), nil
	}
	o, err := f.Option(text(v))
	if err != nil {
		return nil, err
	}
	return o.ID, nil
}

func canonicalUser(f *Field, v any, c *Catalog) (any, error) {
	if _, written := v.(string); !written && text(v) == "0" { // nobody, as an item says it
		return nil, nil
	}
	u, err := c.User(text(v))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.label(), err)
	}
	return u.ID, nil
}

func canonicalID(f *Field, v any) (any, error) {
	n, err := canonicalInt(f, v)
	if err != nil {
		return nil, wrong(f, v, "an item's id")
	}
	if id, ok := n.(int64); ok && id < 0 {
		return nil, wrong(f, v, "an item's id")
	}
	if n == int64(0) && f.Type != FieldCategory {
		return nil, nil
	}
	return n, nil
}

// canonicalMoney reads "300|EUR" or "300 EUR". The portal stores the amount and
// the currency's code together.
func canonicalMoney(f *Field, v any) (any, error) {
	amount, currency, ok := strings.Cut(strings.TrimSpace(text(v)), "|")
	if !ok {
		amount, currency, ok = strings.Cut(strings.TrimSpace(text(v)), " ")
	}
	currency = strings.ToUpper(strings.TrimSpace(currency))
	n, err := strconv.ParseFloat(strings.TrimSpace(amount), 64)
	if !ok || err != nil || math.IsNaN(n) || math.IsInf(n, 0) || !isCurrency(currency) {
		return nil, wrong(f, v, "an amount of money like 300|EUR")
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + "|" + currency, nil
}

// isCurrency says whether a text has the form of a currency's code.
func isCurrency(code string) bool {
	return len(code) == 3 && strings.IndexFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0
}

func (f *Field) canonicalMulti(v any) (any, error) {
	var rows []MultiValue
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []MultiValue:
		rows = v
	case []any:
		for _, e := range v {
			more, err := f.canonicalMulti(e)
			if err != nil {
				return nil, err
			}
			if m, ok := more.([]MultiValue); ok {
				rows = append(rows, m...)
			}
		}
	case expression.Ref, expression.Text:
		return nil, fmt.Errorf("%s can't hold the id of an item that does not exist yet", f.Name)
	case expression.File:
		return nil, fmt.Errorf("%s holds no files", f.Name)
	default:
		if value := strings.TrimSpace(text(v)); value != "" {
			rows = append(rows, MultiValue{Value: value})
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return f.uniqueMulti(rows), nil
}

func (f *Field) uniqueMulti(rows []MultiValue) []MultiValue {
	var out []MultiValue
	for _, m := range rows {
		if !f.hasMulti(out, m.Value) {
			out = append(out, m)
		}
	}
	return out
}

func (f *Field) hasMulti(rows []MultiValue, value string) bool {
	want := f.Fold(value)
	return slices.ContainsFunc(rows, func(m MultiValue) bool { return f.Fold(m.Value) == want })
}

// Fold brings a canonical value to the form in which the portal finds it:
// phones by their digits, other texts in any case.
func (f *Field) Fold(v any) any {
	switch v := v.(type) {
	case string:
		if f.Name == "phone" {
			return strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, v)
		}
		return strings.ToLower(strings.TrimSpace(v))
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		return v.String()
	case int:
		return int64(v)
	case File:
		return v.ID
	default:
		return v
	}
}

// Equal says whether two canonical values are the same to the portal: numbers
// by value, moments by instant, multifields and links as sets.
func (f *Field) Equal(a, b any) bool {
	if f.Type == FieldMulti {
		x, y := multiRows(a), multiRows(b)
		return f.covers(x, y) && f.covers(y, x)
	}
	if f.Multiple {
		x, y := listOf(a), listOf(b)
		if f.Type == FieldProductRow {
			return sameRows(x, y)
		}
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if f.IsSet() {
				if !slices.ContainsFunc(y, func(e any) bool { return f.equalOne(x[i], e) }) {
					return false
				}
			} else if !f.equalOne(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	return f.equalOne(a, b)
}

func (f *Field) covers(x, y []MultiValue) bool {
	for _, m := range y {
		if !f.hasMulti(x, m.Value) {
			return false
		}
	}
	return true
}

func (f *Field) equalOne(a, b any) bool {
	a, b = f.noneAsZero(plain(a)), f.noneAsZero(plain(b))
	if x, ok := a.(File); ok {
		y, ok := b.(File)
		return ok && x.same(y)
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	if f.Type == FieldDateTime {
		x, errX := time.Parse(momentLayout, text(a))
		y, errY := time.Parse(momentLayout, text(b))
		if errX == nil && errY == nil {
			return x.Equal(y)
		}
	}
	if ta, ok := a.(expression.Text); ok {
		tb, ok := b.(expression.Text)
		return ok && slices.Equal(ta.Parts, tb.Parts)
	}
	if _, ok := b.(expression.Text); ok {
		return false
	}
	return a == b
}

// noneAsZero makes an empty number of the portal's own (an amount, a tax) the 0
// that it is stored as; only custom fields can be without one.
func (f *Field) noneAsZero(v any) any {
	if v == nil && !f.Custom && (f.Type == FieldDouble || f.Type == FieldInteger) {
		return int64(0)
	}
	return v
}

// plain makes the empty values of a type one.
func plain(v any) any {
	if s, ok := v.(string); ok && s == "" {
		return nil
	}
	return v
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	}
	return 0, false
}

func multiRows(v any) []MultiValue {
	rows, ok := v.([]MultiValue)
	if !ok {
		return nil
	}
	return rows
}

func listOf(v any) []any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	return list
}
