package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/bxflow/bxflow/engine"
)

// Product rows are read and written by item: crm.item.productrow.list must be told
// one, and crm.item.productrow.set replaces all rows that it has.

const (
	methodProducts    = "crm.item.productrow.list"
	methodSetProducts = "crm.item.productrow.set"
)

// productsCall writes a command on the product rows of an item.
func productsCall(command engine.Command) (call, error) {
	if command.Kind != engine.CommandUpdate || command.ID <= 0 {
		return call{}, fmt.Errorf("there is no command %q for %s %d", command.Kind, command.Entity.Name, command.ID)
	}
	given, _ := command.Fields[engine.ProductRows].([]any)
	rows := make([]any, 0, len(given))
	for i, v := range given {
		text, _ := v.(string)
		row, ok := engine.ParseProductRow(text)
		if !ok {
			return call{}, fmt.Errorf("%s %d: %q is no product row", command.Entity.Name, command.ID, text)
		}
		rows = append(rows, wireProduct(row, 10*(i+1)))
	}
	return call{Method: methodSetProducts, Params: map[string]any{
		"ownerType": engine.TypeCode(command.Entity.ProductsOwner()), "ownerId": command.ID, "productRows": rows,
	}}, nil
}

// wireProduct is a row as the portal takes it. What the row leaves to the portal is
// left out.
func wireProduct(r engine.ProductRow, sort int) map[string]any {
	wire := map[string]any{"price": r.Price, "quantity": r.Quantity, "taxIncluded": "N", "sort": sort}
	if r.TaxIncluded {
		wire["taxIncluded"] = "Y"
	}
	if r.Name != "" {
		wire["productName"] = r.Name
	}
	if r.Product != 0 {
		wire["productId"] = r.Product
	}
	if r.Measure != 0 {
		wire["measureCode"] = r.Measure
	}
	if r.TaxRate != nil {
		wire["taxRate"] = *r.TaxRate
	}
	switch {
	case r.DiscountSum != 0:
		wire["discountTypeId"], wire["discountSum"] = discountBySum, r.DiscountSum
	case r.DiscountRate != 0:
		wire["discountTypeId"], wire["discountRate"] = discountByRate, r.DiscountRate
	}
	return wire
}

// Values of discountTypeId.
const (
	discountBySum  = 1
	discountByRate = 2
)

// productRow is a row as the portal shows it.
type productRow struct {
	ID       text  `json:"id"`
	Name     text  `json:"productName"`
	Product  text  `json:"productId"`
	Price    text  `json:"price"`
	Quantity text  `json:"quantity"`
	ByWhat   text  `json:"discountTypeId"`
	Rate     text  `json:"discountRate"`
	Sum      text  `json:"discountSum"`
	TaxRate  *text `json:"taxRate"`
	Included text  `json:"taxIncluded"`
	Measure  text  `json:"measureCode"`
	Sort     text  `json:"sort"`
}

// row is the row as plans have it.
func (w productRow) row() engine.ProductRow {
	figure := func(t text) float64 {
		n, err := strconv.ParseFloat(string(t), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0
		}
		return engine.RoundProduct(n)
	}
	whole := func(t text) int64 { return int64(figure(t)) }
	r := engine.ProductRow{
		Name: string(w.Name), Product: whole(w.Product), Price: figure(w.Price), Quantity: figure(w.Quantity),
		TaxIncluded: w.Included == "Y", Measure: whole(w.Measure),
	}
	if whole(w.ByWhat) == discountBySum {
		r.DiscountSum = figure(w.Sum)
	} else {
		r.DiscountRate = figure(w.Rate)
	}
	if w.TaxRate != nil && *w.TaxRate != "" {
		rate := figure(*w.TaxRate)
		r.TaxRate = &rate
	}
	return r
}

// productRows reads the rows of an answer.
func productRows(answer json.RawMessage) ([]productRow, error) {
	var body struct {
		Rows *[]productRow `json:"productRows"`
	}
	if err := json.Unmarshal(answer, &body); err != nil || body.Rows == nil {
		return nil, errors.New("the answer has no productRows")
	}
	return *body.Rows, nil
}

// productsItem makes an item of the product rows of one, in their order.
func productsItem(id int64, rows []productRow) engine.Item {
	order := func(t text) int { n, _ := strconv.Atoi(string(t)); return n }
	slices.SortStableFunc(rows, func(a, b productRow) int {
		return cmp.Or(cmp.Compare(order(a.Sort), order(b.Sort)), cmp.Compare(order(a.ID), order(b.ID)))
	})
	var list []any
	for _, w := range rows {
		list = append(list, w.row().Text())
	}
	item := engine.Item{ID: id, Fields: map[string]any{}}
	if list != nil {
		item.Fields[engine.ProductRows] = list
	}
	return item
}

// settleProducts are the rows that the portal made, nil if the answer does not tell.
func settleProducts(command engine.Command, answer json.RawMessage) *engine.Item {
	rows, err := productRows(answer)
	if err != nil {
		return nil
	}
	item := productsItem(command.ID, rows)
	item.Fields[engine.ProductRows] = orNone(item.Fields[engine.ProductRows])
	return &item
}

// orNone tells an answer without rows from none.
func orNone(rows any) any {
	if rows == nil {
		return []any{}
	}
	return rows
}

// findProducts reads the product rows of items by their ids, one call each, and
// more where an item has more than a page of them.
func (c *Client) findProducts(ctx context.Context, l engine.Lookup) ([][]engine.Item, error) {
	found := make([][]engine.Item, len(l.IDs))
	rows := map[int64][]productRow{}
	ids := slices.Compact(slices.Sorted(slices.Values(l.IDs)))
	for offset := 0; len(ids) > 0; offset += pageSize {
		calls := make([]call, 0, len(ids))
		for _, id := range ids {
			calls = append(calls, call{Method: methodProducts, Params: map[string]any{
				"filter": map[string]any{"=ownerType": engine.TypeCode(l.Entity.ProductsOwner()), "=ownerId": id},
				"order":  map[string]any{"id": "ASC"}, "start": offset,
			}})
		}
		replies, err := c.ask(ctx, calls, askOptions{})
		if err != nil {
			return nil, err
		}
		var more []int64
		for i, r := range replies {
			if r.Err != nil && isRefusal(r.Err, "OWNER_NOT_FOUND", codeNotFound) {
				continue // the item is gone
			}
			if r.Err != nil {
				return nil, fmt.Errorf("reading the %s %d: %w", l.Entity.Name, ids[i], r.Err)
			}
			page, err := productRows(r.Result.Value)
			if err != nil {
				return nil, &Error{Method: methodProducts, Verdict: Unknown, Message: err.Error()}
			}
			rows[ids[i]] = append(rows[ids[i]], page...)
			if rows[ids[i]] == nil {
				rows[ids[i]] = []productRow{}
			}
			switch had := len(rows[ids[i]]) - len(page); {
			case len(page) < pageSize:
			case had > 0 && rows[ids[i]][had].ID == rows[ids[i]][0].ID:
				return nil, repeated(methodProducts)
			default:
				more = append(more, ids[i])
			}
		}
		ids = more
	}
	for i, id := range l.IDs {
		if list, there := rows[id]; there {
			found[i] = []engine.Item{productsItem(id, list)}
		}
	}
	return found, nil
}
