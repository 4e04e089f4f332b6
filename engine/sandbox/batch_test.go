package sandbox_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestBatchAnswers(t *testing.T) {
	t.Parallel()

	const get = "crm.item.get?entityTypeId=3&id=1"
	tests := map[string]struct {
		body string
		want map[string]string // by map of the answer
	}{
		"nothing to do":   {`{}`, map[string]string{"result": "[]", "result_error": "[]", "result_total": "[]", "result_next": "[]", "result_time": "[]"}},
		"no map":          {`{"cmd":"x"}`, map[string]string{"result": "[]"}},
		"names are kept":  {`{"cmd":{"b":"server.time","a":"nope"}}`, map[string]string{"result_error": `{"a":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}}`}},
		"lists of lists":  {`{"cmd":["nope","nope"]}`, map[string]string{"result": "[]", "result_error": `[{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"},{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}]`}},
		"numbers flip":    {`{"cmd":{"0":"nope","1":"server.time","2":"nope"}}`, map[string]string{"result_error": `{"0":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"},"2":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}}`}},
		"not a text":      {`{"cmd":{"a":1,"b":["x"],"c":"nope"}}`, map[string]string{"result": "[]", "result_error": `{"c":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}}`}},
		"nested":          {`{"cmd":{"a":"batch?cmd[x]=server.time"}}`, map[string]string{"result_error": `{"a":{"error":"ERROR_BATCH_METHOD_NOT_ALLOWED","error_description":"Method is not allowed for batch usage"}}`}},
		"total and next":  {`{"cmd":{"a":"crm.item.list?entityTypeId=128&select[]=id&filter[%3Eid]=98&filter[%3Cid]=101","b":"crm.item.list?entityTypeId=128&select[]=id&filter[id]=7&start=-1"}}`, map[string]string{"result": `{"a":{"items":[{"id":99},{"id":100}]},"b":{"items":[{"id":7}]}}`, "result_total": `{"a":2}`, "result_next": "[]"}},
		"next":            {`{"cmd":{"a":"crm.item.list?entityTypeId=128&select[]=xmlId&start=10"}}`, map[string]string{"result_total": `{"a":120}`, "result_next": `{"a":50}`}},
		"empty":           {`{"cmd":{"a":"crm.item.list?entityTypeId=128&filter[id]=999999&start=-1"}}`, map[string]string{"result": `{"a":{"items":[]}}`}},
		"halt":            {`{"halt":1,"cmd":{"a":"nope","b":"` + get + `"}}`, map[string]string{"result": "[]", "result_time": "[]"}},
		"halt as a text":  {`{"halt":"false","cmd":{"a":"nope","b":"` + get + `"}}`, map[string]string{"result": "[]"}},
		"upper case":      {`{"HALT":true,"CMD":{"a":"NOPE","b":"x"}}`, map[string]string{"result_error": `{"a":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}}`}},
		"cut at the hash": {`{"cmd":{"a":"crm.item.list?entityTypeId=128&select[]=id&filter[id]=5#&filter[id]=6"}}`, map[string]string{"result": `{"a":{"items":[{"id":5}]}}`}},
		"method in case":  {`{"cmd":{"a":"CRM.Item.List.json?entityTypeId=128&select[]=id&filter[id]=5"}}`, map[string]string{"result": `{"a":{"items":[{"id":5}]}}`}},
	}
	p := open(t, sandbox.Options{Seed: "demo,items=120"})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			result := p.call(t, "batch", tt.body)
			for key, want := range tt.want {
				if got := compact(t, at(result, key)); got != want {
					t.Errorf("%s: got %s, want %s", key, got, want)
				}
			}
		})
	}
}

func TestBatchRunsFiftyInTheOrderGiven(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	var cmd []string
	for i := range 52 {
		// Names out of order: neither sorted nor by length.
		cmd = append(cmd, fmt.Sprintf("%q:%q", fmt.Sprintf("c%d", (i*37)%53), escape("crm.item.add", "entityTypeId", "128", "fields[title]", strconv.Itoa(i))))
	}
	result := p.call(t, "batch", `{"cmd":{`+strings.Join(cmd, ",")+`}}`)
	for i := range 50 {
		if got := at(result, "result", fmt.Sprintf("c%d", (i*37)%53), "item", "id"); got != float64(i+1) {
			t.Errorf("command %d made item %v", i, got)
		}
	}
	for i := 50; i < 52; i++ {
		if got := at(result, "result_error", fmt.Sprintf("c%d", (i*37)%53), "error"); got != "ERROR_BATCH_LENGTH_EXCEEDED" {
			t.Errorf("command %d: got %v, want it refused", i, got)
		}
	}
	if s := p.Stats(); s.MaxBatch != 50 || s.Commands != 50 || s.Requests != 1 || s.ByMethod["crm.item.add"].Calls != 50 {
		t.Errorf("figures: %+v", s)
	}
}

func TestBatchReferences(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	titleOf := func(text string) any {
		return at(p.call(t, "batch", fmt.Sprintf(`{"cmd":{"a":%q,"l":%q,"f":"nope","z":%q}}`,
			escape("crm.item.add", "entityTypeId", "4", "fields[title]", "Acme"),
			escape("crm.item.list", "entityTypeId", "4", "select[]", "title", "filter[title]", "Acme"),
			escape("crm.item.add", "entityTypeId", "128", "fields[title]", text))),
			"result", "z", "item", "title")
	}
	tests := map[string]any{
		"$result[a][item][title]":                                    "Acme",
		"$result[l][items][0][title]":                                "Acme",
		"by $result[a][item][title] and $result[a][item][title] too": "by Acme and Acme too",
		"$result[a][item][title]-x":                                  "Acme",
		"$result[a][item][title]$result[a][item][title]":             "Acme",
		"see $result[a][item] here":                                  "see $result[a][item] here",
		"see $result[f] here":                                        "see $result[f] here",
		"$error[f][error] it is":                                     "ERROR_METHOD_NOT_FOUND it is",
		"$100 and $result":                                           "$100 and $result",
		"cost: $result[a][item][title][0][deep]":                     "cost: Acme",
	}
	for text, want := range tests {
		if got := titleOf(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	// A reference to what failed is the map of all results: no title at all.
	result := p.call(t, "batch", fmt.Sprintf(`{"cmd":{"f":"nope","z":%q}}`,
		escape("crm.item.get", "entityTypeId", "4", "id", "$result[f][item][id]")))
	if got := at(result, "result_error", "z", "error"); got != "100" {
		t.Errorf("a reference to a failure: got %v, want error 100", result)
	}
	if _, code, _ := p.refused(t, "crm.item.get", `{"entityTypeId":4,"id":"$result[a]"}`); code != "100" {
		t.Errorf("a reference outside of a batch: got %q, want 100", code)
	}
}

func TestBatchChecksScopes(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Scopes: []string{"user"}})
	result := p.call(t, "batch", `{"cmd":{"a":"crm.item.get?entityTypeId=3&id=1"}}`)
	if got, want := compact(t, at(result, "result_error", "a")), `{"error":"insufficient_scope","error_description":""}`; got != want {
		t.Errorf("in a batch: got %s, want %s", got, want)
	}
	if status, code, text := p.refused(t, "crm.item.get", `{}`); status != http.StatusForbidden || code != "insufficient_scope" || text == "" {
		t.Errorf("alone: got %d %q %q", status, code, text)
	}
}

// What a hostile batch may ask for without stopping the portal.
func TestBatchReferencesThatGrow(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	for name, text := range map[string]string{
		"dollars":    strings.Repeat("$", 1<<20),
		"unclosed":   strings.Repeat("$result[", 1<<17),
		"doubling":   strings.Repeat("$result[a][item][title] ", 1<<14),
		"one by one": strings.Repeat("$error[x][y]", 1<<16),
	} {
		cmd := make([]string, 0, 4)
		for i := range 4 {
			cmd = append(cmd, fmt.Sprintf("%q:%s", fmt.Sprintf("%c", 'a'+i%2), compact(t, "crm.item.add?entityTypeId=4&fields[title]="+text)))
		}
		result := p.call(t, "batch", `{"cmd":{`+strings.Join(cmd, ",")+`}}`)
		if at(result, "result", "a", "item", "id") == nil {
			t.Errorf("%s: got no item", name)
		}
	}
}
