package portal_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind     engine.FieldType
		multiple bool
		raw      string
		want     any
	}{
		"text":                             {engine.FieldString, false, `"a\u003Cb"`, "a<b"},
		"empty text":                       {engine.FieldString, false, `""`, nil},
		"null":                             {engine.FieldString, false, `null`, nil},
		"text written as a number":         {engine.FieldString, false, `12`, "12"},
		"integer":                          {engine.FieldInteger, false, `7`, int64(7)},
		"integer as text":                  {engine.FieldInteger, false, `"7"`, int64(7)},
		"integer zero is a value":          {engine.FieldInteger, false, `0`, int64(0)},
		"empty integer":                    {engine.FieldInteger, false, `""`, nil},
		"integer that is none":             {engine.FieldInteger, false, `"many"`, "many"},
		"double":                           {engine.FieldDouble, false, `1.5`, 1.5},
		"double zero is a value":           {engine.FieldDouble, false, `0`, 0.0},
		"double as text":                   {engine.FieldDouble, false, `"12.50"`, 12.5},
		"yes":                              {engine.FieldBoolean, false, `"Y"`, true},
		"no":                               {engine.FieldBoolean, false, `"N"`, false},
		"neither":                          {engine.FieldBoolean, false, `null`, nil},
		"date east of UTC":                 {engine.FieldDate, false, `"2024-06-18T03:00:00+03:00"`, "2024-06-18"},
		"date west of UTC":                 {engine.FieldDate, false, `"2024-06-17T19:00:00-05:00"`, "2024-06-18"},
		"date after a clock change":        {engine.FieldDate, false, `"2024-06-17T20:00:00-05:00"`, "2024-06-18"},
		"date before a clock change":       {engine.FieldDate, false, `"2024-06-18T02:00:00+03:00"`, "2024-06-18"},
		"plain date":                       {engine.FieldDate, false, `"2024-06-18"`, "2024-06-18"},
		"moment":                           {engine.FieldDateTime, false, `"2026-01-18T14:00:14+02:00"`, "2026-01-18T14:00:14+02:00"},
		"list option":                      {engine.FieldEnum, false, `"81"`, int64(81)},
		"no list option":                   {engine.FieldEnum, false, `0`, nil},
		"status":                           {engine.FieldStatus, false, `"NEW"`, "NEW"},
		"default category":                 {engine.FieldCategory, false, `0`, int64(0)},
		"money":                            {engine.FieldMoney, false, `"300|EUR"`, "300|EUR"},
		"contact":                          {engine.FieldContact, false, `54`, int64(54)},
		"no contact":                       {engine.FieldContact, false, `0`, nil},
		"a kind of item nobody has heard":  {"crm_dynamic_128", false, `"5"`, int64(5)},
		"binding":                          {engine.FieldCRM, false, `"C_12"`, "C_12"},
		"employee":                         {engine.FieldEmployee, false, `"6"`, int64(6)},
		"several contacts":                 {engine.FieldContact, true, `[54,"55"]`, []any{int64(54), int64(55)}},
		"no contacts":                      {engine.FieldContact, true, `[]`, nil},
		"a list with a gap":                {engine.FieldString, true, `{"0":"a","2":"c","10":"d"}`, []any{"a", "c", "d"}},
		"a list that is none":              {engine.FieldString, true, `false`, []any{"false"}},
		"texts, some empty":                {engine.FieldString, true, `["a","",null]`, []any{"a"}},
		"a list in a field for one":        {engine.FieldString, false, `["a"]`, "a"},
		"an empty list in a field for one": {engine.FieldString, false, `[]`, nil},
		"a file":                           {engine.FieldFile, false, `{"id": 4, "url": "\/x", "urlMachine": "\/rest\/1\/secret\/"}`, engine.File{ID: 4, URL: "/x"}},
		"a file by its id":                 {engine.FieldFile, false, `"4"`, engine.File{ID: 4}},
		"no file":                          {engine.FieldFile, false, `null`, nil},
		"files":                            {engine.FieldFile, true, `[{"id":4,"url":"a"},{"id":"5"}]`, []any{engine.File{ID: 4, URL: "a"}, engine.File{ID: 5}}},
		"files by number":                  {engine.FieldFile, true, `{"0":{"id":4}}`, []any{engine.File{ID: 4}}},
		"no files":                         {engine.FieldFile, true, `[]`, nil},
		"something else than a file":       {engine.FieldFile, false, `{"name":"x"}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &engine.Field{Name: "f", Type: tt.kind, Multiple: tt.multiple}
			if diff := cmp.Diff(tt.want, portal.Decode(f, json.RawMessage(tt.raw))); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind     engine.FieldType
		multiple bool
		value    any
		want     any
	}{
		"text":                      {engine.FieldString, false, "a", "a"},
		"nothing":                   {engine.FieldString, false, nil, ""},
		"nothing in several":        {engine.FieldString, true, nil, []any{}},
		"yes":                       {engine.FieldBoolean, false, true, "Y"},
		"no":                        {engine.FieldBoolean, false, false, "N"},
		"integer":                   {engine.FieldInteger, false, int64(5), int64(5)},
		"integer from storage":      {engine.FieldInteger, false, json.Number("5"), json.Number("5")},
		"large number from storage": {engine.FieldInteger, false, float64(12345678), int64(12345678)},
		"double":                    {engine.FieldDouble, false, 0.1, json.Number("0.1")},
		"several":                   {engine.FieldContact, true, []any{int64(1), json.Number("2")}, []any{int64(1), json.Number("2")}},
		"one for several":           {engine.FieldContact, true, int64(1), []any{int64(1)}},
		"a list of one for one":     {engine.FieldContact, false, []any{int64(1)}, int64(1)},
		"an empty list for one":     {engine.FieldContact, false, []any{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := portal.Encode(&engine.Field{Name: "f", Type: tt.kind, Multiple: tt.multiple}, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
	for name, value := range map[string]any{"two for one": []any{"a", "b"}, "a map": map[string]any{}, "a struct": struct{}{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := portal.Encode(&engine.Field{Name: "f"}, value); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}
