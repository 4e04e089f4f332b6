package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/portal"
)

// TestPortalTypes_withoutAdministratorRights: crm.type.list answers
// administrators only; everybody is told the types all the same.
func TestPortalTypes_withoutAdministratorRights(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"result":[{"ID":1,"NAME":"Lead"},{"ID":31,"NAME":"Invoice"},{"ID":177,"NAME":"Delivery"}]}`
		if strings.Contains(r.URL.Path, "crm.type.list") {
			w.WriteHeader(http.StatusBadRequest)
			body = `{"error":"ACCESS_DENIED","error_description":"Access denied."}`
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	address, err := portal.Parse(server.URL + "/rest/1/s3cr3t/")
	if err != nil {
		t.Fatal(err)
	}
	client, err := portal.Open(portal.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	l, err := portalTypes(t.Context(), &session{Client: client}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"Delivery", 177, "smart process"}
	if diff := cmp.Diff(want, l.Rows[len(l.Rows)-1]); diff != "" || len(l.Rows) != 7 {
		t.Errorf("%d types, the last one (-want +got):\n%s", len(l.Rows), diff)
	}
}
