package portal_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

func ids(items []engine.Item) []int64 {
	var out []int64
	for _, item := range items {
		out = append(out, item.ID)
	}
	return out
}

// find looks keys of one field up and returns the ids that each has.
func find(t *testing.T, c *portal.Client, l engine.Lookup) [][]int64 {
	t.Helper()
	found, err := c.Find(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]int64
	for _, items := range found {
		out = append(out, ids(items))
	}
	return out
}

func TestFind(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	catalog := loadCatalog(t, c, "contact", "Onboarding", "deal")
	contact, card, deal := entityOf(t, catalog, "contact"), entityOf(t, catalog, "Onboarding"), entityOf(t, catalog, "deal")
	cpf := fieldOf(t, contact, "CPF")
	several := multipleField(t, card)
	day, money, yes := "", "", ""
	for _, f := range card.Fields {
		switch {
		case f.Custom && f.Type == engine.FieldDate:
			day = f.Name
		case f.Custom && f.Type == engine.FieldMoney:
			money = f.Name
		case f.Custom && f.Type == engine.FieldBoolean:
			yes = f.Name
		}
	}
	a := write(t, c,
		engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"name": "A", cpf.Name: "Key-1", "originatorId": "bxflow", "originId": "o1"}, Multi: map[string][]engine.MultiValue{"phone": {{Value: "+55 (11) 4444-0001"}}, "email": {{Value: "A@Example.org"}}}},
		engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"name": "B", cpf.Name: "key-1", "originatorId": "other", "originId": "o1"}, Multi: map[string][]engine.MultiValue{"phone": {{Value: "551144440001"}}}},
		engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"name": "C", cpf.Name: "Key-1", "originatorId": "bxflow", "originId": "o2"}},
	)
	b := write(t, c,
		engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "x $result[1]", several: []any{"p", "q"}, day: "2026-03-29", money: "10|EUR", yes: true}},
		engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "y", several: []any{"q"}, day: "2026-03-30", money: "11|EUR", yes: false, "contactId": a[0].ID}},
	)
	one := func(e *engine.Entity, field string, keys ...any) engine.Lookup {
		l := engine.Lookup{Entity: e, Match: []*engine.Field{fieldOf(t, e, field)}}
		for _, key := range keys {
			l.Keys = append(l.Keys, []any{key})
		}
		return l
	}
	pair := func(e *engine.Entity, f, g string, keys ...[]any) engine.Lookup {
		return engine.Lookup{Entity: e, Match: []*engine.Field{fieldOf(t, e, f), fieldOf(t, e, g)}, Keys: keys}
	}
	tests := map[string]struct {
		lookup engine.Lookup
		want   [][]int64
	}{
		"a text, in any case":      {one(contact, cpf.Name, "Key-1", "none", "key-1"), [][]int64{{a[0].ID, a[1].ID, a[2].ID}, nil, {a[0].ID, a[1].ID, a[2].ID}}},
		"a phone, however written": {one(contact, "phone", "+551144440001", "+5599"), [][]int64{{a[0].ID, a[1].ID}, nil}},
		"an e-mail in any case":    {one(contact, "email", "a@EXAMPLE.org"), [][]int64{{a[0].ID}}},
		"a phone and a text":       {pair(contact, "phone", "name", []any{"+551144440001", "B"}, []any{"+551144440001", "Z"}), [][]int64{{a[1].ID}, nil}},
		"two texts, one the same":  {pair(contact, "originatorId", "originId", []any{"bxflow", "o2"}, []any{"bxflow", "o1"}), [][]int64{{a[2].ID}, {a[0].ID}}},
		"two texts that differ":    {pair(contact, "originatorId", "originId", []any{"other", "o1"}, []any{"bxflow", "o2"}, []any{"other", "o2"}), [][]int64{{a[1].ID}, {a[2].ID}, nil}},
		"the same key only":        {pair(contact, "originatorId", "originId", []any{"other", "o1"}), [][]int64{{a[1].ID}}},
		"any of several values":    {one(card, several, "q", "p"), [][]int64{{b[0].ID, b[1].ID}, {b[0].ID}}},
		"a text that goes alone":   {one(card, "title", "x $result[1]", "y"), [][]int64{{b[0].ID}, {b[1].ID}}},
		"a date":                   {one(card, day, "2026-03-29", "2026-03-31", "2026-03-30"), [][]int64{{b[0].ID}, nil, {b[1].ID}}},
		"money":                    {one(card, money, "11|EUR", "12|EUR"), [][]int64{{b[1].ID}, nil}},
		"yes":                      {pair(card, yes, "title", []any{true, "x $result[1]"}, []any{true, "y"}), [][]int64{{b[0].ID}, nil}},
		"a link":                   {one(card, "contactId", a[0].ID), [][]int64{{b[1].ID}}},
		"ids":                      {one(contact, "id", a[2].ID, int64(999999)), [][]int64{{a[2].ID}, nil}},
		"no keys":                  {one(deal, "title"), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, find(t, c, tt.lookup)); diff != "" {
				t.Errorf("ids by key (-want +got):\n%s", diff)
			}
		})
	}
	for name, l := range map[string]engine.Lookup{
		"a website": one(contact, "web", "x"), "no field": {Entity: contact}, "a short key": {Entity: contact, Match: []*engine.Field{cpf}, Keys: [][]any{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := c.Find(t.Context(), l); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}

// 2,500 keys are one request; full pages are continued together.
func TestFind_requests(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=3000"}, unlimited())
	contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
	cpf := fieldOf(t, contact, "CPF")
	var known [][]any
	for page, err := range c.Scan(t.Context(), contact, nil, []string{cpf.Name}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page {
			known = append(known, []any{item.Fields[cpf.Name]})
		}
	}
	var missing [][]any
	for i := range 2500 {
		missing = append(missing, []any{fmt.Sprint("none ", i)})
	}
	tests := map[string]struct {
		keys     [][]any
		requests int
	}{
		"2,500 that are not there": {missing, 1},
		"2,500 that are there":     {known[:2500], 2},
		"thirty":                   {known[:30], 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: unlimited()}, box.WebhookPath())
			found, err := c.Find(t.Context(), engine.Lookup{Entity: contact, Match: []*engine.Field{cpf}, Keys: tt.keys})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Usage().Requests; got != tt.requests {
				t.Errorf("took %d requests, want %d", got, tt.requests)
			}
			for i, items := range found {
				if len(items) == 0 != (name == "2,500 that are not there") {
					t.Fatalf("key %v has %d items", tt.keys[i], len(items))
				}
			}
		})
	}
}

// More items with one key than a page holds are all found.
func TestFind_manyOfOneKey(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	var commands []engine.Command
	for range 130 {
		commands = append(commands, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "twin"}})
	}
	write(t, c, commands...)
	got := find(t, c, engine.Lookup{Entity: card, Match: []*engine.Field{fieldOf(t, card, "title")}, Keys: [][]any{{"twin"}}})
	if len(got[0]) != 130 || !slices.IsSorted(got[0]) {
		t.Errorf("found %d, want 130 by ascending id", len(got[0]))
	}
}

// Nothing is asked about an entity that was just seen to be empty, until
// something may have been written to it.
func TestFind_emptyEntity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := openSandbox(t, sandbox.Options{Seed: "empty"}, unlimited())
		deal := entityOf(t, loadCatalog(t, c, "deal"), "deal")
		l := engine.Lookup{Entity: deal, Match: []*engine.Field{fieldOf(t, deal, "title")}, Keys: [][]any{{"a"}}}
		asks := func() int {
			before := c.Usage().Requests
			find(t, c, l)
			return c.Usage().Requests - before
		}
		if !deal.Few || deal.Items != 0 || asks() != 0 {
			t.Error("an empty entity was asked for")
		}
		write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: deal, Fields: map[string]any{"title": "a"}})
		if asks() != 1 || len(find(t, c, l)[0]) != 1 {
			t.Error("what was written since is not found")
		}
		other := entityOf(t, loadCatalog(t, c, "lead"), "lead")
		l = engine.Lookup{Entity: other, Match: []*engine.Field{fieldOf(t, other, "title")}, Keys: [][]any{{"a"}}}
		<-time.After(16 * time.Second)
		if asks() != 1 {
			t.Error("an old answer still serves")
		}
	})
}

// Where there are few items they are all read instead, once, whatever the number
// of keys; not where there are more by now.
func TestFind_fewItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := openSandbox(t, sandbox.Options{Seed: "demo,contacts=20"}, unlimited())
		contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
		l := engine.Lookup{Entity: contact, Match: []*engine.Field{fieldOf(t, contact, "originId")}, Select: []string{"name"}}
		for i := range 2500 {
			l.Keys = append(l.Keys, []any{fmt.Sprint("key ", i)})
		}
		write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"originId": "key 2400"}})
		contact = entityOf(t, loadCatalog(t, c, "contact", "lead"), "contact")
		asks := func(requests, commands int) {
			t.Helper()
			before := c.Usage()
			if got := find(t, c, l); len(got[2400]) != 1 || len(slices.Concat(got...)) != 1 {
				t.Errorf("found %v", got[2400])
			}
			if got := c.Usage().Since(before); got.Requests != requests || got.Commands != commands {
				t.Errorf("asked %d commands in %d requests, want %d in %d", got.Commands, got.Requests, commands, requests)
			}
		}
		asks(1, 1)
		asks(0, 0)
		l.Select = []string{"name", "lastName"}
		asks(1, 1)
		<-time.After(16 * time.Second)
		asks(1, 1)
		var others []engine.Command
		for range 30 {
			others = append(others, engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"name": "other"}})
		}
		write(t, c, others...)
		asks(1, 50)
	})
}

func TestGet(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo,contacts=3000"}, unlimited())
	contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
	var want []int64
	for id := range int64(2400) {
		want = append(want, id+1, id+1)
	}
	want = append(want, 999999)
	before := c.Usage().Requests
	got, err := c.Get(t.Context(), contact, want, []string{"name"})
	if err != nil || len(got) != 2400 || c.Usage().Requests-before != 1 {
		t.Errorf("got %d items in %d requests, %v", len(got), c.Usage().Requests-before, err)
	}
	if len(got[5].Fields) != 2 || got[5].Fields["name"] == nil {
		t.Errorf("item 5 is %+v, want its name and id", got[5])
	}
	if got, err := c.Get(t.Context(), contact, nil, nil); err != nil || len(got) != 0 {
		t.Errorf("no ids: %v, %v", got, err)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo,contacts=20,items=6000"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	stage, id, notes := fieldOf(t, card, "stageId"), fieldOf(t, card, "id"), fieldOf(t, card, "Notes")
	contacts := fieldOf(t, card, "contactIds")
	linked := func(item engine.Item) []any { list, _ := item.Fields[contacts.Name].([]any); return list }
	write(t, c, engine.Command{Kind: engine.CommandUpdate, Entity: card, ID: 17, Fields: map[string]any{notes.Name: nil}},
		engine.Command{Kind: engine.CommandUpdate, Entity: card, ID: 18, Fields: map[string]any{notes.Name: "pay $result[x]"}})
	condition := func(op string, f *engine.Field, v any) engine.Condition {
		return engine.Condition{Op: op, Field: f, Value: v}
	}
	tests := map[string]struct {
		where  []engine.Condition
		fields []string
		most   int // requests
		check  func(got []engine.Item) bool
	}{
		"everything":     {nil, []string{"title"}, 3, func(got []engine.Item) bool { return len(got) == 6000 && len(got[0].Fields) == 2 }},
		"a stage":        {[]engine.Condition{condition("", stage, "DT128_42:NEW")}, []string{"stageId"}, 3, func(got []engine.Item) bool { return len(got) > 50 && got[0].Fields["stageId"] == "DT128_42:NEW" }},
		"some stages":    {[]engine.Condition{condition("=", stage, []any{"DT128_42:NEW", "DT128_42:FAIL"})}, []string{"stageId"}, 3, func(got []engine.Item) bool { return len(got) > 50 }},
		"ids in a range": {[]engine.Condition{condition(">", id, int64(100)), condition("<=", id, int64(260))}, []string{"id"}, 1, func(got []engine.Item) bool { return len(got) == 160 && got[0].ID == 101 }},
		"two conditions on a key": {[]engine.Condition{condition("!", stage, "DT128_42:NEW"), condition("!", stage, "DT128_42:FAIL"), condition("<", id, 500)}, []string{"stageId"}, 1, func(got []engine.Item) bool {
			return len(got) > 0 && !slices.ContainsFunc(got, func(i engine.Item) bool {
				return i.Fields["stageId"] == "DT128_42:NEW" || i.Fields["stageId"] == "DT128_42:FAIL"
			})
		}},
		"an empty field":            {[]engine.Condition{condition("=", notes, nil), condition("<=", id, 20)}, []string{"title"}, 1, func(got []engine.Item) bool { return slices.Contains(ids(got), 17) && !slices.Contains(ids(got), 18) }},
		"a field that is not empty": {[]engine.Condition{condition("!", notes, nil), condition("<=", id, 20)}, []string{"title"}, 1, func(got []engine.Item) bool { return !slices.Contains(ids(got), 17) && slices.Contains(ids(got), 18) }},
		"one of no stages":          {[]engine.Condition{condition("=", stage, []any{})}, []string{"title"}, 0, func(got []engine.Item) bool { return len(got) == 0 }},
		"none of no stages":         {[]engine.Condition{condition("!", stage, []any{}), condition("<=", id, int64(100))}, []string{"title"}, 1, func(got []engine.Item) bool { return len(got) == 100 }},
		"other contacts than one": {[]engine.Condition{condition("!", contacts, int64(3)), condition("<=", id, int64(100))}, []string{"title"}, 1, func(got []engine.Item) bool {
			return len(got) > 50 && !slices.ContainsFunc(got, func(i engine.Item) bool { return slices.Contains(linked(i), any(int64(3))) })
		}},
		"other contacts than some": {[]engine.Condition{condition("!=", contacts, []any{int64(3), int64(4)}), condition("<=", id, int64(100))}, []string{"title"}, 1, func(got []engine.Item) bool {
			return len(got) > 50 && !slices.ContainsFunc(got, func(i engine.Item) bool {
				return slices.Contains(linked(i), any(int64(3))) || slices.Contains(linked(i), any(int64(4)))
			})
		}},
		"a text that goes alone": {[]engine.Condition{condition("=", notes, "pay $result[x]")}, []string{"title"}, 1, func(got []engine.Item) bool { return len(got) == 1 && got[0].ID == 18 }},
		"nothing":                {[]engine.Condition{condition("<", id, 0)}, nil, 1, func(got []engine.Item) bool { return len(got) == 0 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openTransport(t, portal.Options{Transport: box.Transport(), Limits: unlimited()}, box.WebhookPath())
			var got []engine.Item
			for page, err := range c.Scan(t.Context(), card, tt.where, tt.fields) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
			}
			if requests := c.Usage().Requests; requests > tt.most {
				t.Errorf("took %d requests, want at most %d", requests, tt.most)
			}
			if !slices.IsSorted(ids(got)) || !tt.check(got) {
				t.Errorf("%d items, the first %+v", len(got), got[:min(1, len(got))])
			}
		})
	}
	for range c.Scan(t.Context(), card, nil, nil) {
		break // the rest is not read
	}
	for page, err := range c.Scan(t.Context(), card, []engine.Condition{condition("~", id, 1)}, nil) {
		if err == nil {
			t.Errorf("got %v, want an error", page)
		}
	}
}

// Reads come through whatever a portal on a bad day does, and nothing is read
// twice or left out.
func TestScan_faults(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"drop-before:p=0.3", "drop-after:p=0.3,seed=2", "error-500:p=0.3", "html-502:p=0.3", "truncate:p=0.3", "limit-503:p=0.3", "limit-429:p=0.3", "expired:p=0.3"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := openSandbox(t, sandbox.Options{Seed: "demo,contacts=20,items=6000", Faults: []string{fault}}, portal.CloudLimits())
				card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
				var got []int64
				for page, err := range c.Scan(t.Context(), card, nil, []string{"title"}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, ids(page)...)
				}
				if len(got) != 6000 || !slices.IsSorted(got) || len(slices.Compact(got)) != 6000 {
					t.Errorf("read %d items, want 6000", len(got))
				}
			})
		})
	}
}

// A portal whose pages don't follow each other is not believed.
func TestScan_pagesOutOfOrder(t *testing.T) {
	t.Parallel()
	page := func(ids ...int) string {
		items := make([]string, 0, len(ids))
		for _, id := range ids {
			items = append(items, fmt.Sprintf(`{"id":%d}`, id))
		}
		return fmt.Sprintf(`{"items":[%s]}`, strings.Join(items, ","))
	}
	from := func(first, step int) string {
		ids := make([]int, 0, 50)
		for i := range 50 {
			ids = append(ids, first+i*step)
		}
		return page(ids...)
	}
	for name, pages := range map[string][]string{
		"the highest in no order":   {page(5, 4, 6)},
		"one of the highest twice":  {page(5, 4, 4)},
		"the lowest in no order":    {from(1000, -1), page(4, 3)},
		"the lowest again":          {from(1000, -1), from(1, 1), from(1, 1)},
		"the lowest, not in bounds": {from(1000, -1), page(1, 2000)},
		"an item without an id":     {page(5, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := make([]string, 0, len(pages))
			for i, p := range pages {
				results = append(results, fmt.Sprintf(`"c%d":%s`, i, p))
			}
			c := openScript(t, withBody(func(string, map[string]any, string) (int, string) {
				return 200, `{"result":{"result":{` + strings.Join(results, ",") + `}}}`
			}), nil)
			var last error
			for _, err := range c.Scan(t.Context(), &engine.Entity{TypeID: 2, Name: "deal"}, nil, nil) {
				last = err
			}
			if last == nil {
				t.Error("got no error")
			}
		})
	}
}

// Keys that come back from storage find what they found before.
func TestFind_keysFromStorage(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	catalog := loadCatalog(t, c, "contact", "Onboarding")
	contact, card := entityOf(t, catalog, "contact"), entityOf(t, catalog, "Onboarding")
	a := write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: contact, Fields: map[string]any{"name": "A"}, Multi: map[string][]engine.MultiValue{"phone": {{Value: "+551155550001"}}}})
	b := write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "b", "contactId": a[0].ID, "opportunity": 12.5}})
	number := json.Number(strconv.FormatInt(a[0].ID, 10))
	for name, l := range map[string]engine.Lookup{
		"an id as a number":   {Entity: card, Match: []*engine.Field{fieldOf(t, card, "contactId")}, Keys: [][]any{{number}}},
		"an id as a float":    {Entity: card, Match: []*engine.Field{fieldOf(t, card, "contactId")}, Keys: [][]any{{float64(a[0].ID)}}},
		"a number":            {Entity: card, Match: []*engine.Field{fieldOf(t, card, "opportunity")}, Keys: [][]any{{json.Number("12.50")}}},
		"a row of phones":     {Entity: contact, Match: []*engine.Field{fieldOf(t, contact, "phone")}, Keys: [][]any{{engine.MultiValue{Value: "551155550001"}}}},
		"some rows of phones": {Entity: contact, Match: []*engine.Field{fieldOf(t, contact, "phone")}, Keys: [][]any{{[]engine.MultiValue{{Value: "+55 1155550001"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := b[0].ID
			if l.Entity == contact {
				want = a[0].ID
			}
			if got := find(t, c, l); len(got[0]) != 1 || got[0][0] != want {
				t.Errorf("found %v, want %d", got, want)
			}
		})
	}
}

// Phones are asked for by nineteens: those that nobody has are told together, and
// found ones by the items that are read anyway.
func TestFind_manyPhones(t *testing.T) {
	t.Parallel()
	const n = 1000
	for name, tt := range map[string]struct {
		known           func(i int) bool // whether a contact has the number
		calls, requests int
	}{
		// Three calls found something: their 47 other numbers are asked for alone.
		"few are there": {func(i int) bool { return i == 3 || i == 19 || i == 999 }, 53 + 47, 2 + 1 + 1},
		// The 400 others are nobody's, by 22 calls.
		"most are there": {func(i int) bool { return i%5 < 3 }, 53 + 22, 2 + 1 + 1},
		"all are there":  {func(int) bool { return true }, 53, 2 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, box := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
			contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
			phone := fieldOf(t, contact, "phone")
			var people []engine.Command
			var places []int
			keys := make([][]any, n)
			for i := range keys {
				keys[i] = []any{fmt.Sprintf("+5511%d", 70000000+i)}
				if tt.known(i) {
					people = append(people, personWith(contact, fmt.Sprintf("+55 (11) %d", 70000000+i)))
					places = append(places, i)
				}
			}
			want := make([][]int64, n)
			for batch := range slices.Chunk(people, 50) {
				for _, made := range write(t, c, batch...) {
					want[places[0]], places = []int64{made.ID}, places[1:]
				}
			}
			before := box.Stats()
			got := find(t, c, engine.Lookup{Entity: contact, Match: []*engine.Field{phone}, Keys: keys})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ids by key (-want +got):\n%s", diff)
			}
			after := box.Stats()
			const method = "crm.duplicate.findbycomm"
			if calls := after.ByMethod[method].Calls - before.ByMethod[method].Calls; calls != tt.calls {
				t.Errorf("%d calls, want %d", calls, tt.calls)
			}
			if requests := after.Requests - before.Requests; requests != tt.requests {
				t.Errorf("%d requests, want %d", requests, tt.requests)
			}
		})
	}
}

func personWith(contact *engine.Entity, phones ...string) engine.Command {
	rows := make([]engine.MultiValue, 0, len(phones))
	for _, phone := range phones {
		rows = append(rows, engine.MultiValue{Value: phone})
	}
	return engine.Command{
		Kind: engine.CommandAdd, Entity: contact,
		Fields: map[string]any{"name": "A"}, Multi: map[string][]engine.MultiValue{"phone": rows},
	}
}

// However phones are written, and whoever shares them, asking for many together
// finds what asking for each alone does.
func TestFind_phonesTogetherAndAlone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 11))
			c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
			contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
			phone := fieldOf(t, contact, "phone")
			forms := []string{"", "+5511", "55 11 ", "+55 (11) ", "11"}
			ends := []string{"", "", "", " ext 7", ";2", "7"}
			number := func() string {
				return forms[random.IntN(len(forms))] + strconv.Itoa(9000000+random.IntN(90)) + ends[random.IntN(len(ends))]
			}
			var people []engine.Command
			for range 20 + random.IntN(150) {
				phones := []string{number()}
				for random.IntN(4) == 0 {
					phones = append(phones, number())
				}
				people = append(people, personWith(contact, phones...))
			}
			for batch := range slices.Chunk(people, 50) {
				write(t, c, batch...)
			}
			keys := make([][]any, 51+random.IntN(400))
			for i := range keys {
				keys[i] = []any{number()}
			}
			lookup := engine.Lookup{Entity: contact, Match: []*engine.Field{phone}, Keys: keys}
			together := find(t, c, lookup)
			var alone [][]int64
			for part := range slices.Chunk(keys, 50) { // each by a call of its own
				lookup.Keys = part
				alone = append(alone, find(t, c, lookup)...)
			}
			if diff := cmp.Diff(alone, together); diff != "" {
				t.Errorf("ids by key (-alone +together):\n%s", diff)
			}
		})
	}
}

// The duplicate index names twenty items at most. Of those who share a number, as
// that of a switchboard, each is found by the other fields of the key.
func TestFind_sharedPhone(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
	match := []*engine.Field{fieldOf(t, contact, "phone"), fieldOf(t, contact, "lastName")}
	people := make([]engine.Command, 45)
	keys := make([][]any, 45)
	for i := range people {
		people[i] = personWith(contact, "+55 (11) 3000-"+strconv.Itoa(1000+i%2))
		people[i].Fields["lastName"] = fmt.Sprint("Silva ", i)
		keys[i] = []any{"+551130001000", fmt.Sprint("silva ", i)}
	}
	want := make([][]int64, len(keys))
	for i, made := range write(t, c, people...) {
		if i%2 == 0 {
			want[i] = []int64{made.ID}
		}
	}
	got := find(t, c, engine.Lookup{Entity: contact, Match: match, Keys: keys})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids by key (-want +got):\n%s", diff)
	}
}

// A custom field whose REST name the portal can't turn back is filtered by its
// original name.
func TestFind_oddNames(t *testing.T) {
	t.Parallel()
	odd := &engine.Field{Name: "ufCrm_3_DIGIT_10", Upper: "UF_CRM_3_DIGIT_10", Type: engine.FieldString, Custom: true}
	e := &engine.Entity{TypeID: 128, Name: "x", Fields: []*engine.Field{{Name: "id", Type: engine.FieldInteger}, odd}}
	c := openScript(t, withBody(func(_ string, body map[string]any, _ string) (int, string) {
		commands, ok := body["cmd"].(map[string]any)
		if !ok {
			return 500, ""
		}
		command, err := url.QueryUnescape(fmt.Sprint(commands["c0"]))
		if err != nil || !strings.Contains(command, "filter[@UF_CRM_3_DIGIT_10][0]=a") || !strings.Contains(command, "useOriginalUfNames=Y") {
			t.Errorf("asked %s", command)
		}
		return 200, `{"result":{"result":{"c0":{"items":[{"id":7,"UF_CRM_3_DIGIT_10":"a"}]}},"result_error":[]}}`
	}), nil)
	got := find(t, c, engine.Lookup{Entity: e, Match: []*engine.Field{odd}, Keys: [][]any{{"a"}, {"b"}}})
	if diff := cmp.Diff([][]int64{{7}, nil}, got); diff != "" {
		t.Errorf("ids by key (-want +got):\n%s", diff)
	}
}

// All items are read once for many look-ups, again for a plan that begins later,
// and not at all where they are far more than the portal had said.
func TestFind_whole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		c, box := openSandbox(t, sandbox.Options{Seed: fmt.Sprintf("demo,contacts=%d", n)}, unlimited())
		contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
		if contact.Items != n || contact.Few {
			t.Fatalf("%d contacts, few %t", contact.Items, contact.Few)
		}
		requests := func(since time.Time, ids ...any) int {
			t.Helper()
			before := box.Stats().Requests
			l := engine.Lookup{Entity: contact, Match: []*engine.Field{fieldOf(t, contact, "id")}, Whole: since}
			var want [][]int64
			for _, id := range ids {
				l.Keys = append(l.Keys, []any{id})
				if number := id.(int64); number <= n {
					want = append(want, []int64{number})
				} else {
					want = append(want, nil)
				}
			}
			if diff := cmp.Diff(want, find(t, c, l)); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			return box.Stats().Requests - before
		}
		began := time.Now()
		if got := requests(began, int64(1), int64(n), int64(n+1)); got < 2 || got > 3 {
			t.Errorf("reading all takes %d requests, want 2 or 3", got)
		}
		<-time.After(5 * time.Minute)
		if got := requests(began, int64(7)); got != 0 {
			t.Errorf("a look-up of the same plan takes %d requests", got)
		}
		if got := requests(time.Now(), int64(7)); got < 2 || got > 3 {
			t.Errorf("one of a later plan takes %d requests, want 2 or 3", got)
		}
		write(t, c, personWith(contact, "+1"))
		if got := requests(began, int64(7)); got < 2 {
			t.Errorf("one after a write takes %d requests", got)
		}

		lied := *contact
		lied.Items, contact = 10, &lied
		c, box = openSandbox(t, sandbox.Options{Seed: fmt.Sprintf("demo,contacts=%d", n)}, unlimited())
		first := requests(began, int64(7), int64(n+1))
		if again := requests(began, int64(8)); first > 3 || again != 1 {
			t.Errorf("where there are more than it was said, %d and then %d requests", first, again)
		}
	})
}
