package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// dump returns everything that a portal holds.
func (p *portal) dump(tb testing.TB) string {
	tb.Helper()
	return p.control(tb, http.MethodGet, "dump", "")
}

func (p *portal) control(tb testing.TB, verb, name, body string) string {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), verb, "http://portal.test/_sandbox/"+name, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	res, err := p.http.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

// copyFile takes what a killed process would leave behind.
func copyFile(tb testing.TB, from string) string {
	tb.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	to := filepath.Join(tb.TempDir(), "copy")
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		tb.Fatal(err)
	}
	return to
}

// change makes one change of every kind that items know.
func change(tb testing.TB, p *portal, n int) {
	tb.Helper()
	item := p.item(tb, "crm.item.add", fmt.Sprintf(`{"entityTypeId":128,"fields":{"title":"t%d","xmlId":"x%d","contactIds":[1,2],
		"ufCrm41_1737980500008":["a","b"],"ufCrm41_1737980500001":1.25,"ufCrm41_1737980500003":"2026-03-01",
		"ufCrm41_1737980500011":["a.txt","YQ=="]}}`, n, n))
	id := item["id"]
	p.call(tb, "crm.item.update", fmt.Sprintf(`{"entityTypeId":128,"id":%v,"fields":{"stageId":"DT128_42:CLIENT"}}`, id))
	c := p.item(tb, "crm.item.add", fmt.Sprintf(`{"entityTypeId":3,"fields":{"name":"n%d","companyIds":[1],
		"fm":[{"typeId":"PHONE","value":"+49%05d"}]}}`, n, n))
	if n%2 == 1 {
		p.call(tb, "crm.item.delete", fmt.Sprintf(`{"entityTypeId":3,"id":%v}`, c["id"]))
	}
}

func TestDataFileHoldsWhateverWasAnswered(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "sub", "portal.data")
	p := open(t, sandbox.Options{DataFile: path})
	for n := range 6 {
		change(t, p, n)
		again := open(t, sandbox.Options{DataFile: copyFile(t, path)})
		if got, want := again.dump(t), p.dump(t); got != want {
			t.Fatalf("after change %d: got %s\nwant %s", n, got, want)
		}
		if again.ID() != p.ID() {
			t.Errorf("id: got %q, want %q", again.ID(), p.ID())
		}
		want := compact(t, p.call(t, "crm.stagehistory.list", `{"entityTypeId":128}`))
		if got := compact(t, again.call(t, "crm.stagehistory.list", `{"entityTypeId":128}`)); got != want {
			t.Errorf("stage history: got %s, want %s", got, want)
		}
	}
}

func TestDataFileNeverGivesOutAnIDTwice(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "portal.data")
	last := func(p *portal) float64 {
		id, _ := p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":{}}`)["id"].(float64)
		p.call(t, "crm.item.delete", fmt.Sprintf(`{"entityTypeId":128,"id":%v}`, id))
		return id
	}
	p := open(t, sandbox.Options{DataFile: path})
	first := last(p)
	// Enough changes for the file to be written anew at the next opening.
	for n := range 1500 {
		p.call(t, "crm.item.update", fmt.Sprintf(`{"entityTypeId":128,"id":1,"fields":{"title":"t%d"}}`, n))
	}
	copied := copyFile(t, path)
	before, err := os.Stat(copied)
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, sandbox.Options{DataFile: copied})
	if got := last(again); got != first+1 {
		t.Errorf("id after a restart: got %v, want %v", got, first+1)
	}
	after, err := os.Stat(copied)
	if err != nil {
		t.Fatal(err)
	}
	if after.Size() >= before.Size()/2 {
		t.Errorf("size: %d, was %d; want it written anew", after.Size(), before.Size())
	}
	third := open(t, sandbox.Options{DataFile: copyFile(t, copied)})
	if got := last(third); got != first+2 {
		t.Errorf("id after another restart: got %v, want %v", got, first+2)
	}
}

func TestDataFileCutShort(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "portal.data")
	p := open(t, sandbox.Options{DataFile: path})
	before := p.dump(t)
	p.call(t, "crm.item.add", `{"entityTypeId":128,"fields":{"title":"cut"}}`)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []int{1, 10, 40} {
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, whole[:len(whole)-lost], 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, sandbox.Options{DataFile: cut})
		if got := again.dump(t); got != before {
			t.Errorf("%d bytes lost: got %s", lost, got)
		}
		change(t, again, 1)
		third := open(t, sandbox.Options{DataFile: copyFile(t, cut)})
		if got, want := third.dump(t), again.dump(t); got != want {
			t.Errorf("%d bytes lost, then written on: got %s, want %s", lost, got, want)
		}
	}
}

func TestDataFileRefused(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "portal.data")
	p := open(t, sandbox.Options{DataFile: path})
	if _, err := sandbox.New(sandbox.Options{DataFile: path}); !errors.Is(err, sandbox.ErrInUse) {
		t.Errorf("a file that is open: got %v, want %v", err, sandbox.ErrInUse)
	}
	change(t, p, 1)
	damaged := copyFile(t, path)
	raw, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 0x40
	if err := os.WriteFile(damaged, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Options{DataFile: damaged}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: got %v, want it refused", err)
	}
	if err := os.WriteFile(damaged, []byte("something else entirely"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Options{DataFile: damaged}); err == nil {
		t.Error("another file: opened")
	}
}

func TestResetIsBackToTheSeed(t *testing.T) {
	t.Parallel()

	for name, path := range map[string]string{"in memory": "", "in a file": filepath.Join(t.TempDir(), "portal.data")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := open(t, sandbox.Options{DataFile: path})
			seed, id := p.dump(t), p.ID()
			change(t, p, 1)
			if p.dump(t) == seed {
				t.Fatal("nothing changed")
			}
			p.control(t, http.MethodPost, "reset", "")
			if got := p.dump(t); got != seed {
				t.Errorf("after reset: got %s", got)
			}
			if p.ID() == id {
				t.Error("the id of other contents is the same")
			}
			if s := p.Stats(); s.Requests != 0 || s.Commands != 0 || s.Automation != 0 {
				t.Errorf("figures after reset: %+v", s)
			}
			change(t, p, 2)
			if path == "" {
				return
			}
			again := open(t, sandbox.Options{DataFile: copyFile(t, path)})
			if got, want := again.dump(t), p.dump(t); got != want {
				t.Errorf("reopened after reset: got %s, want %s", got, want)
			}
		})
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()

	count := func(p *portal, typeID int) any {
		_, out := p.post(t, "crm.item.list", fmt.Sprintf(`{"entityTypeId":%d,"select":["id"]}`, typeID))
		return out["total"]
	}
	tests := map[string]struct{ contacts, cards float64 }{
		"":                             {12, 8},
		"demo":                         {12, 8},
		"empty":                        {0, 0},
		"demo,contacts=120,items=1000": {120, 1000},
		"demo,contacts=0":              {0, 8},
	}
	for seed, want := range tests {
		t.Run("seed "+seed, func(t *testing.T) {
			t.Parallel()

			p := open(t, sandbox.Options{Seed: seed})
			if got := count(p, 3); got != want.contacts {
				t.Errorf("contacts: got %v, want %v", got, want.contacts)
			}
			if got := count(p, 128); got != want.cards {
				t.Errorf("cards: got %v, want %v", got, want.cards)
			}
			if other := open(t, sandbox.Options{Seed: seed}); other.dump(t) != p.dump(t) {
				t.Error("equal seeds, different contents")
			}
		})
	}
	for _, seed := range []string{"demos", "demo,contacts=-1", "demo,contacts=x", "demo,deals=3", "empty,items=3"} {
		if _, err := sandbox.New(sandbox.Options{Seed: seed}); err == nil {
			t.Errorf("seed %q: taken", seed)
		}
	}
}

func TestDataFileHoldsTablesAndTypes(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "portal.data")
	p := open(t, sandbox.Options{DataFile: path})
	for _, c := range []struct{ method, body string }{
		{"crm.requisite.add", `{"fields":{"ENTITY_TYPE_ID":3,"ENTITY_ID":1,"PRESET_ID":1,"NAME":"Main"}}`},
		{"crm.address.add", `{"fields":{"TYPE_ID":1,"ENTITY_TYPE_ID":8,"ENTITY_ID":1,"CITY":"Recife"}}`},
		{"crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"deal","COMMENT":"hello"}}`},
		{"crm.activity.todo.add", `{"ownerTypeId":2,"ownerId":1,"deadline":"2030-01-01T10:00:00+03:00","title":"call"}`},
		{"userfieldconfig.add", `{"moduleId":"crm","field":{"entityId":"CRM_41","fieldName":"UF_CRM_41_EXTRA","userTypeId":"string","editFormLabel":{"en":"Extra"}}}`},
		{"crm.type.add", `{"fields":{"title":"Returns","entityTypeId":1040,"isStagesEnabled":"Y","isCategoriesEnabled":"Y","isClientEnabled":"Y"}}`},
		{"crm.item.add", `{"entityTypeId":1040,"fields":{"title":"R","contactIds":[1]}}`},
		{"crm.item.update", `{"entityTypeId":128,"id":1,"useOriginalUfNames":"Y","fields":{"UF_CRM_41_EXTRA":"more"}}`},
		{"crm.contact.update", `{"id":1,"fields":{"PHONE":[{"VALUE":"+4977","VALUE_TYPE":"HOME"}]}}`},
	} {
		p.call(t, c.method, c.body)
	}
	again := open(t, sandbox.Options{DataFile: copyFile(t, path)})
	third := func() *portal { // as written anew from what was read
		if err := again.Reset(); err != nil {
			t.Fatal(err)
		}
		return open(t, sandbox.Options{DataFile: copyFile(t, path)})
	}
	for _, c := range []struct{ method, body string }{
		{"crm.requisite.list", `{}`},
		{"crm.address.list", `{}`},
		{"crm.timeline.comment.list", `{"filter":{"ENTITY_ID":1,"ENTITY_TYPE":"deal"}}`},
		{"crm.type.list", `{}`},
		{"crm.category.list", `{"entityTypeId":1040}`},
		{"crm.status.list", `{}`},
		{"userfieldconfig.list", `{"moduleId":"crm","filter":{"entityId":"CRM_41"}}`},
		{"crm.item.fields", `{"entityTypeId":1040}`},
		{"crm.item.list", `{"entityTypeId":1040}`},
		{"crm.item.get", `{"entityTypeId":128,"id":1}`},
		{"crm.contact.get", `{"id":1}`},
	} {
		want := compact(t, p.call(t, c.method, c.body))
		if got := compact(t, again.call(t, c.method, c.body)); got != want {
			t.Errorf("%s: got %s, want %s", c.method, got, want)
		}
	}
	if got, want := third().dump(t), p.dump(t); got != want {
		t.Errorf("a third time: got %s, want %s", got, want)
	}
}
