package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// expect compares some fields of an item with their JSON.
func expect(tb testing.TB, item map[string]any, want map[string]string) {
	tb.Helper()
	got := map[string]string{}
	for key := range want {
		v, ok := item[key]
		if !ok {
			got[key] = "missing"
			continue
		}
		got[key] = compact(tb, v)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("item (-want +got):\n%s", diff)
	}
}

func TestAddFillsIn(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) { // at 2000-01-01T03:00:00+03:00
		p := open(t, sandbox.Options{Seed: "empty"})
		tests := map[int]map[string]string{
			1: {"id": "1", "title": `"Lead #1"`, "stageId": `"NEW"`, "stageSemanticId": `"P"`, "fm": "[]", "sourceId": `"CALL"`},
			2: {
				"title": `"Deal #1"`, "categoryId": "0", "stageId": `"NEW"`, "isNew": `"Y"`, "closed": `"N"`,
				"begindate": `"2000-01-01T03:00:00+03:00"`, "closedate": `"2000-01-08T03:00:00+03:00"`, "quoteId": "null", "companyId": "0",
			},
			3:  {"lastName": `"Untitled"`, "companyIds": "[]", "hasPhone": `"N"`, "phoneWork": `""`},
			4:  {"title": `"Company #1"`, "contactIds": "[]", "isMyCompany": `"N"`},
			7:  {"title": `"Estimate #1"`, "stageId": `"DRAFT"`},
			31: {"title": `"Invoice #1"`, "categoryId": "3", "stageId": `"DT31_3:N"`, "previousStageId": `""`, "xmlId": "null"},
			128: {
				"title": `"Onboarding #1"`, "categoryId": "42", "stageId": `"DT128_42:NEW"`, "assignedById": "1", "opened": `"Y"`,
				"createdTime": `"2000-01-01T03:00:00+03:00"`, "createdBy": "1", "contactId": "0", "contactIds": "[]", "observers": "[]",
				"opportunity": "0", "isManualOpportunity": `"N"`, "entityTypeId": "128", "parentId2": "null", "ufCrm41_1737980500008": "[]",
			},
		}
		for typeID, want := range tests {
			expect(t, p.item(t, "crm.item.add", fmt.Sprintf(`{"entityTypeId":%d,"fields":{}}`, typeID)), want)
		}
	})
}

func TestAddTakesValues(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	tests := map[string]struct {
		fields string
		want   map[string]string
	}{
		"upper-case system names":              {`{"TITLE":"a","XML_ID":"x"}`, map[string]string{"title": `"a"`, "xmlId": `"x"`}},
		"upper-case custom names are ignored":  {`{"UF_CRM_41_1737980095947":"a"}`, map[string]string{"ufCrm41_1737980095947": "null"}},
		"unknown names are ignored":            {`{"nonsense":"a","title":"b"}`, map[string]string{"title": `"b"`}},
		"read-only fields are ignored":         {`{"id":999,"createdBy":3,"createdTime":"2020-01-01","movedBy":2}`, map[string]string{"createdBy": "1", "movedBy": "1"}},
		"numbers as texts":                     {`{"assignedById":"3","opportunity":"12.5","ufCrm41_1737980500009":"7abc"}`, map[string]string{"assignedById": "3", "opportunity": "12.5", "ufCrm41_1737980500009": "7"}},
		"texts as numbers":                     {`{"title":12,"xmlId":1.5}`, map[string]string{"title": `"12"`, "xmlId": `"1.5"`}},
		"yes":                                  {`{"opened":true,"ufCrm41_1737980500005":"y"}`, map[string]string{"opened": `"Y"`, "ufCrm41_1737980500005": `"Y"`}},
		"1 is no":                              {`{"opened":1,"ufCrm41_1737980500005":"1"}`, map[string]string{"opened": `"N"`, "ufCrm41_1737980500005": `"N"`}},
		"dates":                                {`{"begindate":"2026-03-01","closedate":"15.04.2026","ufCrm41_1737980500003":"2026-05-31T23:30:00-03:00"}`, map[string]string{"begindate": `"2026-03-01T03:00:00+03:00"`, "closedate": `"2026-04-15T03:00:00+03:00"`, "ufCrm41_1737980500003": `"2026-06-01T03:00:00+03:00"`}},
		"times":                                {`{"ufCrm41_1737980500004":"2026-03-01T10:00:00Z"}`, map[string]string{"ufCrm41_1737980500004": `"2026-03-01T13:00:00+03:00"`}},
		"dates that can't be read are skipped": {`{"ufCrm41_1737980500003":"someday","title":"d"}`, map[string]string{"ufCrm41_1737980500003": "null", "title": `"d"`}},
		"options aren't checked":               {`{"ufCrm41_1737980412420":99999,"ufCrm41_1737980500010":[87,"88"]}`, map[string]string{"ufCrm41_1737980412420": "99999", "ufCrm41_1737980500010": "[87,88]"}},
		"lists":                                {`{"ufCrm41_1737980500008":["a","b",""],"observers":[2,"3",2]}`, map[string]string{"ufCrm41_1737980500008": `["a","b"]`, "observers": "[2,3]"}},
		"money":                                {`{"ufCrm41_1737980500002":"300|EUR"}`, map[string]string{"ufCrm41_1737980500002": `"300|EUR"`}},
		"bindings":                             {`{"ufCrm41_1737980500013":["C_1","T80_6"]}`, map[string]string{"ufCrm41_1737980500013": `["C_1","T80_6"]`}},
		"an unknown stage is the first one":    {`{"stageId":"DT128_42:NOPE"}`, map[string]string{"stageId": `"DT128_42:NEW"`}},
		"the stage of another pipeline too":    {`{"categoryId":43,"stageId":"DT128_42:CLIENT"}`, map[string]string{"stageId": `"DT128_43:NEW"`, "categoryId": "43"}},
		"the caller is responsible":            {`{"assignedById":""}`, map[string]string{"assignedById": "1"}},
		"one contact":                          {`{"contactId":2}`, map[string]string{"contactId": "2", "contactIds": "[2]"}},
		"several contacts":                     {`{"contactIds":[3,1,3]}`, map[string]string{"contactId": "3", "contactIds": "[3,1]"}},
		"both":                                 {`{"contactIds":[4,5],"contactId":5}`, map[string]string{"contactId": "5", "contactIds": "[4,5]"}},
		"a parent":                             {`{"parentId2":1}`, map[string]string{"parentId2": "1"}},
		"a cleared default":                    {`{"sourceId":"","closedate":null}`, map[string]string{"sourceId": "null", "closedate": "null"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":`+tt.fields+`}`), tt.want)
		})
	}
}

func TestOriginalNames(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	item := p.item(t, "crm.item.add", `{"entityTypeId":128,"useOriginalUfNames":"Y","fields":{"UF_CRM_41_1737980095947":"a","ufCrm_41_ZONE_10":"z"}}`)
	expect(t, item, map[string]string{"UF_CRM_41_1737980095947": `"a"`, "UF_CRM_41_ZONE_10": `"z"`, "ufCrm41_1737980095947": "missing", "title": `"Onboarding #9"`})
	fields := at(p.call(t, "crm.item.fields", `{"entityTypeId":128}`), "fields")
	if got := at(fields, "ufCrm41_1737980412420", "items", 0); compact(t, got) != `{"ID":"84","VALUE":"Low"}` {
		t.Errorf("first option: got %v", got)
	}
	if got := at(fields, "stageId", "statusType"); got != "DYNAMIC_128_STAGE_42" {
		t.Errorf("stages: got %v", got)
	}
	if got := at(fields, "ufCrm_41_ZONE_10", "upperName"); got != "UF_CRM_41_ZONE_10" {
		t.Errorf("upper name: got %v", got)
	}
}

func TestItemErrors(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		method, body string
		code         string
	}{
		"no type":                {"crm.item.add", `{"fields":{}}`, "100"},
		"no fields":              {"crm.item.add", `{"entityTypeId":128}`, "100"},
		"fields as a text":       {"crm.item.add", `{"entityTypeId":128,"fields":"x"}`, "100"},
		"type as a word":         {"crm.item.add", `{"entityTypeId":"deal","fields":{}}`, "100"},
		"names in another case":  {"crm.item.add", `{"ENTITYTYPEID":128,"fields":{}}`, "100"},
		"original as a boolean":  {"crm.item.get", `{"entityTypeId":128,"id":1,"useOriginalUfNames":true}`, "100"},
		"no such process":        {"crm.item.add", `{"entityTypeId":130,"fields":{}}`, "NOT_FOUND"},
		"no CRM type":            {"crm.item.add", `{"entityTypeId":14,"fields":{}}`, "ENTITY_TYPE_NOT_SUPPORTED"},
		"no such item":           {"crm.item.get", `{"entityTypeId":128,"id":999}`, "NOT_FOUND"},
		"no such item to update": {"crm.item.update", `{"entityTypeId":128,"id":999,"fields":{}}`, "NOT_FOUND"},
		"no such item to delete": {"crm.item.delete", `{"entityTypeId":128,"id":0}`, "NOT_FOUND"},
		"a text for a list":      {"crm.item.add", `{"entityTypeId":128,"fields":{"ufCrm41_1737980500008":"a"}}`, "100"},
		"a list for a text":      {"crm.item.add", `{"entityTypeId":128,"fields":{"title":["a"]}}`, "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		"a negative link":        {"crm.item.add", `{"entityTypeId":128,"fields":{"companyId":-1}}`, "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		"no such pipeline":       {"crm.item.add", `{"entityTypeId":128,"fields":{"categoryId":7}}`, "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		"nobody responsible":     {"crm.item.update", `{"entityTypeId":128,"id":1,"fields":{"assignedById":0}}`, "CRM_FIELD_ERROR_REQUIRED"},
		"a contact without name": {"crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"name":"","lastName":""}}`, "CRM_FIELD_ERROR_REQUIRED"},
		"a nameless company":     {"crm.item.update", `{"entityTypeId":4,"id":1,"fields":{"title":""}}`, "CRM_FIELD_ERROR_REQUIRED"},
	}
	p := open(t, sandbox.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			status, code, text := p.refused(t, tt.method, tt.body)
			if status != http.StatusBadRequest || code != tt.code || text == "" {
				t.Errorf("got %d %q %q, want 400 %q", status, code, text, tt.code)
			}
		})
	}
	_, _, text := p.refused(t, "crm.item.get", `{"entityTypeId":128,"id":"x"}`)
	if want := "Invalid value {x} to match with parameter {id}. Should be value of type int."; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Seed: "empty"})
		p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":{"title":"a","contactIds":[1,2,3],"ufCrm41_1737980500009":0}}`)
		update := func(fields string) map[string]any {
			t.Helper()
			return p.item(t, "crm.item.update", `{"entityTypeId":128,"id":1,"fields":`+fields+`}`)
		}
		const start = `"2000-01-01T03:00:00+03:00"`
		pass(t, time.Hour)
		expect(t, update(`{"title":"a","contactIds":[1,2,3],"nonsense":1}`), map[string]string{"updatedTime": start, "ufCrm41_1737980500009": "0"})
		if got := p.Stats().Automation; got != 1 {
			t.Errorf("robots: got %d, want 1: an update of nothing runs none", got)
		}
		expect(t, update(`{"title":"b"}`), map[string]string{"title": `"b"`, "updatedTime": `"2000-01-01T04:00:00+03:00"`, "movedTime": start})
		expect(t, update(`{"contactId":2}`), map[string]string{"contactId": "1", "contactIds": "[1,2,3]"})
		expect(t, update(`{"contactIds":[3,2]}`), map[string]string{"contactId": "3", "contactIds": "[3,2]"})
		expect(t, update(`{"contactIds":[9,3]}`), map[string]string{"contactId": "3", "contactIds": "[9,3]"})
		expect(t, update(`{"contactId":7}`), map[string]string{"contactId": "7", "contactIds": "[7]"})
		expect(t, update(`{"contactIds":[]}`), map[string]string{"contactId": "0", "contactIds": "[]"})
		expect(t, update(`{"ufCrm41_1737980500009":null,"closedate":""}`), map[string]string{"ufCrm41_1737980500009": "null", "closedate": "null"})
		if got := p.Stats().Automation; got != 7 {
			t.Errorf("robots: got %d, want 7", got)
		}
	})
}

func TestMoves(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{Seed: "empty"})
		p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":{}}`)
		pass(t, 48*time.Hour)
		move := func(fields string) map[string]any {
			t.Helper()
			return p.item(t, "crm.item.update", `{"entityTypeId":128,"id":1,"fields":`+fields+`}`)
		}
		expect(t, move(`{"stageId":"DT128_42:CLIENT"}`), map[string]string{
			"stageId": `"DT128_42:CLIENT"`, "previousStageId": `"DT128_42:NEW"`, "movedTime": `"2000-01-03T03:00:00+03:00"`,
		})
		expect(t, move(`{"stageId":"DT128_42:NOPE","title":"kept"}`), map[string]string{"stageId": `"DT128_42:CLIENT"`, "title": `"kept"`})
		expect(t, move(`{"stageId":"DT128_43:NEW"}`), map[string]string{"stageId": `"DT128_42:CLIENT"`, "categoryId": "42"})
		expect(t, move(`{"categoryId":43}`), map[string]string{"stageId": `"DT128_43:NEW"`, "categoryId": "43"})
		expect(t, move(`{"categoryId":42,"stageId":"DT128_42:SUCCESS"}`), map[string]string{
			"stageId": `"DT128_42:SUCCESS"`, "closedate": `"2000-01-03T03:00:00+03:00"`,
		})
		expect(t, move(`{"categoryId":43,"stageId":"junk"}`), map[string]string{"stageId": `"DT128_43:SUCCESS"`})
	})
}

func TestCommunication(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	fm := func(method, body string) []string {
		t.Helper()
		var rows []string
		list, _ := p.item(t, method, body)["fm"].([]any)
		for _, r := range list {
			rows = append(rows, fmt.Sprintf("%v %v %v %v", at(r, "id"), at(r, "typeId"), at(r, "valueType"), at(r, "value")))
		}
		return rows
	}
	update := func(rows string) []string {
		t.Helper()
		return fm("crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"fm":`+rows+`}}`)
	}
	steps := []struct {
		does string
		got  []string
		want string
	}{
		{"add", fm("crm.item.add", `{"entityTypeId":3,"fields":{"name":"A","fm":[
			{"typeId":"PHONE","valueType":"WORK","value":"+4930"},{"typeId":"EMAIL","value":"a@x.io"},
			{"typeId":"NOPE","value":"x"},{"typeId":"PHONE","value":""}]}}`), "1 PHONE WORK +4930, 2 EMAIL WORK a@x.io"},
		{"add on update", update(`{"n0":{"typeId":"PHONE","valueType":"MOBILE","value":"+49151"}}`), "1 PHONE WORK +4930, 2 EMAIL WORK a@x.io, 3 PHONE MOBILE +49151"},
		{"the same again is nothing", update(`{"n0":{"typeId":"PHONE","valueType":"MOBILE","value":"+49151"}}`), "1 PHONE WORK +4930, 2 EMAIL WORK a@x.io, 3 PHONE MOBILE +49151"},
		{"another value type is another row", update(`{"n0":{"typeId":"PHONE","value":"+49151"}}`), "1 PHONE WORK +4930, 2 EMAIL WORK a@x.io, 3 PHONE MOBILE +49151, 4 PHONE WORK +49151"},
		{"change and delete", update(`{"1":{"typeId":"PHONE","valueType":"HOME","value":"+4931"},"4":{"typeId":"PHONE","value":""}}`), "1 PHONE HOME +4931, 2 EMAIL WORK a@x.io, 3 PHONE MOBILE +49151"},
		{"a list has the ids 0 and 1", update(`[{"typeId":"PHONE","value":"+1"},{"typeId":"PHONE","value":"+2"}]`), "1 PHONE HOME +2, 2 EMAIL WORK a@x.io, 3 PHONE MOBILE +49151, 5 PHONE WORK +1"},
	}
	for _, s := range steps {
		if got := strings.Join(s.got, ", "); got != s.want {
			t.Errorf("%s: got %s, want %s", s.does, got, s.want)
		}
	}
	found := p.call(t, "crm.duplicate.findbycomm", `{"type":"PHONE","values":["+49 (151)"],"entity_type":"CONTACT"}`)
	if got := compact(t, found); got != `{"CONTACT":[1]}` {
		t.Errorf("found by phone: got %s", got)
	}
}

func TestContactsOfCompanies(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	for range 3 {
		p.item(t, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"A"}}`)
	}
	company := p.item(t, "crm.item.add", `{"entityTypeId":4,"fields":{"title":"Acme","contactIds":[1,3]}}`)
	expect(t, company, map[string]string{"contactIds": "[1,3]"})
	expect(t, p.item(t, "crm.item.get", `{"entityTypeId":3,"id":3}`), map[string]string{"companyId": "1", "companyIds": "[1]"})
	p.item(t, "crm.item.update", `{"entityTypeId":4,"id":1,"fields":{"contactIds":[2]}}`)
	expect(t, p.item(t, "crm.item.get", `{"entityTypeId":3,"id":3}`), map[string]string{"companyId": "0", "companyIds": "[]"})
	p.item(t, "crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"companyId":1}}`)
	expect(t, p.item(t, "crm.item.get", `{"entityTypeId":4,"id":1}`), map[string]string{"contactIds": "[1,2]"})
}

func TestImport(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	result := p.call(t, "crm.item.import", `{"entityTypeId":3,"fields":{"name":"A","createdTime":"2020-02-01T10:00:00+03:00","createdBy":4,
		"updatedTime":"2020-03-01","PHONE":[{"VALUE":"+49","VALUE_TYPE":"MOBILE"}],"fm":[{"typeId":"PHONE","value":"+50"}]}}`)
	if got := compact(t, result); got != `{"item":{"id":1}}` {
		t.Errorf("got %s, want the id only", got)
	}
	expect(t, p.item(t, "crm.item.get", `{"entityTypeId":3,"id":1}`), map[string]string{
		"createdTime": `"2020-02-01T10:00:00+03:00"`, "updatedTime": `"2020-03-01T00:00:00+03:00"`, "createdBy": "4",
		"fm": `[{"id":1,"typeId":"PHONE","value":"+49","valueType":"MOBILE"}]`,
	})
	if got := p.Stats().Automation; got != 0 {
		t.Errorf("robots: got %d, want none", got)
	}
	for name, fields := range map[string]string{
		"before the newest": `{"createdTime":"2020-01-01"}`,
		"in the future":     `{"createdTime":"2200-01-01"}`,
		"changed before":    `{"createdTime":"2021-01-01","updatedTime":"2020-12-31"}`,
		"moved later":       `{"createdTime":"2021-01-01","updatedTime":"2021-01-02","movedTime":"2021-01-03"}`,
	} {
		body := `{"entityTypeId":128,"fields":{"createdTime":"2020-06-01"}}`
		if strings.Contains(name, "newest") {
			p.call(t, "crm.item.import", body)
		}
		if _, code, _ := p.refused(t, "crm.item.import", `{"entityTypeId":128,"fields":`+fields+`}`); code != "CRM_FIELD_ERROR_VALUE_NOT_VALID" {
			t.Errorf("%s: got %q", name, code)
		}
	}
}

func TestBatchImport(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty"})
	result := p.call(t, "crm.item.batchImport", `{"entityTypeId":128,"useOriginalUfNames":"Y","data":{
		"row7":{"title":"a","UF_CRM_41_1737980095947":"n"},"row8":{"categoryId":9},"row9":"no object","row10":{"ufCrm41_1737980500008":"x"}}}`)
	want := `{"items":{"row10":{"error":"100","error_description":"Expected iterable value for multiple field, but got ` +
		"`string`" + ` instead"},"row7":{"item":{"id":1}},"row8":{"error":"CRM_FIELD_ERROR_VALUE_NOT_VALID","error_description":"Invalid value for field \"Pipeline\""},"row9":{"item":{"id":2}}}}`
	if got := compact(t, result); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	list := p.call(t, "crm.item.batchImport", `{"entityTypeId":128,"data":[{"title":"a"},{"title":"b"}]}`)
	if got := compact(t, list); got != `{"items":[{"item":{"id":3}},{"item":{"id":4}}]}` {
		t.Errorf("a list: got %s", got)
	}
	rows := strings.TrimSuffix(strings.Repeat(`{},`, 21), ",")
	if _, code, _ := p.refused(t, "crm.item.batchImport", `{"entityTypeId":128,"data":[`+rows+`]}`); code != "MAX_IMPORT_BATCH_SIZE_EXCEEDED" {
		t.Errorf("21 rows: got %q", code)
	}
	if got := len(p.items(t)); got != 4 {
		t.Errorf("%d items, want 4", got)
	}
	if got := p.Stats().Automation; got != 0 {
		t.Errorf("robots: got %d, want none", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	if got := compact(t, p.call(t, "crm.item.delete", `{"entityTypeId":128,"id":8}`)); got != "[]" {
		t.Errorf("got %s, want []", got)
	}
	if _, code, _ := p.refused(t, "crm.item.delete", `{"entityTypeId":128,"id":8}`); code != "NOT_FOUND" {
		t.Errorf("again: got %q", code)
	}
	if id := p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":{}}`)["id"]; id != 9.0 {
		t.Errorf("the next item is %v, want 9", id)
	}
}
