package engine_test

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Whatever a cell holds, a field takes it in the one form of its type, which is
// the same when it is taken again, or says in words what it wants.
func FuzzCanonical(f *testing.F) {
	for i, cell := range []string{
		"", " x ", "012345", "42", "-0", "1e3", "9223372036854775808", "10,50", "NaN", "Inf", "0x1p4", "Y", "sim", "2026-11-23", "31/02/2026", "2026-11-23T10:00:00+02:00",
		"9999-12-31T23:59:59-12:00", "high", "81", "ANA@example.com", "Rui Lima", "0", "-5", "300.50 eur", "NaN|EUR", "1e400|USD", "1|\x1b[2", "1|é1", "|||", "+55 11 98888-7777", "a\x00\u202e",
	} {
		f.Add(uint8(i), i%2 == 0, cell, 1.5, int64(i))
		f.Add(uint8(9), false, cell, 0.1, int64(0))
		f.Add(uint8(i*7), false, cell, math.Inf(1), int64(math.MinInt64))
	}
	list := []engine.Option{{ID: "81", Name: "Low"}, {ID: "82", Name: "High"}, {ID: "x", Name: "81"}}
	catalog := &engine.Catalog{Users: []engine.User{
		{ID: 5, Name: "Ana Souza", Email: "ana@example.com", Active: true}, {ID: 6, Name: "Rui Lima", Email: "rui@example.com", Active: true}, {ID: 8, Name: "Eva Reis"},
	}}
	types := []engine.FieldType{
		engine.FieldString, engine.FieldText, engine.FieldInteger, engine.FieldDouble, engine.FieldBoolean, engine.FieldDate, engine.FieldDateTime, engine.FieldEnum,
		engine.FieldStatus, engine.FieldMoney, engine.FieldUser, engine.FieldEmployee, engine.FieldCategory, engine.FieldContact, engine.FieldURL, engine.FieldFile,
		engine.FieldMulti, "new",
	}
	f.Fuzz(func(t *testing.T, pick uint8, multiple bool, cell string, number float64, whole int64) {
		field := &engine.Field{Name: "f", Title: "Field", Type: types[int(pick)%len(types)], Multiple: multiple, Options: list}
		figure := json.Number(cell)
		if _, err := figure.Float64(); err != nil || !json.Valid([]byte(cell)) {
			figure = "0"
		}
		for _, given := range []any{
			cell, number, whole, figure, pick%2 == 0,
			[]any{cell, whole, nil},
			[]any{number},
			time.Unix(whole, 0).UTC(),
			expression.Ref{Step: cell},
			expression.Text{Parts: []any{cell, expression.Ref{Step: cell}}},
			map[string]any{cell: number},
		} {
			value, err := field.Canonical(given, catalog)
			if err != nil {
				if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !strconv.IsPrint(r) }); i >= 0 || utf8.RuneCountInString(err.Error()) > 1000 {
					t.Fatalf("%s %#v: %q", field.Type, given, err)
				}
				continue
			}
			checkCanonical(t, field, given, value)
			if again, err := field.Canonical(value, catalog); err != nil || !cmp.Equal(again, value) {
				t.Fatalf("%s %#v is %#v, and then %#v, %v", field.Type, given, value, again, err)
			}
		}
	})
}

func checkCanonical(t *testing.T, field *engine.Field, given, value any) {
	t.Helper()
	list, many := value.([]any)
	if many && (!field.Multiple || len(list) == 0) {
		t.Fatalf("%s %#v is %#v", field.Type, given, value)
	}
	if !many {
		list = []any{value}
	}
	forms := map[engine.FieldType]*regexp.Regexp{
		engine.FieldDate:     regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`),
		engine.FieldDateTime: regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$`),
		engine.FieldMoney:    regexp.MustCompile(`^-?\d+(\.\d+)?\|[A-Z]{3}$`),
	}
	for _, one := range list {
		switch v := one.(type) {
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%s %#v is %#v", field.Type, given, value)
			}
		case string:
			if form := forms[field.Type]; v == "" || form != nil && !form.MatchString(v) {
				t.Fatalf("%s %#v is %#v", field.Type, given, value)
			}
		case nil, bool, int64, expression.Ref, expression.Text, []engine.MultiValue:
		default:
			t.Fatalf("%s %#v is a %T", field.Type, given, one)
		}
	}
}
