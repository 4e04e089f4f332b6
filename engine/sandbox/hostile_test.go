package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// hostileParams are parameters that no client should send.
func hostileParams() []string {
	return []string{
		`{}`,
		`[]`,
		`null`,
		`{"id":1}`,
		`{"id":"x","fields":null}`,
		`{"id":[1],"fields":[],"items":[1,null,{"COMPANY_ID":{}}],"params":{"IMPORT":[]}}`,
		`{"id":-9223372036854775808,"entityTypeId":9e99,"fields":{"":"","ID":{},"PHONE":[1,{"VALUE":{}}],"FM":"x"}}`,
		`{"id":1,"entityTypeId":128,"fields":{"PHONE":{"VALUE":"1"},"EMAIL":[[]],"UF_CRM_1737980412001":[[]],"PHOTO":{"fileData":[1]}}}`,
		`{"id":1,"entityTypeId":3,"fields":{"COMPANY_IDS":[[1]],"BIRTHDATE":{},"NAME":["x"],"DATE_CREATE":[]}}`,
		`{"entityTypeId":2,"filter":{"":null,"!":[],"><ID":[1,2],"%":{"a":1},"@ID":[],"=%TITLE":"%%%","0":{"logic":"OR"}},"order":{"ID":[]},"start":"9e99"}`,
		`{"filter":{"ID":{"0":{}},"!@ID":[null,true],">=DATE_CREATE":[],"ENTITY_ID":[[]],"ACTIVE":{}},"select":{"language":[],"0":{}},"order":[1]}`,
		`{"filter":[],"select":["*",null,[]],"order":{"ID":"SIDEWAYS"},"start":-5,"sort":[],"FIND":[]}`,
		`{"type":"PHONE","values":{"a":[],"b":null},"entity_type":[]}`,
		`{"type":"EMAIL","values":"` + strings.Repeat("%@", 500) + `"}`,
		`{"moduleId":"crm","id":1,"field":{"entityId":"CRM_41","fieldName":"UF_CRM_41_A","userTypeId":"enumeration","enum":[1,{"value":[]}],"editFormLabel":{}}}`,
		`{"moduleId":"crm","field":{"entityId":[],"fieldName":{},"userTypeId":null}}`,
		`{"fields":{"title":"x","relations":{"parent":[1,{"entityTypeId":-1}],"child":"x"},"linkedUserFields":[1]}}`,
		`{"fields":{"TYPE_ID":1,"ENTITY_TYPE_ID":8,"ENTITY_ID":9223372036854775807}}`,
		`{"fields":{"ENTITY_TYPE_ID":3,"ENTITY_ID":1,"PRESET_ID":1,"NAME":[],"RQ_INN":{"a":1}}}`,
		`{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"deal","COMMENT":"\u0000\u2028<b>","FILES":"x"},"ownerTypeId":2,"ownerId":1,"deadline":"now"}`,
		`{"USER_ID":2,"MESSAGE":["x"],"TAG":{},"name":"x","scope":["crm"]}`,
	}
}

func TestEveryMethodSurvivesHostileParameters(t *testing.T) {
	t.Parallel()

	names, ok := result(t, openPortal(t), "methods", `{}`).([]any)
	if !ok || len(names) < 90 {
		t.Fatalf("%d methods", len(names))
	}
	for _, name := range names {
		method, ok := name.(string)
		if !ok {
			t.Fatalf("%v is no name", name)
		}
		t.Run(method, func(t *testing.T) {
			t.Parallel()

			portal := openPortal(t)
			for _, params := range hostileParams() {
				checkEnvelope(t, portal, method, []byte(params))
			}
		})
	}
}

// checkEnvelope calls a method and checks that whatever comes back is an answer
// of a portal: either a result and a time, or an error.
func checkEnvelope(t *testing.T, portal *sandbox.Portal, method string, params []byte) {
	t.Helper()

	url := "http://portal.test/" + strings.Trim(portal.WebhookPath(), "/") + "/" + method
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(params))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := portal.Transport().RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, params, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s %s: %v: %s", method, params, err, body)
	}
	_, hasResult := answer["result"]
	_, hasError := answer["error"].(string)
	switch {
	case hasResult == hasError:
		t.Errorf("%s %s: %s", method, params, body)
	case hasResult && resp.StatusCode != http.StatusOK, hasError && (resp.StatusCode < 400 || resp.StatusCode >= 500):
		t.Errorf("%s %s: status %d: %s", method, params, resp.StatusCode, body)
	}
}
