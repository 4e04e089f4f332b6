package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// library makes nine cards with known values, none other.
func library(tb testing.TB) *portal {
	tb.Helper()
	p := open(tb, sandbox.Options{Seed: "empty"})
	for _, fields := range []string{
		`{"title":"Alpha","xmlId":"k1","opportunity":10,"contactIds":[1,2],"ufCrm41_1737980500005":"Y","ufCrm41_1737980500003":"2026-01-10"}`,
		`{"title":"beta","xmlId":"k2","opportunity":20,"contactIds":[2],"ufCrm41_1737980095947":"n1","ufCrm41_1737980500003":"2026-02-10"}`,
		`{"title":"Gamma ray","xmlId":"K3","opportunity":30,"stageId":"DT128_42:CLIENT","ufCrm41_1737980500008":["x","y"]}`,
		`{"title":"50% off","opportunity":40,"companyId":5,"ufCrm41_1737980500008":["y"]}`,
		`{"title":"a_b","opportunity":50,"categoryId":43,"ufCrm41_1737980095947":"n2"}`,
		`{"title":"delta","xmlId":"k1","opportunity":60.5,"assignedById":3,"opened":"N"}`,
		`{"title":"Émile","ufCrm41_1737980500009":7}`,
		`{"title":"zeta","ufCrm41_1737980500009":0}`,
		`{"title":"zeta","opportunity":10}`,
	} {
		p.item(tb, "crm.item.add", `{"entityTypeId":128,"fields":`+fields+`}`)
	}
	return p
}

func (p *portal) ids(tb testing.TB, query string) string {
	tb.Helper()
	result := p.call(tb, "crm.item.list", `{"entityTypeId":128,"select":["id"],`+query+`}`)
	list, _ := at(result, "items").([]any)
	ids := make([]string, len(list))
	for i, one := range list {
		ids[i] = fmt.Sprint(at(one, "id"))
	}
	return strings.Join(ids, " ")
}

func TestFilters(t *testing.T) {
	t.Parallel()

	p := library(t)
	tests := map[string]struct{ filter, want string }{
		"none":                          {`{}`, "1 2 3 4 5 6 7 8 9"},
		"equal":                         {`{"title":"delta"}`, "6"},
		"equal, whatever the case":      {`{"=title":"ALPHA "}`, "1"},
		"a list is IN":                  {`{"=xmlId":["k1","k3"]}`, "1 3 6"},
		"IN":                            {`{"@xmlId":["k1","nope"]}`, "1 6"},
		"IN of one":                     {`{"@xmlId":"k2"}`, "2"},
		"NOT IN":                        {`{"!@id":[1,2,3]}`, "4 5 6 7 8 9"},
		"not":                           {`{"!id":9}`, "1 2 3 4 5 6 7 8"},
		"not equal to a list":           {`{"!=xmlId":["k1","k2","k3"]}`, "4 5 7 8 9"},
		"not empty":                     {`{"!=xmlId":""}`, "1 2 3 6"},
		"empty":                         {`{"xmlId":""}`, "4 5 7 8 9"},
		"ids":                           {`{"id":[9,2,"5",77]}`, "2 5 9"},
		"a range of ids":                {`{">id":2,"<=id":5}`, "3 4 5"},
		"an impossible range":           {`{">id":5,"<id":2}`, ""},
		"greater":                       {`{">opportunity":30}`, "4 5 6"},
		"a range":                       {`{">=opportunity":"20","<opportunity":"50"}`, "2 3 4"},
		"contains":                      {`{"%title":"A"}`, "1 2 3 5 6 8 9"},
		"contains a percent sign":       {`{"%title":"50%"}`, "4"},
		"does not contain":              {`{"!%title":"a"}`, "4 7"},
		"like":                          {`{"=%title":"%a"}`, "1 2 6 8 9"},
		"like, the other way round":     {`{"%=title":"b%"}`, "2"},
		"like any character":            {`{"=%title":"a_b"}`, "5"},
		"not like":                      {`{"!=%title":"%a%"}`, "4 7"},
		"a list field":                  {`{"ufCrm41_1737980500008":"y"}`, "3 4"},
		"contacts":                      {`{"contactIds":[1]}`, "1"},
		"any of the contacts":           {`{"@contactIds":[1,2]}`, "1 2"},
		"one contact":                   {`{"contactId":2}`, "2"},
		"no company":                    {`{"companyId":0}`, "1 2 3 5 6 7 8 9"},
		"a custom yes is 1":             {`{"ufCrm41_1737980500005":1}`, "1"},
		"a custom Y is no":              {`{"ufCrm41_1737980500005":"Y"}`, "2 3 4 5 6 7 8 9"},
		"a system yes is Y":             {`{"opened":"N"}`, "6"},
		"a date":                        {`{">=ufCrm41_1737980500003":"2026-01-11"}`, "2"},
		"a date as a time":              {`{"ufCrm41_1737980500003":"2026-01-10T03:00:00+03:00"}`, "1"},
		"zero is a value":               {`{"ufCrm41_1737980500009":7}`, "7"},
		"stages":                        {`{"@stageId":["DT128_42:CLIENT","DT128_43:NEW"]}`, "3 5"},
		"pipeline":                      {`{"categoryId":43}`, "5"},
		"upper-case system names":       {`{"TITLE":"delta",">ID":1}`, "6"},
		"all of them":                   {`{"%title":"a",">opportunity":15}`, "2 3 5 6"},
		"a group":                       {`{"0":{"logic":"OR","0":{"xmlId":"k2"},"1":{">opportunity":55}}}`, "2 6"},
		"a group and a test":            {`{"0":{"logic":"OR","xmlId":"k1","title":"beta"},"<id":5}`, "1 2"},
		"groups in groups":              {`{"0":{"logic":"OR","0":{"logic":"AND","xmlId":"k1","opened":"N"},"1":{"title":"beta"}}}`, "2 6"},
		"OR at the top":                 {`{"logic":"OR","xmlId":"k2","title":"zeta"}`, "2 8 9"},
		"an unreadable date is nothing": {`{"<createdTime":"someday"}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := p.ids(t, `"filter":`+tt.filter); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.filter, got, tt.want)
			}
			// An index answers the same as a look at every item, counted or not.
			if got := p.ids(t, `"start":-1,"order":{"id":"ASC"},"filter":{"0":{"logic":"OR","0":`+tt.filter+`,"1":{"<id":0}}}`); got != tt.want {
				t.Errorf("%s in a group: got %s, want %s", tt.filter, got, tt.want)
			}
		})
	}
}

func TestFiltersAndOrdersRefused(t *testing.T) {
	t.Parallel()

	p := library(t)
	tests := map[string]struct{ query, text string }{
		"an unknown field":            {`"filter":{">=badField":1}`, "Invalid filter: field '>=BAD_FIELD' is not allowed in filter"},
		"an original name":            {`"filter":{"UF_CRM_41_1737980095947":1}`, "Invalid filter: field 'UF_CRM_41_1737980095947' is not allowed in filter"},
		"a list to compare with":      {`"filter":{">id":[1]}`, "Invalid filter: field '>ID' has invalid value"},
		"a list to negate":            {`"filter":{"!title":["a"]}`, "Invalid filter: field '!TITLE' has invalid value"},
		"between":                     {`"filter":{"><id":[1,2]}`, "Invalid filter: field '><ID' has invalid value"},
		"a list of lists":             {`"filter":{"@id":[[1]]}`, "Invalid filter: field '@ID' has invalid value"},
		"an unknown field in a group": {`"filter":{"0":{"logic":"OR","nope":1}}`, "Invalid filter: field 'NOPE' is not allowed in filter"},
		"order by an unknown field":   {`"order":{"nope":"ASC"}`, "Invalid order: field 'NOPE' is not allowed in order"},
		"order by a list":             {`"order":{"contactIds":"ASC"}`, "Invalid order: field 'CONTACT_IDS' is not allowed in order"},
		"a direction":                 {`"order":{"id":"up"}`, "Invalid order: allowed sort directions are ASC, DESC. But got 'UP' for field 'ID'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			status, code, text := p.refused(t, "crm.item.list", `{"entityTypeId":128,`+tt.query+`}`)
			if status != http.StatusBadRequest || code != "INVALID_ARG_VALUE" || text != tt.text {
				t.Errorf("got %d %s %q, want %q", status, code, text, tt.text)
			}
		})
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()

	p := library(t)
	for order, want := range map[string]string{
		`{"id":"ASC"}`:                         "1 2 3 4 5 6 7 8 9",
		`{"id":"desc"}`:                        "9 8 7 6 5 4 3 2 1",
		`{"title":"ASC","id":"DESC"}`:          "4 5 1 2 6 3 9 8 7",
		`{"opportunity":"DESC","title":"ASC"}`: "6 5 4 3 2 1 9 8 7",
	} {
		if got := p.ids(t, `"order":`+order); got != want {
			t.Errorf("%s: got %s, want %s", order, got, want)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "demo,items=120"})
	tests := map[string]struct {
		query       string
		first, last float64
		rows        int
		total, next any
	}{
		"the first page":        {`"order":{"id":"ASC"}`, 1, 50, 50, 120.0, 50.0},
		"the second":            {`"start":50`, 51, 100, 50, 120.0, 100.0},
		"the last":              {`"start":"100"`, 101, 120, 20, 120.0, nil},
		"rounded down":          {`"start":99`, 51, 100, 50, 120.0, 100.0},
		"uncounted":             {`"start":-1,"filter":{">id":100},"order":{"id":"ASC"}`, 101, 120, 20, nil, nil},
		"counted with a filter": {`"filter":{"categoryId":42},"order":{"id":"DESC"}`, 119, 54, 50, 90.0, 50.0},
		"sorted":                {`"start":100,"order":{"assignedById":"ASC"}`, 25, 120, 20, 120.0, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, out := p.post(t, "crm.item.list", `{"entityTypeId":128,"select":["id"],`+tt.query+`}`)
			rows, _ := at(out, "result", "items").([]any)
			if len(rows) != tt.rows || out["total"] != tt.total || out["next"] != tt.next {
				t.Fatalf("%d rows, total %v, next %v; want %d, %v, %v", len(rows), out["total"], out["next"], tt.rows, tt.total, tt.next)
			}
			if first, last := at(rows, 0, "id"), at(rows, len(rows)-1, "id"); first != tt.first || last != tt.last {
				t.Errorf("from %v to %v, want %v to %v", first, last, tt.first, tt.last)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	keys := func(query string) string {
		t.Helper()
		return compact(t, at(p.call(t, "crm.item.list", `{"entityTypeId":3,"filter":{"id":1},`+query+`}`), "items", 0))
	}
	for query, want := range map[string]string{
		`"select":["name","nope"]`: `{"name":"August"}`,
		`"select":[]`:              `[]`,
		`"select":["fm","id"]`:     `{"id":1}`,
		`"select":["ufCrm_1737980095947"],"useOriginalUfNames":"Y"`: `{"UF_CRM_1737980095947":"10000000108"}`,
		`"select":["UF_*"]`:                          `[]`,
		`"select":["UF_*"],"useOriginalUfNames":"Y"`: `{"UF_CRM_1737980095947":"10000000108","UF_CRM_1737980412001":81,"UF_CRM_LEGAL_NAME":null}`,
	} {
		if got := keys(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{`"select":["*"]`, `"start":0`} {
		all := keys(query)
		for _, key := range []string{`"fm":[{"id":`, `"entityTypeId":3`, `"ufCrm_1737980095947":`} {
			if !strings.Contains(all, key) {
				t.Errorf("%s: no %s in %s", query, key, all)
			}
		}
	}
}

func TestListByPhone(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	got := compact(t, p.call(t, "crm.item.list", `{"entityTypeId":3,"select":["id"],"filter":{"phone":"+5511950000002"}}`))
	if want := `{"items":[{"id":3}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An index must stay right while items come, change and go.
func TestIndexesFollowChanges(t *testing.T) {
	t.Parallel()

	p := library(t)
	const byKey = `"filter":{"@xmlId":["k1","new"]},"order":{"id":"ASC"}`
	if got := p.ids(t, byKey); got != "1 6" {
		t.Fatalf("at first: got %s", got)
	}
	p.item(t, "crm.item.add", `{"entityTypeId":128,"fields":{"xmlId":"new"}}`)
	p.item(t, "crm.item.update", `{"entityTypeId":128,"id":1,"fields":{"xmlId":"other"}}`)
	p.item(t, "crm.item.update", `{"entityTypeId":128,"id":2,"fields":{"xmlId":"NEW"}}`)
	p.call(t, "crm.item.delete", `{"entityTypeId":128,"id":6}`)
	if got := p.ids(t, byKey); got != "2 10" {
		t.Errorf("after changes: got %s, want 2 10", got)
	}
}

func TestLike(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		text, pattern string
		want          bool
	}{
		{"abc", "abc", true},
		{"abc", "a%", true},
		{"abc", "%c", true},
		{"abc", "%b%", true},
		{"abc", "_b_", true},
		{"abc", "", false},
		{"", "%", true},
		{"abc", "%d%", false},
		{"aab", "%ab", true},
		{"é", "_", true},
		{"abcbd", "a%bd", true},
	} {
		if got := sandbox.Like(tt.text, tt.pattern); got != tt.want {
			t.Errorf("%q like %q: got %v", tt.text, tt.pattern, got)
		}
	}
}
