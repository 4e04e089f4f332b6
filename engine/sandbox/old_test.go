package sandbox_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestOldMethodsShareItemsWithTheUniversalOnes(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	id := result(t, portal, "crm.contact.add", `{"fields":{"NAME":"Rita","SOURCE_ID":"WEB","BIRTHDATE":"02.03.1990",
		"PHONE":[{"VALUE":"+55 11 1","VALUE_TYPE":"HOME"}],"UF_CRM_1737980095947":"123","BAD_NAME":"x","ID":7}}`)
	same(t, "id", id, `13`)
	item := result(t, portal, "crm.item.get", `{"entityTypeId":3,"id":13}`)
	same(t, "name", member(t, item, "item", "name"), `"Rita"`)
	same(t, "fm", member(t, item, "item", "fm", 0, "valueType"), `"HOME"`)
	same(t, "cpf", member(t, item, "item", "ufCrm_1737980095947"), `"123"`)
	same(t, "birth", member(t, item, "item", "birthdate"), `"1990-03-02T03:00:00+03:00"`)

	result(t, portal, "crm.item.update", `{"entityTypeId":3,"id":13,"fields":{"lastName":"Lopes","originId":"r-1","originatorId":"test"}}`)
	row := result(t, portal, "crm.contact.get", `{"ID":13}`)
	same(t, "last name", member(t, row, "LAST_NAME"), `"Lopes"`)
	same(t, "id as text", member(t, row, "ID"), `"13"`)
	same(t, "assigned as text", member(t, row, "ASSIGNED_BY_ID"), `"1"`)
	same(t, "unset", member(t, row, "POST"), `null`)

	rows := result(t, portal, "crm.contact.list", `{"filter":{"=ORIGIN_ID":"r-1","NO_SUCH_FIELD":"zzz"},"select":["NAME","PHONE"]}`)
	same(t, "list", member(t, rows, 0, "NAME"), `"Rita"`)
	same(t, "list id", member(t, rows, 0, "ID"), `"13"`)
	same(t, "list phone", member(t, rows, 0, "PHONE", 0, "VALUE"), `"+55 11 1"`)

	same(t, "delete", result(t, portal, "crm.contact.delete", `{"id":13}`), `true`)
	same(t, "gone", refusal(t, portal, "crm.item.get", `{"entityTypeId":3,"id":13}`), `"NOT_FOUND: Item not found"`)
}

func TestOldNamesOfDealsAndLeads(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	result(t, portal, "crm.deal.update", `{"id":1,"fields":{"STAGE_ID":"WON","OPPORTUNITY":12.5,"CONTACT_IDS":[2,3]}}`)
	deal := result(t, portal, "crm.deal.get", `{"id":1}`)
	for name, want := range map[string]string{
		"STAGE_ID": `"WON"`, "STAGE_SEMANTIC_ID": `"S"`, "CLOSED": `"Y"`, "OPPORTUNITY": `"12.50"`, "CATEGORY_ID": `"0"`,
		"COMPANY_ID": `"0"`, "CONTACT_ID": `"2"`, "CREATED_BY_ID": `"1"`,
	} {
		same(t, name, member(t, deal, name), want)
	}
	if _, ok := deal.(map[string]any)["CONTACT_IDS"]; ok {
		t.Error("crm.deal.get shows CONTACT_IDS")
	}

	lead := result(t, portal, "crm.lead.add", `{"fields":{"TITLE":"Roof","STATUS_ID":"IN_PROCESS"}}`)
	id := fmt.Sprintf("%.0f", lead)
	same(t, "STATUS_ID", member(t, result(t, portal, "crm.lead.get", `{"id":`+id+`}`), "STATUS_ID"), `"IN_PROCESS"`)
	same(t, "stageId", member(t, result(t, portal, "crm.item.get", `{"entityTypeId":1,"id":`+id+`}`), "item", "stageId"), `"IN_PROCESS"`)
	rows := result(t, portal, "crm.lead.list", `{"filter":{"STATUS_ID":"IN_PROCESS","TITLE":"Roof"},"select":["STATUS_ID"]}`)
	same(t, "list", values(t, rows, "STATUS_ID"), `["IN_PROCESS"]`)
}

func TestOldMultifieldRows(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	result(t, portal, "crm.contact.add", `{"fields":{"NAME":"Ugo","PHONE":[{"VALUE":"1"},{"VALUE":"2","VALUE_TYPE":"HOME"},{"VALUE":"3"}],
		"EMAIL":[{"VALUE":"u@example.com"}]}}`)
	phones := func() any { return member(t, result(t, portal, "crm.contact.get", `{"id":13}`), "PHONE") }
	ids := values(t, phones(), "ID")
	same(t, "default type", values(t, phones(), "VALUE_TYPE"), `["WORK","HOME","WORK"]`)

	update := func(rows string, args ...any) {
		result(t, portal, "crm.contact.update", `{"id":13,"fields":{"PHONE":`+fmt.Sprintf(rows, args...)+`}}`)
	}
	update(`[{"ID":%q,"VALUE":"11","VALUE_TYPE":"MOBILE"},{"ID":%s,"DELETE":"Y"},{"VALUE":"3","VALUE_TYPE":"WORK"},{"VALUE":"4"}]`, ids[0], ids[1])
	same(t, "values", values(t, phones(), "VALUE"), `["11","3","4"]`)
	same(t, "types", values(t, phones(), "VALUE_TYPE"), `["MOBILE","WORK","WORK"]`)
	update(`[{"ID":%s},{"ID":%q,"VALUE":""}]`, ids[2], ids[0])
	same(t, "values", values(t, phones(), "VALUE"), `["4"]`)
	same(t, "the e-mail stays", values(t, member(t, result(t, portal, "crm.contact.get", `{"id":13}`), "EMAIL"), "VALUE"), `["u@example.com"]`)
	same(t, "bad e-mail", refusal(t, portal, "crm.contact.update", `{"id":13,"fields":{"EMAIL":[{"VALUE":"no address"}]}}`),
		`"ERROR_CORE: The field \"E-mail\" contains an invalid address"`)
}

func TestOldListPages(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	for i := range 120 {
		result(t, portal, "crm.company.add", fmt.Sprintf(`{"fields":{"TITLE":"Paging %03d"}}`, i))
	}
	tests := map[string]struct {
		params      string
		rows        int
		first       string
		total, next any
	}{
		"the first page": {`{"filter":{"%TITLE":"paging"}}`, 50, "Paging 000", 120.0, 50.0},
		"a start within a page is rounded down": {
			`{"filter":{"%TITLE":"paging"},"start":70}`, 50, "Paging 050", 120.0, 100.0,
		},
		"the last page has no next": {`{"filter":{"%TITLE":"paging"},"start":100}`, 20, "Paging 100", 120.0, nil},
		"no counting":               {`{"filter":{"%TITLE":"paging"},"start":-1}`, 50, "Paging 000", 0.0, nil},
		"upper-case names, backwards": {
			`{"FILTER":{"=%TITLE":"Paging 0%"},"ORDER":{"TITLE":"DESC"}}`, 50, "Paging 099", 100.0, 50.0,
		},
		"from an id on":           {`{"filter":{"%TITLE":"paging",">ID":100},"order":{"ID":"ASC"},"start":-1}`, 25, "Paging 095", 0.0, nil},
		"a list of wanted values": {`{"filter":{"@TITLE":["Paging 001","Paging 002"]}}`, 2, "Paging 001", 2.0, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, answer := ask(t, portal, "crm.company.list", json.RawMessage(tt.params))
			titles := values(t, answer["result"], "TITLE")
			if len(titles) != tt.rows || titles[0] != tt.first {
				t.Errorf("%d rows from %v on, want %d from %q on", len(titles), titles[0], tt.rows, tt.first)
			}
			if answer["total"] != tt.total || answer["next"] != tt.next {
				t.Errorf("total %v, next %v, want %v, %v", answer["total"], answer["next"], tt.total, tt.next)
			}
		})
	}
}

func TestOldSelect(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	tests := map[string]struct {
		selected string
		shown    []string
		hidden   []string
	}{
		"nothing named":      {`[]`, []string{"ID", "NAME", "UF_CRM_LEGAL_NAME"}, []string{"PHONE", "COMPANY_IDS"}},
		"all":                {`["*"]`, []string{"ID", "NAME"}, []string{"PHONE", "UF_CRM_LEGAL_NAME"}},
		"all custom ones":    {`["UF_*"]`, []string{"ID", "UF_CRM_LEGAL_NAME"}, []string{"NAME"}},
		"names":              {`["NAME","PHONE"]`, []string{"ID", "NAME", "PHONE"}, []string{"LAST_NAME", "EMAIL"}},
		"an unknown name":    {`["WEIGHT"]`, []string{"ID"}, []string{"WEIGHT", "NAME"}},
		"all and multifield": {`["*","EMAIL"]`, []string{"NAME", "EMAIL"}, []string{"PHONE"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			row, ok := member(t, result(t, portal, "crm.contact.list", `{"filter":{"ID":1},"select":`+tt.selected+`}`), 0).(map[string]any)
			if !ok {
				t.Fatal("no row")
			}
			for _, name := range tt.shown {
				if _, ok := row[name]; !ok {
					t.Errorf("no %s", name)
				}
			}
			for _, name := range tt.hidden {
				if _, ok := row[name]; ok {
					t.Errorf("%s is shown", name)
				}
			}
		})
	}
}

func TestOldRefusals(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	tests := map[string]struct{ method, params, want string }{
		"fields that are no array": {"crm.deal.add", `{"fields":"x"}`, ": Parameter 'fields' must be array."},
		"params that are no array": {"crm.deal.add", `{"fields":{},"params":"x"}`, ": Parameter 'params' must be array."},
		"an order that is none":    {"crm.lead.list", `{"order":"ID"}`, ": Parameter 'order' must be array."},
		"no id":                    {"crm.company.get", `{}`, ": ID is not defined or invalid."},
		"an id that is none":       {"crm.company.update", `{"id":"abc","fields":{}}`, ": ID is not defined or invalid."},
		"a contact that is not there, got": {
			"crm.contact.get", `{"id":999}`, ": Not found",
		},
		"a contact that is not there, changed": {
			"crm.contact.update", `{"id":999,"fields":{}}`, ": Contact is not found",
		},
		"a lead that is not there, deleted": {"crm.lead.delete", `{"id":999}`, "ERROR_CORE: Element not found"},
		"a contact without a name": {
			"crm.contact.update", `{"id":1,"fields":{"NAME":"","LAST_NAME":""}}`, `: The "First name" field is required`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := refusal(t, portal, tt.method, tt.params); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOldAddAsImport(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	fields := `"fields":{"NAME":"Old","DATE_CREATE":"2026-01-05T10:00:00+03:00","CREATED_BY_ID":2}`
	result(t, portal, "crm.contact.add", `{`+fields+`,"params":{"IMPORT":"Y"}}`)
	if fired := portal.Stats().Automation; fired != 0 {
		t.Errorf("an import fired %d robots", fired)
	}
	row := result(t, portal, "crm.contact.get", `{"id":13}`)
	same(t, "made", member(t, row, "DATE_CREATE"), `"2026-01-05T10:00:00+03:00"`)
	same(t, "maker", member(t, row, "CREATED_BY_ID"), `"2"`)

	result(t, portal, "crm.contact.add", `{`+fields+`}`)
	if fired := portal.Stats().Automation; fired != 1 {
		t.Errorf("an add fired %d robots, want 1", fired)
	}
	same(t, "maker without import", member(t, result(t, portal, "crm.contact.get", `{"id":14}`), "CREATED_BY_ID"), `"1"`)
}

func TestOldCustomValues(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	for _, field := range []string{
		`"fieldName":"UF_CRM_VIP","userTypeId":"boolean"`,
		`"fieldName":"UF_CRM_TAGS","userTypeId":"string","multiple":"Y"`,
	} {
		result(t, portal, "userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_COMPANY",`+field+`}}`)
	}
	get := func() any { return result(t, portal, "crm.company.get", `{"id":1}`) }
	same(t, "unset yes/no", member(t, get(), "UF_CRM_VIP"), `"0"`)
	same(t, "unset list", member(t, get(), "UF_CRM_TAGS"), `false`)

	result(t, portal, "crm.company.update", `{"id":1,"fields":{"UF_CRM_VIP":1,"UF_CRM_TAGS":"one"}}`)
	same(t, "yes/no", member(t, get(), "UF_CRM_VIP"), `"1"`)
	same(t, "list", member(t, get(), "UF_CRM_TAGS"), `["one"]`)
	item := result(t, portal, "crm.item.get", `{"entityTypeId":4,"id":1}`)
	same(t, "the same in crm.item", member(t, item, "item", "ufCrmVip"), `"Y"`)
	rows := result(t, portal, "crm.company.list", `{"filter":{"UF_CRM_VIP":1},"select":["ID"]}`)
	same(t, "filter", values(t, rows, "ID"), `["1"]`)
}
