package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

func TestSmartProcessFromScratch(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	made := result(t, portal, "crm.type.add", `{"fields":{"title":"Pallets","isClientEnabled":"Y","relations":{"parent":[{"entityTypeId":2}]}}}`)
	same(t, "entityTypeId", member(t, made, "type", "entityTypeId"), `1030`)
	same(t, "id", member(t, made, "type", "id"), `42`)
	same(t, "not asked for", member(t, made, "type", "isSourceEnabled"), `"N"`)
	same(t, "parents", values(t, member(t, made, "type", "relations", "parent"), "entityTypeId"), `[2]`)

	categories := result(t, portal, "crm.category.list", `{"entityTypeId":1030}`)
	same(t, "categories", values(t, member(t, categories, "categories"), "isDefault"), `["Y"]`)
	same(t, "category", member(t, categories, "categories", 0, "id"), `44`)
	stages := result(t, portal, "crm.status.list", `{"filter":{"ENTITY_ID":"DYNAMIC_1030_STAGE_44"}}`)
	same(t, "stages", values(t, stages, "STATUS_ID"),
		`["DT1030_44:NEW","DT1030_44:PREPARATION","DT1030_44:CLIENT","DT1030_44:SUCCESS","DT1030_44:FAIL"]`)

	field := result(t, portal, "userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_42","fieldName":"UF_CRM_42_WOOD",
		"userTypeId":"enumeration","editFormLabel":{"en":"Wood"},"enum":[{"value":"Oak"},{"value":"Pine","def":"Y"}]}}`)
	same(t, "choices", values(t, member(t, field, "field", "enum"), "value"), `["Oak","Pine"]`)
	item := result(t, portal, "crm.item.add", `{"entityTypeId":1030,"fields":{"title":"P1","contactIds":[1],"ufCrm42Wood":7,"parentId2":1}}`)
	same(t, "stage", member(t, item, "item", "stageId"), `"DT1030_44:NEW"`)
	same(t, "custom field", member(t, item, "item", "ufCrm42Wood"), `7`)
	same(t, "parent", member(t, item, "item", "parentId2"), `1`)

	owners := result(t, portal, "crm.enum.ownertype", `{}`)
	if !slices.Contains(values(t, owners, "SYMBOL_CODE_SHORT"), any("T406")) {
		t.Errorf("crm.enum.ownertype lacks T406: %v", owners)
	}
	lists := result(t, portal, "crm.status.entity.types", `{}`)
	if !slices.Contains(values(t, lists, "ID"), any("DYNAMIC_1030_STAGE_44")) {
		t.Errorf("crm.status.entity.types lacks the stages: %v", lists)
	}
}

func TestMetadataRefusals(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	tests := map[string]struct{ method, params, want string }{
		"a type id in use":         {"crm.type.add", `{"fields":{"title":"x","entityTypeId":128}}`, "INVALID_ARG_VALUE: entityTypeId is already used"},
		"a type without a title":   {"crm.type.add", `{"fields":{}}`, `CRM_FIELD_ERROR_REQUIRED: The "Title" field is required`},
		"a type that is not there": {"crm.type.get", `{"id":7}`, "0: Smart process not found"},
		"a filter of types by an unknown field": {
			"crm.type.list", `{"filter":{"=weight":1}}`, "0: Unknown field definition `WEIGHT` (WEIGHT) for Type Entity.",
		},
		"categories of estimates":   {"crm.category.list", `{"entityTypeId":7}`, "ENTITY_TYPE_NOT_SUPPORTED: Entity type Estimate is not supported"},
		"categories without a type": {"crm.category.list", `{}`, "100: Could not find value for parameter {entityTypeId}"},
		"a status that is not there": {
			"crm.status.get", `{"id":100000}`, ": Not found.",
		},
		"custom fields of no module": {
			"userfieldconfig.list", `{}`, "100: Could not find value for parameter {moduleId}",
		},
		"a custom field twice": {
			"userfieldconfig.add",
			`{"moduleId":"crm","field":{"entityId":"CRM_41","fieldName":"UF_CRM_41_1737980095947","userTypeId":"string"}}`,
			": The field UF_CRM_41_1737980095947 for the object CRM_41 already exists.",
		},
		"a custom field of an unknown type": {
			"userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_41","fieldName":"UF_CRM_41_X","userTypeId":"colour"}}`,
			": Invalid user type specified.",
		},
		"a custom field of an unknown entity": {
			"userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_9","fieldName":"UF_CRM_9_X","userTypeId":"string"}}`,
			": The 'ENTITY_ID' field is not found.",
		},
		"a custom field with an odd name": {
			"userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_41","fieldName":"UF_CRM_41_É","userTypeId":"string"}}`,
			": The field name may hold latin letters, digits and underscores only.",
		},
		"a method without a name": {"method.get", `{}`, "100: Could not find value for parameter {name}"},
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

func TestStatusLists(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	stages := result(t, portal, "crm.status.list", `{"FILTER":{"ENTITY_ID":"DEAL_STAGE","SEMANTICS":"F"},"ORDER":{"SORT":"DESC"}}`)
	same(t, "lost stages", values(t, stages, "STATUS_ID"), `["APOLOGY","LOSE"]`)
	same(t, "meanings", []any{
		member(t, stages, 0, "EXTRA", "SEMANTICS"), member(t, stages, 1, "EXTRA", "SEMANTICS"),
	}, `["apology","failure"]`)
	sources := result(t, portal, "crm.status.entity.items", `{"entityId":"SOURCE"}`)
	same(t, "first source", member(t, sources, 0), `{"NAME":"Call","SORT":10,"STATUS_ID":"CALL"}`)
	for _, list := range []string{
		"STATUS", "SOURCE", "CONTACT_TYPE", "COMPANY_TYPE", "EMPLOYEES", "INDUSTRY", "DEAL_TYPE", "HONORIFIC",
		"DEAL_STAGE", "DEAL_STAGE_1", "QUOTE_STATUS", "DYNAMIC_128_STAGE_42", "DYNAMIC_128_STAGE_43",
	} {
		if rows := result(t, portal, "crm.status.list", `{"filter":{"ENTITY_ID":"`+list+`"}}`); len(values(t, rows, "ID")) == 0 {
			t.Errorf("the list %s is empty", list)
		}
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	tests := map[string]struct{ method, params, want string }{
		"by e-mail":               {"user.get", `{"FILTER":{"EMAIL":"ANA@example.com"}}`, `["2"]`},
		"a key beside the filter": {"user.get", `{"EMAIL":"ana@example.com"}`, `["2"]`},
		"by id":                   {"user.get", `{"ID":3}`, `["3"]`},
		"by ids":                  {"user.get", `{"filter":{"@ID":[3,4]}}`, `["3","4"]`},
		"employees at work": {
			"user.get", `{"FILTER":{"ACTIVE":true,"USER_TYPE":"employee"}}`, `["1","2","3","4","5","6"]`,
		},
		"active as text":      {"user.get", `{"ACTIVE":"Y","USER_TYPE":"employee"}`, `["1","2","3","4","5","6"]`},
		"the dismissed":       {"user.get", `{"FILTER":{"ACTIVE":false}}`, `["7"]`},
		"by department":       {"user.get", `{"FILTER":{"UF_DEPARTMENT":3},"sort":"ID","order":"DESC"}`, `["5","4"]`},
		"by part of the name": {"user.get", `{"FILTER":{"NAME":"An%"}}`, `["2"]`},
		"nobody":              {"user.get", `{"FILTER":{"NAME":"Nobody"}}`, `[]`},
		"search":              {"user.search", `{"FILTER":{"FIND":"clara support"}}`, `["4"]`},
		"search by position":  {"user.search", `{"FILTER":{"WORK_POSITION":"head"}}`, `["6"]`},
		"departments":         {"department.get", `{"PARENT":1,"sort":"NAME","order":"DESC"}`, `["3","2"]`},
		"a department":        {"department.get", `{"NAME":"Support"}`, `["3"]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			same(t, "ids", values(t, result(t, portal, tt.method, tt.params), "ID"), tt.want)
		})
	}
}

func TestPortalAboutItself(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	same(t, "profile", result(t, portal, "profile", `{}`),
		`{"ID":"1","ADMIN":true,"NAME":"Alex","LAST_NAME":"Moreira","PERSONAL_GENDER":"","TIME_ZONE":""}`)
	same(t, "admin", result(t, portal, "user.admin", `{}`), `true`)
	same(t, "scope", result(t, portal, "scope", `{}`), `["crm","department","im","task","user","userfieldconfig"]`)
	same(t, "a method", result(t, portal, "method.get", `{"name":"crm.item.batchimport"}`), `{"isExisting":true,"isAvailable":true}`)
	same(t, "no method", result(t, portal, "method.get", `{"name":"crm.nothing"}`), `{"isExisting":false,"isAvailable":false}`)
	names, ok := result(t, portal, "methods", `{"scope":"im"}`).([]any)
	if !ok || !slices.Equal(names, []any{"im.notify.system.add", "im.notify.personal.add"}) {
		t.Errorf("methods of im: %v", names)
	}
	if status, answer := ask(t, portal, "app.info", json.RawMessage(`{}`)); status != http.StatusForbidden || answer["error"] != "ACCESS_DENIED" {
		t.Errorf("app.info: status %d: %v", status, answer)
	}
}

func TestCustomFieldsAreDescribed(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	listed := result(t, portal, "userfieldconfig.list", `{"moduleId":"crm","filter":{"entityId":"CRM_CONTACT","userTypeId":"enumeration"}}`)
	same(t, "names", values(t, member(t, listed, "fields"), "fieldName"), `["UF_CRM_1737980412001"]`)
	id, ok := member(t, listed, "fields", 0, "id").(string)
	if !ok {
		t.Fatal("the id is no text")
	}
	got := result(t, portal, "userfieldconfig.get", `{"moduleId":"crm","id":`+id+`}`)
	same(t, "choices", values(t, member(t, got, "field", "enum"), "value"), `["Small","Medium","Large"]`)
	old := result(t, portal, "crm.contact.userfield.get", `{"id":`+id+`}`)
	same(t, "old choices", values(t, member(t, old, "LIST"), "VALUE"), `["Small","Medium","Large"]`)
	labelled := result(t, portal, "crm.contact.userfield.list", `{"filter":{"LANG":"en","FIELD_NAME":"UF_CRM_1737980095947"}}`)
	same(t, "label", values(t, labelled, "EDIT_FORM_LABEL"), `["CPF"]`)
	same(t, "another entity's", refusal(t, portal, "crm.deal.userfield.get", `{"id":`+id+`}`),
		`"ERROR_NOT_FOUND: The entity with ID '`+id+`' is not found."`)
}

func TestPipelinesAndStagesChange(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	made := result(t, portal, "crm.category.add", `{"entityTypeId":128,"fields":{"name":"Suppliers","sort":50,"isDefault":"Y"}}`)
	same(t, "made", member(t, made, "category"),
		`{"id":44,"name":"Suppliers","sort":50,"entityTypeId":128,"isDefault":"Y","originId":"","originatorId":""}`)
	list := member(t, result(t, portal, "crm.category.list", `{"entityTypeId":128}`), "categories")
	same(t, "names", values(t, list, "name"), `["Suppliers","Clients","Partners"]`)
	same(t, "defaults", values(t, list, "isDefault"), `["Y","N","N"]`)
	item := result(t, portal, "crm.item.add", `{"entityTypeId":128,"fields":{"title":"x"}}`)
	same(t, "stage of the default pipeline", member(t, item, "item", "stageId"), `"DT128_44:NEW"`)

	result(t, portal, "crm.category.update", `{"entityTypeId":128,"id":44,"fields":{"name":"Vendors"}}`)
	got := result(t, portal, "crm.category.get", `{"entityTypeId":128,"id":44}`)
	same(t, "renamed", member(t, got, "category", "name"), `"Vendors"`)
	same(t, "sort stays", member(t, got, "category", "sort"), `50`)

	deals := result(t, portal, "crm.category.add", `{"entityTypeId":2,"fields":{"name":"Leasing"}}`)
	same(t, "of deals", member(t, deals, "category", "id"), `45`)
	stages := result(t, portal, "crm.status.list", `{"filter":{"ENTITY_ID":"DEAL_STAGE_45"}}`)
	same(t, "first stage", member(t, stages, 0, "STATUS_ID"), `"C45:NEW"`)
	same(t, "its pipeline", member(t, stages, 0, "CATEGORY_ID"), `"45"`)

	id, ok := result(t, portal, "crm.status.add",
		`{"fields":{"ENTITY_ID":"DYNAMIC_128_STAGE_42","STATUS_ID":"UC_CHECK","NAME":"Check","SORT":25}}`).(float64)
	if !ok {
		t.Fatal("the id is no number")
	}
	params := fmt.Sprintf(`{"id":%.0f,"fields":{"NAME":"Checked","STATUS_ID":"OTHER"}}`, id)
	same(t, "renamed", result(t, portal, "crm.status.update", params), `true`)
	stages = result(t, portal, "crm.status.list", `{"filter":{"ENTITY_ID":"DYNAMIC_128_STAGE_42"},"order":{"SORT":"ASC"}}`)
	same(t, "stages", values(t, stages, "NAME"), `["New","In progress","Checked","Waiting","Won","Lost"]`)
	item = result(t, portal, "crm.item.add", `{"entityTypeId":128,"fields":{"title":"x","categoryId":42,"stageId":"DT128_42:UC_CHECK"}}`)
	same(t, "stage", member(t, item, "item", "stageId"), `"DT128_42:UC_CHECK"`)
	same(t, "twice", refusal(t, portal, "crm.status.add",
		`{"fields":{"ENTITY_ID":"DYNAMIC_128_STAGE_42","STATUS_ID":"DT128_42:UC_CHECK","NAME":"Check"}}`),
		`": The status DT128_42:UC_CHECK already exists."`)
}
