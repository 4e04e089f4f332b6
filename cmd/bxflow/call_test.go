package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCallParams(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		pairs []string
		want  string // as JSON; empty: refused
	}{
		"text stays text":             {[]string{"id=007", "title=a=b"}, `{"id":"007","title":"a=b"}`},
		"brackets nest":               {[]string{"filter[>id]=1", "filter[@stageId][]=A", "filter[@stageId][]=B"}, `{"filter":{">id":"1","@stageId":["A","B"]}}`},
		"JSON where it is asked for":  {[]string{"fields:=" + `{"a":12345678901234567890,"b":null}`}, `{"fields":{"a":12345678901234567890,"b":null}}`},
		"JSON below a key":            {[]string{"filter[id]:=[1,2]"}, `{"filter":{"id":[1,2]}}`},
		"no equals sign":              {[]string{"id"}, ""},
		"no name":                     {[]string{"=1"}, ""},
		"only a colon":                {[]string{":=1"}, ""},
		"bad JSON":                    {[]string{"a:=}"}, ""},
		"brackets that don't close":   {[]string{"a[b=1"}, ""},
		"brackets without a name":     {[]string{"[b]=1"}, ""},
		"a value and keys below it":   {[]string{"a=1", "a[b]=2"}, ""},
		"an empty key in the middle":  {[]string{"a[][b]=1"}, ""},
		"a list of values":            {[]string{"select[]=id", "select[]=title"}, `{"select":["id","title"]}`},
		"a deep path":                 {[]string{"a[b][c][d]=1"}, `{"a":{"b":{"c":{"d":"1"}}}}`},
		"an empty value is a value":   {[]string{"a="}, `{"a":""}`},
		"the same name: the last one": {[]string{"a=1", "a=2"}, `{"a":"2"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, err := newApp().callParams("", tt.pairs)
			if tt.want == "" {
				if err == nil || codeOf(t.Context(), err) != exitUsage {
					t.Fatalf("error %v, want a usage error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			var have any
			if err := json.Unmarshal(text, &have); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}
