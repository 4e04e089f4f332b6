package portal_test

import (
	"testing"

	"github.com/bxflow/bxflow/engine/portal"
)

func TestBatchQuery(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		params map[string]any
		want   string // empty: must go alone
	}{
		"nothing":                {nil, "m?"},
		"plain":                  {map[string]any{"id": 5, "a": "b"}, "m?a=b&id=5"},
		"plus, space, and #":     {map[string]any{"a": "1+1 =&#%"}, "m?a=1%2B1%20%3D%26%23%25"},
		"nested":                 {map[string]any{"filter": map[string]any{"@id": []any{1, int64(2)}}}, "m?filter%5B%40id%5D%5B0%5D=1&filter%5B%40id%5D%5B1%5D=2"},
		"large number":           {map[string]any{"a": 12345678.0}, "m?a=12345678"},
		"bytes that are no text": {map[string]any{"a": "\xff"}, "m?a=%EF%BF%BD"},
		"null":                   {map[string]any{"a": nil}, ""},
		"boolean":                {map[string]any{"a": true}, ""},
		"an empty list":          {map[string]any{"a": []any{}}, ""},
		"an empty object":        {map[string]any{"a": map[string]any{"b": map[string]any{}}}, ""},
		"a reference":            {map[string]any{"a": "see $result[x]"}, ""},
		"a reference's total":    {map[string]any{"a": map[string]any{"b": "$TOTAL[x]"}}, ""},
		"a reference as a key":   {map[string]any{"a": map[string]any{"$next[": "x"}}, ""},
		"a price":                {map[string]any{"a": "$5 result"}, "m?a=%245%20result"},
		"a key with a dot":       {map[string]any{"a.b": "c"}, ""},
		"a key with brackets":    {map[string]any{"a": map[string]any{"b]": "c"}}, ""},
		"a NUL":                  {map[string]any{"a": "\x00"}, ""},
		"too many values":        {map[string]any{"a": make([]any, 1001)}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if list, ok := tt.params["a"].([]any); ok {
				for i := range list {
					list[i] = "x"
				}
			}
			got, ok := portal.BatchQuery("m", tt.params)
			if ok != (tt.want != "") || (ok && got != tt.want) {
				t.Errorf("got %q, %t; want %q", got, ok, tt.want)
			}
		})
	}
}
