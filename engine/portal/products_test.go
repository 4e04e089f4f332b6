package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// products are the product rows of deals.
func products() *engine.Entity {
	return engine.ProductsOf(&engine.Entity{TypeID: engine.TypeDeal, Name: "deal"})
}

// A documented answer is read by the order of the rows, and hostile ones do no harm.
func TestClient_readsProducts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rows, want string
		fault      string
	}{
		"documented": {
			`[{"id":17649,"productId":9621,"productName":"iphone 14","price":90000,"quantity":3,"discountTypeId":2,"discountRate":10,"discountSum":9090.91,` +
				`"taxRate":10,"taxIncluded":"Y","measureCode":796,"sort":20},` +
				`{"id":17650,"productId":9623,"productName":"10xs","price":5550,"quantity":1,"discountTypeId":1,"discountRate":1.77,"discountSum":100,` +
				`"taxRate":null,"taxIncluded":"Y","measureCode":6,"sort":10}]`,
			"1 × 10xs (9623) at 5550, discount 100 each, measure 6; 3 × iphone 14 (9621) at 90000, discount 10%, tax 10% included, measure 796", "",
		},
		"none":    {`[]`, "", ""},
		"hostile": {`[{"id":"x","price":"NaN","quantity":"1e999","productName":{"a":1},"taxRate":"Inf","sort":[]}]`, "0 ×  at 0, tax 0%", ""},
		"no list": {`"none"`, "", "has no productRows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openScript(t, func(method string, _ map[string]any, _ *http.Request) (int, string) {
				answer := `{"productRows":` + test.rows + `}`
				if method == "batch" {
					answer = `{"result":{"c0":` + answer + `},"result_error":[],"result_total":[],"result_next":[]}`
				}
				return http.StatusOK, `{"result":` + answer + `,"time":{"start":1,"finish":2,"duration":1}}`
			}, nil)
			found, err := c.Get(t.Context(), products(), []int64{17}, nil)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), secret) {
					t.Errorf("got %v, want %q", err, test.fault)
				}
				return
			}
			item, there := found[17]
			if err != nil || !there {
				t.Fatal(found, err)
			}
			if got := shownProducts(item); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func shownProducts(item engine.Item) string {
	var rows []string
	list, _ := item.Fields[engine.ProductRows].([]any)
	for _, v := range list {
		text, _ := v.(string)
		row, _ := engine.ParseProductRow(text)
		rows = append(rows, row.String())
	}
	return strings.Join(rows, "; ")
}

// More rows than a page holds are written and read whole; items that are not there
// are left out; and no rows are rows, too.
func TestClient_writesProducts(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	rows := make([]engine.ProductRow, 120)
	for i := range rows {
		rows[i] = engine.ProductRow{Name: "Row", Price: float64(i), Quantity: 1, Measure: 796}
	}
	want, err := engine.ProductRowsOf(rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []any{want, nil} {
		command := engine.Command{Kind: engine.CommandUpdate, Entity: products(), ID: 1, Fields: map[string]any{engine.ProductRows: given}}
		outcomes, err := c.Write(t.Context(), []engine.Command{command}, func() error { return nil })
		if err != nil || outcomes[0].Kind != engine.OutcomeDone {
			t.Fatal(outcomes, err)
		}
		found, err := c.Get(t.Context(), products(), []int64{1, 2, 999999}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(given, found[1].Fields[engine.ProductRows]); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		if _, there := found[999999]; there || len(found) != 2 {
			t.Errorf("found %d items", len(found))
		}
	}
}

// A portal that answers each page of a list with the same rows is not asked for ever.
func TestFind_pagesThatRepeat(t *testing.T) {
	t.Parallel()
	comments := engine.Comments()
	for name, l := range map[string]engine.Lookup{
		"product rows": {Entity: products(), IDs: []int64{7}},
		"comments":     {Entity: comments, Match: comments.IdentityFields(), Keys: [][]any{{"deal", int64(7), "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := make([]string, 50)
			for i := range page {
				page[i] = fmt.Sprintf(`{"id":%d,"ID":"%d","ENTITY_ID":"7","COMMENT":"a"}`, i+1, i+1)
			}
			rows := "[" + strings.Join(page, ",") + "]"
			if name == "product rows" {
				rows = `{"productRows":` + rows + `}`
			}
			answer := `{"result":{"result":{"c0":` + rows + `}}}`
			c := openScript(t, func(string, map[string]any, *http.Request) (int, string) { return http.StatusOK, answer }, nil)
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			if _, err := c.Find(ctx, l); err == nil || !strings.Contains(err.Error(), "with the same rows") {
				t.Errorf("after %d requests: %v", c.Usage().Requests, err)
			}
		})
	}
}
