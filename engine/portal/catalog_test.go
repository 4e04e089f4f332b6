package portal_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestCatalog(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, portal.CloudLimits())
	catalog := loadCatalog(t, c, "Contacts", "onboarding", "deal", "lead", "quote", "invoice", "company", "Nothing", "contact")
	if got := c.Usage().Requests; got != 1 {
		t.Errorf("took %d requests, want 1", got)
	}
	var names []string
	for _, e := range catalog.Entities {
		names = append(names, fmt.Sprintf("%d %s", e.TypeID, e.Name))
	}
	if diff := cmp.Diff([]string{"1 lead", "2 deal", "3 contact", "4 company", "7 quote", "31 invoice", "128 Onboarding"}, names); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if p := catalog.Portal; p.Address != "https://sandbox.test/rest/1/***/" || p.UserID != 1 || !p.Admin || p.ID != "sandbox.test/rest/1" {
		t.Errorf("portal %+v", p)
	}
	ana, err := catalog.User("ana@example.com")
	if err != nil || ana.Name == "" || !ana.Active {
		t.Errorf("ana is %+v, %v", ana, err)
	}

	card := entityOf(t, catalog, "Onboarding")
	category, err := card.Category("clients")
	if err != nil || category.ID != 42 || !category.Default || !card.Categorized || card.SPATypeID != 41 {
		t.Fatalf("category %+v of %+v, %v", category, card, err)
	}
	want := []engine.Stage{
		{ID: "DT128_42:NEW", Name: "New"},
		{ID: "DT128_42:PREPARATION", Name: "In progress"},
		{ID: "DT128_42:CLIENT", Name: "Waiting"},
		{ID: "DT128_42:SUCCESS", Name: "Won", Semantics: "S"},
		{ID: "DT128_42:FAIL", Name: "Lost", Semantics: "F"},
	}
	if diff := cmp.Diff(want, category.Stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	priority := fieldOf(t, card, "priority")
	if priority.Type != engine.FieldEnum || len(priority.Options) != 3 || !priority.Custom || !strings.HasPrefix(priority.Upper, "UF_CRM_41_") || !strings.HasPrefix(priority.Name, "ufCrm41_") {
		t.Errorf("priority %+v", priority)
	}
	contact := entityOf(t, catalog, "contact")
	if source := fieldOf(t, contact, "sourceId"); source.StatusType != "SOURCE" || len(source.Options) == 0 {
		t.Errorf("source %+v", source)
	}
	for _, name := range []string{"phone", "email", "web", "im"} {
		if f := contact.FieldByName(name); f == nil || f.Type != engine.FieldMulti || card.FieldByName(name) != nil {
			t.Errorf("%s of a contact is %+v", name, f)
		}
	}
	for name, stages := range map[string]int{"lead": 5, "quote": 1, "invoice": 1, "deal": 8} {
		e := entityOf(t, catalog, name)
		if len(e.Categories) == 0 || len(e.Categories[0].Stages) < stages {
			t.Errorf("%s has categories %+v", name, e.Categories)
		}
	}
}

// Two catalogs of one portal are equal to the last field, and a catalog serves
// again for a moment.
func TestCatalog_kept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, box := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
		first := loadCatalog(t, c, "contact", "Onboarding")
		if again := loadCatalog(t, c, "contact", "Onboarding"); again != first || c.Usage().Requests != 1 {
			t.Errorf("took %d requests", c.Usage().Requests)
		}
		<-time.After(portal.CatalogKept)
		if again := loadCatalog(t, c, "contact", "Onboarding"); again == first || c.Usage().Requests != 2 {
			t.Error("an old catalog still serves")
		}
		other := openTransport(t, portal.Options{Transport: box.Transport(), Limits: unlimited()}, box.WebhookPath())
		if again := loadCatalog(t, other, "contact", "128"); again.Fingerprint() != first.Fingerprint() {
			t.Errorf("named by its id, a smart process gives another catalog:\n%s", cmp.Diff(first, again))
		}
	})
}

// A webhook that may not list types finds smart processes among the owner types,
// with a second request; one without the scope for users loads none.
func TestCatalog_withoutRights(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Options{Seed: "demo", Scopes: []string{"crm"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	c := openTransport(t, portal.Options{Transport: denyTypes{box.Transport()}, Limits: unlimited()}, box.WebhookPath())
	catalog := loadCatalog(t, c, "Onboarding", "contact")
	card := entityOf(t, catalog, "onboarding")
	if card.TypeID != 128 || card.SPATypeID != 41 || len(card.Categories) != 2 || len(catalog.Entities) != 2 {
		t.Errorf("got %+v", card)
	}
	if c.Usage().Requests != 2 || len(catalog.Users) != 0 {
		t.Errorf("took %d requests, %d users", c.Usage().Requests, len(catalog.Users))
	}
}

// denyTypes answers crm.type.list as a portal answers who is no administrator.
type denyTypes struct{ next http.RoundTripper }

func (d denyTypes) RoundTrip(r *http.Request) (*http.Response, error) {
	return roundTripEdited(d.next, r, func(body string) string {
		return strings.ReplaceAll(body, "crm.type.list?", "crm.type.refused?")
	})
}

// Titles that several smart processes share are all loaded, so that the name is
// seen to be ambiguous; a portal that can't be asked is an error.
func TestCatalog_ambiguousAndUnreachable(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	for range 2 {
		if _, err := c.Call(t.Context(), "crm.type.add", map[string]any{"fields": map[string]any{"title": "Twin"}}); err != nil {
			t.Fatal(err)
		}
	}
	catalog := loadCatalog(t, c, "Twin")
	var several *engine.NameError
	if _, err := catalog.Entity("twin"); !errors.As(err, &several) || !several.Several {
		t.Errorf("got %v, want a name that fits two", err)
	}
	down := openScript(t, func(string, map[string]any, *http.Request) (int, string) {
		return 401, `{"error":"INVALID_CREDENTIALS","error_description":"Invalid request credentials"}`
	}, nil)
	_, err := down.Catalog(t.Context(), engine.Needs{})
	if err == nil || !strings.Contains(err.Error(), "https://sandbox.test/rest/1/***/") {
		t.Errorf("got %v", err)
	}
}

// Many users are read in pages, those who left too.
func TestCatalog_users(t *testing.T) {
	t.Parallel()
	c := openScript(t, withBody(func(_ string, body map[string]any, _ string) (int, string) {
		var results []string
		commands, ok := body["cmd"].(map[string]any)
		if !ok {
			return 500, ""
		}
		totals := []string{}
		for name, v := range commands {
			command := fmt.Sprint(v)
			switch {
			case strings.HasPrefix(command, "profile"):
				results = append(results, fmt.Sprintf(`%q:{"ID":"1","ADMIN":true}`, name))
			case strings.HasPrefix(command, "user.get"):
				var start int
				if _, err := fmt.Sscanf(command[strings.Index(command, "start="):], "start=%d", &start); err != nil {
					return 500, ""
				}
				rows := []string{}
				for id := start + 1; id <= min(start+50, 470); id++ {
					rows = append(rows, fmt.Sprintf(`{"ID":"%d","NAME":"N%d","LAST_NAME":"","EMAIL":"","ACTIVE":%t}`, id, id, id != 7))
				}
				results = append(results, fmt.Sprintf(`%q:[%s]`, name, strings.Join(rows, ",")))
				totals = append(totals, fmt.Sprintf(`%q:470`, name))
			}
		}
		return 200, `{"result":{"result":{` + strings.Join(results, ",") + `},"result_total":{` + strings.Join(totals, ",") + `},"result_error":[]}}`
	}), nil)
	catalog, err := c.Catalog(t.Context(), engine.Needs{Users: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(catalog.Users) != 470 || c.Usage().Requests != 2 || catalog.Users[6].Active || catalog.Users[469].ID != 470 {
		t.Errorf("%d users in %d requests", len(catalog.Users), c.Usage().Requests)
	}
}
