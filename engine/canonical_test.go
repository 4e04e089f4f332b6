package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	catalog := &engine.Catalog{Users: []engine.User{
		{ID: 5, Name: "Ana Souza", Email: "ana@example.com", Active: true},
		{ID: 6, Name: "Rui Lima", Email: "rui@example.com", Active: true},
		{ID: 7, Name: "Rui Lima", Email: "rui.lima@example.com", Active: true},
		{ID: 8, Name: "Eva Reis", Email: "eva@example.com"},
	}}
	list := []engine.Option{{ID: "81", Name: "Low"}, {ID: "82", Name: "High"}}
	tests := map[string]struct {
		field engine.Field
		in    any
		want  any
		fault string // part of the error
	}{
		"text stays as it is":              {engine.Field{Type: "string"}, "012345", "012345", ""},
		"blank text is empty":              {engine.Field{Type: "string"}, "  ", nil, ""},
		"whole number":                     {engine.Field{Type: "integer"}, "42", int64(42), ""},
		"fraction in a whole number":       {engine.Field{Name: "n", Type: "integer"}, 1.5, nil, `"1.5" is not a whole number`},
		"number":                           {engine.Field{Type: "double"}, "10.50", 10.5, ""},
		"decimal comma":                    {engine.Field{Name: "n", Type: "double"}, "10,50", nil, "number("},
		"not a number":                     {engine.Field{Name: "n", Type: "double"}, "NaN", nil, "is not a number"},
		"yes":                              {engine.Field{Type: "boolean"}, "Y", true, ""},
		"no as a number":                   {engine.Field{Type: "boolean"}, "0", false, ""},
		"yes in another language":          {engine.Field{Name: "b", Type: "boolean"}, "sim", nil, `"sim" is not yes or no`},
		"day":                              {engine.Field{Type: "date"}, time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC), "2026-11-23", ""},
		"day that is none":                 {engine.Field{Name: "d", Type: "date"}, "31/02/2026", nil, "date("},
		"moment":                           {engine.Field{Type: "datetime"}, "2026-11-23T10:00:00+02:00", "2026-11-23T10:00:00+02:00", ""},
		"option by label":                  {engine.Field{Type: "enumeration", Options: list}, "high", int64(82), ""},
		"label that is another's id":       {engine.Field{Title: "Instalments", Type: "enumeration", Options: []engine.Option{{ID: "12", Name: "6"}, {ID: "13", Name: "12"}}}, "12", nil, `fits more than one value of list "Instalments": "6" (12), "12" (13)`},
		"label that is its own id":         {engine.Field{Type: "enumeration", Options: []engine.Option{{ID: "12", Name: "12"}}}, "12", int64(12), ""},
		"option by id":                     {engine.Field{Type: "enumeration", Options: list}, "81", int64(81), ""},
		"unknown option names the nearest": {engine.Field{Title: "Priority", Type: "enumeration", Options: list}, "Hihg", nil, `"High" (82)`},
		"person by e-mail":                 {engine.Field{Type: "user"}, "ANA@example.com", int64(5), ""},
		"person by name":                   {engine.Field{Type: "user"}, "ana  souza", int64(5), ""},
		"nobody, as an item says it":       {engine.Field{Type: "employee"}, 0, nil, ""},
		"nobody in a row":                  {engine.Field{Type: "user"}, "0", nil, "there is no person"},
		"two people of one name":           {engine.Field{Type: "user"}, "Rui Lima", nil, "fits more than one person"},
		"dismissed person by name":         {engine.Field{Type: "user"}, "Eva Reis", nil, "there is no person"},
		"dismissed person by id":           {engine.Field{Type: "user"}, "8", int64(8), ""},
		"no link":                          {engine.Field{Type: "crm_contact"}, "0", nil, ""},
		"link to a planned item":           {engine.Field{Type: "crm_contact"}, expression.Ref{Step: "c@f:1"}, expression.Ref{Step: "c@f:1"}, ""},
		"planned item in a number":         {engine.Field{Name: "x", Type: "double"}, expression.Ref{Step: "c@f:1"}, nil, "does not exist yet"},
		"money":                            {engine.Field{Type: "money"}, "300.50 eur", "300.5|EUR", ""},
		"money without currency":           {engine.Field{Name: "m", Type: "money"}, "300", nil, "300|EUR"},
		"one value for many":               {engine.Field{Type: "string", Multiple: true}, "a", []any{"a"}, ""},
		"list for one":                     {engine.Field{Name: "s", Type: "string"}, []any{"a", "b"}, nil, "holds one value"},
		"phones, each once":                {engine.Field{Name: "phone", Type: engine.FieldMulti}, []any{"+55 11 98888-7777", "5511988887777"}, []engine.MultiValue{{Value: "+55 11 98888-7777"}}, ""},
		"file":                             {engine.Field{Name: "f", Type: "file"}, "x", nil, "is a file; name it by"},
		"no file":                          {engine.Field{Name: "f", Type: "file"}, " ", nil, ""},
		"links, each once":                 {engine.Field{Type: "crm_contact", Multiple: true}, []any{"4", int64(5), "4"}, []any{int64(4), int64(5)}, ""},
		"files, each once":                 {engine.Field{Type: "file", Multiple: true}, []any{engine.File{Name: "a", SHA256: "1"}, engine.File{Name: "b", SHA256: "1"}}, []any{engine.File{Name: "a", SHA256: "1"}}, ""},
		"file in a text":                   {engine.Field{Name: "s", Type: "string"}, expression.File{Path: "a"}, nil, "holds no files"},
		"file in phones":                   {engine.Field{Name: "phone", Type: engine.FieldMulti}, []any{expression.File{Path: "a"}}, nil, "holds no files"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.field.Canonical(tt.in, catalog)
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("got %v, error %v; want an error with %q", got, err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("canonical value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		field engine.Field
		a, b  any
		want  bool
	}{
		"numbers by value":         {engine.Field{Type: "double"}, int64(1), 1.0, true},
		"moments by instant":       {engine.Field{Type: "datetime"}, "2026-11-23T10:00:00+02:00", "2026-11-23T08:00:00Z", true},
		"days":                     {engine.Field{Type: "date"}, "2026-11-23", "2026-11-24", false},
		"empty is empty":           {engine.Field{Type: "string"}, nil, "", true},
		"zero is not empty":        {engine.Field{Type: "double", Custom: true}, nil, 0.0, false},
		"no amount is zero":        {engine.Field{Type: "double"}, nil, 0.0, true},
		"texts by case":            {engine.Field{Type: "string"}, "Ana", "ana", false},
		"phones as a set":          {engine.Field{Name: "phone", Type: engine.FieldMulti}, []engine.MultiValue{{Value: "+551"}, {Value: "2"}}, []engine.MultiValue{{ID: 9, Value: "2"}, {ID: 8, Value: "551"}}, true},
		"links as a set":           {engine.Field{Type: "crm_contact", Multiple: true}, []any{int64(1), int64(2)}, []any{int64(2), int64(1)}, true},
		"other lists in order":     {engine.Field{Type: "string", Multiple: true}, []any{"a", "b"}, []any{"b", "a"}, false},
		"a planned item is itself": {engine.Field{Type: "crm_contact"}, expression.Ref{Step: "a"}, expression.Ref{Step: "a"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.field.Equal(tt.a, tt.b); got != tt.want {
				t.Errorf("Equal(%v, %v) = %v, want %v", tt.a, tt.b, got, tt.want)
			}
		})
	}
}
