package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Product rows stand beside what has an amount: leads, deals, quotes, invoices and
// cards. The portal writes all rows of an item at once (crm.item.productrow.set), and
// so does a plan: they are one field of something that has the id of its item, is
// there as long as the item is, and is only ever changed.

// TypeProducts less the type id of an entity is that of the product rows of its items.
const TypeProducts = -1000

// BesideProducts is the name of product rows, for [Needs].
const BesideProducts = "products"

// ProductRows is the name of the one field of an item's product rows.
const ProductRows = "rows"

// FieldProductRow is bxflow's own type of a product row, a canonical text that
// [ParseProductRow] reads.
const FieldProductRow FieldType = "product_row"

// maxProductRows is how many product rows a plan gives one item.
const maxProductRows = 1000

// HasProducts says whether the portal keeps product rows for the entity's items.
func (e *Entity) HasProducts() bool { return !e.Beside() && e.FieldByName("opportunity") != nil }

// ProductsOf are the product rows of an entity's items, each item's under its id.
func ProductsOf(e *Entity) *Entity {
	return &Entity{
		TypeID: TypeProducts - e.TypeID, Name: "products of " + e.Name, Identity: []string{ProductRows},
		Fields: []*Field{{Name: ProductRows, Title: "Product rows", Type: FieldProductRow, Multiple: true}},
	}
}

// ProductsOwner is the type id of the entity whose items' product rows an entity
// is, 0 if it is none.
func (e *Entity) ProductsOwner() int {
	if e.TypeID < TypeProducts {
		return TypeProducts - e.TypeID
	}
	return 0
}

// ProductRowFields are what a job may say of a product row, by the names of
// crm.item.productrow.set or by the words that are their titles.
func ProductRowFields() *Entity {
	return &Entity{Name: "product row", Fields: []*Field{
		{Name: "productName", Title: "Name", Type: FieldString},
		{Name: "productId", Title: "Product", Type: FieldInteger},
		{Name: "price", Title: "Price", Type: FieldDouble},
		{Name: "quantity", Title: "Quantity", Type: FieldDouble},
		{Name: "discountRate", Title: "Discount", Type: FieldDouble},
		{Name: "discountSum", Title: "Discount sum", Type: FieldDouble},
		{Name: "taxRate", Title: "Tax", Type: FieldDouble},
		{Name: "taxIncluded", Title: "Tax included", Type: FieldBoolean},
		{Name: "measureCode", Title: "Measure", Type: FieldInteger},
	}}
}

// ProductRow is one product row. Its price is what one piece costs, after the
// discount and with tax.
type ProductRow struct {
	Name         string   `json:"productName,omitempty"` // "": the catalog's
	Product      int64    `json:"productId,omitempty"`   // of the catalog; 0: none
	Price        float64  `json:"price"`
	Quantity     float64  `json:"quantity"`
	DiscountRate float64  `json:"discountRate,omitempty"` // percent; or
	DiscountSum  float64  `json:"discountSum,omitempty"`  // for one piece
	TaxRate      *float64 `json:"taxRate,omitempty"`      // percent; nil: no tax, which is not 0 %
	TaxIncluded  bool     `json:"taxIncluded,omitempty"`
	Measure      int64    `json:"measureCode,omitempty"` // 0: the product's or the portal's
}

// NewProductRow makes a row of canonical values of [ProductRowFields].
func NewProductRow(values map[string]any) (ProductRow, error) {
	r := ProductRow{Quantity: 1}
	r.Name, _ = values["productName"].(string)
	r.Name = strings.TrimSpace(r.Name)
	r.Product, _ = values["productId"].(int64)
	r.Measure, _ = values["measureCode"].(int64)
	r.TaxIncluded, _ = values["taxIncluded"].(bool)
	for name, to := range map[string]*float64{"price": &r.Price, "quantity": &r.Quantity, "discountRate": &r.DiscountRate, "discountSum": &r.DiscountSum} {
		if n, ok := number(values[name]); ok {
			*to = RoundProduct(n)
		}
	}
	if n, ok := number(values["taxRate"]); ok {
		n = RoundProduct(n)
		r.TaxRate = &n
	}
	switch {
	case r.Name == "" && r.Product <= 0:
		return r, errors.New("a product row needs a name or a product")
	case values["price"] == nil:
		return r, errors.New("price is empty; a product row needs one, 0 for a gift")
	case r.Quantity <= 0:
		return r, errors.New("quantity must be more than 0")
	case r.DiscountRate != 0 && r.DiscountSum != 0:
		return r, errors.New("discount and discount sum exclude each other")
	case r.DiscountRate < 0 || r.DiscountRate > 100:
		return r, fmt.Errorf("discount is %v; it must be from 0 to 100 (percent)", r.DiscountRate)
	case r.Product < 0 || r.Measure < 0:
		return r, errors.New("product and measure must not be less than 0")
	}
	return r, nil
}

// RoundProduct brings a number to the four decimals that the portal keeps at the most.
func RoundProduct(n float64) float64 { return math.Round(n*1e4) / 1e4 }

// Text is the row as plans and journals hold it.
func (r ProductRow) Text() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		panic(err) // its numbers are finite
	}
	return strings.TrimSpace(b.String())
}

// ParseProductRow reads what [ProductRow.Text] wrote.
func ParseProductRow(text string) (r ProductRow, ok bool) {
	return r, json.Unmarshal([]byte(text), &r) == nil
}

// String is the row for people: 2 × Beam at 99.5, discount 10%, tax 20%.
func (r ProductRow) String() string {
	figure := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	name := r.Name
	if r.Product != 0 {
		name = strings.TrimSpace(fmt.Sprintf("%s (%d)", name, r.Product))
	}
	text := fmt.Sprintf("%s × %s at %s", figure(r.Quantity), name, figure(r.Price))
	switch {
	case r.DiscountRate != 0:
		text += ", discount " + figure(r.DiscountRate) + "%"
	case r.DiscountSum != 0:
		text += ", discount " + figure(r.DiscountSum) + " each"
	}
	if r.TaxRate != nil {
		text += ", tax " + figure(*r.TaxRate) + "%"
		if r.TaxIncluded {
			text += " included"
		}
	}
	if r.Measure != 0 {
		text += fmt.Sprintf(", measure %d", r.Measure)
	}
	return text
}

// sameAs says whether two rows are the same to the portal: what one of them leaves
// to the portal is as the other has it.
func (r ProductRow) sameAs(o ProductRow) bool {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	switch {
	case r.Product != o.Product, r.TaxIncluded != o.TaxIncluded, (r.TaxRate == nil) != (o.TaxRate == nil):
		return false
	case r.TaxRate != nil && !near(*r.TaxRate, *o.TaxRate):
		return false
	case r.Name != o.Name && r.Name != "" && o.Name != "", r.Measure != o.Measure && r.Measure != 0 && o.Measure != 0:
		return false
	}
	return near(r.Price, o.Price) && near(r.Quantity, o.Quantity) && near(r.DiscountRate, o.DiscountRate) && near(r.DiscountSum, o.DiscountSum)
}

// sameRows says whether an item's product rows are the same, in whatever order.
func sameRows(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	rows := func(list []any) []ProductRow {
		parsed := make([]ProductRow, 0, len(list))
		for _, v := range list {
			text, _ := v.(string)
			if r, ok := ParseProductRow(text); ok {
				parsed = append(parsed, r)
			}
		}
		return parsed
	}
	x, y := rows(a), rows(b)
	for _, r := range x {
		i := slices.IndexFunc(y, r.sameAs)
		if i < 0 {
			return false
		}
		y = slices.Delete(y, i, i+1)
	}
	return len(x) == len(a) && len(y) == 0
}

// productRowsOf are product rows for people; ok is false where the values are none.
func productRowsOf(values []any) (rows []string, ok bool) {
	for _, v := range values {
		text, _ := v.(string)
		r, ok := ParseProductRow(text)
		if !ok || !strings.HasPrefix(text, `{"product`) {
			return nil, false
		}
		rows = append(rows, r.String())
	}
	return rows, true
}

// ProductRowsOf are an item's product rows as a canonical value.
func ProductRowsOf(rows []ProductRow) (any, error) {
	if len(rows) > maxProductRows {
		return nil, fmt.Errorf("an item would get %d product rows; bxflow gives it %d at the most", len(rows), maxProductRows)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // no rows are canonical as nil
	}
	list := make([]any, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.Text())
	}
	return list, nil
}

// HoldBeside holds the one thing of an entity that stands beside a held item, under
// the item's id, or the ref of one that is planned.
func (p *Planning) HoldBeside(e *Entity, of *Held, fields map[string]any) *Held {
	h := NewHeld(e, Item{ID: of.ID, Fields: fields})
	h.Ref, h.Created = of.Ref, of.Created
	return p.share(h)
}
