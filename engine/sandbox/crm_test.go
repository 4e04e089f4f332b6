package sandbox_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestContactsAndCompaniesAreLinkedFromBothSides(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	same(t, "set", result(t, portal, "crm.contact.company.items.set",
		`{"id":1,"items":[{"COMPANY_ID":1},{"COMPANY_ID":2,"IS_PRIMARY":"Y"},{"COMPANY_ID":3,"SORT":5},{"COMPANY_ID":999}]}`), `true`)
	same(t, "links", result(t, portal, "crm.contact.company.items.get", `{"id":1}`), `[
		{"COMPANY_ID":3,"SORT":5,"ROLE_ID":0,"IS_PRIMARY":"N"},
		{"COMPANY_ID":1,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"N"},
		{"COMPANY_ID":2,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"Y"}]`)
	item := result(t, portal, "crm.item.get", `{"entityTypeId":3,"id":1}`)
	same(t, "companyIds", member(t, item, "item", "companyIds"), `[1,2,3]`)
	same(t, "companyId", member(t, item, "item", "companyId"), `2`)

	same(t, "linked already", result(t, portal, "crm.contact.company.add", `{"id":1,"fields":{"COMPANY_ID":3}}`), `false`)
	same(t, "unlinked", result(t, portal, "crm.company.contact.delete", `{"id":2,"fields":{"CONTACT_ID":1}}`), `true`)
	same(t, "not linked", result(t, portal, "crm.company.contact.delete", `{"id":2,"fields":{"CONTACT_ID":1}}`), `false`)
	same(t, "linked again", result(t, portal, "crm.company.contact.add", `{"id":2,"fields":{"CONTACT_ID":1,"SORT":700}}`), `true`)
	links := result(t, portal, "crm.contact.company.items.get", `{"id":1}`)
	same(t, "order", values(t, links, "COMPANY_ID"), `[3,1,2]`)
	same(t, "sorts", values(t, links, "SORT"), `[5,10,700]`)

	same(t, "cleared", result(t, portal, "crm.contact.company.items.delete", `{"id":1}`), `true`)
	same(t, "no links", result(t, portal, "crm.contact.company.items.get", `{"id":1}`), `[]`)
	for params, want := range map[string]string{
		`{}`:                              ": The parameter 'ownerEntityID' is invalid or not defined.",
		`{"id":999}`:                      ": Not found.",
		`{"id":1}`:                        ": The parameter 'fields' is not valid.",
		`{"id":1,"fields":{"SORT":"10"}}`: ": The parameter 'fields' is not valid.",
	} {
		if got := refusal(t, portal, "crm.contact.company.add", params); got != want {
			t.Errorf("%s: got %q, want %q", params, got, want)
		}
	}
}

func TestContactsOfADeal(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	same(t, "set", result(t, portal, "crm.deal.contact.items.set", `{"id":1,"items":[{"CONTACT_ID":4},{"CONTACT_ID":5,"IS_PRIMARY":"Y"}]}`), `true`)
	item := result(t, portal, "crm.item.get", `{"entityTypeId":2,"id":1}`)
	same(t, "contactIds", member(t, item, "item", "contactIds"), `[4,5]`)
	same(t, "contactId", member(t, item, "item", "contactId"), `5`)
	same(t, "parted", result(t, portal, "crm.deal.contact.delete", `{"id":1,"fields":{"CONTACT_ID":5}}`), `true`)
	same(t, "left", result(t, portal, "crm.deal.contact.items.get", `{"id":1}`), `[{"CONTACT_ID":4,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"Y"}]`)
	same(t, "to a lead", result(t, portal, "crm.lead.contact.add", `{"id":1,"fields":{"CONTACT_ID":4}}`), `true`)
	same(t, "its lead", member(t, result(t, portal, "crm.lead.get", `{"id":1}`), "CONTACT_ID"), `"4"`)
}

func TestFindByComm(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	result(t, portal, "crm.contact.add", `{"fields":{"NAME":"Vera","PHONE":[{"VALUE":"+55 (11) 91111-2222"}],"EMAIL":[{"VALUE":"Vera@Example.com"}]}}`)
	result(t, portal, "crm.item.add", `{"entityTypeId":4,"fields":{"title":"Vera Ltd","fm":[{"typeId":"PHONE","value":"5511911112222"}]}}`)
	result(t, portal, "crm.lead.add", `{"fields":{"TITLE":"Vera","EMAIL":[{"VALUE":"vera@example.com"}]}}`)
	tests := map[string]struct{ params, want string }{
		"everywhere":          {`{"type":"PHONE","values":["+5511911112222"]}`, `{"CONTACT":[13],"COMPANY":[6]}`},
		"in one place":        {`{"type":"PHONE","entity_type":"COMPANY","values":["5511 91111 2222"]}`, `{"COMPANY":[6]}`},
		"e-mail in any case":  {`{"type":"EMAIL","values":["VERA@example.COM"]}`, `{"LEAD":[6],"CONTACT":[13]}`},
		"nothing is a list":   {`{"type":"EMAIL","values":["none@example.com"]}`, `[]`},
		"numbers are skipped": {`{"type":"PHONE","values":[5511911112222]}`, `[]`},
		"one hit, two values": {`{"type":"PHONE","entity_type":"CONTACT","values":["5511911112222","+55 11 91111-2222"]}`, `{"CONTACT":[13]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			same(t, "found", result(t, portal, "crm.duplicate.findbycomm", tt.params), tt.want)
		})
	}
	same(t, "unknown type", refusal(t, portal, "crm.duplicate.findbycomm", `{"type":"FAX","values":["1"]}`),
		`": Communication type 'FAX' is not supported in current context."`)
	same(t, "no values", refusal(t, portal, "crm.duplicate.findbycomm", `{"type":"EMAIL"}`), `": Communication values is not defined."`)
}

func TestAddressesOfAContact(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	same(t, "requisite", result(t, portal, "crm.requisite.add",
		`{"fields":{"ENTITY_TYPE_ID":3,"ENTITY_ID":2,"PRESET_ID":1,"NAME":"Home","ADDRESS_ONLY":"Y","RQ_CPF":"123","ID":50}}`), `1`)
	address := `{"fields":{"TYPE_ID":1,"ENTITY_TYPE_ID":8,"ENTITY_ID":1,%s}}`
	same(t, "add", result(t, portal, "crm.address.add", fmt.Sprintf(address, `"ADDRESS_1":"12 Mill Lane","CITY":"Ouro"`)), `true`)
	same(t, "twice", refusal(t, portal, "crm.address.add", fmt.Sprintf(address, `"CITY":"Prata"`)), `": TypeAddress exists."`)
	same(t, "update", result(t, portal, "crm.address.update", fmt.Sprintf(address, `"CITY":"Prata"`)), `true`)
	want := `[{"TYPE_ID":"1","ENTITY_TYPE_ID":"8","ENTITY_ID":"1","ADDRESS_1":"12 Mill Lane","ADDRESS_2":null,"CITY":"Prata",
		"POSTAL_CODE":null,"REGION":null,"PROVINCE":null,"COUNTRY":null,"COUNTRY_CODE":null,"LOC_ADDR_ID":"0",
		"ANCHOR_TYPE_ID":"3","ANCHOR_ID":"2"}]`
	for _, filter := range []string{`{}`, `{"ENTITY_ID":1}`, `{"ANCHOR_TYPE_ID":3,"ANCHOR_ID":"2"}`, `{"@ENTITY_ID":[5,1],"ENTITY_TYPE_ID":8}`} {
		same(t, "list "+filter, result(t, portal, "crm.address.list", `{"filter":`+filter+`}`), want)
	}
	same(t, "another owner", result(t, portal, "crm.address.list", `{"filter":{"ENTITY_ID":2}}`), `[]`)

	requisites := result(t, portal, "crm.requisite.list", `{"filter":{"ENTITY_TYPE_ID":3,"@ENTITY_ID":[2,3]},"select":["ID","NAME","RQ_CPF","ADDRESS_ONLY"]}`)
	same(t, "requisites", requisites, `[{"ID":"1","NAME":"Home","RQ_CPF":"123","ADDRESS_ONLY":"Y"}]`)
	same(t, "rename", result(t, portal, "crm.requisite.update", `{"id":1,"fields":{"NAME":"Flat","ENTITY_ID":5}}`), `true`)
	row := result(t, portal, "crm.requisite.get", `{"id":1}`)
	same(t, "name", member(t, row, "NAME"), `"Flat"`)
	same(t, "owner", member(t, row, "ENTITY_ID"), `"2"`)
	same(t, "delete", result(t, portal, "crm.requisite.delete", `{"id":1}`), `true`)
	same(t, "the address is gone", result(t, portal, "crm.address.list", `{}`), `[]`)
	same(t, "of a deal", refusal(t, portal, "crm.requisite.add", `{"fields":{"ENTITY_TYPE_ID":2,"ENTITY_ID":1,"PRESET_ID":1,"NAME":"x"}}`),
		`": ENTITY_TYPE_ID is not defined or invalid."`)
	same(t, "of nobody", refusal(t, portal, "crm.requisite.add", `{"fields":{"ENTITY_TYPE_ID":3,"ENTITY_ID":999,"PRESET_ID":1,"NAME":"x"}}`),
		`": Entity not found."`)
}

func TestStageHistory(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	card := result(t, portal, "crm.item.add", `{"entityTypeId":128,"fields":{"title":"Card"}}`)
	id := fmt.Sprintf("%.0f", member(t, card, "item", "id"))
	for _, stage := range []string{"PREPARATION", "SUCCESS"} {
		result(t, portal, "crm.item.update", `{"entityTypeId":128,"id":`+id+`,"fields":{"stageId":"DT128_42:`+stage+`"}}`)
	}
	items := member(t, result(t, portal, "crm.stagehistory.list", `{"entityTypeId":128,"filter":{"=OWNER_ID":`+id+`},"order":{"ID":"DESC"}}`), "items")
	same(t, "stages", values(t, items, "STAGE_ID"), `["DT128_42:SUCCESS","DT128_42:PREPARATION","DT128_42:NEW"]`)
	same(t, "kinds", values(t, items, "TYPE_ID"), `[3,2,1]`)
	same(t, "meanings", values(t, items, "STAGE_SEMANTIC_ID"), `["S","P","P"]`)
	same(t, "the wins", values(t, member(t, result(t, portal, "crm.stagehistory.list",
		`{"entityTypeId":128,"filter":{"OWNER_ID":`+id+`,"STAGE_SEMANTIC_ID":"S"}}`), "items"), "STAGE_ID"), `["DT128_42:SUCCESS"]`)

	lead := fmt.Sprintf("%.0f", result(t, portal, "crm.lead.add", `{"fields":{"TITLE":"x"}}`))
	items = member(t, result(t, portal, "crm.stagehistory.list", `{"entityTypeId":1,"filter":{"OWNER_ID":`+lead+`}}`), "items")
	same(t, "of a lead", values(t, items, "STATUS_ID"), `["NEW"]`)
	same(t, "of a contact", refusal(t, portal, "crm.stagehistory.list", `{"entityTypeId":3}`),
		`"ENTITY_TYPE_NOT_SUPPORTED: Entity type Contact is not supported"`)
}

func TestCommentsTodosAndNotifications(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	same(t, "comment", result(t, portal, "crm.timeline.comment.add",
		`{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"dynamic_128","COMMENT":"Called"}}`), `1`)
	result(t, portal, "crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"deal","COMMENT":"Elsewhere"}}`)
	list := func() any {
		return result(t, portal, "crm.timeline.comment.list", `{"filter":{"ENTITY_ID":1,"ENTITY_TYPE":"dynamic_128"},"select":["ID","COMMENT","AUTHOR_ID"]}`)
	}
	same(t, "comments", list(), `[{"ID":"1","COMMENT":"Called","AUTHOR_ID":"1"}]`)
	result(t, portal, "crm.timeline.comment.update", `{"id":1,"fields":{"COMMENT":"Called twice"}}`)
	same(t, "changed", values(t, list(), "COMMENT"), `["Called twice"]`)
	result(t, portal, "crm.timeline.comment.delete", `{"id":1}`)
	same(t, "deleted", list(), `[]`)

	same(t, "to-do", result(t, portal, "crm.activity.todo.add", `{"ownerTypeId":2,"ownerId":1,"deadline":"2030-01-01T10:00:00","title":"Ring"}`), `{"id":1}`)
	same(t, "a deadline that is none", refusal(t, portal, "crm.activity.todo.add", `{"ownerTypeId":2,"ownerId":1,"deadline":"soonish"}`),
		`"WRONG_DATETIME_FORMAT: Wrong datetime format"`)
	same(t, "notification", result(t, portal, "im.notify.system.add", `{"USER_ID":2,"MESSAGE":"Done","TAG":"t"}`), `1`)
	same(t, "to nobody", refusal(t, portal, "im.notify.system.add", `{"USER_ID":99,"MESSAGE":"Done"}`), `"USER_ID_EMPTY: User ID can't be empty"`)
	same(t, "an unknown owner type", refusal(t, portal, "crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"boat","COMMENT":"x"}}`),
		`"INVALID_ARG_VALUE: Invalid value for ENTITY_TYPE"`)
}

func TestMerge(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	add := func(fields string) string {
		made := result(t, portal, "crm.item.add", `{"entityTypeId":3,"fields":`+fields+`}`)
		return fmt.Sprintf("%.0f", member(t, member(t, made, "item"), "id"))
	}
	kept := add(`{"name":"Ana","fm":[{"typeId":"PHONE","value":"+55 11 90000-0001"}]}`)
	gone := add(`{"name":"Anna","lastName":"Souza","companyIds":[1],"fm":[{"typeId":"PHONE","value":"5511900000001"},{"typeId":"EMAIL","value":"ana@example.com"}]}`)
	deal := fmt.Sprintf("%.0f", member(t, member(t, result(t, portal, "crm.item.add", `{"entityTypeId":2,"fields":{"title":"d","contactIds":[`+gone+`]}}`), "item"), "id"))
	result(t, portal, "crm.timeline.comment.add", `{"fields":{"ENTITY_ID":`+gone+`,"ENTITY_TYPE":"contact","COMMENT":"Called"}}`)
	result(t, portal, "tasks.task.add", `{"fields":{"TITLE":"Ring","RESPONSIBLE_ID":1,"UF_CRM_TASK":["C_`+gone+`"]}}`)

	same(t, "merged", result(t, portal, "crm.entity.mergeBatch", `{"params":{"entityTypeId":3,"entityIds":[`+kept+`,`+gone+`]}}`),
		`{"STATUS":"SUCCESS","ENTITY_IDS":[`+gone+`]}`)
	item := member(t, result(t, portal, "crm.item.get", `{"entityTypeId":3,"id":`+kept+`}`), "item")
	same(t, "name", member(t, item, "name"), `"Ana"`)
	same(t, "last name", member(t, item, "lastName"), `"Souza"`)
	same(t, "companies", member(t, item, "companyIds"), `[1]`)
	same(t, "phones and e-mails", values(t, member(t, item, "fm"), "value"), `["+55 11 90000-0001","ana@example.com"]`)
	same(t, "the other", refusal(t, portal, "crm.item.get", `{"entityTypeId":3,"id":`+gone+`}`), `"NOT_FOUND: Item not found"`)
	same(t, "the deal", member(t, member(t, result(t, portal, "crm.item.get", `{"entityTypeId":2,"id":`+deal+`}`), "item"), "contactIds"), `[`+kept+`]`)
	same(t, "comments", values(t, result(t, portal, "crm.timeline.comment.list", `{"filter":{"ENTITY_ID":`+kept+`,"ENTITY_TYPE":"contact"}}`), "COMMENT"), `["Called"]`)
	same(t, "tasks", values(t, member(t, result(t, portal, "tasks.task.list", `{"filter":{"UF_CRM_TASK":"C_`+kept+`"}}`), "tasks"), "title"), `["Ring"]`)

	one, two := add(`{"name":"a","ufCrm_1737980095947":"1"}`), add(`{"name":"a","ufCrm_1737980095947":"2"}`)
	same(t, "custom values that differ", result(t, portal, "crm.entity.mergeBatch", `{"params":{"entityTypeId":3,"entityIds":[`+one+`,`+two+`]}}`),
		`{"STATUS":"CONFLICT","ENTITY_IDS":[]}`)
	result(t, portal, "crm.item.get", `{"entityTypeId":3,"id":`+two+`}`)
	same(t, "one", refusal(t, portal, "crm.entity.mergeBatch", `{"params":{"entityTypeId":3,"entityIds":[`+kept+`]}}`),
		`"0: The parameter entityIds must contains at least two elements."`)
	same(t, "of cards", refusal(t, portal, "crm.entity.mergeBatch", `{"params":{"entityTypeId":128,"entityIds":[1,2]}}`),
		`"0: Entity type 128 is not supported"`)
}

func TestTasks(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	made := result(t, portal, "tasks.task.add", `{"fields":{"TITLE":"Ring","RESPONSIBLE_ID":2,"DEADLINE":"2030-01-01T10:00:00+03:00","UF_CRM_TASK":["D_1","T80_1"]}}`)
	same(t, "id", member(t, member(t, made, "task"), "id"), `"1"`)
	result(t, portal, "tasks.task.add", `{"fields":{"TITLE":"Write","RESPONSIBLE_ID":1,"DEADLINE":"soonish","UF_CRM_TASK":"C_1"}}`)
	titles := func(filter string) any {
		return values(t, member(t, result(t, portal, "tasks.task.list", `{"filter":`+filter+`}`), "tasks"), "title")
	}
	same(t, "all", titles(`{}`), `["Write","Ring"]`)
	same(t, "of a card", titles(`{"UF_CRM_TASK":"T80_1"}`), `["Ring"]`)
	same(t, "of a person", titles(`{"=RESPONSIBLE_ID":1}`), `["Write"]`)
	same(t, "no deadline", member(t, member(t, result(t, portal, "tasks.task.get", `{"taskId":2}`), "task"), "deadline"), `null`)
	same(t, "deleted", result(t, portal, "tasks.task.delete", `{"taskId":"1"}`), `{"task":true}`)
	same(t, "deleted twice", refusal(t, portal, "tasks.task.delete", `{"taskId":1}`), `"1048582: No access to delete the task"`)
	same(t, "no title", refusal(t, portal, "tasks.task.add", `{"fields":{"RESPONSIBLE_ID":1}}`), `"ERROR_CORE: Task title not specified<br>"`)
	same(t, "nobody's", refusal(t, portal, "tasks.task.add", `{"fields":{"TITLE":"x"}}`), `"ERROR_CORE: Assignee not specified<br>"`)
	same(t, "somebody else's", refusal(t, portal, "tasks.task.add", `{"fields":{"TITLE":"x","RESPONSIBLE_ID":99}}`),
		`"ERROR_CORE: User specified in the \"Assignee\" field not found<br>"`)
}

func TestOldMethodsInsideABatch(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	answer := result(t, portal, "batch", `{"halt":1,"cmd":{
		"who":"crm.contact.add?fields[NAME]=Nina&fields[PHONE][0][VALUE]=%2B5511900000077&fields[PHONE][0][VALUE_TYPE]=WORK",
		"found":"crm.duplicate.findbycomm?type=PHONE&entity_type=CONTACT&values[]=%2B55 11 90000-0077",
		"link":"crm.contact.company.add?id=$result[who]&fields[COMPANY_ID]=1",
		"requisite":"crm.requisite.add?fields[ENTITY_TYPE_ID]=3&fields[ENTITY_ID]=$result[who]&fields[PRESET_ID]=3&fields[NAME]=Home",
		"address":"crm.address.add?fields[TYPE_ID]=1&fields[ENTITY_TYPE_ID]=8&fields[ENTITY_ID]=$result[requisite]&fields[CITY]=Ouro",
		"list":"crm.contact.list?filter[%3DNAME]=Nina&select[]=NAME&order[ID]=ASC"}}`)
	same(t, "errors", member(t, answer, "result_error"), `[]`)
	same(t, "results", member(t, answer, "result"), `{"who":13,"found":{"CONTACT":[13]},"link":true,"requisite":1,"address":true,
		"list":[{"ID":"13","NAME":"Nina"}]}`)
	same(t, "totals", member(t, answer, "result_total"), `{"list":1}`)
}

func TestEverythingOutlivesThePortal(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "portal.db")
	open := func() *sandbox.Portal {
		portal, err := sandbox.New(sandbox.Options{Seed: "demo", DataFile: file})
		if err != nil {
			t.Fatal(err)
		}
		return portal
	}
	portal := open()
	writes := []struct{ method, params string }{
		{"crm.type.add", `{"fields":{"title":"Pallets"}}`},
		{"userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_42","fieldName":"UF_CRM_42_NOTE","userTypeId":"string"}}`},
		{"crm.item.add", `{"entityTypeId":1030,"fields":{"title":"P1","ufCrm42Note":"dry"}}`},
		{"crm.contact.company.items.set", `{"id":1,"items":[{"COMPANY_ID":2,"SORT":30},{"COMPANY_ID":1}]}`},
		{"crm.requisite.add", `{"fields":{"ENTITY_TYPE_ID":3,"ENTITY_ID":1,"PRESET_ID":1,"NAME":"Home"}}`},
		{"crm.address.add", `{"fields":{"TYPE_ID":1,"ENTITY_TYPE_ID":8,"ENTITY_ID":1,"CITY":"Ouro"}}`},
		{"crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"deal","COMMENT":"Called"}}`},
		{"crm.deal.update", `{"id":1,"fields":{"STAGE_ID":"WON"}}`},
		{"crm.deal.contact.items.set", `{"id":1,"items":[{"CONTACT_ID":5,"SORT":70},{"CONTACT_ID":4}]}`},
		{"crm.item.productrow.set", `{"ownerType":"D","ownerId":1,"productRows":[{"productName":"Beam","price":99.5,"quantity":2,"taxRate":20}]}`},
		{"crm.category.update", `{"entityTypeId":128,"id":43,"fields":{"name":"Vendors","isDefault":"Y"}}`},
		{"crm.status.add", `{"fields":{"ENTITY_ID":"SOURCE","STATUS_ID":"RADIO","NAME":"Radio","SORT":15}}`},
	}
	for _, w := range writes {
		result(t, portal, w.method, w.params)
	}
	reads := []struct{ method, params string }{
		{"crm.type.list", `{}`},
		{"crm.category.list", `{"entityTypeId":1030}`},
		{"crm.category.list", `{"entityTypeId":128}`},
		{"crm.deal.contact.items.get", `{"id":1}`},
		{"crm.item.productrow.list", `{"filter":{"=ownerType":"D","=ownerId":1}}`},
		{"crm.status.entity.items", `{"entityId":"SOURCE"}`},
		{"crm.status.list", `{}`},
		{"userfieldconfig.list", `{"moduleId":"crm"}`},
		{"crm.item.list", `{"entityTypeId":1030}`},
		{"crm.contact.company.items.get", `{"id":1}`},
		{"crm.requisite.list", `{}`},
		{"crm.address.list", `{}`},
		{"crm.timeline.comment.list", `{"filter":{"ENTITY_ID":1,"ENTITY_TYPE":"deal"}}`},
		{"crm.stagehistory.list", `{"entityTypeId":2,"filter":{"OWNER_ID":1}}`},
		{"user.get", `{}`},
	}
	before := map[int]any{}
	for i, r := range reads {
		before[i] = result(t, portal, r.method, r.params)
	}
	if err := portal.Close(); err != nil {
		t.Fatal(err)
	}
	portal = open()
	for i, r := range reads {
		raw, err := json.Marshal(before[i])
		if err != nil {
			t.Fatal(err)
		}
		same(t, r.method, result(t, portal, r.method, r.params), string(raw))
	}
	if err := portal.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestProductRows(t *testing.T) {
	t.Parallel()

	portal := openPortal(t)
	deal := func(name string) any {
		return member(t, result(t, portal, "crm.item.get", `{"entityTypeId":2,"id":1}`), "item", name)
	}
	result(t, portal, "crm.item.productrow.set", `{"ownerType":"D","ownerId":1,"productRows":[
		{"productName":"Beam","price":90000,"quantity":3,"taxRate":10,"taxIncluded":"Y","discountRate":10,"sort":20},
		{"productName":"Nail","price":"0.5","quantity":100}]}`)
	rows := member(t, result(t, portal, "crm.item.productrow.list", `{"filter":{"=ownerType":"D","=ownerId":1},"order":{"price":"DESC"}}`), "productRows")
	same(t, "names", values(t, rows, "productName"), `["Beam","Nail"]`)
	for name, want := range map[string]string{
		"priceExclusive": `81818.18`, "priceNetto": `90909.09`, "priceBrutto": `100000`, "discountSum": `9090.91`, "taxRate": `10`,
	} {
		same(t, name, member(t, rows, 0, name), want)
	}
	same(t, "the deal's amount", deal("opportunity"), `270050`)
	same(t, "its tax", deal("taxValue"), `24545.46`)

	added := result(t, portal, "crm.item.productrow.add", `{"fields":{"ownerType":"D","ownerId":1,"productName":"Glue","price":50}}`)
	id := fmt.Sprintf("%.0f", member(t, added, "productRow", "id"))
	same(t, "the amount then", deal("opportunity"), `270100`)
	result(t, portal, "crm.item.productrow.update", `{"id":`+id+`,"fields":{"quantity":2}}`)
	same(t, "the amount of two", deal("opportunity"), `270150`)
	result(t, portal, "crm.item.productrow.delete", `{"id":`+id+`}`)
	same(t, "the amount without", deal("opportunity"), `270050`)

	result(t, portal, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"isManualOpportunity":"Y","opportunity":7}}`)
	result(t, portal, "crm.item.productrow.set", `{"ownerType":"D","ownerId":1,"productRows":[]}`)
	same(t, "an amount kept by hand", deal("opportunity"), `7`)
	same(t, "of a contact", refusal(t, portal, "crm.item.productrow.set", `{"ownerType":"C","ownerId":1,"productRows":[]}`),
		`"ENTITY_TYPE_NOT_SUPPORTED: Entity type Contact is not supported"`)
}
