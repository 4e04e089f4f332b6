package sandbox_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// Files come as [name, base64]; what is given by its id stays, if the field holds
// it ("How to upload files").
func TestFiles(t *testing.T) {
	t.Parallel()

	data := filepath.Join(t.TempDir(), "portal")
	p, err := sandbox.New(sandbox.Options{Seed: "empty", DataFile: data, Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	result(t, p, "userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_CONTACT","fieldName":"UF_CRM_DOCS","userTypeId":"file","multiple":"Y"}}`)
	fields := func(method, params string) (photo, docs any) {
		answer, _ := result(t, p, method, params).(map[string]any)
		item, _ := answer["item"].(map[string]any)
		return item["photo"], item["ufCrmDocs"]
	}
	ids := func(docs any) []any { return values(t, docs, "id") }

	photo, docs := fields("crm.item.add", `{"entityTypeId":3,"fields":{"photo":["a.png","b25l"],"ufCrmDocs":[["b.txt","dHdv"],["c.txt","dGhyZWU="],["bad.txt","!"]]}}`)
	one, _ := photo.(map[string]any)
	same(t, "id", one["id"], `1`)
	if machine, _ := one["urlMachine"].(string); !strings.HasPrefix(machine, "/rest/1/secret/crm.controller.item.getFile/") {
		t.Errorf("urlMachine %q", machine)
	}
	same(t, "several", ids(docs), `[2,3]`)

	photo, docs = fields("crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"photo":{"id":1},"ufCrmDocs":[{"id":3},["d.txt","eA=="],{"id":1}]}}`)
	same(t, "kept", photo, `{"id":1,"url":"/bitrix/services/main/ajax.php?action=crm.controller.item.getFile&entityTypeId=3&fieldName=PHOTO&fileId=1","urlMachine":"/rest/1/secret/crm.controller.item.getFile/?token=crm%7C1"}`)
	same(t, "kept and added", ids(docs), `[3,4]`)

	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = sandbox.New(sandbox.Options{DataFile: data, Secret: "secret"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if dump := string(p.Dump()); !strings.Contains(dump, `"photo":{"name":"a.png","size":3,"sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}`) {
		t.Errorf("the dump doesn't tell of the photo:\n%s", dump)
	}
	photo, docs = fields("crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"photo":{"id":4},"ufCrmDocs":[]}}`)
	same(t, "a file of another field", photo, `null`)
	same(t, "cleared", docs, `[]`)
	photo, _ = fields("crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"photo":["e.png","eA=="]}}`)
	one, _ = photo.(map[string]any)
	same(t, "ids go on", one["id"], `5`)
}
