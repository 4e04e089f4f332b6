package portal_test

import (
	"encoding/json"
	"net/url"
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

// A value that travels in a batch arrives as it was, whatever is in it.
func FuzzBatchQuery(f *testing.F) {
	for _, s := range []string{"", "a", "ä€", "a+b c&d=e#f%41", "<\"'>\\/\u2028", "$result", "\xff\x00", "[0]"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		command, ok := portal.BatchQuery("crm.item.add", map[string]any{"fields": map[string]any{key: value}})
		if !ok {
			return
		}
		var body struct {
			Commands map[string]string `json:"cmd"`
		}
		if err := json.Unmarshal(portal.BatchBody(command), &body); err != nil {
			t.Fatalf("the batch's body is not JSON: %v", err)
		}
		u, err := url.Parse(body.Commands["c0"])
		if err != nil || u.Path != "crm.item.add" || u.Fragment != "" {
			t.Fatalf("%q is no method and query: %v", command, err)
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range query {
			if k != "fields["+string([]rune(key))+"]" || v[0] != string([]rune(value)) {
				t.Errorf("%q: %q arrives as %q: %q", key, value, k, v[0])
			}
		}
		if len(query) != 1 {
			t.Errorf("%d values arrive, want 1", len(query))
		}
	})
}
