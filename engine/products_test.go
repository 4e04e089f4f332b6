package engine_test

import (
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine"
)

// TestNewProductRow sees what a product row must hold.
func TestNewProductRow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		values map[string]any
		want   string // for people, or
		fault  string
	}{
		{"plain", map[string]any{"productName": " Beam ", "price": 99.5}, "1 × Beam at 99.5", ""},
		{"all", map[string]any{
			"productName": "Beam", "productId": int64(7), "price": 0.1 * 3, "quantity": 2.5, "discountRate": 10.0, "taxRate": 0.0, "taxIncluded": true, "measureCode": int64(6),
		}, "2.5 × Beam (7) at 0.3, discount 10%, tax 0% included, measure 6", ""},
		{"gift", map[string]any{"productId": int64(7), "price": 0.0, "discountSum": 3.0}, "1 × (7) at 0, discount 3 each", ""},
		{"no name", map[string]any{"price": 1.0}, "", "needs a name or a product"},
		{"no price", map[string]any{"productName": "Beam"}, "", "price is empty"},
		{"none of it", map[string]any{"productName": "Beam", "price": 1.0, "quantity": 0.0}, "", "quantity must be more than 0"},
		{"two discounts", map[string]any{"productName": "Beam", "price": 1.0, "discountRate": 1.0, "discountSum": 1.0}, "", "exclude each other"},
		{"more than all", map[string]any{"productName": "Beam", "price": 1.0, "discountRate": 101.0}, "", "from 0 to 100"},
		{"negative measure", map[string]any{"productName": "Beam", "price": 1.0, "measureCode": int64(-1)}, "", "must not be less than 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			row, err := engine.NewProductRow(test.values)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("got %v, want %q", err, test.fault)
				}
				return
			}
			if err != nil || row.String() != test.want {
				t.Errorf("got %q, %v; want %q", row, err, test.want)
			}
			again, ok := engine.ParseProductRow(row.Text())
			if !ok || again.Text() != row.Text() {
				t.Errorf("%s is read as %s", row.Text(), again.Text())
			}
		})
	}
}

// TestProductRowsEqual sees which product rows are the same to the portal.
func TestProductRowsEqual(t *testing.T) {
	t.Parallel()
	field := engine.ProductsOf(&engine.Entity{TypeID: engine.TypeDeal, Name: "deal"}).FieldByName(engine.ProductRows)
	tax := 20.0
	beam := engine.ProductRow{Name: "Beam", Price: 99.5, Quantity: 2}
	glue := engine.ProductRow{Name: "Glue", Product: 7, Price: 7.25, Quantity: 1, Measure: 796}
	change := func(r engine.ProductRow, how func(*engine.ProductRow)) engine.ProductRow { how(&r); return r }
	for _, test := range []struct {
		name string
		a, b []engine.ProductRow
		want bool
	}{
		{"none", nil, nil, true},
		{"another order", []engine.ProductRow{beam, glue}, []engine.ProductRow{glue, beam}, true},
		{"one twice", []engine.ProductRow{beam, beam}, []engine.ProductRow{beam, glue}, false},
		{"one more", []engine.ProductRow{beam}, []engine.ProductRow{beam, beam}, false},
		{"measure left to the portal", []engine.ProductRow{beam}, []engine.ProductRow{change(beam, func(r *engine.ProductRow) { r.Measure = 796 })}, true},
		{"name left to the catalog", []engine.ProductRow{glue}, []engine.ProductRow{change(glue, func(r *engine.ProductRow) { r.Name = "" })}, true},
		{"another measure", []engine.ProductRow{glue}, []engine.ProductRow{change(glue, func(r *engine.ProductRow) { r.Measure = 6 })}, false},
		{"another name", []engine.ProductRow{beam}, []engine.ProductRow{change(beam, func(r *engine.ProductRow) { r.Name = "beam" })}, false},
		{"another price", []engine.ProductRow{beam}, []engine.ProductRow{change(beam, func(r *engine.ProductRow) { r.Price = 99.51 })}, false},
		{"a tax", []engine.ProductRow{beam}, []engine.ProductRow{change(beam, func(r *engine.ProductRow) { r.TaxRate = &tax })}, false},
		{"a discount", []engine.ProductRow{beam}, []engine.ProductRow{change(beam, func(r *engine.ProductRow) { r.DiscountSum = 1 })}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, errA := engine.ProductRowsOf(test.a)
			b, errB := engine.ProductRowsOf(test.b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if field.Equal(a, b) != test.want || field.Equal(b, a) != test.want {
				t.Errorf("%v and %v: want equal %t", a, b, test.want)
			}
		})
	}
	if _, err := engine.ProductRowsOf(make([]engine.ProductRow, 1001)); err == nil {
		t.Error("1,001 rows of one item pass")
	}
}
